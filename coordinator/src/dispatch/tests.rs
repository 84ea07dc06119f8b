//! The dispatcher, step by step and under random events.

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
    assert_eq!(dispatcher.step(at(1), Event::Claimed(key(1), 3)), [Effect::Send { key: key(1) }]);
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
        let given_back = [Effect::Release { key: key(1), attempt: 3 }];
        assert_eq!(dispatcher.step(at(1), Event::Claimed(key(1), 3)), given_back, "{events:?}");
        assert_eq!(dispatcher.step(at(2), Event::Settled(key(1))), []);
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
    assert_eq!(dispatcher.step(latest, Event::Claimed(key(1), 3)), [Effect::Send { key: key(1) }]);
    let mut dispatcher = claiming();
    let late = latest + Duration::from_millis(1);
    let effects = dispatcher.step(late, Event::Claimed(key(1), 3));
    assert_eq!(effects, [Effect::Release { key: key(1), attempt: 3 }]);
}

#[test]
fn a_claim_under_which_nothing_was_sent_is_given_back_until_the_log_has_it() {
    let mut dispatcher = claiming();
    let release = [Effect::Release { key: key(1), attempt: 3 }];
    assert_eq!(dispatcher.step(at(1), Event::Unsent(key(1), 3)), release);
    assert_eq!(dispatcher.step(at(1), Event::Claimed(key(1), 3)), [], "it is given back");
    assert_eq!(dispatcher.step(at(1), Event::Unsent(key(1), 3)), [], "once");
    let pause = [Effect::Wake(at(2))];
    assert_eq!(dispatcher.step(at(1), Event::NotSettled(key(1))), pause);
    assert_eq!(dispatcher.step(at(2), Event::Woken), release, "no quorum the first time");
    assert_eq!(dispatcher.step(at(3), Event::Settled(key(1))), []);
    let again = dispatcher.step(at(3), Event::Due(vec![due(1, Severity::High)]));
    assert_eq!(claims(&again), [1], "at once");
}

#[test]
fn what_has_begun_is_never_given_back() {
    let mut dispatcher = claiming();
    dispatcher.step(at(1), Event::Claimed(key(1), 3));
    assert_eq!(dispatcher.step(at(1), Event::Unsent(key(1), 3)), []);
    let sent = Event::Sent(key(1), SendResult::Delivered);
    assert_eq!(dispatcher.step(at(2), sent), [settle(SendResult::Delivered)]);
    assert_eq!(dispatcher.step(at(2), Event::Unsent(key(1), 3)), []);
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
        (number.clone(), 1u32..9).prop_map(|(number, attempt)| Event::Unsent(key(number), attempt)),
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
                    Effect::Release { key, .. } => {
                        // Proposed again and again, but never once a send has used the claim.
                        proptest::prop_assert!(claims.contains_key(&key));
                    }
                    Effect::Settle { .. } | Effect::Forget { .. } => {}
                }
            }
        }
    }
}
