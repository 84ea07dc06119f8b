//! I20, edits and windows: an edit alone opens and repeats nothing and closes nothing but what was
//! removed; nothing about a check goes out while it is in a maintenance, and what is still down at
//! its end has an incident within a second.

use std::collections::BTreeSet;
use std::time::Duration;

use crosscheck_core::outbox::{Key, Owed};
use crosscheck_core::state::{CheckState, State};
use crosscheck_core::verdict::Reason;
use crosscheck_core::{Command, Effect, apply};
use crosscheck_model::{Config, IncidentId, Timestamp, pattern};

use super::{Checker, Entry, Finding, View};

/// How long a leader takes to expand new rules.
const EXPANSION: Duration = Duration::from_secs(3);

#[derive(Default)]
pub(super) struct EditsAndWindows {
    known: BTreeSet<Key>,
    edits: u64,
    /// When the rules, or who expands them, last changed.
    expanding_since: Timestamp,
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
        if matches!(entry.stamped.command, Command::Configure(_) | Command::Lead { .. }) {
            self.expanding_since = state.now;
        }
        if entry.applied.effects.contains(&Effect::Owed) {
            for owed in state.outbox.values() {
                if self.known.insert(owed.key) {
                    self.quiet(view, owed)?;
                }
            }
        }
        if entry.stamped.command == Command::Tick {
            let silent = |(_, check): &(_, &CheckState)| {
                check.verdict.reason == Reason::Failing
                    && check.incident.is_none()
                    && !in_window(view, check)
            };
            if let Some((id, _)) = state.checks.iter().find(silent) {
                return Err(format!("{id} is down and has no incident"));
            }
            self.windows_are_kept(view)?;
        }
        Ok(())
    }
}

/// Whether a maintenance of the check is under way, by what people meant when they planned it.
fn in_window(view: &View<'_>, check: &CheckState) -> bool {
    let state = view.state();
    state.config.maintenance.iter().any(|rule| {
        let covers = |name: &String| pattern::matches(name, &check.spec.name);
        let planned = view.world.planned.get(&rule.reason);
        rule.checks.iter().any(covers)
            && planned.is_some_and(|window| window.from <= state.now && state.now < window.to)
    })
}

impl EditsAndWindows {
    /// A check is in its maintenance at the moments that people meant.
    fn windows_are_kept(&self, view: &View<'_>) -> Finding {
        let state = view.state();
        if state.now.since(self.expanding_since) <= EXPANSION {
            return Ok(());
        }
        let missed = |(_, check): &(_, &CheckState)| in_window(view, check) != check.maintenance;
        match state.checks.iter().find(missed) {
            Some((id, check)) if check.maintenance => {
                Err(format!("{id} is in a maintenance that nobody planned for now"))
            }
            Some((id, _)) => Err(format!("{id} is not in its maintenance")),
            None => Ok(()),
        }
    }

    fn quiet(&self, view: &View<'_>, owed: &Owed) -> Finding {
        let state = view.state();
        // A rule becomes moments by an entry of its own, right after.
        if state.now.since(self.expanding_since) <= EXPANSION {
            return Ok(());
        }
        let check = owed.notice.check.as_ref().and_then(|id| state.checks.get(id));
        match check {
            Some(check) if in_window(view, check) => {
                let (edge, id) = (owed.notice.edge, &check.spec.id);
                Err(format!("{edge:?} of {id} is owed in its maintenance"))
            }
            _ => Ok(()),
        }
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
    // One that was open, and would have ended in this very moment, is put off by it.
    let anyhow: BTreeSet<_> = open(before).union(&open(&plain)).copied().collect();
    if let Some(id) = open(after).difference(&anyhow).next() {
        return Err(format!("an edit opens incident {id}"));
    }
    let kept: BTreeSet<_> = config.checks.iter().map(|spec| &spec.id).collect();
    // What the same moment would have opened without the edit, and what it would have closed
    // anyhow, is not closed by it.
    let kept_open: BTreeSet<_> = open(before).intersection(&open(&plain)).copied().collect();
    for id in kept_open.difference(&open(after)) {
        let removed = plain
            .checks
            .values()
            .any(|check| check.incident == Some(*id) && !kept.contains(&check.spec.id));
        // With the last blind check gone, nothing is blind any more.
        if !removed
            && !plain.blind.values().any(|open| open == id)
            && !plain.domains.values().any(|open| open.incident == *id)
        {
            return Err(format!("an edit closes incident {id}"));
        }
    }
    Ok(())
}
