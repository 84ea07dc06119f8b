//! Maintenance windows: whether a check is in one. Civil times became moments before they got
//! here, so that every replica sees the same window whatever its zone database says.

use crosscheck_model::{CheckId, pattern};

use crate::command::{Reply, Window};
use crate::state::{CheckState, State};

impl State {
    /// Takes the windows of the near future over. Those of another revision name other rules.
    pub(crate) fn plan(&mut self, revision: u64, windows: Vec<Window>) -> Reply {
        if revision != self.revision {
            let now = self.revision;
            return Reply::Rejected(format!(
                "the windows are of revision {revision}, the configuration is at {now}"
            ));
        }
        self.windows = windows;
        Reply::Done
    }

    /// Whether a maintenance of the check is under way.
    pub(crate) fn in_maintenance(&self, id: &CheckId) -> bool {
        self.checks.get(id).is_some_and(|check| self.window_of(check).is_some())
    }

    /// The window that the check is in now.
    pub fn window_of(&self, check: &CheckState) -> Option<&Window> {
        self.windows.iter().find(|window| {
            let now = window.from <= self.now && self.now < window.to;
            now && self.window_covers(window, check)
        })
    }

    /// Whether a window, now or later, is about the check.
    pub fn window_covers(&self, window: &Window, check: &CheckState) -> bool {
        self.config.maintenance.get(window.rule as usize).is_some_and(|rule| {
            let owner = rule.customer.is_none() || rule.customer == check.spec.customer;
            owner && rule.checks.iter().any(|p| pattern::matches(p, &check.spec.name))
        })
    }
}
