//! Which coordinator to turn to, and how long to wait before: the next one at once, and pauses
//! that grow when all have failed.

use std::time::Duration;

use crate::jitter::Jitter;

/// The pause after each coordinator has failed once; doubled for each further round.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// No pause is longer: within the 15 s of a session there must be time for an attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(super) struct Route {
    coordinators: usize,
    at: usize,
    failures: u32,
}

impl Route {
    pub(super) fn new(coordinators: usize) -> Self {
        Self { coordinators: coordinators.max(1), at: 0, failures: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Turns to the next coordinator; how long to wait before.
    pub(super) fn failed(&mut self, jitter: &mut Jitter) -> Duration {
        self.at = (self.at + 1) % self.coordinators;
        self.failures = self.failures.saturating_add(1);
        let rounds = self.failures / u32::try_from(self.coordinators).unwrap_or(u32::MAX);
        match rounds {
            0 => Duration::ZERO,
            _ => {
                let doubled = FIRST_PAUSE.saturating_mul(1 << (rounds - 1).min(8));
                jitter.some_of(doubled.min(LONGEST_PAUSE))
            }
        }
    }
}
