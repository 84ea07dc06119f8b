//! I8, inhibition: nobody is alarmed of what depends on something of whose being down they were
//! alarmed before and that is still so; and an alarm is withheld for as long as that lasts only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_core::outbox::{Edge, Key, Owed, Progress};
use crosscheck_core::state::{CheckState, State};
use crosscheck_core::verdict::Reason;
use crosscheck_core::{Command, Effect};
use crosscheck_model::{CheckId, ContactId, IncidentId, Status, Timestamp};

use super::{Checker, Entry, Finding, View};

/// How long an alarm may wait for what is found of what it depends on.
const IN_DOUBT: Duration = Duration::from_secs(30);
/// Between a decision and the tick that looks at it.
const TICKS: Duration = Duration::from_secs(5);

type To = (ContactId, String);

#[derive(Default)]
pub(super) struct Inhibition {
    known: BTreeSet<Key>,
    /// Who was told, before this entry, that a check is down, by its incident.
    alarmed: BTreeSet<(IncidentId, To)>,
    /// When each check was last seen to be down, and in which incident.
    down: BTreeMap<CheckId, (IncidentId, Timestamp)>,
    /// Since when checks are seen to be down without a break.
    failing: BTreeMap<CheckId, Timestamp>,
    /// Who was to be told when an incident first called its check down: an edit of the severity
    /// tells nobody more.
    meant: BTreeMap<IncidentId, BTreeSet<To>>,
    withheld: u64,
}

impl Checker for Inhibition {
    fn name(&self) -> &'static str {
        "I8 no alarm of what hangs on another"
    }

    fn tested(&self) -> u64 {
        self.withheld
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        let state = view.state();
        if entry.applied.effects.contains(&Effect::Owed) {
            let mut new = Vec::new();
            for owed in state.outbox.values() {
                if self.known.insert(owed.key) {
                    self.none_too_many(state, owed)?;
                    new.push(owed);
                }
            }
            for owed in new.into_iter().filter(|owed| owed.notice.edge == DOWN) {
                self.alarmed.insert((owed.notice.incident, to(owed)));
            }
        }
        for check in state.checks.values().filter(|check| is_seen_down(check)) {
            if let Some(open) = check.incident {
                self.down.insert(check.spec.id.clone(), (open, state.now));
                let is_called = state.incidents[&open].told.contains(&Status::Down);
                if is_called && !check.spec.depends_on.is_empty() {
                    self.meant.entry(open).or_insert_with(|| whom(state, check));
                }
            }
        }
        match entry.stamped.command {
            Command::Tick => {
                state.checks.values().try_for_each(|child| self.none_missing(state, child))
            }
            _ => Ok(()),
        }
    }
}

const DOWN: Edge = Edge::Alarm(Status::Down);

fn to(owed: &Owed) -> To {
    (owed.contact.clone(), owed.channel.clone())
}

/// What a check hangs on, by whatever way.
fn above<'a>(state: &'a State, child: &CheckState) -> Vec<&'a CheckState> {
    let mut all: BTreeSet<&CheckId> = BTreeSet::new();
    let mut ahead: Vec<&CheckId> =
        state.checks.get(&child.spec.id).into_iter().flat_map(|c| &c.spec.depends_on).collect();
    while let Some(id) = ahead.pop() {
        if all.insert(id) {
            ahead.extend(state.checks.get(id).into_iter().flat_map(|c| &c.spec.depends_on));
        }
    }
    all.into_iter().filter_map(|id| state.checks.get(id)).collect()
}

impl Inhibition {
    /// Whether somebody was told before that this is down, and it still is.
    fn down_to(&self, state: &State, parent: &CheckState, to: &To) -> bool {
        let open = parent.incident.filter(|_| is_seen_down(parent));
        open.is_some_and(|open| self.knows(state, open, to))
    }

