//! The log time: never back, and within a term as fast as the leader's monotonic clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crosscheck_checks::clock;
use crosscheck_model::Timestamp;

/// Where a leader takes the time from.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock; may jump.
    fn wall(&self) -> Timestamp;
    /// Time since some fixed moment; never jumps.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        clock::wall()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The log time of one term.
#[derive(Clone, Copy, Debug)]
pub struct LogTime {
    base: Timestamp,
    since: Duration,
}

impl LogTime {
    /// Starts at the later of the log time so far and `wall`, the members' median wall clock,
    /// which is looked at this once only.
    pub fn begin(previous: Timestamp, wall: Timestamp, clock: &dyn Clock) -> Self {
        Self { base: previous.max(wall), since: clock.elapsed() }
    }

    /// The log time now.
    pub fn stamp(&self, clock: &dyn Clock) -> Timestamp {
        self.base.plus(clock.elapsed().saturating_sub(self.since))
    }
}

/// The median of the members' wall clocks; of an even number the lower middle one, because log
/// time that has gone ahead can never be taken back. `None` of nobody.
pub fn median(mut clocks: Vec<Timestamp>) -> Option<Timestamp> {
    clocks.sort_unstable();
    clocks.get(clocks.len().checked_sub(1)? / 2).copied()
}

/// Commands get in and get their time here, while this node leads.
pub(crate) struct Gate {
    clock: Arc<dyn Clock>,
    time: Mutex<Option<LogTime>>,
}

impl Gate {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, time: Mutex::default() }
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(crate) fn begin(&self, previous: Timestamp, wall: Timestamp) -> LogTime {
        LogTime::begin(previous, wall, self.clock())
    }

    pub(crate) fn open(&self, time: LogTime) {
        *self.lock() = Some(time);
    }

    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    /// The log time, while this node leads.
    pub(crate) fn stamp(&self) -> Option<Timestamp> {
        self.lock().as_ref().map(|time| time.stamp(self.clock()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<LogTime>> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Set(Mutex<(u64, u64)>);

    impl Clock for Set {
        fn wall(&self) -> Timestamp {
            Timestamp::from_millis(self.0.lock().expect("whole").0)
        }

        fn elapsed(&self) -> Duration {
            Duration::from_millis(self.0.lock().expect("whole").1)
        }
    }

    #[test]
    fn a_term_starts_at_the_later_time_and_ignores_jumps_of_the_wall_clock() {
        for (previous, wall, start) in [(5_000, 9_000, 9_000), (9_000, 5_000, 9_000)] {
            let clock = Arc::new(Set(Mutex::new((wall, 100))));
            let gate = Gate::new(clock.clone());
            assert_eq!(gate.stamp(), None, "closed before the term");
            gate.open(gate.begin(Timestamp::from_millis(previous), clock.wall()));
            assert_eq!(gate.stamp(), Some(Timestamp::from_millis(start)));
            for jumped in [0, 1_000_000] {
                *clock.0.lock().expect("whole") = (jumped, 350);
                assert_eq!(gate.stamp(), Some(Timestamp::from_millis(start + 250)));
            }
            gate.close();
            assert_eq!(gate.stamp(), None, "closed after the term");
        }
    }

    #[test]
    fn the_median_follows_no_minority_of_clocks() {
        for (clocks, middle) in [
            (vec![], None),
            (vec![7], Some(7)),
            (vec![9, 7], Some(7)),
            (vec![7, 86_400_000, 8], Some(8)),
            (vec![7, 0, 8], Some(7)),
            (vec![0, 1, 7, 8, 9], Some(7)),
        ] {
            let clocks = clocks.into_iter().map(Timestamp::from_millis).collect();
            assert_eq!(median(clocks), middle.map(Timestamp::from_millis));
        }
    }
}
