//! Claims and what came of them: the steps that a notification takes on its way out.
//!
//! A lease that runs out unanswered is an ambiguous attempt: it is sent again, under the same
//! Message-ID, so that the receiving side can tell (RFC 1047 is why exactly once cannot be had).
//! A claim whose maker is certain that it sent nothing is released, and is no such attempt.

use std::time::Duration;

use crosscheck_model::Timestamp;
use crosscheck_model::mutant::{self, Mutant};

use crate::command::Reply;
use crate::effect::Effect;
use crate::outbox::{Edge, Key, Owed, Progress, SendResult};
use crate::state::State;

/// How long a claim is good for. The whole of a send must end well within it.
pub const CLAIM_LEASE: Duration = Duration::from_secs(90);
/// When a notification that could not be delivered is given up (RFC 5321: 4 to 5 days).
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(5 * 24 * 60 * 60);
/// .. but not before this many attempts: a recovery waits for its alarm, and may be as old as that
/// when its turn comes.
const LEAST_ATTEMPTS: u32 = 10;
/// Pauses before the second, third .. attempt; the last one repeats (RFC 6647 on greylisting).
pub const BACK_OFF_MINUTES: [u64; 6] = [1, 2, 5, 10, 15, 30];

impl State {
    /// A leader is about to send. Only the leader of the present term may, and one at a time.
    pub(crate) fn claim(&mut self, key: Key, term: u64, node: u64) -> Reply {
        if term != self.lead_term {
            return Reply::Rejected(format!("term {term} is over; it is {}", self.lead_term));
        }
        let Some(owed) = self.outbox.get(&key) else {
            return Reply::Rejected(format!("nothing is owed under {key}"));
        };
        if !self.may_send(owed) {
            return Reply::Rejected(format!("{key} is not to be sent now"));
        }
        if self.merge_superseded(key) {
            return Reply::Rejected(format!("the next alarm of its check says what {key} would"));
        }
        self.gather_its_like(key);
        let progress = Progress::Claimed { term, node, until: self.now.plus(CLAIM_LEASE) };
        for told in self.keys_told_by(key) {
            self.thread_to_its_message(told);
            let Some(owed) = self.outbox.get_mut(&told) else { continue };
            if matches!(owed.progress, Progress::Claimed { .. }) {
                // The lease ran out without a word: it may have gone out.
                owed.ambiguous += 1;
            }
            owed.attempts += 1;
            owed.progress = progress;
        }
        Reply::Claimed(self.outbox.get(&key).map_or(0, |owed| owed.attempts))
    }

    /// What one message tells, that of its own key first.
    pub(crate) fn keys_told_by(&self, carrier: Key) -> Vec<Key> {
        let carried = self.outbox.get(&carrier).map(|owed| owed.tells.clone());
        std::iter::once(carrier).chain(carried.unwrap_or_default()).collect()
    }

    /// The claim of an attempt comes to nothing, and certainly nothing was sent: it may be claimed
    /// again at once. The attempt's number stays used.
    pub(crate) fn release(&mut self, key: Key, attempt: u32, effects: &mut Vec<Effect>) -> Reply {
        if !self.outbox.get(&key).is_some_and(|owed| owed.is_under_way(attempt)) {
            return Reply::Rejected(format!("attempt {attempt} of {key} is over"));
        }
        for told in self.keys_told_by(key) {
            if let Some(owed) = self.outbox.get_mut(&told) {
                owed.progress = Progress::Queued;
            }
        }
        self.part(key);
        effects.push(Effect::Owed);
        Reply::Done
    }

    /// What came of an attempt. A delivery counts whenever it becomes known.
    pub(crate) fn settle(
        &mut self,
        key: Key,
        attempt: u32,
        result: SendResult,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let Some(owed) = self.outbox.get(&key).filter(|owed| !owed.progress.is_settled()) else {
            return Reply::Rejected(format!("nothing is owed under {key}"));
        };
        if !owed.is_under_way(attempt) && result != SendResult::Delivered {
            return Reply::Rejected(format!("attempt {attempt} of {key} is over"));
        }
        let channel = owed.channel.clone();
        let told = self.keys_told_by(key);
        for key in &told {
            self.take_result(*key, result.clone());
        }
        self.part(key);
        for key in told {
            self.merge_superseded(key);
            self.mark_lost_alarms(key);
            self.reroute_lost(key, effects);
        }
        self.note_attempt(&channel, &result);
        effects.push(Effect::Attempted { channel, outcome: result.as_str() });
        effects.push(Effect::Owed);
        Reply::Done
    }

    /// What came of an attempt, for one of the notifications that it told.
    fn take_result(&mut self, key: Key, result: SendResult) {
        let now = self.now;
        let result = self.final_if_gone(key, result);
        let Some(owed) = self.outbox.get_mut(&key).filter(|owed| !owed.progress.is_settled())
        else {
            return;
        };
        owed.take_result(mutated(result, owed.notice.edge), now);
        let (incident, event) = (owed.notice.incident, owed.event());
        if let (Some(incident), Some((kind, text))) = (self.incidents.get_mut(&incident), event) {
            incident.note(now, kind, text, Vec::new());
        }
    }
}

impl Owed {
    /// This attempt is under way, in a message of its own.
    fn is_under_way(&self, attempt: u32) -> bool {
        let is_claimed = matches!(self.progress, Progress::Claimed { .. });
        is_claimed && self.attempts == attempt && self.told_in.is_none()
    }

    fn take_result(&mut self, result: SendResult, now: Timestamp) {
        let again = |attempts: u32, created: Timestamp| {
            if now.since(created) >= GIVE_UP_AFTER && attempts >= LEAST_ATTEMPTS {
                return Progress::GivenUp { at: now };
            }
            let step = (attempts.max(1) as usize - 1).min(BACK_OFF_MINUTES.len() - 1);
            Progress::Retry { at: now.plus(Duration::from_secs(60 * BACK_OFF_MINUTES[step])) }
        };
        let (progress, error) = match result {
            SendResult::Delivered => (Progress::Delivered { at: now }, None),
            SendResult::Refused(why) => (Progress::Refused { at: now }, Some(why)),
            SendResult::Retry(why) => (again(self.attempts, self.created), Some(why)),
            SendResult::Partly { reached, why } => {
                self.reached.extend(reached);
                (again(self.attempts, self.created), Some(why))
            }
            SendResult::Ambiguous(why) => {
                self.ambiguous += 1;
                (again(self.attempts, self.created), Some(why))
            }
        };
        self.progress = progress;
        self.last_error = error.or(self.last_error.take());
    }
}

/// The result, unless a wrong decision is planted.
fn mutated(result: SendResult, edge: Edge) -> SendResult {
    if mutant::is(Mutant::RecoveryDoneOnError) && edge == Edge::Recovery {
        return SendResult::Delivered;
    }
    match result {
        SendResult::Delivered if mutant::is(Mutant::InvertedSendError) => {
            SendResult::Retry(String::new())
        }
        _ if mutant::is(Mutant::InvertedSendError) => SendResult::Delivered,
        result => result,
    }
}
