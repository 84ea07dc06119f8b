//! The log time: never back, and within a term as fast as the leader's monotonic clock, but for
//! the little by which it is turned towards the members' clocks.

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

/// Within so much time the log time is turned by at most one such part: 0.5 %.
const TURN_PART: u32 = 200;

/// The log time of one term.
#[derive(Clone, Copy, Debug)]
pub struct LogTime {
    base: Timestamp,
    since: Duration,
    /// How far it was behind the members' clocks at `base`, in milliseconds; less than 0: ahead.
    behind_ms: i64,
}

impl LogTime {
    /// Starts at the later of the log time so far and `wall`, the members' median wall clock.
    pub fn begin(previous: Timestamp, wall: Timestamp, clock: &dyn Clock) -> Self {
        Self { base: previous.max(wall), since: clock.elapsed(), behind_ms: 0 }
    }

    /// The log time now.
    pub fn stamp(&self, clock: &dyn Clock) -> Timestamp {
        let passed = clock.elapsed().saturating_sub(self.since);
        let off = Duration::from_millis(self.behind_ms.unsigned_abs());
        let turned = (passed / TURN_PART).min(off);
        let passed = if self.behind_ms < 0 { passed - turned } else { passed + turned };
        self.base.plus(passed)
    }

    /// From now on it is turned towards `wall`, the members' median wall clock now.
    pub fn follow(&mut self, wall: Timestamp, clock: &dyn Clock) {
        *self = Self { base: self.stamp(clock), since: clock.elapsed(), behind_ms: 0 };
        let apart = |late: Timestamp, early: Timestamp| {
            i64::try_from(late.since(early).as_millis()).unwrap_or(i64::MAX)
        };
        self.behind_ms =
            if wall < self.base { -apart(self.base, wall) } else { apart(wall, self.base) };
    }

    /// The log has come to `applied`: from there on it goes on at its own rate. What a leader finds
    /// in its log when it takes over may be stamped later than what it had applied before.
    pub fn reach(&mut self, applied: Timestamp, clock: &dyn Clock) {
        if self.stamp(clock) < applied {
            *self = Self { base: applied, since: clock.elapsed(), behind_ms: 0 };
        }
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

    /// Turns the log time towards the members' median wall clock.
    pub(crate) fn follow(&self, wall: Timestamp) {
        if let Some(time) = self.lock().as_mut() {
            time.follow(wall, self.clock());
        }
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

    fn at(clock: &Set, elapsed: u64) {
        clock.0.lock().expect("whole").1 = elapsed;
    }

    #[test]
    fn it_turns_towards_the_members_clocks_by_half_a_percent_and_no_further() {
        let ms = Timestamp::from_millis;
        for (off, after_10_s, after_300_s, after_an_hour) in [
            (0, 10_000, 300_000, 3_600_000),
            (1_000, 10_050, 301_000, 3_601_000),
            (86_400_000, 10_050, 301_500, 3_618_000),
            (-1_000, 9_950, 299_000, 3_599_000),
            (-86_400_000, 9_950, 298_500, 3_582_000),
        ] {
            let clock = Set(Mutex::new((0, 100)));
            let start = 100_000_000;
            let mut time = LogTime::begin(ms(start), ms(0), &clock);
            time.follow(ms(start.saturating_add_signed(off)), &clock);
            let mut before = time.stamp(&clock);
            for (elapsed, wanted) in
                [(10_000, after_10_s), (300_000, after_300_s), (3_600_000, after_an_hour)]
            {
                at(&clock, 100 + elapsed);
                let now = time.stamp(&clock);
                assert_eq!(now, ms(start + wanted), "{off} ms off, after {elapsed} ms");
                assert!(now > before);
                before = now;
            }
        }
    }

    #[test]
    fn a_new_look_at_the_clocks_makes_no_jump() {
        let ms = Timestamp::from_millis;
        let clock = Set(Mutex::new((0, 0)));
        let mut time = LogTime::begin(ms(1_000_000), ms(0), &clock);
        let mut before = time.stamp(&clock);
        for step in 1..400_u64 {
            at(&clock, step * 1_000);
            let now = time.stamp(&clock);
            let rate = now.since(before).as_millis();
            assert!((995..=1_005).contains(&rate), "{rate} ms in a second");
            before = now;
            // They agree with nothing, not even with each other.
            time.follow(ms((step * 7_919) % 3_000_000), &clock);
            assert_eq!(time.stamp(&clock), now);
        }
    }

    #[test]
    fn what_the_log_holds_already_is_passed_at_once_and_then_time_goes_on() {
        let ms = Timestamp::from_millis;
        let clock = Set(Mutex::new((0, 0)));
        let mut time = LogTime::begin(ms(5_000), ms(0), &clock);
        time.reach(ms(9_000), &clock);
        at(&clock, 250);
        assert_eq!(time.stamp(&clock), ms(9_250));
        time.reach(ms(9_100), &clock);
        assert_eq!(time.stamp(&clock), ms(9_250), "never back");
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
