//! Mails that a server took and could not deliver: nobody has them, and others are told.

use crate::world::{Mail, World, by_mail, is_down, is_recovery, steady_in};
use crosscheck_core::command::{Command, Reply};
use crosscheck_core::incident::EventKind;
use crosscheck_core::outbox::{Edge, Key, Progress};
use crosscheck_model::config::Contact;
use crosscheck_model::{Config, ContactId};

const WHY: &str = "550 5.1.1 no such user";

/// `li` has these addresses.
fn at(addresses: &[&str], checks: usize) -> Config {
    let mut config = by_mail(checks);
    let mail = addresses.iter().map(|address| (*address).to_owned()).collect();
    let li = Contact { mail, ..Contact::default() };
    config.contacts.insert(ContactId::new("li"), li);
    config
}

/// An outage of which `li` was told; the alarm's key.
fn told_by_mail(world: &mut World) -> Key {
    world.set_down(0, true);
    world.seconds(90);
    let [alarm] = world.mails_of(is_down)[..] else { panic!("one mail") };
    alarm.key
}

fn come_back(world: &mut World, key: Key, recipient: &str) -> Reply {
    world.propose(Command::Bounce { key, recipient: recipient.to_owned(), why: WHY.to_owned() })
}

fn told(world: &World, edge: fn(&Edge) -> bool) -> Vec<String> {
    let whom = |mail: &Mail| {
        let owed = &world.state.outbox[&mail.key];
        format!("{} by {}", owed.contact, owed.channel)
    };
    let mut told: Vec<String> = world.mails_of(edge).into_iter().map(whom).collect();
    told.sort();
    told
}

fn progress(world: &World, key: Key) -> Progress {
    world.state.outbox[&key].progress
}

#[test]
fn what_comes_back_is_told_by_other_ways_with_the_reason() {
    let mut world = steady_in(at(&["li@example.com"], 1));
    let key = told_by_mail(&mut world);
    // An alias on the way: the server that gave up knew another address.
    assert_eq!(come_back(&mut world, key, "li@mx7.example.com"), Reply::Done);
    assert!(matches!(progress(&world, key), Progress::Refused { .. }));
    world.seconds(10);
    let others = ["li by mail", "li by phone", "ops by mail", "ops by phone"];
    assert_eq!(told(&world, is_down), others);
    let to_ops = world.state.outbox.values().find(|owed| owed.contact.as_str() == "ops");
    let summary = &to_ops.expect("they are told").notice.summary;
    assert!(summary.contains("li was not told by mail") && summary.contains(WHY), "{summary}");
    let incident = world.state.incidents.values().next().expect("an incident");
    let undelivered: Vec<&str> = incident
        .timeline
        .iter()
        .filter(|event| event.kind == EventKind::Undelivered)
        .map(|event| event.text.as_str())
        .collect();
    assert_eq!(undelivered, [format!("li by mail: it came back from li@example.com: {WHY}")]);

    world.set_down(0, false);
    world.seconds(200);
    assert_eq!(told(&world, is_recovery), others);
}

#[test]
fn who_has_another_address_was_told() {
    let mut world = steady_in(at(&["Li@example.com", "li@example.org"], 1));
    let key = told_by_mail(&mut world);
    for _ in 0..2 {
        assert_eq!(come_back(&mut world, key, "li@EXAMPLE.com"), Reply::Done);
        assert!(matches!(progress(&world, key), Progress::Delivered { .. }));
    }
    let error = world.state.outbox[&key].last_error.as_deref();
    assert!(error.is_some_and(|error| error.contains("li@example.com")), "{error:?}");
    assert_eq!(told(&world, is_down), ["li by mail"]);
    come_back(&mut world, key, "li@example.org");
    assert!(matches!(progress(&world, key), Progress::Refused { .. }));
    world.seconds(10);
    assert_eq!(told(&world, is_down), ["li by mail", "li by phone", "ops by mail", "ops by phone"]);
}

#[test]
fn an_alarm_that_comes_back_when_all_is_over_is_told_with_its_end() {
    let mut world = steady_in(at(&["li@example.com"], 1));
    let key = told_by_mail(&mut world);
    world.set_down(0, false);
    world.seconds(200);
    assert_eq!(told(&world, is_recovery), ["li by mail"]);
    come_back(&mut world, key, "li@example.com");
    world.seconds(10);
    let others = ["li by mail", "li by phone", "ops by mail", "ops by phone"];
    assert_eq!(told(&world, is_down), others);
    assert_eq!(told(&world, is_recovery), others);
}

#[test]
fn a_mail_about_several_comes_back_with_all_of_them() {
    let mut world = steady_in(at(&["li@example.com"], 4));
    (0..4).for_each(|check| world.set_down(check, true));
    world.seconds(120);
    let carrier = world.state.outbox.values().find(|owed| !owed.tells.is_empty());
    let carrier = carrier.expect("three in one mail").clone();
    come_back(&mut world, carrier.key, "li@example.com");
    for key in carrier.tells.iter().chain([&carrier.key]) {
        let owed = &world.state.outbox[key];
        assert!(matches!(owed.progress, Progress::Refused { .. }) && owed.rerouted, "{owed:?}");
    }
}

#[test]
fn what_was_never_sent_or_is_being_sent_cannot_come_back() {
    let mut world = steady_in(at(&["li@example.com"], 1));
    let never = come_back(&mut world, Key([7; 16]), "li@example.com");
    assert!(matches!(never, Reply::Rejected(_)), "{never:?}");
    world.dead_channels.insert("mail".to_owned());
    world.set_down(0, true);
    while !world.state.outbox.values().any(|o| matches!(o.progress, Progress::Claimed { .. })) {
        world.now = world.now.plus(std::time::Duration::from_secs(1));
        world.second();
    }
    let key = *world.state.outbox.keys().next().expect("an alarm");
    let now = come_back(&mut world, key, "li@example.com");
    assert!(matches!(&now, Reply::Rejected(why) if why.contains("again")), "{now:?}");
}

#[test]
fn one_whose_answer_was_lost_is_not_sent_again_when_it_comes_back() {
    let mut world = steady_in(at(&["li@example.com"], 1));
    world.dead_channels.insert("mail".to_owned());
    world.set_down(0, true);
    world.seconds(90);
    let key = *world.state.outbox.keys().next().expect("an alarm");
    assert!(matches!(progress(&world, key), Progress::Retry { .. }));
    assert_eq!(come_back(&mut world, key, "li@example.com"), Reply::Done);
    assert!(matches!(progress(&world, key), Progress::Refused { .. }));
    world.seconds(30);
    assert_eq!(told(&world, is_down), ["li by phone", "ops by phone"]);
}
