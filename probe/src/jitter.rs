//! Randomness without a source: a number comes in at the start, and the rest follows from it, so
//! that a simulation can repeat a run. Pure.

use std::time::Duration;

use crate::spread::mix;

/// A sequence of numbers from one seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// The sequence that `seed` begins.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Between half of `span` and all of it: probes that failed together do not return together.
    pub fn some_of(&mut self, span: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let share = u32::try_from(mix(self.0) >> 33).expect("31 bits");
        span / 2 + (span / 2).mul_f64(f64::from(share) / f64::from(u32::MAX >> 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_between_a_half_and_the_whole_and_varies() {
        let mut jitter = Jitter::new(7);
        let span = Duration::from_secs(10);
        let drawn: Vec<_> = (0..100).map(|_| jitter.some_of(span)).collect();
        assert!(drawn.iter().all(|time| *time >= span / 2 && *time <= span));
        assert!(drawn.iter().any(|time| *time < Duration::from_secs(6)));
        assert!(drawn.iter().any(|time| *time > Duration::from_secs(9)));
    }
}
