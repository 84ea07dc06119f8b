//! The decision table and the promises around it, one story each.

use std::time::Duration;

use crate::world::{Faults, Honesty, World, config, is_down, is_recovery, spec, steady};
use crosscheck_core::outbox::{Edge, Progress, SendResult};
use crosscheck_core::verdict::Reason;
use crosscheck_core::{Command, Effect, Reply, apply};
use crosscheck_model::config::Maintenance;
use crosscheck_model::spec::SiteChoice;
use crosscheck_model::wire::{Hello, WIRE_VERSION};
use crosscheck_model::{CheckId, ProbeId, SiteId, SiteQuorum, Status, Timestamp};

#[test]
fn a_dead_target_is_one_alarm_and_its_return_one_recovery_each() {
    let mut world = steady("AABBC", 1);
    let before = world.now;
    world.set_down(0, true);
    world.seconds(60);
    assert_eq!(world.verdict(0), Status::Down);
    let alarms = world.mails_of(is_down);
    assert_eq!(alarms.len(), 2, "one for each of two contacts");
    assert!(alarms[0].notice.since > before && alarms[0].notice.since <= alarms[0].at);
    assert_eq!(alarms[0].notice.sites.len(), 5);
    world.set_down(0, false);
    world.seconds(200);
    assert_eq!(world.verdict(0), Status::Up);
    let recoveries = world.mails_of(is_recovery);
    assert_eq!(recoveries.len(), 2);
    assert_eq!(world.mails.len(), 4);
    for mail in recoveries {
        let alarm = world.mails.iter().find(|m| Some(m.key) == mail.notice.thread).unwrap();
        assert!(is_down(&alarm.edge) && alarm.at <= mail.at);
        assert_eq!(alarm.notice.incident, mail.notice.incident);
    }
}

#[test]
fn what_comes_and_goes_is_two_alarms_and_then_one_until_it_is_stable() {
    let mut world = steady("AABBC", 1);
    let twice = 2;
    for _ in 0..twice {
        world.set_down(0, true);
        world.seconds(60);
        world.set_down(0, false);
        world.seconds(150);
    }
    assert_eq!(world.mails.len(), 8, "an alarm and a recovery to two contacts, twice");
    // The fifth edge within half an hour: from now on one incident, whatever it does.
    for _ in 0..3 {
        world.set_down(0, true);
        world.seconds(60);
        assert_eq!(world.verdict(0), Status::Down);
        world.set_down(0, false);
        world.seconds(150);
        assert_eq!(world.verdict(0), Status::Up);
    }
    let third: Vec<_> = world.mails[8..].to_vec();
    assert_eq!(third.len(), 2, "one alarm each");
    assert!(third.iter().all(|mail| is_down(&mail.edge) && mail.notice.flapping));
    assert!(third[0].notice.summary.starts_with("comes and goes"), "{}", third[0].notice.summary);
    world.seconds(600);
    let last = &world.mails[10..];
    assert_eq!(last.len(), 2, "one recovery each");
    assert!(last.iter().all(|mail| is_recovery(&mail.edge)));
    assert!(last.iter().all(|mail| mail.notice.incident == third[0].notice.incident));
}

#[test]
fn detection_is_fast_through_confirmation() {
    let mut world = steady("AABBC", 1);
    world.set_down(0, true);
    let cut = world.now;
    world.seconds(60);
    let alarm = world.mails_of(is_down)[0].at;
    // The first of five spread probes looks within 30 s, the others at once; each is sure after
    // one retry gap.
    assert!(alarm.since(cut) <= Duration::from_secs(30 + 3 + 6), "{:?}", alarm.since(cut));
}

#[test]
fn a_carrier_cut_from_the_target_is_named_and_wakes_nobody() {
    let mut world = steady("AABBC", 1);
    for probe in world.probes.iter_mut().filter(|probe| probe.carrier == "A") {
        probe.targets = false;
    }
    world.seconds(120);
    let check = &world.state.checks[&CheckId::new("check 0")];
    assert_eq!(check.verdict.status, Status::Degraded);
    assert_eq!(format!("{:?}", check.verdict.reason), "Partial(Carrier(\"A\"))");
    assert!(world.mails.is_empty());
    // After ten minutes the operators hear of it once, and of its end once.
    world.seconds(600);
    assert_eq!(world.mails.len(), 1);
    assert_eq!(world.mails[0].notice.check, None);
    assert!(world.mails[0].notice.summary.contains("carrier A"));
    world.probes.iter_mut().for_each(|probe| probe.targets = true);
    world.seconds(300);
    assert_eq!(world.mails.len(), 2);
    assert_eq!(world.mails[1].edge, Edge::Recovery);
}

