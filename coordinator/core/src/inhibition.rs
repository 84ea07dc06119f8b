//! Inhibition: of what cannot work while something else is down, nobody is told who is told of
//! that. A router's outage is one alarm, and not one more for each server behind it.
//!
//! ```text
//! child fails -> its parents are asked, too -> who is told of a parent: withheld | others: alarmed
//! parent works again -> child seen afresh -> it works: there was nothing to tell | it fails: alarmed
//! ```
//!
//! The child's incident opens as ever, for the page and the history; only its alarms wait.
//!
//! **Invariants**
//! - An alarm is withheld from those alone who are told that a parent is down; from others who
//!   would be told of it for [`IN_DOUBT`] at most.
//! - What was withheld follows as soon as the child fails by runs that began after its parent was
//!   last down.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_model::{CheckId, IncidentId, Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::incident::{EventKind, Subject};
use crate::notify::{Recipient, key_of, named};
use crate::outbox::Edge;
use crate::state::{CheckState, State};
use crate::verdict::{Electorate, Reason};

/// How long an alarm waits for its check's parents to be seen well, which are asked to look at
/// the first failure.
pub const IN_DOUBT: Duration = Duration::from_secs(30);

/// That a check was down, and who was to be told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDown {
    /// In this incident.
    pub incident: IncidentId,
    /// Until then at least.
    pub at: Timestamp,
}

/// Why an alarm is withheld.
struct Withheld {
    /// The checks that it waits for.
    by: BTreeSet<CheckId>,
    /// Those of them that are down.
    down: BTreeSet<CheckId>,
}

impl State {
    /// What the check depends on, and what that depends on.
    fn parents_of(&self, check: &CheckState) -> Vec<&CheckState> {
        let (mut known, mut parents) = (BTreeSet::new(), Vec::new());
        let mut ahead: Vec<&CheckId> = check.spec.depends_on.iter().collect();
        while let Some(id) = ahead.pop() {
            if let Some(parent) = self.checks.get(id).filter(|_| known.insert(id)) {
                ahead.extend(&parent.spec.depends_on);
                parents.push(parent);
            }
        }
        parents
    }

    /// The check has failed for the first time: whether its parents work must be known when its
    /// alarm is due.
    pub(crate) fn doubt_parents(&mut self, id: &CheckId) {
        let Some(check) = self.checks.get(id).filter(|check| !check.spec.depends_on.is_empty())
        else {
            return;
        };
        let parents = self.parents_of(check);
        let run = parents.into_iter().filter(|parent| !parent.spec.source.is_push());
        let ids: Vec<CheckId> = run.map(|parent| parent.spec.id.clone()).collect();
        for id in ids {
            if let Some(parent) = self.checks.get_mut(&id) {
                parent.confirm_wanted = true;
            }
        }
    }

    /// Adds to some checks that something was seen of those that they made doubtful.
    pub(crate) fn with_doubted_parents(&self, mut ids: BTreeSet<CheckId>) -> BTreeSet<CheckId> {
        let children = ids.iter().filter_map(|id| self.checks.get(id));
        let parents = children.flat_map(|child| self.parents_of(child));
        let doubted: Vec<CheckId> = parents
            .filter(|parent| parent.confirm_wanted)
            .map(|parent| parent.spec.id.clone())
            .collect();
        ids.extend(doubted);
        ids
    }

    /// The check is down, and people are told of it in its open incident.
    pub(crate) fn note_down(&mut self, id: &CheckId) {
        let now = self.now;
        let Some(check) = self.checks.get_mut(id) else { return };
        if let Some(incident) = check.incident.filter(|_| check.is_seen_down()) {
            check.last_down = Some(LastDown { incident, at: now });
        }
    }

    /// Alarms these, and those from whom an alarm of the incident was withheld, but for whoever
    /// knows that it is this bad, and for those from whom it is withheld now.
    pub(crate) fn alarm(
        &mut self,
        id: &CheckId,
        incident: IncidentId,
        status: Status,
        mut recipients: BTreeSet<Recipient>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(open) = self.incidents.get(&incident) else { return };
        recipients.extend(open.inhibited.keys().cloned());
        recipients.retain(|to| !self.knows(incident, status, to));
        let mut waiting = recipients.clone();
        let withheld = self.withhold(id, incident, status, &mut recipients);
        waiting.retain(|to| !recipients.contains(to));
        let told = !recipients.is_empty();
        self.notify(incident, Edge::Alarm(status), recipients, effects);

        let Some(open) = self.incidents.get(&incident) else { return };
        let mut inhibited = open.inhibited.clone();
        for to in waiting {
            let of = inhibited.entry(to).or_insert(status);
            *of = if of.badness() < status.badness() { status } else { *of };
        }
        inhibited.retain(|to, of| !self.knows(incident, *of, to));
        let by: Vec<CheckId> = withheld.by.into_iter().collect();
        let now = self.now;
        let Some(open) = self.incidents.get_mut(&incident) else { return };
        let changed = open.inhibited_by != by;
        (open.inhibited, open.inhibited_by) = (inhibited, by);
        if changed && !withheld.down.is_empty() {
            let text = named(withheld.down.iter().map(ToString::to_string));
            open.note(now, EventKind::Inhibited, format!("depends on {text}"), Vec::new());
        }
        if changed || told {
            effects.push(Effect::Incident(incident));
        }
    }

