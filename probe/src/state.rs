//! What one probe believes about one check: soft and hard states (Nagios), on two levels (Down;
//! Degraded or worse). Pure.

use crosscheck_model::observation::Firmness;
use crosscheck_model::{Cause, Outcome, Status};

use crate::Mono;
use crate::schedule::Next;

/// How much an observation matters when room for it runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Up, as before: the first to go.
    Plain,
    /// Not Up, as before.
    Repeat,
    /// Something changed: kept to the last.
    Transition,
}

/// What a run means together with the runs before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Whether it is a vote.
    pub firmness: Firmness,
    /// When the first failing run of the present failure began.
    pub failing_since: Option<Mono>,
    /// How much its observation matters.
    pub weight: Weight,
    /// What the schedule is to do.
    pub next: Next,
}

/// One check's state at this probe.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Runs in a row that were Down.
    down: u32,
    /// Runs in a row that were Down or Degraded.
    bad: u32,
    failing_since: Option<Mono>,
    last: Option<(Status, Firmness)>,
    /// The run before was disturbed by the probe itself.
    disturbed: bool,
}

impl State {
    /// Since when the check fails, if a run that began at `started` fails.
    pub fn failing_since(&self, started: Mono) -> Mono {
        self.failing_since.unwrap_or(started)
    }

    /// Whether one more run with this outcome would be a failing vote.
    pub fn would_be_sure(&self, outcome: &Outcome, attempts: u32) -> bool {
        let mut after = self.clone();
        after.count(outcome.status);
        matches!(outcome.status, Status::Down | Status::Degraded)
            && after.firmness(outcome, attempts) == Firmness::Hard
    }

    /// Takes the outcome of a run that began at `started`; `attempts` failing runs in a row make
    /// the probe sure.
    pub fn step(&mut self, started: Mono, outcome: &Outcome, attempts: u32) -> Meaning {
        self.count(outcome.status);
        let firmness = self.firmness(outcome, attempts);
        match outcome.status {
            Status::Up => self.failing_since = None,
            Status::Down | Status::Degraded => {
                self.failing_since.get_or_insert(started);
            }
            Status::Unknown if self.bad < attempts => {
                *self = Self { last: self.last, disturbed: self.disturbed, ..Self::default() }
            }
            Status::Unknown => {}
        }
        let now = (outcome.status, firmness);
        let weight = match self.last.replace(now) {
            Some(before) if before != now => Weight::Transition,
            _ if outcome.status == Status::Up => Weight::Plain,
            Some(_) => Weight::Repeat,
            None => Weight::Transition,
        };
        // A disturbed run says nothing, so it is repeated soon; but once only, since an overloaded
        // probe must not load itself further.
        let disturbed = outcome.cause == Some(Cause::ProbeLate);
        let before = std::mem::replace(&mut self.disturbed, disturbed);
        let again = disturbed && !before;
        let next = match firmness {
            Firmness::Soft => Next::Attempt,
            Firmness::Hard if again => Next::Attempt,
            Firmness::Hard => Next::Settled { failing: self.failing_since.is_some() },
        };
        Meaning { firmness, failing_since: self.failing_since, weight, next }
    }

    fn count(&mut self, status: Status) {
        match status {
            Status::Up => (self.down, self.bad) = (0, 0),
            Status::Degraded => (self.down, self.bad) = (0, self.bad.saturating_add(1)),
            Status::Down => {
                (self.down, self.bad) = (self.down.saturating_add(1), self.bad.saturating_add(1));
            }
            // No evidence: it neither confirms nor contradicts.
            Status::Unknown => {}
        }
    }

