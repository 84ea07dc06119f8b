//! The truth about targets: when each of them is down. It follows from the seed alone.

use std::time::Duration;

use crate::sim::random::Random;

/// An outage lasts so long, in seconds. A shorter one could be over before a new leader has taken
/// over: whether anybody notices it would depend on who dies.
const LASTS: (u64, u64) = (45, 150);

/// A check's outages: from, to.
#[derive(Clone, Debug)]
pub(super) struct Truth(Vec<Vec<(Duration, Duration)>>);

impl Truth {
    pub(super) fn of(seed: u64, checks: usize, safety: Duration) -> Self {
        let mut random = Random::new(seed, 23);
        let outages = |random: &mut Random| {
            let mut outages = Vec::new();
            let mut at = random.secs(30, 120);
            while at + Duration::from_secs(LASTS.0) <= safety {
                let to = at + random.secs(LASTS.0, LASTS.1);
                outages.push((at, to.min(safety)));
                at = to + random.secs(130, 260);
            }
            outages
        };
        Self((0..checks).map(|_| outages(&mut random)).collect())
    }

    /// When the target of this check is down: from, to.
    pub(super) fn outages(&self, check: usize) -> &[(Duration, Duration)] {
        &self.0[check]
    }

    pub(super) fn is_down(&self, check: usize, at: Duration) -> bool {
        self.0[check].iter().any(|(from, to)| *from <= at && at < *to)
    }
}
