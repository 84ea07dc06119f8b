//! What the installation knows of its own eyes and voice: probes that lapse, sites that are
//! awaited, channels that deliver nothing, receivers of its heartbeat that do not answer,
//! coordinators whose clocks are wrong or that do not follow.
//!
//! **Who tells what**, so that one fact is one mail:
//! - A probe, site, carrier or fleet that falls silent is an incident of [`crate::absence`]. It
//!   names the checks that too few sites are left for, and operators hear of it from there alone.
//! - A check that goes blind is in an incident of [`crate::blindness`] too, for the page and for
//!   its owners. Operators hear of that one only where no open incident explains it: every voice
//!   that is missing belongs to one, and one of these opened after the check went blind.
//! - A configured site that nobody was ever heard from is an incident of [`crate::awaited`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_model::{CheckId, IncidentId, ProbeId, Severity, SiteId, Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::absence::{Idle, Lapse, Lapsed};
use crate::awaited::Awaited;
use crate::delivery::Delivery;
use crate::drill::Drills;
use crate::effect::Effect;
use crate::incident::{EventKind, Incident, Subject, TIMELINE_LIMIT};
use crate::outbox::Edge;
use crate::state::State;
use crate::verdict::LEADER_GRACE;

/// How long a probe may lapse, or a configured site be awaited, until operators are told (B).
pub const PATIENCE: Duration = Duration::from_secs(3 * 60);
/// Those that lapse within this time of each other do so by the same event: one incident.
pub const TOGETHER: Duration = Duration::from_secs(60);

/// The part of the state that is about the installation itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The log was silent before: nobody was heard, and from here on somebody could be.
    pub hearing_since: Timestamp,
    /// The probes in an incident, by what is the matter with them.
    pub lapsed: BTreeMap<(Lapse, ProbeId), Lapsed>,
    /// The probes that are heard and run nothing.
    pub idle: BTreeMap<ProbeId, Idle>,
    /// The configured sites that a probe was ever heard from.
    pub seen: BTreeSet<SiteId>,
    /// The others, as far as a check may use them.
    pub awaited: BTreeMap<SiteId, Awaited>,
    /// When each blind check was last explained by an open incident about what it lacks.
    pub explained: BTreeMap<CheckId, Timestamp>,
    /// What is known of each channel.
    pub deliveries: BTreeMap<String, Delivery>,
    /// The receivers of the heartbeat that do not answer, with their open incident.
    pub heartbeats: BTreeMap<String, IncidentId>,
    /// The coordinators whose clocks differ from the others', with their open incident.
    pub clocks: BTreeMap<u64, IncidentId>,
    /// The coordinators that do not follow the log, with their open incident.
    pub behind: BTreeMap<u64, IncidentId>,
    /// What is known of drills.
    pub drills: Drills,
}

impl State {
    /// Whether silence since `since` has gone on for `patience`. Time without a quorum does not
    /// count, and a new leader gets one grace, however often leaders change.
    pub(crate) fn is_overdue(&self, since: Timestamp, patience: Duration) -> bool {
        let silence = self.now.since(since.max(self.watch.hearing_since));
        let in_grace = self.now.since(self.lead_since) < LEADER_GRACE;
        silence >= if in_grace { patience + LEADER_GRACE } else { patience }
    }

