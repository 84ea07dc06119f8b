//! How often one probe may speak, and how much it may say. Each session and each report is work for
//! all coordinators, and room on their disks; one probe that was broken into must leave enough for
//! the others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crosscheck_core::State;
use crosscheck_model::ProbeId;
use crosscheck_model::spec::Schedule;
use crosscheck_model::wire::Refusal;
use tokio::time::Instant;

use crate::operator::{Buckets, Place, Places, Rate};

/// A probe opens a session at its start and when it was cut off, and waits between attempts.
const SESSIONS: Rate = Rate { burst: 20, every: Duration::from_secs(1) };

/// A probe sends one report at a time, and waits for its receipt, for which reports are gathered:
/// a few in a second, also while it delivers a backlog.
const REPORTS: Rate = Rate { burst: 100, every: Duration::from_millis(20) };

/// A probe has one stream of orders, and those that it lost the other end of for a while.
const STREAMS: usize = 16;

/// The most probes whose volumes are kept apart for long; an installation has fewer.
const PROBES_LIMIT: usize = 4_096;

/// No check is run more often.
const TICK: Duration = Duration::from_millis(1);

/// Observations that a probe may deliver as fast as it can: what it keeps while it is cut off,
/// unless its configuration says otherwise.
const BACKLOG: f64 = 200_000.0;

/// The least that a probe may say in the long run, in observations a second: what is left of checks
/// that it runs no more. Its session must not lapse (15 s) while it waits to say a whole report.
const LEAST: f64 = 70.0;

/// What a probe is to run changes rarely; it is looked at no more often.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// So often it is said of a probe that it says too much.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What each probe did of late.
pub(super) struct Pace {
    sessions: Mutex<Buckets<ProbeId>>,
    reports: Mutex<Buckets<ProbeId>>,
    volumes: Mutex<HashMap<ProbeId, Volume>>,
    streams: Places<ProbeId>,
    started: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            sessions: Mutex::new(Buckets::new(SESSIONS)),
            reports: Mutex::new(Buckets::new(REPORTS)),
            volumes: Mutex::default(),
            streams: Places::new(STREAMS),
            started: Instant::now(),
        }
    }
}

impl Pace {
    /// Whether the probe may open a session now.
    ///
    /// # Errors
    /// It did so too often: it comes again later.
    pub(super) fn session(&self, probe: &ProbeId) -> Result<(), Refusal> {
        self.take(&self.sessions, probe)
    }

    /// Whether the probe may report now.
    ///
    /// # Errors
    /// As of [`Self::session`].
    pub(super) fn report(&self, probe: &ProbeId) -> Result<(), Refusal> {
        self.take(&self.reports, probe)
    }

    /// Whether the probe may say so many observations, which are to be as many as its checks give:
    /// `rate` a second at most, which is asked for when it has said many.
    ///
    /// # Errors
    /// It has said too many: it comes again later, and then all of them are taken.
    pub(super) fn volume(
        &self,
        probe: &ProbeId,
        observations: usize,
        rate: impl FnOnce() -> f64,
    ) -> Result<(), Refusal> {
        let now = self.started.elapsed();
        let mut volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        if volumes.len() >= PROBES_LIMIT && !volumes.contains_key(probe) {
            // Who has its whole backlog left is as one who never came.
            volumes.retain(|_, volume| volume.left(now) < BACKLOG);
        }
        let volume = volumes.entry(probe.clone()).or_insert_with(|| Volume::new(now));
        let taken = volume.take(now, observations, rate);
        if taken.is_err() && volume.tell(now) {
            tracing::warn!(%probe, "this probe says more than its checks can give; it must wait");
        }
        taken
    }

    /// So many observations were not taken after all.
    pub(super) fn give_back(&self, probe: &ProbeId, observations: usize) {
        let mut volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(volume) = volumes.get_mut(probe) {
            volume.left += observations as f64;
        }
    }

    /// A place for one more stream of orders.
    ///
    /// # Errors
    /// The probe has too many.
    pub(super) fn stream(&self, probe: &ProbeId) -> Result<Place<ProbeId>, Refusal> {
        self.streams.enter(probe.clone()).ok_or(Refusal::Unavailable)
    }

    fn take(&self, of: &Mutex<Buckets<ProbeId>>, probe: &ProbeId) -> Result<(), Refusal> {
        let now = self.started.elapsed();
        let mut buckets = of.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(probe.clone(), now).map_err(|_| Refusal::Unavailable)
    }
}

/// What a probe may still say: a bucket that fills as fast as its checks are run, and that a report
/// may overdraw, so that none is too large for ever.
#[derive(Clone, Copy, Debug)]
struct Volume {
    left: f64,
    at: Duration,
    /// Observations a second.
    rate: f64,
    looked: Option<Duration>,
    told: Option<Duration>,
}

impl Volume {
    fn new(now: Duration) -> Self {
        Self { left: BACKLOG, at: now, rate: LEAST, looked: None, told: None }
    }

