//! Mass outages: what one contact is to hear of one cause within seconds comes in one message.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::world::{Faults, Mail, World, config, is_down, is_recovery, steady};
use crosscheck_core::claim::CLAIM_LEASE;
use crosscheck_core::command::{Command, Reply};
use crosscheck_core::grouping::{MOST_IN_ONE, WITHIN};
use crosscheck_core::outbox::{Edge, Key, Progress, SendResult};
use crosscheck_core::{State, apply};
use crosscheck_model::{ContactId, Severity, Timestamp};

const CHECKS: usize = 40;

fn set_all(world: &mut World, is_down: bool) {
    for check in 0..CHECKS {
        world.set_down(check, is_down);
    }
}

fn to<'a>(world: &'a World, contact: &str, edge: fn(&Edge) -> bool) -> Vec<&'a Mail> {
    let contact = ContactId::new(contact);
    let mails = world.mails.iter().filter(|mail| edge(&mail.edge));
    mails.filter(|mail| world.state.outbox[&mail.key].contact == contact).collect()
}

fn messages(mails: &[&Mail]) -> BTreeMap<Key, usize> {
    let mut messages = BTreeMap::new();
    for mail in mails {
        *messages.entry(mail.message).or_default() += 1;
    }
    messages
}

#[test]
fn an_outage_of_everything_is_told_in_few_messages_and_wholly() {
    let mut world = steady("AABBC", CHECKS);
    set_all(&mut world, true);
    world.seconds(120);
    for contact in ["li", "ops"] {
        let told = to(&world, contact, is_down);
        assert_eq!(told.len(), CHECKS, "each of them once");
        let checks: BTreeSet<_> = told.iter().map(|mail| &mail.check).collect();
        assert_eq!(checks.len(), CHECKS);
        let decided = told.iter().map(|mail| mail.notice.decided).max();
        let first = told.iter().map(|mail| mail.notice.decided).min();
        let lasts = decided.unwrap().since(first.unwrap());
        let most = 2 + lasts.as_secs() / WITHIN.as_secs();
        let messages = messages(&told);
        assert!(messages.len() as u64 <= most, "{messages:?} in {lasts:?}");
    }
    // Replies stand under the message in which their alarms were told.
    set_all(&mut world, false);
    world.seconds(240);
    let (alarms, ends) = (to(&world, "li", is_down), to(&world, "li", is_recovery));
    assert_eq!(ends.len(), CHECKS);
    assert!(messages(&ends).len() < CHECKS / 3, "{:?}", messages(&ends));
    for end in ends {
        let alarm = alarms.iter().find(|alarm| alarm.notice.incident == end.notice.incident);
        assert_eq!(end.notice.thread, alarm.map(|alarm| alarm.message));
    }
}

#[test]
fn the_first_comes_at_once_and_those_like_it_wait_for_each_other() {
    let mut world = steady("AABBC", CHECKS);
    set_all(&mut world, true);
    world.seconds(120);
    let told = to(&world, "li", is_down);
    let first = told.iter().min_by_key(|mail| mail.at).unwrap();
    assert!(first.at.since(first.notice.decided) <= Duration::from_secs(3), "nothing to wait for");
    let slowest = told.iter().map(|mail| mail.at.since(mail.notice.decided)).max().unwrap();
    assert!(slowest <= WITHIN + Duration::from_secs(4), "{slowest:?}");
}

#[test]
fn who_wants_each_by_itself_gets_it_so() {
    let mut config = config("AABBC", CHECKS);
    config.contacts.get_mut(&ContactId::new("li")).unwrap().apart = true;
    let mut world = World::new(7, config, Faults::NONE);
    world.seconds(90);
    set_all(&mut world, true);
    world.seconds(120);
    assert_eq!(messages(&to(&world, "li", is_down)).len(), CHECKS);
    assert!(messages(&to(&world, "ops", is_down)).len() < CHECKS / 3);
}

#[test]
fn a_disaster_does_not_stand_among_warnings() {
    let mut config = config("AABBC", CHECKS);
    for spec in config.checks.iter_mut().skip(1) {
        spec.severity = Severity::Warning;
    }
    config.checks[0].severity = Severity::Disaster;
    let mut world = World::new(7, config, Faults::NONE);
    world.seconds(90);
    set_all(&mut world, true);
    world.seconds(120);
    let told = to(&world, "li", is_down);
    let worst = told.iter().find(|mail| mail.notice.severity == Severity::Disaster).unwrap();
    assert_eq!(messages(&told)[&worst.message], 1, "in a message of its own");
}

/// An outage of everything, decided and not sent: the state, and the alarms to one contact.
fn owed() -> (State, Vec<Key>) {
    let mut world = steady("AABBC", CHECKS);
    world.dead_channels.insert("mail".to_owned());
    set_all(&mut world, true);
    world.seconds(75);
    let mut state = world.state;
    for owed in state.outbox.values_mut() {
        (owed.progress, owed.attempts, owed.told_in) = (Progress::Queued, 0, None);
        owed.tells.clear();
    }
    state.spoken.clear();
    let of_li = state.outbox.values().filter(|owed| owed.contact == ContactId::new("li"));
    let keys = of_li.filter(|owed| is_down(&owed.notice.edge)).map(|owed| owed.key).collect();
    (state, keys)
}