#[test]
fn two_probes_that_fail_together_are_a_carrier_in_trouble_and_not_suspects() {
    let mut world = steady("AABBCC", 8);
    for probe in world.probes.iter_mut().filter(|probe| probe.carrier == "B") {
        probe.targets = false;
    }
    world.seconds(120);
    assert!(world.state.probes.values().all(|probe| probe.suspect.is_none()));
    for check in world.state.checks.values() {
        assert_eq!(format!("{:?}", check.verdict.reason), "Partial(Carrier(\"B\"))");
    }
}

#[test]
fn a_probe_that_contradicts_all_others_alone_is_withheld_and_its_operators_told() {
    let mut world = steady("AABBC", 8);
    world.probes[4].targets = false;
    world.seconds(120);
    assert!(world.state.probes[&ProbeId::new("p4")].suspect.is_some());
    assert!((0..8).all(|check| world.verdict(check) == Status::Up));
    world.seconds(200);
    assert_eq!(world.mails.len(), 1);
    assert!(world.mails[0].notice.summary.contains("p4"));
    world.probes[4].targets = true;
    world.seconds(600);
    assert_eq!(world.mails.len(), 2);
    assert!(world.state.probes[&ProbeId::new("p4")].suspect.is_none());
}

#[test]
fn one_probe_or_carrier_cut_from_the_coordinators_changes_no_verdict() {
    let mut world = steady("AABBC", 2);
    for probe in world.probes.iter_mut().filter(|probe| probe.carrier == "A") {
        (probe.out, probe.back) = (false, false);
    }
    world.seconds(300);
    assert_eq!((world.verdict(0), world.verdict(1)), (Status::Up, Status::Up));
    assert!(world.mails.iter().all(|mail| mail.notice.target == "reports from carrier A"));
}

#[test]
fn half_a_connection_is_no_session() {
    let mut world = steady("AABBC", 1);
    for probe in world.probes.iter_mut().filter(|probe| probe.carrier == "A") {
        probe.back = false;
    }
    world.seconds(60);
    let views = world.state.site_views(&world.state.checks[&CheckId::new("check 0")]);
    let silent: Vec<_> = views.iter().map(|view| view.silent.is_some()).collect();
    assert_eq!(silent, [true, true, false, false, false]);
}

#[test]
fn the_few_who_are_left_and_fail_are_reported_as_unknown() {
    let mut world = steady("ABC", 1);
    for probe in world.probes.iter_mut().skip(1) {
        (probe.out, probe.back) = (false, false);
    }
    world.set_down(0, true);
    world.seconds(150);
    let check = &world.state.checks[&CheckId::new("check 0")];
    assert_eq!(check.verdict.reason, Reason::Suspect);
    let mails = world.mails_of(|edge| *edge == Edge::Alarm(Status::Unknown));
    assert_eq!(mails.len(), 2);
    assert!(world.mails_of(is_down).is_empty());
}

#[test]
fn a_lost_fleet_is_one_mail_to_operators_and_later_one_to_owners() {
    let mut world = steady("AABBC", 20);
    world.probes.iter_mut().for_each(|probe| (probe.out, probe.back) = (false, false));
    world.seconds(60);
    assert_eq!(world.verdict(0), Status::Unknown, "no green without fresh evidence");
    world.seconds(160);
    assert_eq!(world.mails.len(), 1, "operators after three minutes");
    world.seconds(180);
    assert_eq!(world.mails.len(), 2, "owners after six; who was told already is not told again");
    world.probes.iter_mut().for_each(|probe| (probe.out, probe.back) = (true, true));
    world.seconds(200);
    assert_eq!(world.mails_of(is_recovery).len(), 2);
    assert!((0..20).all(|check| world.verdict(check) == Status::Up));
}

#[test]
fn an_outage_stays_open_when_the_voters_go_blind() {
    let mut world = steady("AABBC", 1);
    world.set_down(0, true);
    world.seconds(60);
    world.probes.iter_mut().for_each(|probe| (probe.out, probe.back) = (false, false));
    world.seconds(120);
    assert_eq!(world.verdict(0), Status::Unknown, "neither green nor red without evidence");
    let open = |world: &World| world.state.incidents.values().any(|i| i.resolved_at.is_none());
    assert!(open(&world));
    assert!(world.mails_of(is_recovery).is_empty());
    world.probes.iter_mut().for_each(|probe| (probe.out, probe.back) = (true, true));
    world.seconds(100);
    assert_eq!(world.verdict(0), Status::Down);
    assert_eq!(world.mails_of(is_down).len(), 2, "nobody is told twice");
}