    fn left(&self, now: Duration) -> f64 {
        BACKLOG.min(self.left + now.saturating_sub(self.at).as_secs_f64() * self.rate)
    }

    fn take(
        &mut self,
        now: Duration,
        observations: usize,
        rate: impl FnOnce() -> f64,
    ) -> Result<(), Refusal> {
        self.left = self.left(now);
        self.at = now;
        let is_due = |last: Duration| now.saturating_sub(last) >= LOOK_EVERY;
        if self.left < BACKLOG / 2.0 && self.looked.is_none_or(is_due) {
            self.rate = rate().max(LEAST);
            self.looked = Some(now);
        }
        // That it is there it may always say.
        if self.left <= 0.0 && observations > 0 {
            return Err(Refusal::Unavailable);
        }
        self.left -= observations as f64;
        Ok(())
    }

    /// Whether it is to be told now that it says too much.
    fn tell(&mut self, now: Duration) -> bool {
        let is_due = self.told.is_none_or(|told| now.saturating_sub(told) >= TELL_EVERY);
        if is_due {
            self.told = Some(now);
        }
        is_due
    }
}

/// The most observations a second that a probe's checks give.
pub(super) fn most_of(state: &State, probe: &ProbeId) -> f64 {
    let own = state.checks.values().filter(|check| check.assigned.contains(probe));
    own.map(|check| most(&check.spec.schedule)).sum()
}

/// The most observations a second of one check: it fails, needs all its attempts, and others ask for
/// confirmations as often as they may.
fn most(times: &Schedule) -> f64 {
    let every = times.retry_interval.min(times.interval / 3).max(TICK);
    f64::from(times.attempts.max(1)) / every.as_secs_f64() + 1.0 / every.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_floods_is_refused_and_another_is_not() {
        let pace = Pace::default();
        let (loud, other) = (ProbeId::new("loud"), ProbeId::new("other"));
        let taken = (0..1_000).filter(|_| pace.report(&loud).is_ok()).count();
        assert_eq!(taken, 100, "one burst");
        assert_eq!(pace.report(&loud), Err(Refusal::Unavailable));
        assert_eq!((pace.report(&other), pace.session(&loud)), (Ok(()), Ok(())));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!((0..1_000).filter(|_| pace.report(&loud).is_ok()).count(), 5);
        assert_eq!((0..1_000).filter(|_| pace.session(&loud).is_ok()).count(), 19);
    }
    #[tokio::test(start_paused = true)]
    async fn a_probe_may_say_what_its_checks_give_and_a_backlog() {
        let pace = Pace::default();
        let (loud, other) = (ProbeId::new("loud"), ProbeId::new("other"));
        let say = |probe, count| pace.volume(probe, count, || 100.0);
        let taken = (0..1_000).filter(|_| say(&loud, 1_000).is_ok()).count();
        assert_eq!(taken, 200, "a backlog");
        assert_eq!(say(&loud, 1), Err(Refusal::Unavailable));
        assert_eq!((say(&other, 1_000), say(&loud, 0)), (Ok(()), Ok(())), "it is there");
        pace.give_back(&loud, 1_000);
        assert_eq!(say(&loud, 1_000), Ok(()), "as what was not taken");
        // A report is taken whole as soon as anything may be said; what it overdraws must come first.
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(say(&loud, 1_000), Ok(()));
        tokio::time::advance(Duration::from_millis(9_800)).await;
        assert_eq!(say(&loud, 1), Err(Refusal::Unavailable));
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(say(&loud, 1), Ok(()));
        // In the long run no more than its checks give.
        let mut said = 0;
        for _ in 0..3_600 {
            tokio::time::advance(Duration::from_secs(1)).await;
            said += (0..100).filter(|_| say(&loud, 50).is_ok()).count() * 50;
        }
        assert!((360_000..360_300).contains(&said), "{said}");
    }

    #[test]
    fn a_probe_without_checks_may_still_say_what_is_left() {
        let mut volume = Volume::new(Duration::ZERO);
        assert_eq!(volume.take(Duration::ZERO, 200_100, || 0.0), Ok(()));
        assert!(volume.take(Duration::from_secs(1), 1, || 0.0).is_err());
        assert_eq!(volume.take(Duration::from_secs(2), 1, || 0.0), Ok(()));
    }

    #[test]
    fn a_check_that_fails_gives_the_most() {
        let seconds = Duration::from_secs;
        let mut times = Schedule {
            interval: seconds(60),
            retry_interval: seconds(60),
            timeout: seconds(10),
            attempts: 1,
            attempt_gap: seconds(1),
        };
        assert!((most(&times) - 2.0 / 20.0).abs() < 1e-9);
        (times.retry_interval, times.attempts) = (seconds(5), 3);
        assert!((most(&times) - 4.0 / 5.0).abs() < 1e-9);
        times.retry_interval = Duration::ZERO;
        assert!(most(&times).is_finite());
    }
}
