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
    /// Starts at the later of the log time so far and `wall`, what the members' clocks say.
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

    /// From now on it is turned towards `wall`, what the members' clocks say now.
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

/// A clock that is further than this behind the log time is wrong, for the log time follows the
/// clocks of more than half.
const BEHIND_LIMIT: Duration = Duration::from_secs(60);

/// What the wall clocks of those of `members` that told say on the whole, where the log has come to
/// `log`; `None` of nobody.
///
/// With all told, it is the median. A minority that is wrong must not carry the log time away, for
/// it can never be taken back: where some do not tell, they may be right ones, and an earlier clock
/// is taken. But not one that the log itself proves wrong, or the time in which nobody led would be
/// lost to it.
pub fn agreed(mut clocks: Vec<Timestamp>, members: usize, log: Timestamp) -> Option<Timestamp> {
    clocks.sort_unstable();
    let wrong_at_most = members.saturating_sub(1) / 2;
    let behind = clocks.partition_point(|clock| clock.plus(BEHIND_LIMIT) < log);
    // Of more, it is the log time that is wrong.
    let proven = if behind <= wrong_at_most && behind < clocks.len() { behind } else { 0 };
    let left = clocks.get(proven..)?;
    let last = left.len().checked_sub(1)?;
    left.get(last.saturating_sub(wrong_at_most - proven).min(last / 2)).copied()
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

    /// Turns the log time towards what the members' clocks say.
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
    fn a_wrong_minority_carries_the_time_nowhere_whoever_is_silent() {
        const NOW: u64 = 1_000_000_000;
        const DAY: i64 = 86_400_000;
        // The log is ten minutes old.
        let log = Timestamp::from_millis(NOW - 600_000);
        for (members, clocks, wanted) in [
            (3, vec![], None),
            (1, vec![5], Some(5)),
            (1, vec![-DAY], Some(-DAY)),
            (2, vec![2, 0], Some(0)),
            (2, vec![0, -DAY], Some(-DAY)),
            (3, vec![7, DAY, 8], Some(8)),
            (3, vec![7, -DAY, 8], Some(7)),
            (3, vec![0, DAY], Some(0)),
            (3, vec![0, -DAY], Some(0)),
            // Behind, but not proven to be so.
            (3, vec![0, -300_000], Some(-300_000)),
            // The log time itself is wrong.
            (3, vec![-DAY, -DAY, 1 - DAY], Some(-DAY)),
            (4, vec![3, 0, 2, 1], Some(1)),
            (5, vec![DAY, 0, DAY, 1, 2], Some(2)),
            (5, vec![DAY, DAY, 0], Some(0)),
            (5, vec![-DAY, -DAY, 0], Some(0)),
            (5, vec![-DAY, DAY, 0], Some(0)),
            (5, vec![-DAY, DAY, 0, 1], Some(1)),
        ] {
            let at = |off| Timestamp::from_millis(NOW.saturating_add_signed(off));
            let told = clocks.iter().copied().map(at).collect();
            assert_eq!(agreed(told, members, log), wanted.map(at), "{clocks:?} of {members}");
        }
    }
}