#[test]
fn consecutive_rounds_are_counted() {
    let mut config = config("AABBC", 1);
    config.checks[0].rule = crosscheck_model::spec::Rule::Consecutive(3);
    let mut world = World::new(3, config, Faults::NONE);
    world.seconds(90);
    world.set_down(0, true);
    world.seconds(60);
    assert_eq!(world.verdict(0), Status::Degraded, "one round is not three, and no green");
    assert!(world.mails.is_empty());
    world.seconds(75);
    assert_eq!(world.verdict(0), Status::Down);
    let alarm = &world.mails_of(is_down)[0];
    assert!(alarm.at.since(alarm.notice.since) >= Duration::from_secs(60));
}

#[test]
fn a_liar_is_found_and_cannot_open_or_hide() {
    for honesty in [Honesty::SaysDown, Honesty::SaysUp, Honesty::SaysAnything] {
        let mut world = steady("AABBC", 6);
        world.probes[4].honesty = honesty;
        world.seconds(600);
        assert!(world.mails_of(is_down).is_empty(), "{honesty:?}");
        world.set_down(0, true);
        world.seconds(90);
        assert_eq!(world.mails_of(is_down).len(), 2, "{honesty:?}");
        world.seconds(200);
        assert!(world.mails_of(is_recovery).iter().all(|mail| mail.check.is_none()));
        if honesty == Honesty::SaysDown {
            assert!(world.state.probes[&ProbeId::new("p4")].suspect.is_some());
        }
    }
}

#[test]
fn in_a_maintenance_nobody_is_woken_and_at_its_end_what_is_still_down_is() {
    let mut config = config("AABBC", 1);
    config.maintenance = vec![Maintenance {
        checks: vec!["check *".to_owned()],
        customer: None,
        when: crosscheck_model::config::Window::Every {
            days: vec![1],
            from_minute: 0,
            to_minute: 1,
        },
        zone: "UTC".to_owned(),
        reason: "release".to_owned(),
    }];
    let mut world = World::new(5, config, Faults::NONE);
    world.seconds(90);
    let (from, to) = (world.now, world.now.plus(Duration::from_secs(300)));
    world.maintain(from, to);
    world.set_down(0, true);
    world.seconds(298);
    assert!(world.mails.is_empty());
    assert!(world.state.incidents.is_empty());
    assert_eq!(world.verdict(0), Status::Down, "the shadow state goes on");
    world.seconds(10);
    assert_eq!(world.mails_of(is_down).len(), 2);
}

#[test]
fn a_probe_that_starts_anew_votes_on() {
    let mut world = steady("AABBC", 1);
    (0..5).for_each(|probe| world.restart(probe));
    world.seconds(60);
    assert_eq!(world.verdict(0), Status::Up);
    world.set_down(0, true);
    world.seconds(60);
    assert_eq!(world.mails_of(is_down).len(), 2);
}

#[test]
fn a_check_of_three_is_decided_by_five() {
    let mut config = config("ABCABCD", 1);
    config.checks[0].sites = SiteChoice::Pick { count: 3, region: None };
    let mut world = World::new(11, config, Faults::NONE);
    world.seconds(120);
    let assigned = |world: &World| world.state.checks[&CheckId::new("check 0")].assigned.clone();
    let chosen = assigned(&world);
    assert_eq!(chosen.len(), 3, "three of seven, of three carriers");
    let carriers: std::collections::BTreeSet<_> =
        world.probes.iter().filter(|p| chosen.contains(&p.id)).map(|p| &p.carrier).collect();
    assert_eq!(carriers.len(), 3);
    world.set_down(0, true);
    world.seconds(70);
    assert_eq!(world.verdict(0), Status::Down);
    assert_eq!(assigned(&world).len(), 5);
    assert!(assigned(&world).is_superset(&chosen), "who was in stays in");
    world.set_down(0, false);
    world.seconds(300);
    assert_eq!(world.verdict(0), Status::Up);
    assert_eq!(assigned(&world).len(), 3, "the recruits are let go");
    assert_eq!(world.mails.len(), 4);
}

