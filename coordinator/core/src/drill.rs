//! Drills: a simulated failure is told to whom a real one would be told, in the same way, and says
//! that it is one. So it is known whether an alarm would arrive.
//!
//! ```text
//! planned or asked for -> incident, alarms owed -> each settled, or LIMIT -> over, ends owed
//! ```
//!
//! **Invariants**
//! - No check, page or figure changes; every message says that it is a drill.
//! - One that is planned is held once, whoever leads.
//! - Its messages go the way of all: claimed, tried again, told by other ways when they are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_model::config::Drill;
use crosscheck_model::{CheckId, CustomerId, IncidentId, Severity, Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::Reply;
use crate::effect::Effect;
use crate::incident::Subject;
use crate::notify::Recipient;
use crate::outbox::{Edge, Owed, Progress};
use crate::state::State;

/// When it ends though somebody was not reached: an alarm that meets errors is told by other ways
/// after ten minutes, and those have a little time.
pub const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Why a drill is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Occasion {
    /// The configuration says so.
    Planned {
        /// Which.
        drill: Drill,
        /// For when it was planned.
        at: Timestamp,
    },
    /// Somebody wants it.
    Asked {
        /// As if this check were down; `None`: as if the installation itself had trouble.
        check: Option<CheckId>,
        /// Who.
        by: String,
    },
}

/// What is known of drills.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drills {
    /// Those under way.
    pub open: BTreeSet<IncidentId>,
    /// For which moment each planned one was held last.
    pub held: BTreeMap<Drill, Timestamp>,
}

/// A failure that could be simulated.
struct Simulated {
    recipients: BTreeSet<Recipient>,
    severity: Severity,
    customer: Option<CustomerId>,
    target: String,
}

impl State {
    /// Whether a planned drill is to be held for this moment.
    pub fn is_due(&self, drill: &Drill, at: Timestamp) -> bool {
        let held = self.watch.drills.held.get(drill);
        self.config.drills.contains(drill)
            && held.is_none_or(|held| *held < at)
            && self.drill_of(drill.check.as_ref()).is_none()
            && self.simulated(drill.check.as_ref()).is_ok()
    }

    /// Holds a drill.
    pub(crate) fn hold_drill(&mut self, occasion: Occasion, effects: &mut Vec<Effect>) -> Reply {
        let (check, why) = match &occasion {
            Occasion::Planned { drill, at } if !self.is_due(drill, *at) => {
                return Reply::Rejected("this drill is not due".to_owned());
            }
            Occasion::Planned { drill, .. } => (drill.check.clone(), "as planned".to_owned()),
            Occasion::Asked { check, by } => (check.clone(), format!("asked for by {by}")),
        };
        if let Some(open) = self.drill_of(check.as_ref()) {
            return Reply::Rejected(format!("drill {open} of the same is under way"));
        }
        let simulated = match self.simulated(check.as_ref()) {
            Ok(simulated) => simulated,
            Err(reason) => return Reply::Rejected(reason),
        };
        if let Occasion::Planned { drill, at } = occasion {
            self.watch.drills.held.insert(drill, at);
        }
        let what = match &check {
            Some(_) => "nothing is down; like this you would be told if it were",
            None => "nothing is wrong; like this operators are told of the installation's trouble",
        };
        let (subject, status) = (Subject::Drill(check), Status::Down);
        let summary = format!("a drill: {what} ({why})");
        let id = self.open_own(subject, status, &simulated.target, &summary, self.now);
        if let Some(incident) = self.incidents.get_mut(&id) {
            (incident.severity, incident.customer) = (simulated.severity, simulated.customer);
        }
        self.watch.drills.open.insert(id);
        self.notify(id, Edge::Alarm(status), simulated.recipients, effects);
        effects.push(Effect::Incident(id));
        Reply::Drill(id)
    }

    /// Ends the drills of which everybody has been told, or will not be in time.
    pub(crate) fn reconcile_drills(&mut self, effects: &mut Vec<Effect>) {
        for id in self.watch.drills.open.clone() {
            let Some(incident) = self.incidents.get(&id) else { continue };
            let is_late = self.is_overdue(incident.opened_at, LIMIT);
            if is_late || self.alarms(id).all(|owed| owed.progress.is_settled()) {
                self.watch.drills.open.remove(&id);
                let summary = self.outcome_of(id);
                self.resolve(id, self.now, summary, Vec::new(), Edge::Recovery, effects);
            }
        }
    }

    /// After an edit: what is planned no more is not remembered.
    pub(crate) fn forget_drills(&mut self) {
        let planned = &self.config.drills;
        self.watch.drills.held.retain(|drill, _| planned.contains(drill));
    }

    /// The drill of the same failure that is under way.
    fn drill_of(&self, check: Option<&CheckId>) -> Option<IncidentId> {
        let same = |id: &&IncidentId| {
            self.incidents.get(id).is_some_and(|incident| {
                matches!(&incident.subject, Subject::Drill(about) if about.as_ref() == check)
            })
        };
        self.watch.drills.open.iter().find(same).copied()
    }

    /// What a failure would lead to, or why nobody would hear of it.
    fn simulated(&self, check: Option<&CheckId>) -> Result<Simulated, String> {
        let Some(id) = check else {
            let recipients = self.operators();
            let target = "the installation".to_owned();
            let severity = Severity::Warning;
            return match recipients.is_empty() {
                false => Ok(Simulated { recipients, severity, customer: None, target }),
                true => Err("nobody would be told: there are no operators".to_owned()),
            };
        };
        let known = self.checks.get(id).ok_or_else(|| format!("no check `{id}`"))?;
        let severity = known.spec.severity;
        let recipients = self.recipients(known, severity);
        if recipients.is_empty() {
            return Err(format!("nobody would be told of `{id}`: no route fits"));
        }
        let customer = known.spec.customer.clone();
        Ok(Simulated { recipients, severity, customer, target: id.to_string() })
    }

    /// Whom it has reached, in one sentence.
    fn outcome_of(&self, id: IncidentId) -> String {
        let alarms: Vec<&Owed> = self.alarms(id).collect();
        let taken = |owed: &&Owed| match owed.progress {
            Progress::Delivered { at } => Some(at.since(owed.created)),
            _ => None,
        };
        let slowest = alarms.iter().filter_map(taken).max().unwrap_or_default().as_secs();
        let missed: Vec<String> = alarms
            .iter()
            .filter(|owed| taken(owed).is_none())
            .map(|owed| {
                let why = owed.last_error.as_deref().unwrap_or("it was not sent yet");
                format!("{} by {} ({why})", owed.contact, owed.channel)
            })
            .collect();
        let all = alarms.len();
        if missed.is_empty() {
            return format!("the drill is over: {all} of {all} told, the last after {slowest} s");
        }
        let told = all - missed.len();
        format!("the drill FAILED: {told} of {all} told; not told: {}", missed.join(", "))
    }
}
