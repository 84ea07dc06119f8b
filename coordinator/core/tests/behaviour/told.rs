//! Who is told what where an outage takes an odd course, one story each: nobody learns of an
//! outage too little, of a recovery too late, or of one that is none.

use std::time::Duration;

use crate::world::{Faults, Mail, World, config, is_down, is_recovery, steady};
use crosscheck_core::command::{Command, Reply, Window as Planned};
use crosscheck_core::outbox::{Edge, Key, Owed, Progress, SendResult};
use crosscheck_model::config::{Contact, Maintenance, Route, Window};
use crosscheck_model::spec::SiteChoice;
use crosscheck_model::{CheckId, ContactId, SiteId, SiteQuorum, Status};

fn is_degraded(edge: &Edge) -> bool {
    *edge == Edge::Alarm(Status::Degraded)
}

fn only_to(contact: &str) -> Route {
    Route {
        severities: vec![],
        checks: vec![],
        customer: None,
        to: vec![ContactId::new(contact)],
        channels: vec!["mail".to_owned()],
    }
}

fn to<'a>(world: &'a World, contact: &str) -> Vec<&'a Mail> {
    let contact = ContactId::new(contact);
    world.mails.iter().filter(|mail| world.state.outbox[&mail.key].contact == contact).collect()
}

#[test]
fn every_failure_of_a_slow_check_is_told() {
    let mut world = steady("AABBC", 1);
    world.slow.insert(CheckId::new("check 0"));
    world.seconds(120);
    assert_eq!(world.mails_of(is_degraded).len(), 2);
    for failures in 1..=2 {
        world.set_down(0, true);
        world.seconds(90);
        assert_eq!(world.verdict(0), Status::Down);
        assert_eq!(world.mails_of(is_down).len(), 2 * failures);
        world.set_down(0, false);
        world.seconds(200);
        assert_eq!(world.verdict(0), Status::Degraded);
        assert_eq!(world.mails_of(is_recovery).len(), 2 * failures);
        assert_eq!(world.mails_of(is_degraded).len(), 2 + 2 * failures, "what is left of it");
    }
}

#[test]
fn what_is_slow_from_one_carrier_only_is_not_slow_any_more() {
    let mut world = steady("AABBC", 1);
    world.slow.insert(CheckId::new("check 0"));
    world.seconds(120);
    assert_eq!(world.verdict(0), Status::Degraded);
    world.slow_at = Some("A".to_owned());
    world.seconds(200);
    assert_eq!(world.verdict(0), Status::Up);
}

#[test]
fn operators_hear_of_an_alarm_that_nobody_takes() {
    let mut config = config("AABBC", 1);
    config.routes = vec![only_to("li")];
    let mut world = World::new(7, config, Faults::NONE);
    world.seconds(90);
    world.refusing.insert(ContactId::new("li"));
    world.set_down(0, true);
    world.seconds(120);
    assert!(to(&world, "li").is_empty());
    let told = to(&world, "ops");
    assert_eq!(told.len(), 1);
    assert!(is_down(&told[0].edge) && told[0].check.is_some());
    let summary = &told[0].notice.summary;
    assert!(summary.contains("li was not told by mail: 550"), "{summary}");
    world.set_down(0, false);
    world.seconds(200);
    assert_eq!(to(&world, "ops").len(), 2);
    assert!(is_recovery(&to(&world, "ops")[1].edge));
}

#[test]
fn an_alarm_that_is_lost_in_a_maintenance_goes_on_when_that_is_over() {
    let mut config = config("AABBC", 1);
    config.routes = vec![only_to("li")];
    config.maintenance = vec![Maintenance {
        checks: vec!["check 0".to_owned()],
        customer: None,
        when: Window::Once { from: String::new(), to: String::new() },
        zone: "UTC".to_owned(),
        reason: String::new(),
    }];
    let mut world = World::new(7, config, Faults::NONE);
    world.seconds(90);
    world.dead_channels.insert("mail".to_owned());
    world.set_down(0, true);
    while world.state.outbox.is_empty() {
        world.seconds(1);
    }
    world.seconds(5);
    let (from, to_end) = (world.state.now, world.state.now.plus(Duration::from_secs(400)));
    world.state.windows = vec![Planned { rule: 0, from, to: to_end }];
    world.refusing.insert(ContactId::new("li"));
    world.dead_channels.clear();
    world.seconds(380);
    assert!(world.state.outbox.values().all(|owed| owed.progress.is_lost()), "refused for good");
    assert!(to(&world, "ops").is_empty(), "not in the maintenance");
    world.seconds(60);
    let told = to(&world, "ops");
    assert_eq!(told.len(), 1);
    assert!(is_down(&told[0].edge));
}

