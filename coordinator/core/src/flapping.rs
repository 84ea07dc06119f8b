//! A check that comes and goes: after some incidents in a row one is kept open until the check has
//! been well for long, so that people get one alarm and one recovery and not a mail every minute.

use std::time::Duration;

use crosscheck_model::CheckId;

use crate::state::{CheckState, State};

/// An incident that opens as more than so many edges (openings and ends) ..
const EDGES: usize = 4;
/// .. within so long is that of a check that comes and goes.
const WINDOW: Duration = Duration::from_secs(30 * 60);
/// How long such a check must be well until its incident ends.
pub const STABLE: Duration = Duration::from_secs(10 * 60);

impl State {
    /// An incident of the check opens or ends now; whether the check comes and goes.
    pub(crate) fn count_edge(&mut self, id: &CheckId) -> bool {
        let now = self.now;
        let Some(check) = self.checks.get_mut(id) else { return false };
        check.edges.retain(|at| now.since(*at) <= WINDOW);
        check.edges.push(now);
        check.edges.len() > EDGES
    }

    /// Whether the check's incident is one of a check that comes and goes.
    pub(crate) fn is_flapping(&self, check: &CheckState) -> bool {
        let open = check.incident.and_then(|id| self.incidents.get(&id));
        open.is_some_and(|incident| incident.flapping)
    }

    /// Whether the check, which is well, has been so for long enough to say that it is over: seen
    /// to be so, and still seen.
    pub(crate) fn is_stable(&self, check: &CheckState) -> bool {
        let tally = &check.tally;
        let seen_for_long = || tally.lame.is_none() && self.now.since(tally.since) >= STABLE;
        !self.is_flapping(check) || seen_for_long()
    }
}
