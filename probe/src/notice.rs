//! What a probe says in its log about itself: each change once.

use crosscheck_model::wire::{Fitness, Health};

use crate::probe::Probe;

/// What was said last.
#[derive(Default)]
pub(crate) struct Notices {
    session: bool,
    complaint: Option<String>,
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
        let complaint = probe.complaint().map(ToString::to_string);
        if complaint != self.complaint {
            if let Some(why) = &complaint {
                tracing::warn!(why, "a coordinator did not take what was sent");
            }
            self.complaint = complaint;
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
