//! The rule "average of a value over a window", evaluated where the value is measured. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crosscheck_model::spec::Rule;
use crosscheck_model::{Cause, Outcome, Status};

use crate::Mono;

/// A window is kept as at most this many sums, so that memory does not grow with its length; its
/// edge is exact to a sixtieth.
const SUMS: u32 = 60;

#[derive(Debug)]
struct Sum {
    from: Mono,
    total: f64,
    count: u32,
}

/// The samples of one check's value within its window.
#[derive(Debug, Default)]
pub struct Average {
    sums: VecDeque<Sum>,
    since: Option<Mono>,
}

impl Average {
    /// Applies the rule to an outcome: one whose window's average is above the threshold becomes
    /// Down. There is no average before the window has been watched for its length but one
    /// `interval`, and a run that is Down by itself stays so.
    pub fn step(
        &mut self,
        now: Mono,
        interval: Duration,
        rule: &Rule,
        outcome: Outcome,
    ) -> Outcome {
        let Rule::Average { value, over, above_milli } = rule else { return outcome };
        // What a probe measured that was unfit says nothing of the target.
        let counts = outcome.status != Status::Unknown;
        let sample = outcome.values.get(value).copied().filter(|value| value.is_finite());
        if let Some(sample) = sample.filter(|_| counts) {
            self.add(now, *over, sample);
        }
        self.expire(now, *over);
        let watched = self.since.is_some_and(|since| now + interval >= since + *over);
        match self.mean() {
            Some(mean) if watched && mean * 1000.0 > *above_milli as f64 => {
                above(outcome, value, mean, *over, *above_milli)
            }
            _ => outcome,
        }
    }

    fn add(&mut self, now: Mono, over: Duration, sample: f64) {
        self.since.get_or_insert(now);
        match self.sums.back_mut() {
            Some(sum) if now < sum.from + over / SUMS => {
                sum.total += sample;
                sum.count += 1;
            }
            _ => self.sums.push_back(Sum { from: now, total: sample, count: 1 }),
        }
    }

    fn expire(&mut self, now: Mono, over: Duration) {
        while self.sums.front().is_some_and(|sum| sum.from + over <= now) {
            self.sums.pop_front();
        }
        if self.sums.is_empty() {
            self.since = None;
        }
    }

    fn mean(&self) -> Option<f64> {
        let count: u32 = self.sums.iter().map(|sum| sum.count).sum();
        let total: f64 = self.sums.iter().map(|sum| sum.total).sum();
        (count > 0).then(|| total / f64::from(count))
    }
}

fn above(outcome: Outcome, value: &str, mean: f64, over: Duration, above_milli: i64) -> Outcome {
    if outcome.status == Status::Down || outcome.status == Status::Unknown {
        return outcome;
    }
    let detail = format!(
        "average of `{value}` over {} s is {mean:.3}, above {}",
        over.as_secs(),
        above_milli as f64 / 1000.0
    );
    Outcome { status: Status::Down, cause: Some(Cause::Average), detail, ..outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn rule() -> Rule {
        Rule::Average { value: "busy".into(), over: 5 * MINUTE, above_milli: 20_000 }
    }

    fn sample(value: f64) -> Outcome {
        let mut outcome = Outcome::new(Status::Up, None, "");
        outcome.values.insert("busy".into(), value);
        outcome
    }

    #[test]
    fn down_while_the_average_of_a_whole_window_is_above() {
        let mut average = Average::default();
        let seen: Vec<_> = [50.0, 50.0, 0.0, 0.0, 5.0, 0.0, 40.0, 70.0]
            .into_iter()
            .enumerate()
            .map(|(minute, value)| {
                let now = MINUTE * u32::try_from(minute).expect("small");
                average.step(now, MINUTE, &rule(), sample(value)).status
            })
            .collect();
        use Status::{Down, Up};
        // Five samples make the window: 21, then 11, 9, 23.
        assert_eq!(seen, [Up, Up, Up, Up, Down, Up, Up, Down]);
    }

    #[test]
    fn a_run_without_evidence_stays_without() {
        let mut average = Average::default();
        for minute in 0..6 {
            average.step(MINUTE * minute, MINUTE, &rule(), sample(90.0));
        }
        let unknown = Outcome::unknown(Cause::Setup, "no such file");
        assert_eq!(average.step(6 * MINUTE, MINUTE, &rule(), unknown.clone()), unknown);
    }

    #[test]
    fn many_samples_take_bounded_room() {
        let mut average = Average::default();
        for n in 0..100_000 {
            average.step(Duration::from_millis(n * 10), MINUTE, &rule(), sample(1.0));
        }
        assert!(average.sums.len() <= SUMS as usize + 1);
    }
}
