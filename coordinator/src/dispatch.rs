//! Which notifications are claimed, sent and settled, and when: pure, the tokio shell is
//! [`crate::courier`].
//!
//! ```text
//! Due -> Claim (log) -> Claimed in our own term -> Send -> Sent -> Settle (log) -> Settled
//!                          | leadership lost, or no time left:       ^      | no quorum
//!                          v nothing starts, the claim is given back +------+ until the lease ends
//!                       Release (log) -> Settled
//! ```
//!
//! **Invariants**
//! - A send starts only after its claim was committed in the term in which we still lead, and
//!   only with enough of the lease left to end within it.
//! - What has begun is never cancelled, and its result is told to the log as long as the lease
//!   lasts; then the next leader sends again, under the same id.
//! - A claim is given back only when it is certain that nothing was sent under it.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_core::claim::CLAIM_LEASE;
use crosscheck_core::outbox::{Key, Owed, SendResult};
use crosscheck_model::Severity;
use crosscheck_model::mutant::{self, Mutant};

/// The most that a send may take: two thirds of the lease, so that a result has time to commit.
pub const SEND_DEADLINE: Duration = Duration::from_secs(60);
/// Sends of one channel at the same time: enough for a mass outage (some hundred mails a minute),
/// below the connections that mail servers take from one client (Postfix: 50). Each channel has
/// its own share, so that one that hangs does not hold up the others.
pub const SENDS_PER_CHANNEL: usize = 16;
/// Between attempts to commit a result: about what an election takes.
pub const SETTLE_PAUSE: Duration = Duration::from_secs(1);

/// A monotonic moment: the time since an origin that the shell chooses.
pub type Moment = Duration;

/// A notification that may be sent, as the outbox has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub key: Key,
    /// By which channel.
    pub channel: String,
    /// How bad.
    pub severity: Severity,
}

impl From<&Owed> for Due {
    fn from(owed: &Owed) -> Self {
        Self { key: owed.key, channel: owed.channel.clone(), severity: owed.notice.severity }
    }
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// We lead, in this term.
    Leads(u64),
    /// We do not lead any more.
    LostLeadership,
    /// What may be sent, oldest first: [`crosscheck_core::State::due`] after all that we know
    /// to be committed.
    Due(Vec<Due>),
    /// The claim is applied and our leadership was confirmed after that; this is its attempt.
    Claimed(Key, u32),
    /// The claim is not applied, and will not be.
    NotClaimed(Key),
    /// The claim is applied, and our leadership was not confirmed: under this attempt nothing was
    /// sent, and nothing will be.
    Unsent(Key, u32),
    /// An attempt ended.
    Sent(Key, SendResult),
    /// The log has the result, or will not have it.
    Settled(Key),
    /// The result could not be committed.
    NotSettled(Key),
    /// A moment asked for by [`Effect::Wake`] has come.
    Woken,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Propose a claim; answer with [`Event::Claimed`] or [`Event::NotClaimed`].
    Claim {
        /// Of what.
        key: Key,
        /// For which term.
        term: u64,
    },
    /// Send it within [`SEND_DEADLINE`]; answer with [`Event::Sent`].
    Send {
        /// What.
        key: Key,
    },
    /// Propose a result; answer with [`Event::Settled`] or [`Event::NotSettled`].
    Settle {
        /// Of what.
        key: Key,
        /// Of which attempt.
        attempt: u32,
        /// The result.
        result: SendResult,
    },
    /// Propose that a claim comes to nothing; answer with [`Event::Settled`] or
    /// [`Event::NotSettled`].
    Release {
        /// Of what.
        key: Key,
        /// Of which attempt.
        attempt: u32,
    },
    /// The lease has ended before the result was in the log: it counts as ambiguous there.
    Forget {
        /// What.
        key: Key,
    },
    /// Come back with [`Event::Woken`] at this moment.
    Wake(Moment),
}

/// What a leader has under way.
#[derive(Debug, Default)]
pub struct Dispatcher {
    /// The term in which we lead.
    term: Option<u64>,
    running: BTreeMap<Key, Run>,
}

/// One notification under way.
#[derive(Debug)]
struct Run {
    channel: String,
    /// The term of the claim.
    term: u64,
    /// When the lease ends, at the earliest: it began after the claim was proposed.
    until: Moment,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Claiming,
    Sending {
        attempt: u32,
    },
    /// `again` is when to propose once more; `None` while a proposal is under way.
    Settling {
        attempt: u32,
        outcome: Outcome,
        again: Option<Moment>,
    },
}