    fn knows(&self, state: &State, incident: IncidentId, to: &To) -> bool {
        let lost = |owed: &Owed| {
            matches!(
                owed.progress,
                Progress::Refused { .. } | Progress::GivenUp { .. } | Progress::Merged { .. }
            )
        };
        self.alarmed.contains(&(incident, to.clone())) && !alarms(state, incident, to).any(lost)
    }

    fn none_too_many(&self, state: &State, owed: &Owed) -> Finding {
        let child = owed.notice.check.as_ref().and_then(|id| state.checks.get(id));
        let (Some(child), Edge::Alarm(_)) = (child, owed.notice.edge) else { return Ok(()) };
        let to = to(owed);
        // What goes by another way because one is closed is told to whoever can be reached.
        let mut told = state.outbox.values().filter(|o| o.notice.incident == owed.notice.incident);
        if told.any(|other| other.rerouted) {
            return Ok(());
        }
        match above(state, child).into_iter().find(|parent| self.down_to(state, parent, &to)) {
            Some(parent) => Err(format!(
                "{to:?} is alarmed of {}, and knows that {} is down",
                child.spec.id, parent.spec.id
            )),
            None => Ok(()),
        }
    }

    /// Whoever is to be told of what is down has been, or knows of what it hangs on, or did until
    /// a moment ago.
    fn none_missing(&mut self, state: &State, child: &CheckState) -> Finding {
        let above = above(state, child);
        if above.is_empty() {
            return Ok(());
        }
        let id = &child.spec.id;
        let Some(open) = child.incident.filter(|_| is_seen_down(child) && !child.maintenance)
        else {
            self.failing.remove(id);
            return Ok(());
        };
        let since = *self.failing.entry(id.clone()).or_insert(state.now);
        let Some(meant) = self.meant.get(&open) else { return Ok(()) };
        // What was seen before its parent worked again has lapsed by then.
        let patience = child.spec.validity() + TICKS;
        for to in meant.intersection(&whom(state, child)) {
            if alarms(state, open, to).next().is_some() {
                continue;
            }
            self.withheld += 1;
            let explained = above
                .iter()
                .filter_map(|parent| self.down.get(&parent.spec.id))
                .filter(|(incident, _)| self.knows(state, *incident, to))
                .map(|(_, at)| at.plus(patience))
                .max()
                .unwrap_or(Timestamp::ZERO);
            let due = since.plus(IN_DOUBT + TICKS).max(explained);
            if state.now > due.max(state.lead_since.plus(IN_DOUBT)) {
                let why: Vec<String> = above
                    .iter()
                    .map(|above| format!("{} {:?}", above.spec.id, above.last_down))
                    .collect();
                return Err(format!("{to:?} is not told that {id} is down; above it: {why:?}"));
            }
        }
        Ok(())
    }
}

/// It is called down, and its sites say so now.
fn is_seen_down(check: &CheckState) -> bool {
    check.verdict.reason == Reason::Failing
        && check.tally.row == Reason::Failing
        && check.tally.lame.is_none()
}

/// What somebody is told of an incident that is down.
fn alarms<'a>(state: &'a State, of: IncidentId, to: &'a To) -> impl Iterator<Item = &'a Owed> {
    state.outbox.values().filter(move |owed| {
        owed.notice.incident == of
            && owed.notice.edge == DOWN
            && (&owed.contact, &owed.channel) == (&to.0, &to.1)
    })
}

/// Whom the routes name for a check that is down.
pub(super) fn whom(state: &State, check: &CheckState) -> BTreeSet<To> {
    let fits = |route: &&crosscheck_model::config::Route| {
        route.severities.is_empty() || route.severities.contains(&check.spec.severity)
    };
    let route = state.config.routes.iter().find(fits).into_iter();
    route
        .flat_map(|route| {
            let by = move |to: &ContactId| {
                route.channels.iter().map(move |c| (to.clone(), c.clone())).collect::<Vec<_>>()
            };
            route.to.iter().flat_map(by)
        })
        .collect()
}