#[test]
fn a_recovery_never_comes_after_the_next_alarm() {
    let mut world = steady("AABBC", 1);
    world.set_down(0, true);
    world.seconds(90);
    assert_eq!(world.mails_of(is_down).len(), 2);
    world.dead_channels.insert("mail".to_owned());
    world.set_down(0, false);
    world.seconds(200);
    assert_eq!(world.verdict(0), Status::Up);
    assert!(world.mails_of(is_recovery).is_empty());
    world.set_down(0, true);
    world.seconds(60);
    world.dead_channels.clear();
    world.seconds(3600);
    assert!(world.mails_of(is_recovery).is_empty(), "it is down");
    let again = &world.mails_of(is_down)[2..];
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|mail| mail.notice.summary.contains("(it failed before, too, from ")));
    world.set_down(0, false);
    world.seconds(200);
    assert_eq!(world.mails_of(is_recovery).len(), 2);
}

#[test]
fn an_alarm_that_is_late_is_not_told_behind_the_next_one() {
    let mut world = steady("AABBC", 1);
    world.dead_channels.insert("mail".to_owned());
    let down = |world: &mut World, down: bool, seconds: u64| {
        world.set_down(0, down);
        world.seconds(seconds);
    };
    down(&mut world, true, 90);
    down(&mut world, false, 200);
    down(&mut world, true, 60);
    assert!(world.mails.is_empty());
    let of_check = |owed: &&Owed| owed.notice.check.is_some();
    let first = world.state.outbox.values().filter(of_check).map(|owed| owed.notice.incident).min();
    let of_first = |owed: &&Owed| Some(owed.notice.incident) == first;
    for owed in world.state.outbox.values().filter(of_first) {
        assert!(matches!(owed.progress, Progress::Merged { .. }), "{owed:?}");
    }
    world.dead_channels.clear();
    world.seconds(3600);
    let told: Vec<String> =
        world.mails_of(is_down).iter().map(|mail| mail.notice.summary.clone()).collect();
    assert_eq!(told.len(), 2, "the second incident's, to both contacts: {told:?}");
    assert!(told.iter().all(|summary| summary.contains("(it failed before, too, from ")));
    down(&mut world, false, 200);
    assert_eq!(world.mails_of(is_recovery).len(), 2);
}

#[test]
fn all_is_well_only_when_no_alarm_is_on_its_way_any_more() {
    let mut world = steady("AABBC", 1);
    world.dead_channels.insert("mail".to_owned());
    let down = |world: &mut World, down: bool, seconds: u64| {
        world.set_down(0, down);
        world.seconds(seconds);
    };
    down(&mut world, true, 90);
    let until = world.state.now.plus(Duration::from_secs(3600));
    let first: Vec<Key> = world.state.outbox.keys().copied().collect();
    assert_eq!(first.len(), 2);
    for owed in world.state.outbox.values_mut() {
        owed.progress = Progress::Claimed { term: 1, node: 1, until };
    }
    down(&mut world, false, 200);
    world.dead_channels.clear();
    down(&mut world, true, 60);
    assert_eq!(world.mails_of(is_down).len(), 2, "the second incident's, which says both");
    down(&mut world, false, 200);
    assert_eq!(world.verdict(0), Status::Up);
    assert!(world.mails_of(is_recovery).is_empty(), "the first incident's is on its way");
    for key in first {
        let attempt = world.state.outbox[&key].attempts;
        let result = SendResult::Delivered;
        assert_eq!(world.propose(Command::Settle { key, attempt, result }), Reply::Done);
    }
    world.seconds(5);
    let ends = world.mails_of(is_recovery);
    assert_eq!(ends.len(), 2);
    assert!(ends.iter().all(|mail| !mail.notice.alarm_was_lost));
}