/// What the log is to hear of a claim.
#[derive(Clone, Debug)]
enum Outcome {
    /// What came of sending.
    Sent(SendResult),
    /// Nothing was sent.
    Unsent,
}

impl Outcome {
    fn effect(&self, key: Key, attempt: u32) -> Effect {
        match self {
            Self::Sent(result) => Effect::Settle { key, attempt, result: result.clone() },
            Self::Unsent => Effect::Release { key, attempt },
        }
    }
}

impl Dispatcher {
    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Takes note of an event and says what to do.
    pub fn step(&mut self, now: Moment, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Leads(term) => self.term = Some(term),
            Event::LostLeadership => self.term = None,
            Event::Due(due) => self.claim(now, due, &mut effects),
            Event::Claimed(key, attempt) => self.start(now, key, attempt, &mut effects),
            Event::NotClaimed(key) | Event::Settled(key) => {
                self.running.remove(&key);
            }
            Event::Unsent(key, attempt) => self.release(key, attempt, &mut effects),
            Event::Sent(key, result) => self.settle(key, result, &mut effects),
            Event::NotSettled(key) => self.pause(now, key),
            Event::Woken => {}
        }
        self.pass(now, &mut effects);
        effects
    }

    /// Claims what may be sent: the worst first, among these the oldest.
    fn claim(&mut self, now: Moment, mut due: Vec<Due>, effects: &mut Vec<Effect>) {
        let Some(term) = self.term else { return };
        due.sort_by_key(|due| std::cmp::Reverse(due.severity));
        for Due { key, channel, .. } in due {
            if self.running.contains_key(&key) || self.busy(&channel) >= SENDS_PER_CHANNEL {
                continue;
            }
            let run = Run { channel, term, until: now + CLAIM_LEASE, stage: Stage::Claiming };
            self.running.insert(key, run);
            if mutant::is(Mutant::SendBeforeClaim) {
                effects.push(Effect::Send { key });
            }
            effects.push(Effect::Claim { key, term });
        }
    }

    /// The sends of a channel that are under way or about to be.
    fn busy(&self, channel: &str) -> usize {
        let is_busy =
            |run: &&Run| run.channel == channel && !matches!(run.stage, Stage::Settling { .. });
        self.running.values().filter(is_busy).count()
    }

    fn start(&mut self, now: Moment, key: Key, attempt: u32, effects: &mut Vec<Effect>) {
        let Some(run) = self.running.get_mut(&key) else { return };
        if !matches!(run.stage, Stage::Claiming) {
            return;
        }
        // Another leader may be in office; or the claim took so long to commit that no time is left
        // to send.
        if self.term != Some(run.term) || now + SEND_DEADLINE > run.until {
            self.release(key, attempt, effects);
        } else {
            run.stage = Stage::Sending { attempt };
            effects.push(Effect::Send { key });
        }
    }

    /// Nothing was sent: whoever leads need not wait for the lease to end.
    fn release(&mut self, key: Key, attempt: u32, effects: &mut Vec<Effect>) {
        let Some(run) = self.running.get_mut(&key) else { return };
        if matches!(run.stage, Stage::Claiming) {
            run.stage = Stage::Settling { attempt, outcome: Outcome::Unsent, again: None };
            effects.push(Effect::Release { key, attempt });
        }
    }

    fn settle(&mut self, key: Key, result: SendResult, effects: &mut Vec<Effect>) {
        let Some(run) = self.running.get_mut(&key) else { return };
        if let Stage::Sending { attempt } = run.stage {
            let outcome = Outcome::Sent(result);
            effects.push(outcome.effect(key, attempt));
            run.stage = Stage::Settling { attempt, outcome, again: None };
        }
    }

    fn pause(&mut self, now: Moment, key: Key) {
        if let Some(Run { stage: Stage::Settling { again, .. }, .. }) = self.running.get_mut(&key) {
            *again = Some(now + SETTLE_PAUSE);
        }
    }

    /// What the passing of time does: results are proposed again, or forgotten with their lease.
    fn pass(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let mut next: Option<Moment> = None;
        self.running.retain(|&key, run| {
            let Stage::Settling { attempt, outcome, again } = &mut run.stage else { return true };
            let Some(at) = *again else { return true };
            if now >= run.until {
                effects.push(Effect::Forget { key });
                return false;
            }
            if now >= at {
                *again = None;
                effects.push(outcome.effect(key, *attempt));
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
            true
        });
        effects.extend(next.map(Effect::Wake));
    }
}

#[cfg(test)]
mod tests;
