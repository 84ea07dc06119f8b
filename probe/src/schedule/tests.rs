//! The schedule under many clocks and loads.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::sample::assigned;

const S: Duration = Duration::from_secs(1);

fn schedule(limit: usize) -> Schedule {
    Schedule::new("p".into(), limit)
}

fn starts(effects: Vec<Effect>) -> Vec<Run> {
    effects
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Start(run) => Some(run),
            _ => None,
        })
        .collect()
}

/// Runs the schedule until `end`; `takes` says how long a run takes and what follows it.
fn play(
    schedule: &mut Schedule,
    first: Vec<Effect>,
    end: Mono,
    mut takes: impl FnMut(&Run) -> (Duration, Next),
) -> Vec<(Mono, Run)> {
    let mut log = Vec::new();
    let mut under_way: BTreeMap<(Mono, u64), Run> = BTreeMap::new();
    let mut nexts = BTreeMap::new();
    let mut now = Mono::ZERO;
    let mut effects = first;
    loop {
        for run in starts(effects) {
            let (length, next) = takes(&run);
            nexts.insert(run.id, next);
            log.push((now, run.clone()));
            under_way.insert((now + length, run.id), run);
        }
        let ends = under_way.keys().next().map_or(Mono::MAX, |(at, _)| *at);
        let wake = schedule.wake().unwrap_or(Mono::MAX);
        now = now.max(ends.min(wake));
        if now >= end {
            return log;
        }
        effects = Vec::new();
        if ends <= now {
            let (_, run) = under_way.pop_first().expect("one ends");
            let (run, more) = schedule.ended(now, run.id).expect("not cancelled");
            effects.extend(more);
            schedule.judged(now, &run.check.spec.id, nexts[&run.id]);
        }
        effects.extend(schedule.time(now));
    }
}

const UP: Next = Next::Settled { failing: false };
const DOWN: Next = Next::Settled { failing: true };

#[test]
fn slots_keep_their_rate_and_start_on_time() {
    let mut schedule = schedule(100);
    let checks = (0..50).map(|n| assigned(&format!("c{n}"), 60, 60)).collect();
    let first = schedule.assign(Mono::ZERO, checks);
    let log = play(&mut schedule, first, 3600 * S, |_| (2 * S, UP));
    let mut by_check: BTreeMap<CheckId, Vec<Mono>> = BTreeMap::new();
    for (now, run) in &log {
        assert_eq!(*now, run.due);
        by_check.entry(run.check.spec.id.clone()).or_default().push(*now);
    }
    assert_eq!(by_check.len(), 50);
    for times in by_check.values() {
        assert!(times[0] < FIRST_WITHIN);
        assert!(times[1] - times[0] >= 60 * S && times[1] - times[0] < 120 * S);
        assert!(times[1..].windows(2).all(|pair| pair[1] - pair[0] == 60 * S), "{times:?}");
    }
    assert_eq!(schedule.missed(), Missed::default());
}

#[test]
fn a_run_that_outlasts_its_slot_skips_and_never_overlaps() {
    let mut schedule = schedule(10);
    let first = schedule.assign(Mono::ZERO, vec![assigned("slow", 10, 10)]);
    let log = play(&mut schedule, first, 600 * S, |_| (25 * S, UP));
    assert!(log.windows(2).all(|pair| pair[1].0 >= pair[0].0 + 25 * S));
    // Each run but the first costs the two slots within it.
    let skipped = schedule.missed().skipped;
    assert!((2 * (log.len() as u64 - 2)..=2 * log.len() as u64).contains(&skipped), "{skipped}");
    assert_eq!(schedule.missed().dropped, 0);
}

#[test]
fn attempts_follow_the_gap_and_failing_checks_the_retry_interval() {
    let mut schedule = schedule(10);
    let first = schedule.assign(Mono::ZERO, vec![assigned("c", 60, 20)]);
    let mut runs = 0;
    let log = play(&mut schedule, first, 400 * S, |_| {
        runs += 1;
        (
            S,
            match runs {
                2 => Next::Attempt,
                3..=6 => DOWN,
                _ => UP,
            },
        )
    });
    let triggers: Vec<_> = log.iter().map(|(_, run)| run.trigger).collect();
    let gaps: Vec<_> = log.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs()).collect();
    assert_eq!(triggers[2], Trigger::Retry);
    // The attempt comes 3 s after the end; slots are 20 s apart while failing, counted from the
    // slot, and then return to the minute's grid.
    assert_eq!(gaps[1..6], [4, 16, 20, 20, 20]);
    assert!((20..=80).contains(&gaps[6]), "{gaps:?}");
    assert_eq!(gaps[7], 60);
    assert_eq!((log[8].0 - log[1].0).as_secs() % 60, 0, "the phase is the old one");
}