#[test]
fn a_site_that_fails_for_ever_does_not_make_the_others_look_more_often() {
    let mut world = steady("AABBC", 1);
    world.probes[4].targets = false;
    world.seconds(120);
    let orders = |world: &World| {
        let is_order = |effect: &Effect| matches!(effect, Effect::Confirm { .. });
        world.effects.iter().filter(|(_, effect)| is_order(effect)).count()
    };
    let before = orders(&world);
    world.seconds(1200);
    assert_eq!(world.verdict(0), Status::Up);
    assert_eq!(orders(&world), before);
}

/// The verdict that the history draws at a moment, by its effects.
fn drawn_at(world: &World, at: Timestamp) -> Option<Status> {
    let mut spans: Vec<(Timestamp, Option<Status>)> = Vec::new();
    for (_, effect) in &world.effects {
        if let Effect::Span { from, status, .. } = effect {
            spans.retain(|(begin, _)| begin < from);
            spans.push((*from, *status));
        }
    }
    spans.iter().rev().find(|(begin, _)| *begin <= at).and_then(|(_, status)| *status)
}

#[test]
fn time_that_nobody_saw_is_not_painted_green_or_red_afterwards() {
    let mut world = steady("AABBC", 1);
    world.seconds(600);
    world.probes.iter_mut().for_each(|probe| (probe.out, probe.back) = (false, false));
    world.seconds(600);
    let unseen = world.now;
    world.probes.iter_mut().for_each(|probe| {
        (probe.out, probe.back) = (true, true);
        probe.spool.clear();
    });
    world.seconds(30);
    assert_eq!(world.verdict(0), Status::Unknown, "two rounds and a minute until it is up again");
    world.seconds(300);
    assert_eq!(world.verdict(0), Status::Up);
    assert_eq!(drawn_at(&world, unseen), Some(Status::Unknown));
    assert_eq!(drawn_at(&world, world.now), Some(Status::Up));
}

#[test]
fn a_second_blindness_is_a_second_alarm() {
    let mut config = config("AABBC", 3);
    config.checks[2].sites = SiteChoice::List(vec![SiteId::new("s0"), SiteId::new("s2")]);
    let mut world = World::new(21, config, Faults::NONE);
    world.seconds(120);
    world.probes[0].out = false;
    world.seconds(300);
    let blind = |world: &World| world.mails_of(|edge| *edge == Edge::Alarm(Status::Unknown)).len();
    assert_eq!(blind(&world), 1, "check 2 has one site left; its operators hear of it");
    world.probes.iter_mut().for_each(|probe| (probe.out, probe.back) = (false, false));
    world.seconds(260);
    assert!(blind(&world) >= 3, "and of the loss of the fleet, and the owners of check 2");
}

#[test]
fn one_site_that_comes_and_goes_starves_no_alarm() {
    let mut config = config("AABBC", 1);
    config.checks[0].rule = crosscheck_model::spec::Rule::Consecutive(2);
    let mut world = World::new(13, config, Faults::NONE);
    world.seconds(120);
    // Three of five fail for good; a fourth comes and goes with every round.
    for turn in 0..20 {
        for (index, probe) in world.probes.iter_mut().enumerate() {
            probe.targets = !(index < 3 || index == 3 && turn % 2 == 0);
        }
        world.seconds(35);
    }
    assert!(!world.mails.is_empty());
}

#[test]
fn a_worse_alarm_waits_for_no_milder_one() {
    let mut world = steady("AABBC", 1);
    world.faults.mail = 1000;
    for probe in world.probes.iter_mut().take(3) {
        probe.targets = false;
    }
    world.seconds(120);
    let degraded = |world: &World| {
        world
            .state
            .outbox
            .values()
            .filter(|o| o.notice.edge == Edge::Alarm(Status::Degraded))
            .count()
    };
    assert_eq!(degraded(&world), 2);
    assert!(world.mails.is_empty());
    world.faults.mail = 0;
    world.set_down(0, true);
    world.seconds(60);
    assert_eq!(world.mails_of(is_down).len(), 2);
    assert!(world.state.outbox.values().all(|owed| owed.progress.is_settled()));
}

#[test]
fn a_removed_check_takes_its_incident_with_it_and_says_so() {
    let mut world = steady("AABBC", 2);
    world.set_down(0, true);
    world.seconds(60);
    let mut edited = world.state.config.clone();
    edited.checks.remove(0);
    world.propose(Command::Configure(Box::new(edited)));
    world.seconds(10);
    let last = world.mails_of(|edge| *edge == Edge::Removed);
    assert_eq!(last.len(), 2);
    assert!(world.state.incidents.values().all(|incident| incident.resolved_at.is_some()));
}

