//! What depends on something that is down: who is told of that is not told of this, and nobody is
//! left without a word.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::world::{Faults, INTERVAL, Mail, World, config, is_down, is_recovery};
use crosscheck_core::command::Command;
use crosscheck_core::incident::EventKind;
use crosscheck_core::inhibition::IN_DOUBT;
use crosscheck_core::outbox::Edge;
use crosscheck_model::config::{Maintenance, Route, Window};
use crosscheck_model::{CheckId, Config, ContactId, CustomerId, Severity, Status};

/// Check 0 is what 1 and 2 depend on; 3 depends on 2.
fn behind_a_router() -> Config {
    let mut config = config("AABBC", 5);
    for (child, parent) in [(1, 0), (2, 0), (3, 2)] {
        config.checks[child].depends_on = vec![config.checks[parent].id.clone()];
    }
    config
}

fn steady(seed: u64, config: Config) -> World {
    let mut world = World::new(seed, config, Faults::NONE);
    world.seconds(90);
    for check in 0..5 {
        assert_eq!(world.verdict(check), Status::Up);
    }
    world
}

fn set_down(world: &mut World, checks: &[usize], down: bool) {
    for check in checks {
        world.set_down(*check, down);
    }
}

/// Whom a kind of mail went to, and of which checks.
fn told(world: &World, edge: fn(&Edge) -> bool) -> BTreeSet<(String, String)> {
    let of = |mail: &&Mail| {
        let check = mail.check.as_ref().map(ToString::to_string).unwrap_or_default();
        (world.state.outbox[&mail.key].contact.to_string(), check)
    };
    let mails = world.mails_of(edge);
    let told: BTreeSet<_> = mails.iter().map(of).collect();
    assert_eq!(told.len(), mails.len(), "each once");
    told
}

fn maintenance(check: &str) -> Maintenance {
    Maintenance {
        checks: vec![check.to_owned()],
        customer: None,
        when: Window::Once { from: String::new(), to: String::new() },
        zone: "UTC".to_owned(),
        reason: String::new(),
    }
}

fn is_degraded(edge: &Edge) -> bool {
    *edge == Edge::Alarm(Status::Degraded)
}

fn of(contacts: &[&str], checks: &[usize]) -> BTreeSet<(String, String)> {
    let of_contact = |to: &&str| {
        let to = (*to).to_owned();
        checks.iter().map(move |check| (to.clone(), format!("check {check}")))
    };
    contacts.iter().flat_map(of_contact).collect()
}

const BOTH: [&str; 2] = ["li", "ops"];

#[test]
fn an_outage_of_a_router_is_one_alarm_and_one_recovery() {
    // In each seed the sites look at other times, so that now the one is found down first, now
    // the other.
    for seed in 0..40 {
        let mut world = steady(seed, behind_a_router());
        set_down(&mut world, &[0, 1, 2, 3], true);
        world.seconds(300);
        assert_eq!(told(&world, is_down), of(&BOTH, &[0]), "seed {seed}");
        let dependents = world.mails[0].notice.dependents.as_deref();
        assert_eq!(dependents, Some("check 1, check 2, check 3"));
        for check in 0..4 {
            assert_eq!(world.verdict(check), Status::Down, "nothing is shown better than it is");
        }
        let open = world.state.incidents.values().find(|open| open.target.starts_with("check 3"));
        let open = open.expect("its incident is open as ever");
        assert_eq!(open.inhibited_by, [CheckId::new("check 0")]);
        let why = open.timeline.iter().find(|event| event.kind == EventKind::Inhibited);
        assert_eq!(why.expect("it says so").text, "depends on check 0");

        set_down(&mut world, &[0, 1, 2, 3], false);
        world.seconds(300);
        assert_eq!(told(&world, is_down), of(&BOTH, &[0]), "seed {seed}: nothing after all");
        assert_eq!(told(&world, is_recovery), of(&BOTH, &[0]), "seed {seed}");
        assert!(world.state.incidents.values().all(|incident| incident.resolved_at.is_some()));
    }
}

