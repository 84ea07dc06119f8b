//! Incidents: open, acknowledged, resolved, with a timeline.

use crosscheck_model::{CheckId, CustomerId, IncidentId, Severity, Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::outbox::SiteOpinion;
use crate::quorum::Domain;

/// What an incident is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// A check's target.
    Check(CheckId),
    /// A site, carrier or region from which targets fail that are up from elsewhere.
    Domain(Domain),
    /// Checks that too few live voters are left for.
    Blind,
}

/// An incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number.
    pub id: IncidentId,
    /// What it is about.
    pub subject: Subject,
    /// What is checked, in a few words.
    pub target: String,
    /// Whose check; `None` is the installation's own.
    pub customer: Option<CustomerId>,
    /// How bad.
    pub severity: Severity,
    /// What is the case now, or was when it was resolved.
    pub status: Status,
    /// What is the case, in one sentence.
    pub summary: String,
    /// When it was decided.
    pub opened_at: Timestamp,
    /// When the first failing run began that led to it.
    pub first_failed_at: Timestamp,
    /// Who has taken it on.
    pub acknowledged: Option<Acknowledgement>,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// What happened, oldest first; at most [`TIMELINE_LIMIT`] entries.
    pub timeline: Vec<Event>,
    /// The checks concerned, for a domain's or a blind incident; at most [`TIMELINE_LIMIT`].
    pub checks: Vec<CheckId>,
}

/// The most entries of a timeline: a flapping check must not fill the memory.
pub const TIMELINE_LIMIT: usize = 200;

/// Somebody has taken an incident on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What they said.
    pub note: String,
}

/// An entry of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// In one sentence.
    pub text: String,
    /// What each site said, where a decision was made.
    pub sites: Vec<SiteOpinion>,
}

/// What an entry of a timeline tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The first failing run.
    FirstFailure,
    /// The incident opened.
    Opened,
    /// The verdict changed while it was open.
    Changed,
    /// A notification became owed.
    Notified,
    /// A notification was delivered.
    Delivered,
    /// A notification was not delivered.
    Undelivered,
    /// Somebody took it on.
    Acknowledged,
    /// It is over.
    Resolved,
}