#[test]
fn a_simple_quorum_is_enough_where_it_is_asked_for() {
    let mut config = config("AAB", 1);
    config.checks = vec![spec("check 0")];
    config.checks[0].quorum = SiteQuorum::Count(2);
    let mut world = World::new(9, config, Faults::NONE);
    world.seconds(90);
    for probe in world.probes.iter_mut().filter(|probe| probe.carrier == "A") {
        probe.targets = false;
    }
    world.seconds(60);
    assert_eq!(world.verdict(0), Status::Down);
}

#[test]
fn a_claim_of_an_old_term_is_refused_and_a_lost_claim_is_sent_again_under_its_key() {
    let mut world = steady("AABBC", 1);
    world.set_down(0, true);
    while world.state.outbox.is_empty() {
        world.second();
    }
    // The leader dies with its claim, and another takes over.
    let mut state = world.state.clone();
    let (key, first) = state.outbox.iter().next().map(|(k, o)| (*k, o.clone())).unwrap();
    assert!(matches!(first.progress, Progress::Claimed { .. }), "{:?}", first.progress);
    let (now, term) = (state.now, state.lead_term);
    let mut at = |seconds: u64, command| {
        apply(&mut state, now.plus(Duration::from_secs(seconds)), command).reply
    };
    at(1, Command::Lead { node: 2, term: term + 1, cluster: String::new() });
    let claim = |term| Command::Claim { key, term, node: 2 };
    assert!(matches!(at(89, claim(term + 1)), Reply::Rejected(_)), "the lease still runs");
    assert!(matches!(at(90, claim(term)), Reply::Rejected(_)), "an old term");
    assert_eq!(at(90, claim(term + 1)), Reply::Claimed(2));
    let late = Command::Settle { key, attempt: 1, result: SendResult::Refused("late".to_owned()) };
    assert!(matches!(at(91, late), Reply::Rejected(_)), "that attempt is over");
    let owed = &state.outbox[&key];
    assert_eq!((owed.ambiguous, &owed.notice), (1, &first.notice), "the same mail again");
}

#[test]
fn smtp_down_for_the_whole_outage_both_mails_arrive_in_order() {
    let mut world = steady("AABBC", 1);
    world.faults.mail = 1000;
    world.set_down(0, true);
    world.seconds(300);
    world.set_down(0, false);
    world.seconds(300);
    assert!(world.mails.is_empty());
    assert_eq!(world.verdict(0), Status::Up);
    world.faults.mail = 0;
    world.seconds(3600);
    let edges: Vec<Edge> = world
        .mails
        .iter()
        .filter(|mail| mail.notice.incident.0 == 1)
        .map(|mail| mail.edge)
        .collect();
    assert_eq!(edges.len(), 4);
    let first_recovery = edges.iter().position(is_recovery).unwrap();
    assert!(edges[..first_recovery].iter().any(is_down));
    for recovery in world.mails_of(is_recovery) {
        let alarm = world.mails.iter().find(|mail| Some(mail.key) == recovery.notice.thread);
        assert!(alarm.unwrap().at <= recovery.at);
    }
}

#[test]
fn all_coordinators_stopped_during_an_outage_and_started_again_no_second_alarm() {
    let mut world = steady("AABBC", 1);
    world.set_down(0, true);
    world.seconds(60);
    assert_eq!(world.mails.len(), 2);
    world.now = world.now.plus(Duration::from_secs(600));
    world.elect();
    world.seconds(300);
    assert_eq!(world.mails.len(), 2);
    world.set_down(0, false);
    world.seconds(200);
    assert_eq!(world.mails_of(is_recovery).len(), 2);
}

/// Another process takes the session of the first probe.
fn steal(world: &mut World, boot: u64) {
    let (probe, site) = (world.probes[0].id.clone(), world.probes[0].site.clone());
    let hello = Hello { wire: WIRE_VERSION, probe, site, boot, version: "test".to_owned() };
    let reply = world.propose(Command::Open(hello));
    assert!(matches!(reply, Reply::Opened(Ok(_))), "{reply:?}");
}

fn rivals() -> (World, ProbeId) {
    let world = steady("AABBC", 1);
    let name = world.probes[0].id.clone();
    (world, name)
}

