//! Drills: would an alarm arrive? Told as if it were real, and as what it is.

use std::time::Duration;

use crate::world::{World, by_mail, is_down, is_recovery, steady_in};
use crosscheck_core::command::{Command, Enclosed, Reply};
use crosscheck_core::drill::{LIMIT, Occasion};
use crosscheck_core::incident::{Incident, Subject};
use crosscheck_core::operator::{Actor, Role};
use crosscheck_core::outbox::Edge;
use crosscheck_model::config::Drill;
use crosscheck_model::{CheckId, ContactId, IncidentId, Severity, Status, Timestamp};

fn check(world: &World) -> CheckId {
    world.state.config.checks[0].id.clone()
}

fn asked(check: Option<CheckId>) -> Command {
    Command::Drill(Occasion::Asked { check, by: "li".to_owned() })
}

fn begin(world: &mut World, check: Option<CheckId>) -> IncidentId {
    match world.propose(asked(check)) {
        Reply::Drill(id) => id,
        other => panic!("{other:?}"),
    }
}

fn incident(world: &World, id: IncidentId) -> &Incident {
    &world.state.incidents[&id]
}

/// To whom and by what the notifications of an edge have gone out, each as a drill.
fn told(world: &World, edge: fn(&Edge) -> bool) -> Vec<String> {
    let whom = |mail: &crate::world::Mail| {
        let owed = &world.state.outbox[&mail.key];
        assert!(owed.notice.drill, "{:?}", owed.notice);
        format!("{} by {}", owed.contact, owed.channel)
    };
    let mut told: Vec<String> = world.mails_of(edge).into_iter().map(whom).collect();
    told.sort();
    told
}

#[test]
fn a_drill_of_a_check_is_told_to_whom_its_failure_would_be_and_ends_when_all_are_told() {
    let mut world = steady_in(by_mail(2));
    let check = check(&world);
    let before = world.state.checks[&check].clone();
    let id = begin(&mut world, Some(check.clone()));
    assert_eq!(incident(&world, id).severity, before.spec.severity);
    world.seconds(10);
    assert_eq!(told(&world, is_down), ["li by mail"]);
    assert_eq!(told(&world, is_recovery), ["li by mail"]);
    let over = incident(&world, id);
    assert!(over.resolved_at.is_some(), "{over:?}");
    assert!(over.summary.contains("1 of 1 told"), "{}", over.summary);
    // Nothing else knows of it.
    let after = &world.state.checks[&check];
    assert_eq!((&after.verdict, after.incident), (&before.verdict, None));
    assert!(!over.concerns(&check));
}

#[test]
fn a_drill_of_the_installation_goes_to_its_operators() {
    let mut world = steady_in(by_mail(2));
    let id = begin(&mut world, None);
    world.seconds(10);
    assert_eq!(told(&world, is_down), ["ops by mail", "ops by phone"]);
    assert_eq!(incident(&world, id).customer, None);
    assert_eq!(incident(&world, id).severity, Severity::Warning);
}

#[test]
fn who_is_not_reached_is_named_and_others_are_told() {
    let mut world = steady_in(by_mail(2));
    world.refusing.insert(ContactId::new("li"));
    let check = check(&world);
    let id = begin(&mut world, Some(check));
    world.seconds(30);
    let over = incident(&world, id);
    assert!(over.resolved_at.is_some(), "{over:?}");
    assert!(over.summary.contains("FAILED"), "{}", over.summary);
    assert!(over.summary.contains("li by mail ("), "{}", over.summary);
    assert_eq!(told(&world, is_down), ["ops by mail", "ops by phone"]);
    assert_eq!(told(&world, is_recovery), ["ops by mail", "ops by phone"]);
}

#[test]
fn a_drill_that_meets_a_dead_channel_ends_in_time_and_says_so() {
    let mut world = steady_in(by_mail(2));
    world.dead_channels.insert("mail".to_owned());
    let check = check(&world);
    let id = begin(&mut world, Some(check));
    world.seconds(LIMIT.as_secs() - 5);
    assert_eq!(incident(&world, id).resolved_at, None);
    world.seconds(10);
    let over = incident(&world, id);
    assert!(over.resolved_at.is_some(), "{over:?}");
    assert!(over.summary.contains("FAILED"), "{}", over.summary);
    // The alarm is tried for as long as a real one, and its end waits for it.
    world.dead_channels.clear();
    world.seconds(40 * 60);
    assert!(world.state.outbox.values().all(|owed| owed.progress.is_settled()));
}

