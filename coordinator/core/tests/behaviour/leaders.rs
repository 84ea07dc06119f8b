//! A change of leader, one story each: who was heard until it is not held silent for what the new
//! leader could not hear yet, and not for longer than that.

use std::time::Duration;

use crate::world::{Faults, Honesty, World, config, steady};
use crosscheck_core::verdict::{LEADER_GRACE, Reason};
use crosscheck_model::{CheckId, ProbeId, SiteQuorum, Status};

const GRACE_SECS: u64 = LEADER_GRACE.as_secs();

/// Longer than an echo keeps a session alive.
const LAPSED_SECS: u64 = 16;

/// From now on these say nothing to the coordinators.
fn silence(world: &mut World, probes: &[usize]) {
    probes.iter().for_each(|index| world.probes[*index].out = false);
}

/// The leader falls at once, and another is elected.
fn change_leader(world: &mut World) {
    let before = world.state.lead_since;
    world.depose(6);
    while world.state.lead_since == before {
        world.second();
    }
}

fn counts(world: &World, probe: usize) -> bool {
    let id = ProbeId::new(format!("p{probe}"));
    let check = &world.state.checks[&CheckId::new("check 0")];
    world.state.vote_that_counts(check, &id, &world.state.probes[&id]).is_ok()
}

#[test]
fn a_new_leader_that_hears_the_liar_first_still_calls_it_down() {
    let mut world = steady("AABBC", 1);
    world.probes[4].honesty = Honesty::SaysUp;
    world.set_down(0, true);
    world.seconds(60);
    assert_eq!(world.verdict(0), Status::Down);
    // The liar is heard and two of the others, who do not suffice against it by themselves.
    silence(&mut world, &[0, 2]);
    change_leader(&mut world);
    for second in 1..GRACE_SECS {
        world.second();
        assert_eq!(world.verdict(0), Status::Down, "after {second} s");
    }
    world.seconds(2);
    assert_eq!(world.state.checks[&CheckId::new("check 0")].verdict.reason, Reason::Mixed);
}

#[test]
fn who_was_heard_until_the_leader_fell_counts_for_one_grace_and_no_longer() {
    let mut world = steady("AABBC", 1);
    silence(&mut world, &[0]);
    change_leader(&mut world);
    world.seconds(GRACE_SECS - 1);
    assert!(counts(&world, 0) && counts(&world, 1));
    world.second();
    assert!(!counts(&world, 0) && counts(&world, 1));
}

#[test]
fn who_was_not_heard_when_the_leader_fell_does_not_count_under_the_next() {
    let mut world = steady("AABBC", 1);
    silence(&mut world, &[0]);
    world.seconds(LAPSED_SECS);
    assert!(!counts(&world, 0));
    change_leader(&mut world);
    assert!(!counts(&world, 0) && counts(&world, 1));
}

#[test]
fn leaders_that_come_and_go_keep_no_vote_of_whom_none_of_them_hears() {
    let mut world = steady("AABBC", 1);
    silence(&mut world, &[0]);
    change_leader(&mut world);
    let until = world.now.plus(LEADER_GRACE);
    world.seconds(LAPSED_SECS);
    while world.now < until {
        assert!(counts(&world, 0), "the first grace lasts");
        world.second();
        if world.now.as_millis().is_multiple_of(5000) {
            world.elect();
        }
    }
    assert!(!counts(&world, 0), "and the later ones add nothing");
}

#[test]
fn green_that_nobody_bears_any_more_ends_with_the_grace() {
    let mut world = steady("AABBC", 1);
    silence(&mut world, &[0, 1, 2, 3, 4]);
    change_leader(&mut world);
    for second in 1..GRACE_SECS {
        world.second();
        assert_eq!(world.verdict(0), Status::Up, "after {second} s");
    }
    world.second();
    assert_eq!(world.verdict(0), Status::Unknown, "no time is added to the grace");
}

/// Two failures would suffice: one of a probe that is not heard any more, and one of the only
/// probe that is. Whether the latter looked in time.
fn one_heard_and_one_excused_fail(seed: u64) -> bool {
    let mut config = config("AABBC", 1);
    config.checks[0].quorum = SiteQuorum::Count(2);
    let mut world = World::new(seed, config, Faults::NONE);
    world.seconds(90);
    world.probes[0].targets = false;
    world.seconds(40);
    silence(&mut world, &[0, 1, 2, 3]);
    change_leader(&mut world);
    let until = world.now.plus(LEADER_GRACE);
    world.seconds(LAPSED_SECS - 6);
    world.probes[4].targets = false;
    while world.now.plus(Duration::from_secs(1)) < until {
        world.second();
        assert_eq!(world.verdict(0), Status::Up);
    }
    let check = &world.state.checks[&CheckId::new("check 0")];
    let fails = |probe: &str| check.votes[&ProbeId::new(probe)].status == Status::Down;
    assert!(fails("p0") && counts(&world, 0));
    fails("p4")
}

#[test]
fn the_excused_make_no_answer_possible_that_the_heard_could_not_give() {
    let met = (0..8).filter(|seed| one_heard_and_one_excused_fail(*seed)).count();
    assert!(met > 0, "in none of them the one who is heard looked in time");
}

#[test]
fn nobody_becomes_suspect_by_the_votes_of_the_excused() {
    let mut config = config("AABBC", 5);
    for check in &mut config.checks {
        // Doubts ripen within a grace, and votes last through it.
        check.schedule.interval = Duration::from_secs(5);
        check.schedule.timeout = Duration::from_secs(30);
    }
    let mut world = World::new(7, config, Faults::NONE);
    world.seconds(90);
    silence(&mut world, &[0, 1, 2, 3]);
    (0..5).for_each(|check| world.set_down(check, true));
    world.seconds(8);
    change_leader(&mut world);
    for _ in 0..GRACE_SECS {
        world.second();
        let suspect = world.state.probes.values().any(|probe| probe.suspect.is_some());
        assert!(!suspect, "it alone is heard, and it is right");
    }
}

#[test]
fn time_without_any_leader_does_not_prove_that_it_no_longer_comes_and_goes() {
    let mut world = steady("AABBC", 1);
    let open = world.come_and_go(0);
    // It breaks while nobody decides for longer than a stable check must be watched.
    world.set_down(0, true);
    world.depose(660);
    for _ in 0..760 {
        world.second();
        let incident = &world.state.incidents[&open];
        assert_eq!(
            incident.resolved_at,
            None,
            "{} s",
            world.now.since(incident.opened_at).as_secs()
        );
    }
    assert_eq!(world.verdict(0), Status::Down);
    world.set_down(0, false);
    world.seconds(720);
    assert!(world.state.incidents[&open].resolved_at.is_some());
}
