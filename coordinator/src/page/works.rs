//! Planned work on the page: what is under way and what is to come.

use std::time::Duration;

use crosscheck_core::State;
use crosscheck_core::command::Window;
use crosscheck_core::state::CheckState;
use crosscheck_model::Timestamp;

use super::scope::Scope;
use super::text::{self, Moment};

/// How far ahead planned work is announced.
const AHEAD: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// How many checks are named before the rest is counted.
const NAMED_CHECKS: usize = 6;
/// How many windows are announced: a daily one must not bury the others.
const SHOWN_WINDOWS: usize = 10;

/// A window of planned work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// Stands for it, for machines.
    pub(crate) key: String,
    /// Why.
    pub(crate) reason: String,
    /// It is under way.
    pub(crate) is_now: bool,
    /// The moments, for machines.
    pub(crate) window: (Timestamp, Timestamp),
    /// The start.
    pub(crate) from: Moment,
    /// The end.
    pub(crate) to: Moment,
    /// How long it takes.
    pub(crate) length: String,
    /// The checks concerned.
    pub(crate) checks: String,
}

impl Work {
    /// The work of a page's checks, the next first.
    pub(crate) fn of(state: &State, scope: &Scope, now: Timestamp) -> Vec<Self> {
        let checks: Vec<&CheckState> =
            scope.checks(state).into_iter().map(|(_, check)| check).collect();
        let mut windows: Vec<&Window> = state
            .windows
            .iter()
            .filter(|window| window.to > now && window.from < now.plus(AHEAD))
            .collect();
        windows.sort_by_key(|window| (window.from, window.rule));
        let views = windows.into_iter().filter_map(|window| view(state, &checks, window, now));
        views.take(SHOWN_WINDOWS).collect()
    }
}

/// The view of one window; `None` when it concerns none of the checks.
fn view(state: &State, checks: &[&CheckState], window: &Window, now: Timestamp) -> Option<Work> {
    let rule = usize::try_from(window.rule).ok().and_then(|n| state.config.maintenance.get(n))?;
    let covered = checks.iter().filter(|check| state.window_covers(window, check));
    let names: Vec<&str> = covered.map(|check| check.spec.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    Some(Work {
        key: format!("{}-{}", window.rule, window.from.as_millis()),
        reason: text::quote(&rule.reason),
        is_now: window.from <= now,
        window: (window.from, window.to),
        from: Moment::minute(window.from),
        to: Moment::minute(window.to),
        length: text::length(window.to.since(window.from)),
        checks: listed(&names),
    })
}

/// The first names, and how many more there are.
fn listed(names: &[&str]) -> String {
    let shown: Vec<String> =
        names.iter().take(NAMED_CHECKS).map(|name| text::quote(name)).collect();
    let more = names.len().saturating_sub(NAMED_CHECKS);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &tail
}