#[test]
fn what_still_fails_when_its_parent_works_is_told_then() {
    for seed in 0..20 {
        let mut world = steady(seed, behind_a_router());
        set_down(&mut world, &[0, 1, 2, 3], true);
        world.seconds(300);
        set_down(&mut world, &[0, 2], false);
        let works = world.now;
        world.seconds(3 * INTERVAL.as_secs());
        assert_eq!(told(&world, is_down), of(&BOTH, &[0, 1, 3]), "seed {seed}");
        for mail in world.mails_of(is_down).iter().filter(|mail| mail.notice.decided > works) {
            assert!(mail.notice.since < works, "it is told since when it fails");
        }
        set_down(&mut world, &[1, 3], false);
        world.seconds(300);
        assert_eq!(told(&world, is_recovery), of(&BOTH, &[0, 1, 3]), "seed {seed}");
    }
}

#[test]
fn what_fails_alone_is_told_as_soon_as_ever() {
    for seed in 0..20 {
        let decided = |config: Config| {
            let mut world = steady(seed, config);
            set_down(&mut world, &[3], true);
            world.seconds(90);
            assert_eq!(told(&world, is_down), of(&BOTH, &[3]), "seed {seed}");
            let incident = world.mails[0].notice.incident;
            (world.state.incidents[&incident].opened_at, world.mails[0].notice.decided)
        };
        let (opened, owed) = decided(behind_a_router());
        assert!(owed.since(opened) <= Duration::from_secs(2), "its parents were asked at once");
        let (_, without) = decided(config("AABBC", 5));
        assert!(owed.since(without) <= Duration::from_secs(8), "seed {seed}");
    }
}

#[test]
fn who_is_not_told_of_the_parent_is_told_of_the_child() {
    let mut config = behind_a_router();
    let route = |checks: &str, to: &[&str]| Route {
        checks: vec![checks.to_owned()],
        to: to.iter().map(|name| ContactId::new(*name)).collect(),
        ..config.routes[0].clone()
    };
    config.routes = vec![route("check 0", &["li"]), route("*", &BOTH)];
    let mut world = steady(7, config);
    set_down(&mut world, &[0, 1], true);
    world.seconds(120);
    let mut wanted = of(&["li"], &[0]);
    wanted.extend(of(&["ops"], &[1]));
    assert_eq!(told(&world, is_down), wanted);
}

#[test]
fn an_alarm_that_reaches_nobody_hushes_nobody() {
    let mut world = steady(7, behind_a_router());
    world.refusing.insert(ContactId::new("li"));
    set_down(&mut world, &[0], true);
    world.seconds(60);
    assert_eq!(told(&world, is_down), of(&["ops"], &[0]));
    world.refusing.clear();
    set_down(&mut world, &[1], true);
    world.seconds(120);
    let mut wanted = of(&["ops"], &[0]);
    wanted.extend(of(&["li"], &[1]));
    assert_eq!(told(&world, is_down), wanted);
}

#[test]
fn a_parent_that_nobody_hears_of_holds_nothing_back() {
    // It is being worked at: nobody is told of it.
    let mut config = behind_a_router();
    config.maintenance = vec![maintenance("check 0")];
    let mut world = steady(7, config);
    let now = world.now;
    world.maintain(now, now.plus(Duration::from_secs(3600)));
    world.seconds(2);
    set_down(&mut world, &[0, 1], true);
    world.seconds(120);
    assert_eq!(told(&world, is_down), of(&BOTH, &[1]));

    // It is taken out of the configuration while it is down.
    let mut world = steady(7, behind_a_router());
    set_down(&mut world, &[0, 1], true);
    world.seconds(120);
    assert_eq!(told(&world, is_down), of(&BOTH, &[0]));
    let mut config = world.state.config.clone();
    config.checks.remove(0);
    config.checks[0].depends_on.clear();
    config.checks[1].depends_on.clear();
    world.propose(Command::Configure(Box::new(config)));
    world.seconds(5);
    assert_eq!(told(&world, is_down), of(&BOTH, &[0, 1]));
}

