//! What a probe says in its log about itself: each change once.

use crosscheck_model::wire::{Fitness, Health};

use crate::probe::Probe;
use crate::uplink::Failure;

/// What was said last.
#[derive(Default)]
pub(crate) struct Notices {
    session: bool,
    complaint: Option<Failure>,
    health: Option<Health>,
}

impl Notices {
    /// Says what has changed.
    pub(crate) fn tell(&mut self, probe: &Probe) {
        let session = probe.has_session();
        if session != self.session {
            self.session = session;
            if session {
                tracing::info!("session opened");
            } else {
                tracing::warn!("session lost; observations are kept");
            }
        }
        if probe.complaint() != self.complaint.as_ref() {
            self.complaint = probe.complaint().cloned();
            if let Some(why) = &self.complaint {
                tracing::warn!(%why, "a coordinator did not take what was sent");
            }
        }
        if self.health.as_ref() != Some(probe.health()) {
            let health = probe.health().clone();
            for (what, fitness) in
                [("IPv4", &health.v4), ("IPv6", &health.v6), ("names", &health.names)]
            {
                if let Fitness::Unfit(why) = fitness {
                    tracing::warn!(what, why, "this probe is unfit and withholds its votes");
                }
            }
            if self.health.is_some()
                && [&health.v4, &health.v6, &health.names].into_iter().all(Fitness::may_vote)
            {
                tracing::info!("this probe is fit");
            }
            self.health = Some(health);
        }
    }
}