fn withheld(world: &World, name: &ProbeId) -> Option<&'static str> {
    let check = &world.state.checks[&CheckId::new("check 0")];
    world.state.vote_that_counts(check, name, &world.state.probes[name]).err()
}

#[test]
fn two_that_take_the_session_from_each_other_are_withheld_until_an_operator_says_so() {
    let (mut world, name) = rivals();
    assert_eq!(withheld(&world, &name), None);
    for _ in 0..4 {
        steal(&mut world, 1);
        world.seconds(5);
        steal(&mut world, 2);
        world.seconds(5);
    }
    assert!(world.state.quarantined_since(&name).is_some());
    world.restart(0);
    world.seconds(60);
    assert!(withheld(&world, &name).expect("withheld").contains("two probes"));
    assert_eq!(world.verdict(0), Status::Up, "by the others");
    world.seconds(10);
    let alarms = world.mails_of(|edge| *edge == Edge::Alarm(Status::Unknown));
    assert_eq!(alarms.len(), 1, "to the operators");
    assert!(alarms[0].notice.summary.contains("reinstate"), "{}", alarms[0].notice.summary);
    // Quiet alone is no proof: the other may be back at any moment.
    world.seconds(30 * 60);
    assert!(world.state.quarantined_since(&name).is_some());
    let lift = Command::Reinstate { probe: name.clone(), by: "ada".to_owned() };
    assert_eq!(world.propose(lift.clone()), Reply::Done);
    world.seconds(60);
    assert_eq!(withheld(&world, &name), None);
    assert_eq!(world.mails_of(|edge| *edge == Edge::Recovery).len(), 1);
    assert!(matches!(world.propose(lift), Reply::Rejected(_)), "once");
}

#[test]
fn restarts_are_no_rivals_however_many() {
    let (mut world, name) = rivals();
    for boot in 1000..1020 {
        steal(&mut world, boot);
        world.now = world.now.plus(Duration::from_secs(1));
        steal(&mut world, boot + 100);
        world.now = world.now.plus(Duration::from_secs(1));
    }
    assert_eq!(world.state.quarantined_since(&name), None);
    assert_eq!(world.state.rivals[&name].lives.len(), 41, "all of ten minutes");
    (2000..2100).for_each(|boot| steal(&mut world, boot));
    assert_eq!(world.state.rivals[&name].lives.len(), 64, "bounded");
}

#[test]
fn a_thief_with_a_new_life_each_time_is_found_by_whom_he_drives_out() {
    let (mut world, name) = rivals();
    let own = world.state.probes[&name].boot;
    for visit in 1..=3 {
        assert_eq!(world.state.quarantined_since(&name), None);
        // As many at once as sessions may be opened.
        (0..20).for_each(|life| steal(&mut world, visit * 100 + life));
        world.now = world.now.plus(Duration::from_secs(4));
        steal(&mut world, own);
    }
    assert!(world.state.quarantined_since(&name).is_some());
}

#[test]
fn what_was_said_in_a_quarantine_does_not_count_when_it_is_lifted() {
    let (mut world, name) = rivals();
    for boot in [1, 2, 1, 2, 1, 2, 1, 2] {
        steal(&mut world, boot);
        world.seconds(5);
    }
    assert!(world.state.quarantined_since(&name).is_some());
    world.seconds(60);
    let id = CheckId::new("check 0");
    assert!(world.state.checks[&id].votes.contains_key(&name), "its words are kept");
    let by = "li".to_owned();
    assert_eq!(world.propose(Command::Reinstate { probe: name.clone(), by }), Reply::Done);
    assert!(!world.state.checks[&id].votes.contains_key(&name));
}

#[test]
fn a_late_copy_of_a_request_is_no_rival() {
    let (mut world, name) = rivals();
    for boot in [1, 2, 1, 2] {
        steal(&mut world, boot);
        world.seconds(5);
    }
    assert_eq!(world.state.quarantined_since(&name), None);
    world.seconds(20 * 60);
    assert!(world.state.rivals.is_empty(), "and is forgotten");
}

#[test]
fn what_comes_and_goes_is_not_green_while_a_carrier_fails_it() {
    let mut world = steady("AABBC", 1);
    let open = world.come_and_go(0);
    for probe in world.probes.iter_mut().filter(|probe| probe.carrier == "A") {
        probe.targets = false;
    }
    // As soon as both its probes say so.
    world.seconds(45);
    assert_eq!(world.verdict(0), Status::Degraded);
    assert_eq!(world.state.checks[&CheckId::new("check 0")].incident, Some(open));
}