#[test]
fn a_carrier_in_trouble_is_one_incident_until_it_is_known_to_be_well() {
    let mut world = steady("AABBC", 1);
    let reach = |world: &mut World, second: bool| {
        (world.probes[0].targets, world.probes[1].targets) = (false, second);
    };
    reach(&mut world, false);
    world.seconds(800);
    assert_eq!(world.mails.len(), 1, "carrier A");
    // One of its two sites comes and goes.
    for second in [true, false, true, false] {
        reach(&mut world, second);
        world.seconds(100);
    }
    assert_eq!(world.mails.len(), 1);
    // Nobody looks.
    world.probes.iter_mut().for_each(|probe| (probe.out, probe.back) = (false, false));
    world.seconds(120);
    assert!(world.mails_of(is_recovery).is_empty(), "silence is no recovery");
    world.probes.iter_mut().for_each(|probe| (probe.out, probe.back) = (true, true));
    world.probes.iter_mut().for_each(|probe| probe.targets = true);
    world.seconds(400);
    assert_eq!(world.mails_of(is_recovery).len(), 1);
}

#[test]
fn a_carrier_whose_only_check_is_removed_is_not_said_to_be_well() {
    let mut world = steady("AABBC", 2);
    (world.probes[0].targets, world.probes[1].targets) = (false, false);
    world.seconds(800);
    let mut edited = world.state.config.clone();
    edited.checks.clear();
    world.propose(crosscheck_core::Command::Configure(Box::new(edited)));
    world.seconds(120);
    assert!(world.mails_of(is_recovery).is_empty());
    assert_eq!(world.mails_of(|edge| *edge == Edge::Removed).len(), 1);
}

#[test]
fn nobody_waits_for_the_sight_of_others_checks() {
    let mut config = config("AABBC", 2);
    config.checks[1].sites = SiteChoice::List(vec![SiteId::new("s4")]);
    config.checks[1].quorum = SiteQuorum::Single;
    config.checks[1].name = "theirs".to_owned();
    let zoe = Contact { mail: vec!["zoe@example.com".to_owned()], phone: None, apart: false };
    config.contacts.insert(ContactId::new("zoe"), zoe);
    config.routes =
        vec![Route { checks: vec!["theirs".to_owned()], ..only_to("zoe") }, only_to("li")];
    let mut world = World::new(7, config, Faults::NONE);
    world.seconds(90);
    world.probes.iter_mut().for_each(|probe| (probe.out, probe.back) = (false, false));
    world.seconds(600);
    assert_eq!((to(&world, "li").len(), to(&world, "zoe").len()), (1, 1));
    for probe in &mut world.probes[..4] {
        (probe.out, probe.back) = (true, true);
    }
    world.seconds(200);
    assert_eq!((to(&world, "li").len(), to(&world, "zoe").len()), (2, 1));
    assert!(is_recovery(&to(&world, "li")[1].edge));
    world.probes.iter_mut().for_each(|probe| (probe.out, probe.back) = (true, true));
    world.seconds(200);
    assert_eq!((to(&world, "li").len(), to(&world, "zoe").len()), (2, 2));
}

#[test]
fn a_recovery_whose_alarm_was_given_up_is_tried_for_long_as_well() {
    let mut world = steady("AABBC", 1);
    world.dead_channels.insert("mail".to_owned());
    world.set_down(0, true);
    world.seconds(90);
    world.set_down(0, false);
    world.seconds(200);
    let ends = |world: &World| -> Vec<_> {
        let owed = world.state.outbox.values().filter(|owed| is_recovery(&owed.notice.edge));
        owed.filter(|owed| owed.notice.check.is_some()).cloned().collect()
    };
    assert_eq!(ends(&world).len(), 2);
    // Five days later, when the alarm has been tried often enough.
    world.now = world.now.plus(std::time::Duration::from_secs(5 * 24 * 60 * 60));
    let began = |world: &World| ends(world).iter().all(|owed| owed.attempts > 0);
    for _ in 0..6 * 60 {
        if !began(&world) {
            world.seconds(60);
        }
    }
    assert!(began(&world));
    world.seconds(10);
    assert!(ends(&world).iter().all(|owed| !owed.progress.is_settled()), "one try is not enough");
    world.dead_channels.clear();
    world.seconds(3600);
    for end in ends(&world) {
        assert!(end.progress.is_settled() && !end.progress.is_lost());
        assert!(end.notice.alarm_was_lost, "it says it all");
    }
}
