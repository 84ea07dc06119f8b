//! Which notifications are claimed, sent and settled, and when: pure, the tokio shell is
//! [`crate::courier`].
//!
//! ```text
//! Due -> Claim (log) -> Claimed in our own term -> Send -> Sent -> Settle (log) -> Settled
//!                          | leadership lost: nothing starts         ^      | no quorum
//!                          v                                         +------+ until the lease ends
//! ```
//!
//! **Invariants**
//! - A send starts only after its claim was committed in the term in which we still lead, and
//!   only with enough of the lease left to end within it.
//! - What has begun is never cancelled, and its result is told to the log as long as the lease
//!   lasts; then the next leader sends again, under the same id.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_core::outbox::{CLAIM_LEASE, Key, Owed, SendResult};
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
    /// The claim is not known to be applied, or our leadership not confirmed.
    NotClaimed(Key),
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
        result: SendResult,
        again: Option<Moment>,
    },
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
        if self.term != Some(run.term) {
            // Another leader may be in office; it sends when the lease is over.
            self.running.remove(&key);
        } else if now + SEND_DEADLINE > run.until {
            run.stage = Stage::Sending { attempt };
            let text = "the claim took so long to commit that no time was left to send";
            self.settle(key, SendResult::Retry(text.to_owned()), effects);
        } else {
            run.stage = Stage::Sending { attempt };
            effects.push(Effect::Send { key });
        }
    }

    fn settle(&mut self, key: Key, result: SendResult, effects: &mut Vec<Effect>) {
        let Some(run) = self.running.get_mut(&key) else { return };
        if let Stage::Sending { attempt } = run.stage {
            effects.push(Effect::Settle { key, attempt, result: result.clone() });
            run.stage = Stage::Settling { attempt, result, again: None };
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
            let Stage::Settling { attempt, result, again } = &mut run.stage else { return true };
            let Some(at) = *again else { return true };
            if now >= run.until {
                effects.push(Effect::Forget { key });
                return false;
            }
            if now >= at {
                *again = None;
                effects.push(Effect::Settle { key, attempt: *attempt, result: result.clone() });
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
            true
        });
        effects.extend(next.map(Effect::Wake));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn key(number: u8) -> Key {
        Key([number; 16])
    }

    fn due(number: u8, severity: Severity) -> Due {
        Due { key: key(number), channel: "mail".to_owned(), severity }
    }

    const fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    fn claims(effects: &[Effect]) -> Vec<u8> {
        let claimed = |effect: &Effect| match effect {
            Effect::Claim { key, .. } => Some(key.0[0]),
            _ => None,
        };
        effects.iter().filter_map(claimed).collect()
    }

    /// A leader of term 7 with a claim for notification 1 proposed at 0 s.
    fn claiming() -> Dispatcher {
        let mut dispatcher = Dispatcher::default();
        assert_eq!(dispatcher.step(at(0), Event::Leads(7)), []);
        let effects = dispatcher.step(at(0), Event::Due(vec![due(1, Severity::High)]));
        assert_eq!(effects, [Effect::Claim { key: key(1), term: 7 }]);
        dispatcher
    }

    fn settle(result: SendResult) -> Effect {
        Effect::Settle { key: key(1), attempt: 3, result }
    }

    #[test]
    fn claim_send_settle() {
        let mut dispatcher = claiming();
        let again = Event::Due(vec![due(1, Severity::High)]);
        assert_eq!(dispatcher.step(at(0), again.clone()), [], "it is under way");
        assert_eq!(
            dispatcher.step(at(1), Event::Claimed(key(1), 3)),
            [Effect::Send { key: key(1) }]
        );
        assert_eq!(dispatcher.step(at(1), again), []);
        let sent = Event::Sent(key(1), SendResult::Delivered);
        assert_eq!(dispatcher.step(at(2), sent.clone()), [settle(SendResult::Delivered)]);
        assert_eq!(dispatcher.step(at(2), sent), [], "said once");
        assert_eq!(dispatcher.step(at(3), Event::Settled(key(1))), []);
        assert!(dispatcher.is_idle());
    }

    #[test]
    fn only_a_leader_claims() {
        let mut dispatcher = Dispatcher::default();
        assert_eq!(dispatcher.step(at(0), Event::Due(vec![due(1, Severity::High)])), []);
        dispatcher.step(at(0), Event::Leads(7));
        dispatcher.step(at(0), Event::LostLeadership);
        assert_eq!(dispatcher.step(at(0), Event::Due(vec![due(1, Severity::High)])), []);
    }

    #[test]
    fn the_worst_go_first_and_then_the_oldest() {
        let mut dispatcher = Dispatcher::default();
        dispatcher.step(at(0), Event::Leads(7));
        let list = vec![
            due(1, Severity::Warning),
            due(2, Severity::Disaster),
            due(3, Severity::High),
            due(4, Severity::Disaster),
        ];
        assert_eq!(claims(&dispatcher.step(at(0), Event::Due(list))), [2, 4, 3, 1]);
    }

    #[test]
    fn a_channel_that_hangs_does_not_hold_up_the_others() {
        let mut dispatcher = Dispatcher::default();
        dispatcher.step(at(0), Event::Leads(7));
        let mut list: Vec<Due> = (0..40).map(|number| due(number, Severity::High)).collect();
        list.push(Due { channel: "phone".to_owned(), ..due(99, Severity::Warning) });
        let claimed = claims(&dispatcher.step(at(0), Event::Due(list.clone())));
        assert_eq!(claimed.len(), SENDS_PER_CHANNEL + 1);
        assert!(claimed.contains(&99));
        dispatcher.step(at(1), Event::Claimed(key(5), 1));
        dispatcher.step(at(2), Event::Sent(key(5), SendResult::Delivered));
        dispatcher.step(at(2), Event::Settled(key(5)));
        list.retain(|due| due.key != key(5));
        assert_eq!(claims(&dispatcher.step(at(2), Event::Due(list))), [16], "a place is free");
    }

    #[test]
    fn nothing_starts_without_the_lead_in_the_claims_own_term() {
        for events in [
            vec![Event::LostLeadership],
            vec![Event::Leads(9)],
            vec![Event::LostLeadership, Event::Leads(9)],
        ] {
            let mut dispatcher = claiming();
            for event in events.clone() {
                assert_eq!(dispatcher.step(at(1), event), []);
            }
            assert_eq!(dispatcher.step(at(1), Event::Claimed(key(1), 3)), [], "{events:?}");
            assert!(dispatcher.is_idle());
        }
        let mut dispatcher = claiming();
        assert_eq!(dispatcher.step(at(1), Event::NotClaimed(key(1))), []);
        assert_eq!(dispatcher.step(at(1), Event::Claimed(key(1), 3)), [], "too late to say so");
        let again = dispatcher.step(at(2), Event::Due(vec![due(1, Severity::High)]));
        assert_eq!(claims(&again), [1]);
    }

    #[test]
    fn what_has_begun_ends_and_is_reported_after_the_lead_is_lost() {
        let mut dispatcher = claiming();
        dispatcher.step(at(1), Event::Claimed(key(1), 3));
        assert_eq!(dispatcher.step(at(2), Event::LostLeadership), []);
        let ambiguous = SendResult::Ambiguous("no answer".to_owned());
        let effects = dispatcher.step(at(50), Event::Sent(key(1), ambiguous.clone()));
        assert_eq!(effects, [settle(ambiguous)]);
    }

    #[test]
    fn a_result_is_proposed_until_the_lease_ends() {
        let mut dispatcher = claiming();
        dispatcher.step(at(1), Event::Claimed(key(1), 3));
        dispatcher.step(at(2), Event::Sent(key(1), SendResult::Delivered));
        let mut proposals = 1;
        let mut now = at(2);
        loop {
            let effects = dispatcher.step(now, Event::NotSettled(key(1)));
            let [Effect::Wake(next)] = effects[..] else {
                assert_eq!(effects, [Effect::Forget { key: key(1) }]);
                break;
            };
            assert_eq!(next, now + SETTLE_PAUSE);
            assert_eq!(dispatcher.step(now, Event::Woken), [Effect::Wake(next)], "too early");
            now = next;
            let effects = dispatcher.step(now, Event::Woken);
            if effects == [Effect::Forget { key: key(1) }] {
                break;
            }
            assert_eq!(effects, [settle(SendResult::Delivered)]);
            proposals += 1;
        }
        assert_eq!((now, proposals), (CLAIM_LEASE, 88));
        assert!(dispatcher.is_idle());
        let again = dispatcher.step(now, Event::Due(vec![due(1, Severity::High)]));
        assert_eq!(claims(&again), [1], "under the same key");
    }

    #[test]
    fn a_slow_claim_leaves_no_time_to_send() {
        let latest = CLAIM_LEASE - SEND_DEADLINE;
        let mut dispatcher = claiming();
        assert_eq!(
            dispatcher.step(latest, Event::Claimed(key(1), 3)),
            [Effect::Send { key: key(1) }]
        );
        let mut dispatcher = claiming();
        let late = latest + Duration::from_millis(1);
        let effects = dispatcher.step(late, Event::Claimed(key(1), 3));
        let [Effect::Settle { result: SendResult::Retry(_), attempt: 3, .. }] = &effects[..] else {
            panic!("{effects:?}");
        };
    }

    /// What a random shell does next.
    fn any_event() -> impl proptest::strategy::Strategy<Value = (u64, Event)> {
        use proptest::prelude::*;
        let number = 0u8..4;
        let event = prop_oneof![
            (1u64..4).prop_map(Event::Leads),
            Just(Event::LostLeadership),
            Just(Event::Due((0..4).map(|number| due(number, Severity::High)).collect())),
            (number.clone(), 1u32..9)
                .prop_map(|(number, attempt)| Event::Claimed(key(number), attempt)),
            number.clone().prop_map(|number| Event::NotClaimed(key(number))),
            number.clone().prop_map(|number| Event::Sent(key(number), SendResult::Delivered)),
            number.clone().prop_map(|number| Event::Settled(key(number))),
            number.prop_map(|number| Event::NotSettled(key(number))),
            Just(Event::Woken),
        ];
        (0u64..40, event)
    }

    proptest::proptest! {
        #[test]
        fn no_send_without_a_fresh_claim_of_the_term_in_which_we_lead(
            events in proptest::collection::vec(any_event(), 0..120),
        ) {
            let mut dispatcher = Dispatcher::default();
            let mut now = Moment::ZERO;
            let mut leads = None;
            let mut claims: BTreeMap<Key, (u64, Moment)> = BTreeMap::new();
            for (seconds, event) in events {
                now += Duration::from_secs(seconds);
                match event {
                    Event::Leads(term) => leads = Some(term),
                    Event::LostLeadership => leads = None,
                    _ => {}
                }
                for effect in dispatcher.step(now, event.clone()) {
                    match effect {
                        Effect::Claim { key, term } => {
                            proptest::prop_assert_eq!(Some(term), leads);
                            claims.insert(key, (term, now));
                        }
                        Effect::Send { key } => {
                            let (term, at) = claims.remove(&key).expect("a claim, used once");
                            proptest::prop_assert_eq!(Some(term), leads);
                            proptest::prop_assert!(now + SEND_DEADLINE <= at + CLAIM_LEASE);
                            proptest::prop_assert!(matches!(event, Event::Claimed(claimed, _) if claimed == key));
                        }
                        Effect::Wake(at) => proptest::prop_assert!(at > now),
                        Effect::Settle { .. } | Effect::Forget { .. } => {}
                    }
                }
            }
        }
    }
}