#[test]
fn a_parent_that_nobody_sees_holds_an_alarm_up_for_a_while_only() {
    let mut config = behind_a_router();
    // Its next look is an hour away, and it cannot be asked: its target's budget is used up.
    config.checks[0].schedule.interval = Duration::from_secs(3600);
    let mut world = steady(7, config);
    let now = world.now;
    let parent = world.state.checks.get_mut(&CheckId::new("check 0")).expect("it is there");
    parent.confirmed_at = now;
    set_down(&mut world, &[1], true);
    world.seconds(120);
    assert_eq!(told(&world, is_down), of(&BOTH, &[1]));
    let notice = &world.mails[0].notice;
    let opened = world.state.incidents[&notice.incident].opened_at;
    let waited = notice.decided.since(opened);
    assert!(waited <= IN_DOUBT + Duration::from_secs(1), "{waited:?}");
}

#[test]
fn customers_checks_are_counted_and_not_named_to_others() {
    let mut config = behind_a_router();
    config.checks[1].customer = Some(CustomerId::new("acme"));
    let mut world = steady(7, config);
    set_down(&mut world, &[0], true);
    world.seconds(60);
    let dependents = world.mails[0].notice.dependents.as_deref();
    assert_eq!(dependents, Some("check 2, check 3; 1 of customers"));
}

#[test]
fn what_is_only_slow_for_a_while_is_told_when_it_fails_again() {
    // While it waits, it answers slowly: the milder thing must not make the worse one forgotten.
    let mut config = behind_a_router();
    let severe = |severities: &[Severity], to: &[&str]| Route {
        severities: severities.to_vec(),
        to: to.iter().map(|name| ContactId::new(*name)).collect(),
        ..config.routes[0].clone()
    };
    config.routes = vec![severe(&[Severity::High], &BOTH), severe(&[], &["ops"])];
    let mut world = steady(7, config);
    world.slow.insert(CheckId::new("check 1"));
    world.seconds(120);
    assert_eq!(told(&world, is_degraded), of(&["ops"], &[1]));
    set_down(&mut world, &[0, 1], true);
    world.seconds(120);
    assert_eq!(told(&world, is_down), of(&BOTH, &[0]));
    set_down(&mut world, &[0, 1], false);
    world.seconds(30);
    set_down(&mut world, &[1], true);
    world.seconds(120);
    assert_eq!(told(&world, is_down), of(&BOTH, &[0, 1]));
}

#[test]
fn whoever_waits_and_is_taken_out_of_the_configuration_is_replaced() {
    let mut config = behind_a_router();
    config.routes[0].to = vec![ContactId::new("li")];
    let mut world = steady(7, config);
    set_down(&mut world, &[0, 1], true);
    world.seconds(120);
    assert_eq!(told(&world, is_down), of(&["li"], &[0]));
    let mut config = world.state.config.clone();
    config.contacts.remove(&ContactId::new("li"));
    config.routes[0].to = vec![ContactId::new("ops")];
    world.propose(Command::Configure(Box::new(config)));
    world.seconds(5);
    assert_eq!(
        told(&world, is_down),
        of(&["li"], &[0]).union(&of(&["ops"], &[1])).cloned().collect()
    );
}

#[test]
fn an_outage_of_long_ago_explains_no_present_one() {
    // The router was down, and people heard of it. Now it is being worked at, and down again: of
    // that they do not hear.
    let mut config = behind_a_router();
    config.maintenance = vec![maintenance("check 0")];
    let mut world = steady(7, config);
    set_down(&mut world, &[0], true);
    world.seconds(120);
    set_down(&mut world, &[0], false);
    world.seconds(200);
    assert_eq!(told(&world, is_recovery), of(&BOTH, &[0]));
    let now = world.now;
    world.maintain(now, now.plus(Duration::from_secs(3600)));
    world.seconds(2);
    set_down(&mut world, &[0, 1], true);
    world.seconds(120);
    assert_eq!(told(&world, is_down), of(&BOTH, &[0, 1]));
}