    /// After an edit: for whoever waits for an alarm and cannot be told any more, those wait whom
    /// the routes name now.
    pub(crate) fn replace_waiting(&mut self) {
        let waits = |id: &IncidentId| -> Option<BTreeMap<Recipient, Status>> {
            let incident = self.incidents.get(id)?;
            let Subject::Check(check) = &incident.subject else { return None };
            let check = self.checks.get(check)?;
            let is_gone = |to: &Recipient| self.is_gone(&to.0, &to.1).is_some();
            let (gone, mut waiting): (BTreeMap<_, _>, BTreeMap<_, _>) =
                incident.inhibited.clone().into_iter().partition(|(to, _)| is_gone(to));
            let status = gone.into_values().max_by_key(|status| status.badness())?;
            for to in self.recipients(check, check.spec.severity) {
                waiting.entry(to).or_insert(status);
            }
            Some(waiting)
        };
        let replaced: Vec<(IncidentId, BTreeMap<Recipient, Status>)> =
            self.incidents.keys().filter_map(|id| Some((*id, waits(id)?))).collect();
        for (id, waiting) in replaced {
            if let Some(incident) = self.incidents.get_mut(&id) {
                incident.inhibited = waiting;
            }
        }
    }

    /// Takes out of these whom the check's alarm is withheld from.
    fn withhold(
        &self,
        id: &CheckId,
        incident: IncidentId,
        status: Status,
        recipients: &mut BTreeSet<Recipient>,
    ) -> Withheld {
        let mut withheld = Withheld { by: BTreeSet::new(), down: BTreeSet::new() };
        let (Some(child), Some(incident)) = (self.checks.get(id), self.incidents.get(&incident))
        else {
            return withheld;
        };
        let in_doubt = self.now.since(incident.opened_at) < IN_DOUBT;
        for parent in self.parents_of(child) {
            let of = parent.spec.id.clone();
            let before = recipients.len();
            if let Some(last) = parent.last_down
                && (parent.is_seen_down_in(last.incident)
                    || !self.fails_by_runs_since(child, status, last.at))
            {
                recipients.retain(|to| !self.knows(last.incident, Status::Down, to));
                if recipients.len() < before {
                    withheld.down.insert(of.clone());
                }
            }
            if in_doubt && !self.is_seen_well_since(parent, incident.first_failed_at) {
                let told = self.recipients(parent, parent.spec.severity);
                recipients.retain(|to| !told.contains(to));
            }
            if recipients.len() < before {
                withheld.by.insert(of);
            }
        }
        withheld
    }

    /// Whether somebody has been, or is about to be, told that it is this bad.
    fn knows(&self, incident: IncidentId, status: Status, (contact, channel): &Recipient) -> bool {
        const BAD: [Status; 3] = [Status::Down, Status::Unknown, Status::Degraded];
        BAD.into_iter().filter(|bad| bad.badness() >= status.badness()).any(|bad| {
            let key = key_of(&self.cluster, incident, Edge::Alarm(bad), contact, channel);
            self.outbox.get(&key).is_some_and(|owed| !owed.progress.is_lost())
        })
    }

    /// It is this bad by the word of those alone who have looked since: one who says that it saw
    /// all this long ago holds nothing up.
    fn fails_by_runs_since(&self, check: &CheckState, status: Status, at: Timestamp) -> bool {
        let mut electorate = Electorate::of(self, check);
        electorate
            .live
            .retain(|elector| elector.vote.status == Status::Up || elector.vote.started > at);
        match electorate.row() {
            Reason::Failing => true,
            Reason::Suspect => status == Status::Unknown,
            Reason::Mixed | Reason::Slow => status == Status::Degraded,
            _ => false,
        }
    }

    /// All sites have looked since, and it works; or nobody will be told, for it is being worked at.
    fn is_seen_well_since(&self, check: &CheckState, at: Timestamp) -> bool {
        let works = matches!(check.tally.row, Reason::Working | Reason::Slow);
        let afresh = || {
            let live = Electorate::of(self, check).live;
            live.iter().all(|elector| elector.vote.started >= at)
        };
        check.maintenance || works && check.tally.lame.is_none() && afresh()
    }

    /// The checks that depend on one, for a sentence: of these nobody is told apart who is told
    /// of it. Those of customers are counted only: not everybody may read of them.
    pub(crate) fn dependents(&self, id: &CheckId) -> Option<String> {
        let parent = self.checks.get(id)?;
        let (own, others): (Vec<&CheckState>, Vec<&CheckState>) = self
            .children_of(id)
            .into_iter()
            .filter_map(|id| self.checks.get(id))
            .partition(|check| check.spec.customer == parent.spec.customer);
        let names = named(own.iter().map(|check| check.spec.name.clone()));
        match (own.is_empty(), others.len()) {
            (true, 0) => None,
            (false, 0) => Some(names),
            (true, of_customers) => Some(format!("{of_customers} of customers")),
            (false, of_customers) => Some(format!("{names}; {of_customers} of customers")),
        }
    }

    /// What depends on the check, and what depends on that.
    fn children_of<'a>(&'a self, id: &'a CheckId) -> BTreeSet<&'a CheckId> {
        let (mut children, mut last) = (BTreeSet::new(), BTreeSet::from([id]));
        while !last.is_empty() {
            let hangs = |check: &&CheckState| {
                check.spec.depends_on.iter().any(|parent| last.contains(parent))
            };
            let next = self.checks.values().filter(hangs).map(|check| &check.spec.id);
            last = next.filter(|id| !children.contains(id)).collect();
            children.extend(&last);
        }
        children
    }
}

impl CheckState {
    /// It is down in an incident of which people are told, and not in a maintenance after it.
    fn is_seen_down_in(&self, incident: IncidentId) -> bool {
        self.is_seen_down() && self.incident == Some(incident)
    }

    /// It is down, and its sites still say so: those that say it works need not have said it for
    /// as long as a recovery takes.
    fn is_seen_down(&self) -> bool {
        self.verdict.reason == Reason::Failing
            && self.tally.row == Reason::Failing
            && self.tally.lame.is_none()
    }
}
