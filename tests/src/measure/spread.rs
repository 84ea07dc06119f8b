//! Many durations in three numbers.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// How durations are spread, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// The one in the middle.
    pub median_ms: f64,
    /// The longest.
    pub worst_ms: f64,
    /// All together.
    pub sum_ms: f64,
}

impl Spread {
    /// Of these.
    pub fn of(durations: impl IntoIterator<Item = Duration>) -> Self {
        let mut all: Vec<Duration> = durations.into_iter().collect();
        all.sort_unstable();
        let middle = all.get(all.len() / 2).zip(all.get(all.len().saturating_sub(1) / 2));
        let median = middle.map(|(one, other)| (*one + *other) / 2).unwrap_or_default();
        let worst = all.last().copied().unwrap_or_default();
        Self {
            count: all.len(),
            median_ms: millis(median),
            worst_ms: millis(worst),
            sum_ms: millis(all.into_iter().sum()),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, median_ms, worst_ms, .. } = self;
        write!(f, "median {median_ms:8.1} ms   worst {worst_ms:8.1} ms   of {count}")
    }
}

/// As a number.
pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_lies_between_two_when_they_are_even() {
        let of = |millis: &[u64]| Spread::of(millis.iter().copied().map(Duration::from_millis));
        assert_eq!(of(&[]), Spread::default());
        assert_eq!(of(&[5, 1, 3]).median_ms, 3.0);
        let four = of(&[4, 1, 2, 9]);
        assert_eq!((four.median_ms, four.worst_ms, four.sum_ms, four.count), (3.0, 9.0, 16.0, 4));
    }
}
