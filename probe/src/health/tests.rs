//! Tables of answers and what a probe makes of them.

use super::*;
use crosscheck_model::Status;

const S: Duration = Duration::from_secs(1);

fn references() -> References {
    References {
        v4: vec!["a:1".into(), "b:1".into(), "c:1".into()],
        v6: Vec::new(),
        names: vec!["one.example".into(), "two.example".into()],
        resolvers: vec!["r1:53".into(), "r2:53".into()],
        must_fail: Some("black:1".into()),
        every: Duration::ZERO,
    }
}

/// Answers in the order: three targets, must-fail, two names by the first resolver, two by the
/// second.
fn after<A: Into<Answer>>(answers: [A; 8]) -> SelfHealth {
    let mut health = SelfHealth::default();
    health.configure(S, &references());
    let round = health.time(S).expect("new references are asked at once");
    assert_eq!(round.references.len(), answers.len());
    for (place, answer) in answers.into_iter().enumerate() {
        health.answer(S, round.id, place, answer.into());
    }
    health
}

#[test]
fn fitness_by_answers() {
    const T: bool = true;
    const F: bool = false;
    for (answers, v4, names) in [
        ([T, T, T, F, T, T, T, T], true, true),
        ([T, T, F, F, T, F, F, T], true, true),
        ([T, F, F, F, T, T, T, T], false, true),
        ([T, T, T, T, T, T, T, T], false, true),
        ([T, T, T, F, T, T, F, F], true, false),
        ([F, F, F, F, F, F, F, F], false, false),
    ] {
        let health = after(answers);
        assert_eq!(health.health().v4.may_vote(), v4, "{answers:?}");
        assert_eq!(health.health().names.may_vote(), names, "{answers:?}");
        assert_eq!(health.health().v6, Fitness::Untested);
    }
}

#[test]
fn what_was_not_asked_makes_nobody_fit_or_unfit() {
    const T: Answer = Answer::Yes;
    const F: Answer = Answer::No;
    const U: Answer = Answer::Untested;
    let unfit = || Fitness::Unfit("only 0 of 1 reference targets answer".to_owned());
    for (answers, v4) in [
        ([T, U, U, F, T, T, T, T], Fitness::Fit),
        ([F, U, U, F, T, T, T, T], unfit()),
        ([U, U, F, U, T, T, T, T], unfit()),
        ([U, U, U, F, T, T, T, T], Fitness::Fit),
        ([T, T, T, U, T, T, T, T], Fitness::Fit),
        ([U, U, U, U, T, T, T, T], Fitness::Untested),
    ] {
        let health = after(answers);
        assert_eq!(health.health().v4, v4, "{answers:?}");
        assert!(health.known_since(S), "an answer all the same");
    }
}

#[test]
fn an_unfit_probe_withholds_success_and_failure() {
    let up = || Outcome::new(Status::Up, None, "");
    let down = |cause| Outcome::new(Status::Down, Some(cause), "");
    let cut = after([false; 8]);
    let blind = after([true, true, true, false, false, false, false, false]);
    for (health, outcome, family, withheld) in [
        (&cut, up(), Family::V4, true),
        (&cut, down(Cause::Refused), Family::V4, true),
        (&cut, up(), Family::V6, false),
        (&cut, down(Cause::Refused), Family::V6, false),
        (&cut, down(Cause::DnsTimeout), Family::V6, true),
        (&blind, down(Cause::DnsServfail), Family::V4, true),
        (&blind, down(Cause::Refused), Family::V4, false),
        (&blind, up(), Family::V4, false),
    ] {
        let judged = health.judge(outcome.clone(), family);
        assert_eq!(judged.cause == Some(Cause::ProbeUnfit), withheld, "{outcome:?} {family:?}");
        assert_eq!(judged.status == Status::Unknown, withheld);
    }
}

#[test]
fn nothing_configured_is_untested_and_asks_nothing() {
    let mut health = SelfHealth::default();
    health.configure(S, &References::default());
    assert_eq!((health.time(S), health.wake()), (None, None));
    assert_eq!(*health.health(), Health::UNTESTED);
    assert!(health.known_since(99 * S));
}

#[test]
fn rounds_come_by_time_by_doubt_and_sooner_when_unfit() {
    let mut health = after([true, true, true, false, true, true, true, true]);
    assert_eq!(health.wake(), Some(16 * S));
    health.doubt(5 * S);
    let round = health.time(5 * S).expect("at once");
    assert!(!health.known_since(5 * S), "not before the answers");
    assert_eq!(health.time(7 * S), None);
    // Nobody answers: unfit, and the next round comes early.
    assert_eq!(health.time(5 * S + ROUND_LIMIT), None);
    assert!(health.known_since(5 * S));
    assert!(!health.health().v4.may_vote());
    assert_eq!(health.wake(), Some(5 * S + EVERY_UNFIT));
    health.answer(8 * S, round.id, 0, Answer::Yes);
    assert!(!health.health().v4.may_vote(), "a late answer changes nothing");
}

#[test]
fn a_storm_of_failures_does_not_flood_the_references() {
    let mut health = after([true, true, true, false, true, true, true, true]);
    let mut rounds = 0;
    for millis in 0..10_000_u32 {
        let now = 2 * S + Duration::from_millis(millis.into());
        health.doubt(now);
        if let Some(round) = health.time(now) {
            rounds += 1;
            for place in 0..8 {
                health.answer(now, round.id, place, (place != 3).into());
            }
        }
    }
    assert_eq!(rounds, 10);
}
