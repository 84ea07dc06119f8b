//! What gets into the state and the history, and what does not: rows of checks that a probe was
//! given, windows of the present configuration, votes of probes that are believed.

use std::time::Duration;

use crate::world::{Faults, World, config};
use crosscheck_core::command::Window;
use crosscheck_core::outbox::Edge;
use crosscheck_core::quarantine::Why;
use crosscheck_core::{Command, Effect, Reply};
use crosscheck_model::config::Maintenance;
use crosscheck_model::spec::SiteChoice;
use crosscheck_model::{CheckId, ProbeId, SiteId, Status};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn steady(checks: usize) -> World {
    let mut world = World::new(7, config("AABBC", checks), Faults::NONE);
    world.seconds(90);
    world
}

/// Has the first probe report, just now, on a check as if it were one of its own; how many rows
/// were kept, and how many not.
fn report_on(world: &mut World, check: &str) -> (usize, u64) {
    let id = world.probes[0].id.clone();
    let sample = world.effects.iter().find_map(|(_, effect)| match effect {
        Effect::Record { probe, observation, .. } if *probe == id => Some(observation.clone()),
        _ => None,
    });
    let mut sample = *sample.expect("it has reported");
    (sample.check, sample.seq) = (CheckId::new(check), 1_000_000);
    world.probes[0].spool.push(sample);
    let before = world.effects.len();
    world.seconds(5);
    let new = world.effects[before..].iter().map(|(_, effect)| effect);
    let kept = new.clone().filter(|effect| match effect {
        Effect::Record { probe, observation, .. } => {
            *probe == id && observation.check == CheckId::new(check) && observation.seq == 1_000_000
        }
        _ => false,
    });
    let unasked = new.filter_map(|effect| match effect {
        Effect::Unasked { probe, observations } if *probe == id => Some(*observations),
        _ => None,
    });
    (kept.clone().count(), unasked.sum())
}

#[test]
fn a_probe_writes_only_the_history_of_checks_that_it_was_given() {
    let mut world = steady(2);
    assert_eq!(report_on(&mut world, "check 0"), (1, 0));
    assert_eq!(report_on(&mut world, "no such check"), (0, 1));
    // It is taken from the check: what it saw before may still arrive, for some time.
    let mut edited = world.state.config.clone();
    edited.checks[1].sites = SiteChoice::List(["s2", "s3", "s4"].map(SiteId::new).to_vec());
    world.propose(Command::Configure(Box::new(edited.clone())));
    assert_eq!(report_on(&mut world, "check 1"), (1, 0));
    // Not in one leap: a probe that is not heard for a week is not expected back.
    for _ in 0..2 {
        world.now = world.now.plus(4 * DAY);
        world.seconds(120);
    }
    assert_eq!(report_on(&mut world, "check 1"), (0, 1));
    edited.checks.remove(1);
    world.propose(Command::Configure(Box::new(edited)));
    assert_eq!(report_on(&mut world, "check 1"), (0, 1), "it is gone");
}

#[test]
fn nothing_is_kept_that_is_of_the_future() {
    let mut world = steady(1);
    let id = world.probes[0].id.clone();
    let sample = world.effects.iter().find_map(|(_, effect)| match effect {
        Effect::Record { probe, observation, .. } if *probe == id => Some(observation.clone()),
        _ => None,
    });
    let mut sample = *sample.expect("it has reported");
    let end_of_time = world.now.plus(1_000_000 * DAY);
    (sample.seq, sample.started, sample.at) = (1_000_000, end_of_time, end_of_time);
    world.probes[0].spool.push(sample);
    world.seconds(5);
    let kept = world.effects.iter().find_map(|(at, effect)| match effect {
        Effect::Record { observation, .. } if observation.seq == 1_000_000 => {
            Some((*at, observation.started, observation.at))
        }
        _ => None,
    });
    let (at, started, ended) = kept.expect("it is kept");
    assert_eq!((started, ended), (at, at));
}

#[test]
fn windows_of_another_revision_are_refused() {
    let rule = |check: &str| Maintenance {
        checks: vec![check.to_owned()],
        customer: None,
        when: crosscheck_model::config::Window::Once { from: String::new(), to: String::new() },
        zone: "UTC".to_owned(),
        reason: String::new(),
    };
    let mut world = steady(2);
    let mut edited = world.state.config.clone();
    edited.maintenance = vec![rule("check 0")];
    world.propose(Command::Configure(Box::new(edited.clone())));
    let revision = world.state.revision;
    let windows = vec![Window { rule: 0, from: world.now, to: world.now.plus(DAY) }];
    // Computed from that, and overtaken by an edit: rule 0 is another one now.
    edited.maintenance = vec![rule("check 1")];
    world.propose(Command::Configure(Box::new(edited)));
    let late = world.propose(Command::Windows { revision, windows: windows.clone() });
    assert!(matches!(late, Reply::Rejected(_)), "{late:?}");
    assert!(world.state.windows.is_empty());
    world.seconds(5);
    assert!(world.state.checks.values().all(|check| !check.maintenance));
    let now = Command::Windows { revision: revision + 1, windows };
    assert_eq!(world.propose(now), Reply::Done);
}

/// The last probe contradicts all others until it is suspect, and is well again.
fn episode(world: &mut World) {
    let name = ProbeId::new("p4");
    world.probes[4].targets = false;
    world.seconds(150);
    assert!(world.state.probes[&name].suspect.is_some());
    world.probes[4].targets = true;
    world.seconds(600);
    assert!(world.state.probes[&name].suspect.is_none());
}

#[test]
fn a_probe_that_is_suspect_three_times_within_a_day_waits_for_an_operator() {
    let mut world = steady(8);
    let name = ProbeId::new("p4");
    for _ in 0..2 {
        episode(&mut world);
        assert_eq!(world.state.quarantine(&name), None);
    }
    episode(&mut world);
    let quarantine = world.state.quarantine(&name).expect("the third time");
    assert_eq!(quarantine.1, Why::Suspect);
    world.seconds(60 * 60);
    assert!(world.state.quarantine(&name).is_some(), "quiet alone is no proof");
    let check = &world.state.checks[&CheckId::new("check 0")];
    let vote = world.state.vote_that_counts(check, &name, &world.state.probes[&name]);
    assert!(vote.expect_err("withheld").contains("three times"));
    let alarms = world.mails_of(|edge| *edge == Edge::Alarm(Status::Unknown));
    let last = alarms.last().expect("operators are told");
    assert!(last.notice.summary.contains("probe reinstate"), "{}", last.notice.summary);

    let lift = Command::Reinstate { probe: name.clone(), by: "ada".to_owned() };
    assert_eq!(world.propose(lift.clone()), Reply::Done);
    world.seconds(60);
    let check = &world.state.checks[&CheckId::new("check 0")];
    assert!(world.state.vote_that_counts(check, &name, &world.state.probes[&name]).is_ok());
    let ends = world.mails_of(|edge| *edge == Edge::Recovery).len();
    let begins = world.mails_of(|edge| *edge == Edge::Alarm(Status::Unknown)).len();
    assert_eq!(begins, ends, "and of its end");
    assert!(matches!(world.propose(lift), Reply::Rejected(_)), "once");
    episode(&mut world);
    assert_eq!(world.state.quarantine(&name), None, "it begins anew");
}

#[test]
fn three_episodes_over_several_days_are_no_quarantine() {
    let mut world = steady(8);
    let name = ProbeId::new("p4");
    for _ in 0..4 {
        episode(&mut world);
        world.now = world.now.plus(DAY);
        world.seconds(300);
    }
    assert_eq!(world.state.quarantine(&name), None);
}
