//! Edits of the configuration while all goes on, one story each: they open nothing, close nothing but
//! what is gone, and keep nothing green.

use std::time::Duration;

use crate::world::{Faults, World, config, is_recovery, steady};
use crosscheck_core::Command;
use crosscheck_core::verdict::Reason;
use crosscheck_model::config::{Maintenance, Window};
use crosscheck_model::spec::Rule;
use crosscheck_model::{CheckId, Config, Status};

/// A world of one check with this rule, and its configuration.
fn with_rule(rule: Rule) -> (World, Config) {
    let mut config = config("AABBC", 1);
    config.checks[0].rule = rule;
    (World::new(7, config.clone(), Faults::NONE), config)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn configure(world: &mut World, config: &Config) {
    world.propose(Command::Configure(Box::new(config.clone())));
}

#[test]
fn an_edit_alone_opens_closes_and_repeats_nothing() {
    let mut world = steady("AABBC", 2);
    world.set_down(0, true);
    world.seconds(60);
    let mails = world.mails.len();
    let mut edited = world.state.config.clone();
    for check in &mut edited.checks {
        check.settings = "{\"other\": true}".to_owned();
    }
    world.propose(Command::Configure(Box::new(edited)));
    world.seconds(120);
    assert_eq!(world.mails.len(), mails);
    assert_eq!((world.verdict(0), world.verdict(1)), (Status::Down, Status::Up));
}

#[test]
fn an_edit_or_a_maintenance_ends_no_blindness() {
    let mut world = steady("AABBC", 2);
    world.probes.iter_mut().for_each(|probe| (probe.out, probe.back) = (false, false));
    world.seconds(240);
    let told = world.mails.len();
    assert_eq!(told, 1);
    let mut edited = world.state.config.clone();
    edited.checks.iter_mut().for_each(|check| check.settings = "{\"x\": 1}".to_owned());
    world.propose(Command::Configure(Box::new(edited)));
    world.seconds(60);
    assert!(world.mails_of(is_recovery).is_empty());
}

#[test]
fn an_edit_of_maintenance_moves_no_window_to_another_rule() {
    let rule = |pattern: &str| Maintenance {
        checks: vec![pattern.to_owned()],
        customer: None,
        when: Window::Every { days: vec![1], from_minute: 0, to_minute: 1 },
        zone: "UTC".to_owned(),
        reason: "release".to_owned(),
    };
    let mut config = config("AABBC", 2);
    config.maintenance = vec![rule("check 0")];
    let mut world = World::new(5, config, Faults::NONE);
    world.seconds(90);
    let (from, to) = (world.now, world.now.plus(Duration::from_secs(600)));
    world.maintain(from, to);
    world.set_down(0, true);
    world.seconds(60);
    let mut edited = world.state.config.clone();
    edited.maintenance.insert(0, rule("check 1"));
    world.propose(Command::Configure(Box::new(edited)));
    world.seconds(60);
    assert!(world.mails.is_empty());
    assert!(world.state.checks[&CheckId::new("check 0")].maintenance);
    assert!(!world.state.checks[&CheckId::new("check 1")].maintenance);
}

#[test]
fn an_edit_of_the_rule_opens_nothing_by_itself() {
    let mut config = config("AABBC", 1);
    config.checks[0].rule = Rule::Consecutive(30);
    let mut world = World::new(7, config.clone(), Faults::NONE);
    world.seconds(90);
    world.set_down(0, true);
    world.seconds(90);
    let check = CheckId::new("check 0");
    assert_eq!(world.state.checks[&check].verdict.reason, Reason::Unconfirmed);
    config.checks[0].rule = Rule::Consecutive(1);
    world.propose(Command::Configure(Box::new(config)));
    assert_eq!(world.state.checks[&check].incident, None, "one more round must say so");
    world.seconds(60);
    assert_eq!(world.verdict(0), Status::Down);
}

#[test]
fn edits_that_come_again_and_again_keep_nothing_green_that_nobody_sees() {
    let mut world = steady("AABBC", 1);
    for probe in &mut world.probes[1..] {
        (probe.out, probe.back) = (false, false);
    }
    let mut edited = world.state.config.clone();
    for edit in 1..=20 {
        edited.checks[0].schedule.timeout = Duration::from_millis(5_000 + edit);
        world.propose(Command::Configure(Box::new(edited.clone())));
        world.seconds(20);
    }
    assert_eq!(world.verdict(0), Status::Unknown);
}

#[test]
fn a_shorter_interval_completes_no_round() {
    let (mut world, mut config) = with_rule(Rule::Consecutive(2));
    let schedule = &mut config.checks[0].schedule;
    (schedule.interval, schedule.retry_interval) = (seconds(120), seconds(120));
    configure(&mut world, &config);
    world.seconds(600);
    assert_eq!(world.verdict(0), Status::Up);
    world.set_down(0, true);
    let check = CheckId::new("check 0");
    // In the second round, and everybody has said so again.
    while world.state.checks[&check].verdict.reason != Reason::Unconfirmed {
        world.seconds(1);
    }
    let began = world.state.checks[&check].tally.round_from;
    world.seconds(118);
    let schedule = &mut config.checks[0].schedule;
    (schedule.interval, schedule.retry_interval) = (seconds(30), seconds(30));
    configure(&mut world, &config);
    assert_eq!(world.state.checks[&check].incident, None, "the round goes on");
    while world.state.checks[&check].incident.is_none() {
        world.seconds(1);
    }
    let took = world.state.now.since(began);
    assert!((seconds(120)..seconds(160)).contains(&took), "{took:?}");
}

#[test]
fn a_shorter_interval_ends_the_time_that_a_new_check_has_to_settle() {
    let (mut world, mut config) = with_rule(Rule::Consecutive(1));
    let schedule = &mut config.checks[0].schedule;
    (schedule.interval, schedule.retry_interval) = (seconds(600), seconds(600));
    // Another target, too: what was said of the old one says nothing of the new.
    config.checks[0].settings = "{\"other\": true}".to_owned();
    configure(&mut world, &config);
    world.seconds(60);
    let check = CheckId::new("check 0");
    let left = |world: &World| world.state.checks[&check].settling_until.since(world.state.now);
    assert!(left(&world) > seconds(1_000));
    let schedule = &mut config.checks[0].schedule;
    (schedule.interval, schedule.retry_interval) = (seconds(30), seconds(30));
    configure(&mut world, &config);
    assert!(left(&world) < seconds(60), "{:?}", left(&world));
}

#[test]
fn intervals_that_change_again_and_again_put_no_alarm_off() {
    let (mut world, mut config) = with_rule(Rule::Consecutive(2));
    world.seconds(90);
    world.set_down(0, true);
    // Longer than a short round takes.
    for interval in [600, 30, 600, 30, 600, 30] {
        let schedule = &mut config.checks[0].schedule;
        (schedule.interval, schedule.retry_interval) = (seconds(interval), seconds(interval));
        configure(&mut world, &config);
        world.seconds(80);
    }
    assert_eq!(world.verdict(0), Status::Down);
}

#[test]
fn a_longer_interval_gives_a_settled_check_no_time_to_settle() {
    let (mut world, mut config) = with_rule(Rule::Consecutive(1));
    world.seconds(600);
    let before = world.state.checks[&CheckId::new("check 0")].settling_until;
    let schedule = &mut config.checks[0].schedule;
    (schedule.interval, schedule.retry_interval) = (seconds(3600), seconds(3600));
    configure(&mut world, &config);
    assert_eq!(world.state.checks[&CheckId::new("check 0")].settling_until, before);
}