    fn firmness(&self, outcome: &Outcome, attempts: u32) -> Firmness {
        // An average over minutes is not doubted because of one attempt more.
        let averaged = outcome.cause == Some(Cause::Average);
        let sure = match outcome.status {
            Status::Up | Status::Unknown => true,
            Status::Degraded => self.bad >= attempts,
            Status::Down => averaged || self.down >= attempts,
        };
        if sure { Firmness::Hard } else { Firmness::Soft }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Firmness::{Hard, Soft};
    use Status::{Degraded, Down, Unknown, Up};
    use std::time::Duration;

    fn outcome(status: Status) -> Outcome {
        Outcome::new(status, None, "")
    }

    #[test]
    fn attempts_in_a_row_make_sure_on_two_levels() {
        // (attempts, [(seen, firmness, second of the first failing run)])
        type Row = (Status, Firmness, Option<u64>);
        let tables: &[(u32, &[Row])] = &[
            (1, &[(Up, Hard, None), (Down, Hard, Some(1)), (Up, Hard, None)]),
            (2, &[(Down, Soft, Some(0)), (Down, Hard, Some(0)), (Down, Hard, Some(0))]),
            (2, &[(Down, Soft, Some(0)), (Up, Hard, None), (Down, Soft, Some(2))]),
            (2, &[(Degraded, Soft, Some(0)), (Degraded, Hard, Some(0)), (Down, Soft, Some(0))]),
            (2, &[(Down, Soft, Some(0)), (Degraded, Hard, Some(0)), (Up, Hard, None)]),
            (
                3,
                &[
                    (Down, Soft, Some(0)),
                    (Degraded, Soft, Some(0)),
                    (Down, Soft, Some(0)),
                    (Down, Soft, Some(0)),
                    (Down, Hard, Some(0)),
                ],
            ),
            // No evidence in between: what was not sure yet begins anew, what was sure stays.
            (2, &[(Down, Soft, Some(0)), (Unknown, Hard, None), (Down, Soft, Some(2))]),
            (1, &[(Down, Hard, Some(0)), (Unknown, Hard, Some(0)), (Down, Hard, Some(0))]),
        ];
        for (attempts, rows) in tables {
            let mut state = State::default();
            for (second, (status, firmness, since)) in rows.iter().enumerate() {
                let now = Duration::from_secs(second as u64);
                let meaning = state.step(now, &outcome(*status), *attempts);
                assert_eq!(meaning.firmness, *firmness, "{attempts} {rows:?} at {second}");
                let since = since.map(Duration::from_secs);
                assert_eq!(meaning.failing_since, since, "{attempts} {rows:?} at {second}");
                let next = match firmness {
                    Soft => Next::Attempt,
                    Hard => Next::Settled { failing: since.is_some() },
                };
                assert_eq!(meaning.next, next);
            }
        }
    }

    #[test]
    fn a_change_weighs_more_than_a_repetition() {
        let mut state = State::default();
        let weights: Vec<_> = [Up, Up, Down, Down, Down, Up, Up]
            .into_iter()
            .map(|status| state.step(Duration::ZERO, &outcome(status), 2).weight)
            .collect();
        use Weight::{Plain, Repeat, Transition};
        // The second Down turns soft into hard, which is a change.
        assert_eq!(weights, [Plain, Plain, Transition, Transition, Repeat, Transition, Plain]);
    }

    #[test]
    fn a_disturbed_run_is_repeated_once() {
        let mut state = State::default();
        let late = Outcome::unknown(Cause::ProbeLate, "");
        let settled = Next::Settled { failing: false };
        for (outcome, next) in [
            (late.clone(), Next::Attempt),
            (late.clone(), settled),
            (late.clone(), settled),
            (outcome(Up), settled),
            (late, Next::Attempt),
            (Outcome::unknown(Cause::Setup, ""), settled),
        ] {
            assert_eq!(state.step(Duration::ZERO, &outcome, 2).next, next);
        }
    }

    #[test]
    fn an_average_is_believed_at_once() {
        let mut state = State::default();
        let average = Outcome::new(Down, Some(Cause::Average), "");
        assert_eq!(state.step(Duration::ZERO, &average, 3).firmness, Hard);
    }
}