fn claim(state: &mut State, at: Timestamp, key: Key) -> u32 {
    let term = state.lead_term;
    let reply = apply(state, at, Command::Claim { key, term, node: 1 }).reply;
    let Reply::Claimed(attempt) = reply else { panic!("{reply:?}") };
    attempt
}

fn settle(state: &mut State, key: Key, attempt: u32, result: SendResult) {
    let now = state.now;
    let reply = apply(state, now, Command::Settle { key, attempt, result }).reply;
    assert_eq!(reply, Reply::Done);
}

#[test]
fn a_claim_takes_all_like_it_along_and_its_result_is_theirs() {
    let (mut state, keys) = owed();
    let now = state.now;
    let attempt = claim(&mut state, now, keys[0]);
    assert_eq!(state.outbox[&keys[0]].tells.len(), CHECKS - 1);
    for key in &keys[1..] {
        let owed = &state.outbox[key];
        assert_eq!(owed.told_in, Some(keys[0]));
        assert!(matches!(owed.progress, Progress::Claimed { .. }) && owed.attempts == 1);
        let term = state.lead_term;
        let reply = apply(&mut state, now, Command::Claim { key: *key, term, node: 1 }).reply;
        assert!(matches!(reply, Reply::Rejected(_)), "it is on its way");
        let released = Command::Release { key: *key, attempt: 1 };
        assert!(matches!(apply(&mut state, now, released).reply, Reply::Rejected(_)));
    }
    settle(&mut state, keys[0], attempt, SendResult::Delivered);
    for key in &keys {
        assert!(matches!(state.outbox[key].progress, Progress::Delivered { .. }));
    }
}

#[test]
fn a_message_that_may_have_arrived_is_sent_again_whole() {
    let (mut state, keys) = owed();
    let now = state.now;
    let attempt = claim(&mut state, now, keys[0]);
    let lost = || SendResult::Ambiguous("the answer was lost".to_owned());
    settle(&mut state, keys[0], attempt, lost());
    let before = state.outbox[&keys[0]].tells.clone();
    assert_eq!(before.len(), CHECKS - 1);
    // Another that is like them does not join any more.
    let later = state.now.plus(Duration::from_secs(600));
    assert!(!state.may_send(&state.outbox[&keys[1]]), "not by itself");
    let attempt = claim(&mut state, later, keys[0]);
    assert_eq!((attempt, &state.outbox[&keys[0]].tells), (2, &before));
    // Its leader dies without a word: that is in doubt as well.
    let attempt = claim(&mut state, later.plus(CLAIM_LEASE), keys[0]);
    assert_eq!((attempt, &state.outbox[&keys[0]].tells), (3, &before));
    settle(&mut state, keys[0], attempt, SendResult::Retry("450".to_owned()));
    assert_eq!(state.outbox[&keys[0]].tells, before, "somebody may have it");
    for key in &keys {
        assert_eq!(state.outbox[key].ambiguous, 2);
    }
}

#[test]
fn a_message_that_nobody_has_falls_apart() {
    for release in [false, true] {
        let (mut state, keys) = owed();
        let now = state.now;
        let attempt = claim(&mut state, now, keys[0]);
        if release {
            apply(&mut state, now, Command::Release { key: keys[0], attempt });
        } else {
            settle(&mut state, keys[0], attempt, SendResult::Retry("450".to_owned()));
        }
        for key in &keys {
            assert!(!state.outbox[key].is_bound(), "each is free");
        }
        let later = state.now.plus(Duration::from_secs(600));
        claim(&mut state, later, keys[3]);
        assert_eq!(state.outbox[&keys[3]].tells.len(), CHECKS - 1, "and they find together again");
    }
}

#[test]
fn a_message_that_is_given_up_frees_what_is_younger() {
    let (mut state, keys) = owed();
    let now = state.now;
    let attempt = claim(&mut state, now, keys[0]);
    settle(&mut state, keys[0], attempt, SendResult::Ambiguous("lost".to_owned()));
    let carrier = state.outbox.get_mut(&keys[0]).unwrap();
    (carrier.created, carrier.attempts) = (Timestamp::ZERO, 30);
    let late = state.now.plus(Duration::from_secs(6 * 24 * 60 * 60));
    for key in &keys[1..] {
        state.outbox.get_mut(key).unwrap().created = late;
    }
    let attempt = claim(&mut state, late, keys[0]);
    settle(&mut state, keys[0], attempt, SendResult::Retry("450".to_owned()));
    assert!(matches!(state.outbox[&keys[0]].progress, Progress::GivenUp { .. }));
    for key in &keys[1..] {
        let owed = &state.outbox[key];
        assert!(matches!(owed.progress, Progress::Retry { .. }) && owed.told_in.is_none());
    }
}

#[test]
fn one_message_tells_no_more_than_people_can_open() {
    let (mut state, keys) = owed();
    let sample = state.outbox[&keys[0]].clone();
    for number in 0..MOST_IN_ONE as u64 {
        let mut owed = sample.clone();
        owed.key.0[..8].copy_from_slice(&number.to_be_bytes());
        state.outbox.insert(owed.key, owed);
    }
    let now = state.now;
    claim(&mut state, now, keys[0]);
    assert_eq!(state.outbox[&keys[0]].tells.len(), MOST_IN_ONE - 1);
}