#[test]
fn one_drill_of_a_check_at_a_time() {
    let mut world = steady_in(by_mail(2));
    world.dead_channels.insert("mail".to_owned());
    let check = check(&world);
    let id = begin(&mut world, Some(check.clone()));
    let again = world.propose(asked(Some(check)));
    assert!(matches!(&again, Reply::Rejected(why) if why.contains(&id.to_string())), "{again:?}");
    // Of another failure there may be one.
    begin(&mut world, None);
}

#[test]
fn what_nobody_would_hear_of_is_no_drill() {
    let mut config = by_mail(2);
    config.routes.clear();
    config.operators.clear();
    let mut world = steady_in(config);
    let unknown = Some(CheckId::new("none"));
    for (check, why) in
        [(Some(check(&world)), "no route"), (None, "no operators"), (unknown, "no check")]
    {
        let reply = world.propose(asked(check));
        assert!(matches!(&reply, Reply::Rejected(said) if said.contains(why)), "{why}: {reply:?}");
    }
    assert!(world.state.incidents.is_empty());
}

#[test]
fn a_planned_drill_is_held_once_for_each_time() {
    let drill = |check| Drill { check, days: vec![1], minute: 540, zone: "UTC".to_owned() };
    let mut config = by_mail(2);
    let (of_check, removed) = (drill(Some(config.checks[0].id.clone())), drill(None));
    config.drills = vec![of_check.clone(), removed.clone()];
    let mut world = steady_in(config);
    let at = world.state.now;
    let planned =
        |drill: &Drill, at| Command::Drill(Occasion::Planned { drill: drill.clone(), at });
    assert!(matches!(world.propose(planned(&of_check, at)), Reply::Drill(_)));
    world.seconds(30);
    for at in [at, Timestamp::ZERO] {
        let again = world.propose(planned(&of_check, at));
        assert!(matches!(again, Reply::Rejected(_)), "{again:?}");
    }
    let later = at.plus(Duration::from_secs(24 * 60 * 60));
    assert!(matches!(world.propose(planned(&of_check, later)), Reply::Drill(_)));
    assert!(matches!(world.propose(planned(&removed, at)), Reply::Drill(_)));
    world.seconds(30);

    let mut edited = world.state.config.clone();
    edited.drills.pop();
    world.propose(Command::Configure(Box::new(edited)));
    assert!(matches!(world.propose(planned(&removed, later)), Reply::Rejected(_)));
    let held: Vec<&Drill> = world.state.watch.drills.held.keys().collect();
    assert_eq!(held, [&of_check]);
}

#[test]
fn who_asks_for_one_stands_in_the_audit_trail() {
    let mut world = steady_in(by_mail(2));
    let actor = Actor { name: "li".to_owned(), role: Role::Operator, from: "here".to_owned() };
    let check = check(&world);
    for check in [Some(check.clone()), None] {
        let command = Enclosed::new(&asked(check));
        world.propose(Command::Act { actor: actor.clone(), command });
    }
    let acts: Vec<String> =
        world.state.audit.entries().map(|e| format!("{} {}", e.act, e.subject)).collect();
    assert_eq!(acts, [format!("drill of {check}"), "drill of the operators' alarm".to_owned()]);
}

#[test]
fn a_drill_goes_out_apart_from_real_alarms_and_holds_none_up() {
    let mut world = steady_in(by_mail(2));
    world.set_down(0, true);
    let check = check(&world);
    begin(&mut world, Some(check.clone()));
    world.seconds(120);
    let alarms: Vec<_> = world.state.outbox.values().filter(|o| is_down(&o.notice.edge)).collect();
    assert_eq!(alarms.len(), 2);
    assert!(alarms.iter().all(|owed| !owed.is_bound() && owed.progress.is_settled()));
    let real = world.state.checks[&check].incident.expect("it is down");
    assert_eq!(incident(&world, real).status, Status::Down);
    assert!(matches!(incident(&world, real).subject, Subject::Check(_)));
}