    /// Opens an incident of the installation's own and tells the operators.
    pub(crate) fn alarm_operators(
        &mut self,
        subject: Subject,
        status: Status,
        target: &str,
        summary: &str,
        since: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> IncidentId {
        let id = self.open_own(subject, status, target, summary, since);
        let operators = self.operators();
        self.notify(id, Edge::Alarm(status), operators, effects);
        effects.push(Effect::Incident(id));
        id
    }

    /// Opens an incident of the installation's own.
    pub(crate) fn open_own(
        &mut self,
        subject: Subject,
        status: Status,
        target: &str,
        summary: &str,
        since: Timestamp,
    ) -> IncidentId {
        let (id, now) = (self.next_incident_id(), self.now);
        let mut incident = Incident {
            id,
            subject,
            target: target.to_owned(),
            customer: None,
            severity: Severity::Warning,
            status,
            finding: None,
            summary: summary.to_owned(),
            opened_at: now,
            first_failed_at: since,
            acknowledged: None,
            resolved_at: None,
            timeline: Vec::new(),
            checks: Vec::new(),
            told: Vec::new(),
            inhibited: BTreeMap::new(),
            inhibited_by: Vec::new(),
            flapping: false,
        };
        incident.note(now, EventKind::Opened, summary.to_owned(), Vec::new());
        self.incidents.insert(id, incident);
        id
    }

    /// Lists checks that an incident of the installation's own concerns.
    pub(crate) fn note_checks(&mut self, id: IncidentId, checks: &[CheckId]) {
        let Some(incident) = self.incidents.get_mut(&id) else { return };
        let known: BTreeSet<CheckId> = incident.checks.iter().cloned().collect();
        let new = checks.iter().filter(|check| !known.contains(*check)).cloned();
        let room = TIMELINE_LIMIT.saturating_sub(incident.checks.len());
        incident.checks.extend(new.take(room));
    }

    /// What is the case in an open incident of the installation's own has changed.
    pub(crate) fn restate(&mut self, id: IncidentId, summary: String, effects: &mut Vec<Effect>) {
        let now = self.now;
        let Some(incident) = self.incidents.get_mut(&id) else { return };
        if incident.summary != summary {
            incident.summary.clone_from(&summary);
            incident.note(now, EventKind::Changed, summary, Vec::new());
            effects.push(Effect::Incident(id));
        }
    }
}

/// What operators do about trouble of the installation's own, where that can be said in general.
pub(crate) fn advice(subject: &Subject, edge: Edge) -> Option<&'static str> {
    if !matches!(edge, Edge::Alarm(_)) {
        return None;
    }
    match subject {
        Subject::Absent => Some(
            "Look whether the probe's machine runs, whether it reaches the coordinators, and what \
             the probe's log says. What it sees meanwhile is delivered when it is back.",
        ),
        Subject::Idle => Some(
            "The probe is heard, so its line is well: look at its log, its load and its version, \
             and start it anew.",
        ),
        Subject::Unstable => Some(
            "The probe's process ends and is started anew: its log says why, the service manager's \
             (`journalctl -u crosscheck-probe`) says how. What it had seen is kept on its disk.",
        ),
        Subject::Awaited => Some(
            "Start a probe with that `site:`, or look at its log for what refuses it; or take the \
             site out of the configuration.",
        ),
        Subject::Channel(_) => Some(
            "What is owed is kept and tried again. Look at the server that the channel names, and \
             at its credentials.",
        ),
        Subject::Heartbeat(_) => Some(
            "Look whether the leader reaches the receiver, and whether its address in \
             coordinator.yaml still holds.",
        ),
        Subject::Member(_) => Some(
            "Make space on its data directory's disk, or shorten `retention` in the configuration. \
             At 95 % in use the coordinator stops.",
        ),
        Subject::Clock(_) => Some(
            "Look whether the machine's clock is kept by NTP (`timedatectl`), and what it is kept \
             by. Decisions follow the median of all coordinators' clocks, so they are not wrong \
             yet.",
        ),
        Subject::Follower(_) => Some(
            "Look whether its machine and its process run, whether the others reach its Raft \
             address, and what its log says. One that is lost for good is replaced under a new \
             number: `crosscheck cluster remove`, and join again.",
        ),
        Subject::Drill(_) => Some(
            "There is nothing to mend. That this has arrived is what was to be found out; \
             `crosscheck incidents` shows whom it has reached.",
        ),
        Subject::Check(_) | Subject::Domain(_) | Subject::Probe(_) | Subject::Blind => None,
    }
}
