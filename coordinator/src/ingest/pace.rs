//! How often one probe may speak. Each session and each report is work for all coordinators; one
//! probe that was broken into must leave room for the others.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crosscheck_model::ProbeId;
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

/// What each probe did of late.
pub(super) struct Pace {
    sessions: Mutex<Buckets<ProbeId>>,
    reports: Mutex<Buckets<ProbeId>>,
    streams: Places<ProbeId>,
    started: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            sessions: Mutex::new(Buckets::new(SESSIONS)),
            reports: Mutex::new(Buckets::new(REPORTS)),
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
}