#[test]
fn confirmations_run_at_once_and_once_each() {
    let mut schedule = schedule(10);
    let mut first = starts(schedule.assign(Mono::ZERO, vec![assigned("c", 600, 600)]));
    let id = CheckId::new("c");
    first.extend(starts(schedule.time(FIRST_WITHIN)));
    // A run under way answers a confirmation.
    assert!(schedule.confirm(FIRST_WITHIN, &id, 1).is_empty());
    schedule.ended(FIRST_WITHIN, first[0].id).expect("runs");
    schedule.judged(FIRST_WITHIN, &id, UP);
    let slot = schedule.wake();
    // Repeated, it does nothing; another one runs at once.
    assert!(schedule.confirm(20 * S, &id, 1).is_empty());
    let runs = starts(schedule.confirm(20 * S, &id, 2));
    assert_eq!((runs[0].trigger, runs[0].due), (Trigger::Confirm, 20 * S));
    assert!(schedule.confirm(21 * S, &id, 3).is_empty());
    assert!(schedule.confirm(21 * S, &"unknown".into(), 4).is_empty());
    schedule.ended(22 * S, runs[0].id).expect("runs");
    schedule.judged(22 * S, &id, Next::Attempt);
    // The attempt that is coming answers, too.
    assert!(schedule.confirm(23 * S, &id, 5).is_empty());
    let runs = starts(schedule.time(25 * S));
    assert_eq!((runs[0].trigger, runs[0].due), (Trigger::Retry, 25 * S));
    schedule.ended(26 * S, runs[0].id).expect("runs");
    schedule.judged(26 * S, &id, UP);
    schedule.time(26 * S);
    assert_eq!(schedule.wake(), slot, "confirmations do not move slots");
}

#[test]
fn confirmations_that_a_slow_line_brings_together_ask_no_more_often() {
    let mut schedule = schedule(10);
    // Rounds of 30 s: as often may it be asked to confirm.
    let mut first = starts(schedule.assign(Mono::ZERO, vec![assigned("c", 120, 30)]));
    let id = CheckId::new("c");
    first.extend(starts(schedule.time(FIRST_WITHIN)));
    schedule.ended(FIRST_WITHIN, first[0].id).expect("runs");
    schedule.judged(FIRST_WITHIN, &id, UP);
    let mut nonce = 0;
    let mut confirm = |at: Mono| {
        nonce += 1;
        let runs = starts(schedule.confirm(at, &id, nonce));
        for run in &runs {
            schedule.ended(at, run.id).expect("runs");
            schedule.judged(at, &id, UP);
        }
        runs.len()
    };
    let from = 20 * S;
    // In time, 35 s late, 34 s late, 11 s late, in time again.
    let came = [0, 65, 94, 101, 120, 150].map(|at| confirm(from + at * S));
    assert_eq!(came, [1, 1, 1, 0, 1, 1]);
    // All at once.
    let came = [300, 301, 302].map(|at| confirm(from + at * S));
    assert_eq!(came, [1, 0, 0]);
}

#[test]
fn a_target_that_wants_to_be_left_alone_is_asked_neither_again_nor_to_confirm() {
    for (wait, next, attempt) in [(20, UP, 20), (3, Next::Attempt, 3), (20, Next::Attempt, 20)] {
        let mut schedule = schedule(10);
        let mut runs = starts(schedule.assign(Mono::ZERO, vec![assigned("c", 60, 60)]));
        let id = CheckId::new("c");
        runs.extend(starts(schedule.time(FIRST_WITHIN)));
        let now = FIRST_WITHIN + S;
        schedule.ended(now, runs[0].id).expect("runs");
        schedule.leave_alone(&id, now + wait * S);
        schedule.judged(now, &id, next);
        assert!(schedule.confirm(now + S, &id, 1).is_empty(), "{wait} {next:?}");
        assert!(starts(schedule.time(now + attempt * S - S / 2)).is_empty(), "{wait} {next:?}");
        match next {
            Next::Attempt => {
                let runs = starts(schedule.time(now + attempt * S));
                assert_eq!((runs.len(), runs[0].trigger), (1, Trigger::Retry), "{wait}");
            }
            // Afterwards orders are taken again.
            Next::Settled { .. } => {
                assert_eq!(starts(schedule.confirm(now + attempt * S, &id, 2)).len(), 1);
            }
        }
    }
}

#[test]
fn an_edit_keeps_what_is_unchanged() {
    let mut schedule = schedule(10);
    schedule.assign(
        Mono::ZERO,
        vec![assigned("keep", 60, 60), assigned("edit", 60, 60), assigned("go", 60, 60)],
    );
    let runs = starts(schedule.time(FIRST_WITHIN));
    assert_eq!(runs.len(), 3);
    let id_of =
        |name: &str| runs.iter().find(|run| run.check.spec.id.as_str() == name).expect("runs").id;
    let mut edited = assigned("edit", 60, 60);
    edited.rev = 2;
    let effects =
        schedule.assign(11 * S, vec![edited, assigned("keep", 60, 60), assigned("new", 60, 60)]);
    assert!(effects.contains(&Effect::Cancel(id_of("go"))));
    assert!(effects.contains(&Effect::Cancel(id_of("edit"))));
    assert!(effects.contains(&Effect::Forget("edit".into())));
    assert!(!effects.contains(&Effect::Forget("keep".into())));
    assert!(schedule.ended(12 * S, id_of("go")).is_none());
    assert!(schedule.ended(12 * S, id_of("keep")).is_some());
    assert_eq!(schedule.checks(), 3);
}

