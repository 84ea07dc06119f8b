//! Whether a run's outcome may be believed as far as time goes: a probe that started it too late,
//! or stood still during it, has measured itself. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crosscheck_model::{Cause, Outcome, Status};

use crate::Mono;

/// A start may be late by a tenth of the interval, but at least by this: below it, lateness
/// changes no verdict.
pub const LATE_AT_LEAST: Duration = Duration::from_secs(1);

/// A start may never be later than this: a probe that far behind is overloaded, and its time-outs
/// are its own.
pub const LATE_AT_MOST: Duration = Duration::from_secs(10);

/// A wake-up this late means that the process stood still (stopped, swapped out, starved): long
/// against scheduling jitter, short against any time-out.
pub const STALL: Duration = Duration::from_millis(500);

/// A run may end this much after its time-out: cleaning up takes a moment.
pub const OVERRUN: Duration = Duration::from_secs(1);

/// Stalls remembered; runs last seconds, and each stall at least [`STALL`].
const STALLS_KEPT: usize = 32;

/// A run as it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When it was due.
    pub due: Mono,
    /// When it began.
    pub started: Mono,
    /// When it ended.
    pub ended: Mono,
}

/// The times at which the process stood still.
#[derive(Debug, Default)]
pub struct Stalls {
    promised: Option<Mono>,
    stalls: VecDeque<(Mono, Mono)>,
}

impl Stalls {
    /// The process is awake; it had asked to be woken at the moment last promised.
    pub fn awake(&mut self, now: Mono) {
        if let Some(promised) = self.promised.take()
            && now > promised.saturating_add(STALL)
        {
            self.stalls.push_back((promised, now));
            if self.stalls.len() > STALLS_KEPT {
                self.stalls.pop_front();
            }
        }
    }

    /// The process asks to be woken by then.
    pub fn promise(&mut self, wake: Mono) {
        self.promised = Some(wake);
    }

    fn during(&self, times: &Times) -> Option<Duration> {
        self.stalls
            .iter()
            .filter(|(from, to)| *from < times.ended && times.started < *to)
            .map(|(from, to)| *to - *from)
            .max()
    }
}

/// How late a start may be.
pub fn allowed_lateness(interval: Duration) -> Duration {
    (interval / 10).clamp(LATE_AT_LEAST, LATE_AT_MOST)
}

/// The outcome, or no opinion when the probe itself disturbed the measurement. An answer that
/// came stays an answer: only what is not Up is doubted.
pub fn judge(
    outcome: Outcome,
    times: &Times,
    interval: Duration,
    timeout: Duration,
    stalls: &Stalls,
) -> Outcome {
    if matches!(outcome.status, Status::Up | Status::Unknown) {
        return outcome;
    }
    let late = times.started.saturating_sub(times.due);
    let took = times.ended.saturating_sub(times.started);
    let why = if late > allowed_lateness(interval) {
        format!("began {:.1} s late", late.as_secs_f64())
    } else if took > timeout + OVERRUN {
        format!("took {:.1} s of {:.1} s allowed", took.as_secs_f64(), timeout.as_secs_f64())
    } else if let Some(stall) = stalls.during(times) {
        format!("the probe stood still for {:.1} s meanwhile", stall.as_secs_f64())
    } else {
        return outcome;
    };
    withheld(outcome, Cause::ProbeLate, &why)
}

/// The outcome without its opinion; what was seen stays in the detail.
pub fn withheld(outcome: Outcome, cause: Cause, why: &str) -> Outcome {
    let seen = match outcome.cause {
        Some(cause) => format!("{}, {cause}", outcome.status),
        None => outcome.status.to_string(),
    };
    let detail = if outcome.detail.is_empty() {
        format!("{why}; seen: {seen}")
    } else {
        format!("{why}; seen: {seen}: {}", outcome.detail)
    };
    Outcome { status: Status::Unknown, cause: Some(cause), detail, ..outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_disturbed_run_has_no_opinion_and_an_answer_stays_one() {
        let (interval, timeout) = (ms(60_000), ms(10_000));
        // (due, started, ended, stall, believed)
        for (due, started, ended, stall, believed) in [
            (0, 0, 10_000, None, true),
            (0, 6_000, 7_000, None, true),
            (0, 6_001, 7_000, None, false),
            (0, 0, 11_000, None, true),
            (0, 0, 11_001, None, false),
            (0, 0, 9_000, Some((2_000, 2_501)), false),
            (0, 0, 9_000, Some((2_000, 2_500)), true),
            (0, 0, 2_000, Some((2_000, 9_000)), true),
            (9_000, 9_000, 9_500, Some((2_000, 9_000)), true),
        ] {
            let mut stalls = Stalls::default();
            if let Some((promised, awake)) = stall {
                stalls.promise(ms(promised));
                stalls.awake(ms(awake));
            }
            let times = Times { due: ms(due), started: ms(started), ended: ms(ended) };
            for (status, kept) in
                [(Status::Down, believed), (Status::Degraded, believed), (Status::Up, true)]
            {
                let outcome = Outcome::new(status, None, "");
                let judged = judge(outcome, &times, interval, timeout, &stalls);
                let expected = if kept { status } else { Status::Unknown };
                assert_eq!(judged.status, expected, "{times:?} {stall:?}");
                assert_eq!(judged.cause == Some(Cause::ProbeLate), !kept);
            }
        }
    }

    #[test]
    fn who_has_promised_nothing_does_not_stand_still() {
        let mut stalls = Stalls::default();
        stalls.promise(Mono::MAX);
        stalls.awake(ms(9_000));
        assert!(stalls.stalls.is_empty());
    }

    #[test]
    fn what_was_seen_is_still_told() {
        let outcome = Outcome::new(Status::Down, Some(Cause::Refused), "port 80");
        let outcome = withheld(outcome, Cause::ProbeUnfit, "no reference answers");
        assert_eq!(outcome.detail, "no reference answers; seen: down, refused: port 80");
    }
}
