//! I20, edits and windows: an edit alone opens and repeats nothing and closes nothing but what was
//! removed; nothing about a check goes out while it is in a maintenance, and what is still down at
//! its end has an incident within a second.

use std::collections::BTreeSet;

use crosscheck_core::outbox::{Key, Owed};
use crosscheck_core::state::{CheckState, State};
use crosscheck_core::verdict::Reason;
use crosscheck_core::{Command, Effect, apply};
use crosscheck_model::{Config, IncidentId, pattern};

use super::{Checker, Entry, Finding, View};

#[derive(Default)]
pub(super) struct EditsAndWindows {
    known: BTreeSet<Key>,
    edits: u64,
}

impl Checker for EditsAndWindows {
    fn name(&self) -> &'static str {
        "I20 edits and windows"
    }

    fn tested(&self) -> u64 {
        self.edits
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        let state = view.state();
        if let (Command::Configure(config), Some(before)) = (&entry.stamped.command, entry.before) {
            self.edits += 1;
            edited(before, config, state)?;
        }
        if entry.applied.effects.contains(&Effect::Owed) {
            for owed in state.outbox.values() {
                if self.known.insert(owed.key) {
                    quiet(state, owed)?;
                }
            }
        }
        if entry.stamped.command == Command::Tick {
            let silent = |(_, check): &(_, &CheckState)| {
                check.verdict.reason == Reason::Failing
                    && check.incident.is_none()
                    && !in_window(state, check)
            };
            if let Some((id, _)) = state.checks.iter().find(silent) {
                return Err(format!("{id} is down and has no incident"));
            }
        }
        Ok(())
    }
}

fn in_window(state: &State, check: &CheckState) -> bool {
    state.windows.iter().any(|window| {
        let rule = state.config.maintenance.get(window.rule as usize);
        let covers = |name: &String| pattern::matches(name, &check.spec.name);
        window.from <= state.now
            && state.now < window.to
            && rule.is_some_and(|rule| rule.checks.iter().any(covers))
    })
}

fn quiet(state: &State, owed: &Owed) -> Finding {
    let check = owed.notice.check.as_ref().and_then(|id| state.checks.get(id));
    match check {
        Some(check) if in_window(state, check) => {
            let (edge, id) = (owed.notice.edge, &check.spec.id);
            Err(format!("{edge:?} of {id} is owed in its maintenance"))
        }
        _ => Ok(()),
    }
}

fn open(state: &State) -> BTreeSet<IncidentId> {
    let open = state.incidents.values().filter(|incident| incident.resolved_at.is_none());
    open.map(|incident| incident.id).collect()
}

/// The same moment without the edit, for comparison.
fn edited(before: &State, config: &Config, after: &State) -> Finding {
    let mut plain = before.clone();
    apply(&mut plain, after.now, Command::Tick);
    if let Some(id) = open(after).difference(&open(&plain)).next() {
        return Err(format!("an edit opens incident {id}"));
    }
    let kept: BTreeSet<_> = config.checks.iter().map(|spec| &spec.id).collect();
    for id in open(&plain).difference(&open(after)) {
        let removed = plain
            .checks
            .values()
            .any(|check| check.incident == Some(*id) && !kept.contains(&check.spec.id));
        // With the last blind check gone, nothing is blind any more.
        if !removed
            && !plain.blind.values().any(|open| open == id)
            && !plain.domains.values().any(|d| d == id)
        {
            return Err(format!("an edit closes incident {id}"));
        }
    }
    Ok(())
}