#[test]
fn a_shorter_interval_does_not_start_everything_at_once() {
    let mut schedule = schedule(1000);
    let every = |seconds| (0..600).map(|n| assigned(&format!("c{n}"), seconds, seconds)).collect();
    let first = schedule.assign(Mono::ZERO, every(300));
    play(&mut schedule, first, 290 * S, |_| (S, UP));
    let effects = schedule.assign(290 * S, every(60));
    assert!(starts(effects).len() < 30);
    let mut most = 0;
    for second in 290..350 {
        most = most.max(starts(schedule.time(second * S)).len());
    }
    // Ten a second, and chance.
    assert!((10..30).contains(&most), "{most}");
}

#[test]
fn after_standing_still_only_the_newest_slot_runs() {
    let mut schedule = schedule(10);
    let first = schedule.assign(Mono::ZERO, vec![assigned("c", 10, 10)]);
    play(&mut schedule, first, 100 * S, |_| (S, UP));
    let slot = schedule.wake().expect("a slot");
    let runs = starts(schedule.time(slot + 35 * S));
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].due, slot + 30 * S);
    assert_eq!(schedule.missed().dropped, 3);
}

#[test]
fn what_waits_for_room_too_long_is_dropped_and_confirmations_go_first() {
    let mut schedule = schedule(1);
    let checks = (0..3).map(|n| assigned(&format!("c{n}"), 10, 10)).collect();
    schedule.assign(Mono::ZERO, checks);
    let running = starts(schedule.time(FIRST_WITHIN));
    assert_eq!(running.len(), 1, "no more than the limit");
    let waiting: CheckId = ["c0", "c1", "c2"]
        .map(CheckId::from)
        .into_iter()
        .rev()
        .find(|id| *id != running[0].check.spec.id)
        .expect("two wait");
    assert!(schedule.confirm(11 * S, &waiting, 1).is_empty());
    let (_, effects) = schedule.ended(45 * S, running[0].id).expect("runs");
    let next = starts(effects);
    assert_eq!(next[0].check.spec.id, waiting);
    assert!(next[0].due + 10 * S > 45 * S);
    assert!(schedule.missed().dropped >= 3);
}

#[test]
fn a_hundred_thousand_checks_are_spread_and_bounded() {
    let mut schedule = schedule(100_000);
    let checks: Vec<_> = (0..100_000).map(|n| assigned(&format!("c{n}"), 10, 10)).collect();
    schedule.assign(Mono::ZERO, checks);
    let mut per_second = [0_usize; 40];
    for tick in 0..400_u32 {
        let now = Duration::from_millis(100) * tick;
        for run in starts(schedule.time(now)) {
            per_second[tick as usize / 10] += 1;
            schedule.ended(now, run.id).expect("runs");
            schedule.judged(now, &run.check.spec.id, UP);
        }
    }
    assert!(per_second[20..].iter().all(|count| (9_000..11_000).contains(count)), "{per_second:?}");
    assert!(schedule.heap.len() <= 2 * 100_000 + 64);
}

proptest! {
    #[test]
    fn no_check_runs_more_often_than_its_interval_allows(
        intervals in prop::collection::vec((1_u64..40, 1_u64..40), 1..8),
        script in prop::collection::vec((0_u64..30, 0_u8..3), 1..200),
    ) {
        let mut schedule = schedule(100);
        let checks = intervals.iter().enumerate()
            .map(|(n, (interval, retry))| assigned(&format!("c{n}"), *interval, *retry)).collect();
        let first = schedule.assign(Mono::ZERO, checks);
        let mut script = script.into_iter().cycle();
        let log = play(&mut schedule, first, 500 * S, |_| {
            let (seconds, next) = script.next().expect("endless");
            (Duration::from_secs(seconds), [UP, DOWN, Next::Attempt][next as usize])
        });
        let mut last: BTreeMap<CheckId, (Mono, Mono)> = BTreeMap::new();
        for (now, run) in log {
            let times = &run.check.spec.schedule;
            let least = times.interval.min(times.retry_interval);
            let before = last.get(&run.check.spec.id).copied();
            match (run.trigger, before) {
                (Trigger::Schedule, Some((slot, _))) => prop_assert!(run.due >= slot + least),
                (Trigger::Retry, Some((_, start))) => prop_assert!(now >= start + times.attempt_gap),
                _ => {}
            }
            let slot = if run.trigger == Trigger::Schedule { run.due } else { before.map_or(now, |(slot, _)| slot) };
            last.insert(run.check.spec.id.clone(), (slot, now));
        }
    }
}
