//! Evidence on its way into an incident: once, in time, within bounds, and without deciding anything.

use crate::world::{Faults, World, config, is_down};
use crosscheck_core::evidence::KEPT_LIMIT;
use crosscheck_core::incident::Incident;
use crosscheck_core::{Command, Reply, State, apply};
use crosscheck_model::evidence::{Found, Knock};
use crosscheck_model::wire::Report;
use crosscheck_model::{Cause, CheckId, Evidence, ProbeId, Status, Timestamp};

/// A world in which the check is down for everyone and everybody has been told.
fn outage(checks: usize) -> World {
    let mut world = World::new(7, config("AABBC", checks), Faults::NONE);
    world.seconds(90);
    world.set_down(0, true);
    world.seconds(90);
    assert_eq!(world.verdict(0), Status::Down);
    assert_eq!(world.mails_of(is_down).len(), 2);
    world
}

fn check(number: usize) -> CheckId {
    CheckId::new(format!("check {number}"))
}

/// What a probe gathers: one of the target's two addresses is dead.
fn evidence(state: &State, check: &CheckId, probe: &ProbeId, number: u64) -> Evidence {
    let known = &state.checks[check];
    let since = known.votes[probe].failing_since.unwrap_or(state.now);
    let knock = |last, cause| {
        let address = ([192, 0, 2, last], 443).into();
        Knock { address, cause, took_us: 900 }
    };
    let knocks = vec![knock(8, None), knock(9, Some(Cause::Refused))];
    Evidence {
        check: check.clone(),
        rev: known.rev,
        boot: state.probes[probe].boot,
        number,
        failing_since: since,
        at: state.now,
        found: Found { knocks, ..Found::default() },
    }
}

/// The probe reports this; whether it got a receipt.
fn tell(state: &mut State, probe: &ProbeId, seq: u64, evidence: Vec<Evidence>) -> bool {
    let known = &state.probes[probe];
    let report = Report {
        probe: probe.clone(),
        epoch: known.epoch,
        seq,
        echo: state.now,
        health: known.health.clone(),
        observations: Vec::new(),
        evidence,
        spooled: 0,
        dropped: 0,
        running: 1,
    };
    let now = state.now;
    let Reply::Batch(receipts) = apply(state, now, Command::Batch(vec![report])).reply else {
        panic!("another reply")
    };
    receipts[0].is_ok()
}

fn open(state: &State) -> &Incident {
    &state.incidents[&state.checks[&check(0)].incident.expect("it is open")]
}

fn probes(state: &State) -> Vec<ProbeId> {
    state.checks[&check(0)].assigned.iter().cloned().collect()
}

/// The newest report of a probe, so that the next one counts.
fn newest(state: &State, probe: &ProbeId) -> u64 {
    state.probes[probe].report_seq
}

#[test]
fn late_evidence_changes_the_sentence_and_no_mail() {
    let world = outage(1);
    let mut state = world.state.clone();
    let frozen: Vec<_> = state.outbox.values().map(|owed| owed.notice.clone()).collect();
    let before = open(&state).finding.clone().expect("the causes alone say something");
    let (verdict, timeline) =
        (state.checks[&check(0)].verdict.clone(), open(&state).timeline.len());
    for probe in probes(&state) {
        let told = evidence(&state, &check(0), &probe, 1);
        let seq = newest(&state, &probe) + 1;
        assert!(tell(&mut state, &probe, seq, vec![told]));
    }
    let after = open(&state).finding.clone().expect("a sentence");
    assert_ne!(after, before);
    assert_eq!(after, "one of 2 addresses is dead: 192.0.2.9 refuses");
    assert!(frozen.iter().all(|notice| notice.finding.as_ref() == Some(&before)), "{frozen:#?}");
    assert_eq!(state.outbox.values().map(|o| o.notice.clone()).collect::<Vec<_>>(), frozen);
    assert_eq!(state.checks[&check(0)].verdict, verdict, "it decides nothing");
    assert_eq!(open(&state).timeline.len(), timeline);
    let kept = state.evidence_in(&check(0), open(&state).first_failed_at, state.now);
    assert_eq!(kept.len(), 5);
}

#[test]
fn what_comes_twice_or_does_not_fit_changes_nothing() {
    let world = outage(1);
    let mut state = world.state.clone();
    let probe = probes(&state)[0].clone();
    let (told, seq) = (evidence(&state, &check(0), &probe, 7), newest(&state, &probe) + 1);
    assert!(tell(&mut state, &probe, seq, vec![told.clone()]));
    let once = state.evidence.clone();
    // The report again, and the evidence again in another one, or something older.
    assert!(tell(&mut state, &probe, seq, vec![told.clone()]));
    let older = Evidence { number: 6, found: Found::default(), ..told.clone() };
    let of_before = Evidence { boot: told.boot + 1, ..told.clone() };
    let other_rev = Evidence { rev: told.rev + 1, ..told.clone() };
    let no_check = Evidence { check: CheckId::new("nothing"), ..told.clone() };
    assert!(tell(&mut state, &probe, seq + 1, vec![told, older, of_before, other_rev, no_check]));
    assert_eq!(state.evidence, once);
}

#[test]
fn evidence_of_an_earlier_failure_is_not_of_this_one() {
    let world = outage(1);
    let mut state = world.state.clone();
    let before = open(&state).finding.clone();
    for probe in probes(&state) {
        let told = evidence(&state, &check(0), &probe, 1);
        let old = Evidence { at: Timestamp::ZERO, failing_since: Timestamp::ZERO, ..told };
        let seq = newest(&state, &probe) + 1;
        tell(&mut state, &probe, seq, vec![old]);
    }
    assert_eq!(open(&state).finding, before);
    let kept = state.evidence_in(&check(0), open(&state).first_failed_at, state.now);
    assert!(kept.is_empty(), "{kept:?}");
}

#[test]
fn the_state_stays_small_and_the_oldest_goes() {
    let world = outage(150);
    let mut state = world.state.clone();
    let all = probes(&state);
    for number in 0..150 {
        for probe in &all {
            let mut told = evidence(&state, &check(number), probe, 1 + number as u64);
            told.at = state.now.minus(std::time::Duration::from_millis(1_000 - number as u64));
            let seq = newest(&state, probe) + 1;
            assert!(tell(&mut state, probe, seq, vec![told]));
        }
    }
    assert_eq!(state.evidence.len(), KEPT_LIMIT);
    assert!(state.evidence.of(&check(0), &all[0]).is_none(), "the oldest");
    assert!(state.evidence.of(&check(149), &all[0]).is_some(), "the newest");
}
