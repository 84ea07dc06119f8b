//! A machine's clocks: a wall clock that may be wrong, and one that never jumps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crosscheck_coordinator::leader::Clock;
use crosscheck_model::Timestamp;
use tokio::time::Instant;

/// When a world begins: 2026-11-22 00:00 UTC.
pub(super) const START: Timestamp = Timestamp::from_millis(1_795_305_600_000);

/// The clocks of a process.
pub(super) struct MachineClock {
    /// The world's time when the process began.
    began: Duration,
    origin: Instant,
    /// How far the wall clock is ahead of the true time, in milliseconds.
    ahead_ms: Arc<AtomicI64>,
}

impl MachineClock {
    /// Within the process' runtime.
    pub(super) fn start(began: Duration, ahead_ms: Arc<AtomicI64>) -> Self {
        Self { began, origin: Instant::now(), ahead_ms }
    }
}

impl Clock for MachineClock {
    fn wall(&self) -> Timestamp {
        let truth = START.plus(self.elapsed()).as_millis();
        Timestamp::from_millis(truth.saturating_add_signed(self.ahead_ms.load(Ordering::Relaxed)))
    }

    fn elapsed(&self) -> Duration {
        self.began + self.origin.elapsed()
    }
}
