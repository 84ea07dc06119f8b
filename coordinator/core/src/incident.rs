//! Incidents: open, acknowledged, resolved, with a timeline.

use std::collections::{BTreeMap, BTreeSet};

use crosscheck_model::{CheckId, CustomerId, IncidentId, ProbeId, Severity, Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::Reply;
use crate::effect::Effect;
use crate::notify::Recipient;
use crate::outbox::{Edge, SiteOpinion};
use crate::quorum::Domain;
use crate::state::{CheckState, SiteView, State};
use crate::verdict::{Electorate, MIXED_ROUNDS, RECOVERY_ROUNDS, Reason};

/// What an incident is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// A check's target.
    Check(CheckId),
    /// A site, carrier or region from which targets fail that are up from elsewhere.
    Domain(Domain),
    /// A probe whose votes are withheld.
    Probe(ProbeId),
    /// Checks that too few live voters are left for.
    Blind,
    /// A coordinator's disk.
    Member(u64),
    /// Probes that are not heard; see [`crate::absence`].
    Absent,
    /// Probes that are heard and run nothing; see [`crate::absence`].
    Idle,
    /// Probes that begin anew again and again; see [`crate::absence`].
    Unstable,
    /// Sites that no probe was ever heard from; see [`crate::awaited`].
    Awaited,
    /// A channel that delivers nothing of what is owed by it; see [`crate::delivery`].
    Channel(String),
    /// A receiver of the installation's heartbeat that does not answer; see
    /// [`crate::heartbeat`].
    Heartbeat(String),
    /// A coordinator's clock that differs from the others'; see [`crate::clock`].
    Clock(u64),
    /// A coordinator that does not follow the log; see [`crate::follower`].
    Follower(u64),
    /// Nothing: a failure of this check, or of the installation itself, is simulated; see
    /// [`crate::drill`].
    Drill(Option<CheckId>),
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
    /// What the fault looks like, in one sentence, as far as it is known; see [`crate::finding`].
    pub finding: Option<String>,
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
    /// The statuses that people have been alarmed of in this incident, or will be when nothing
    /// inhibits it.
    pub told: Vec<Status>,
    /// Who has not been alarmed because of other checks, and of what; see [`crate::inhibition`].
    pub inhibited: BTreeMap<Recipient, Status>,
    /// Because of which.
    pub inhibited_by: Vec<CheckId>,
    /// The check comes and goes: the incident ends when it has been well for long.
    pub flapping: bool,
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
    /// A notification is not owed to all while something else is down.
    Inhibited,
    /// Somebody took it on.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// What an incident calls for, by the check's verdict.
enum Call {
    /// Nobody need be told.
    Nothing,
    /// It is over.
    Close,
    /// Tell the owners (and, where nobody can confirm, the operators) that it is this bad.
    Alarm { status: Status, severity: Severity, operators: bool },
}

impl State {
    /// Brings a check's incident in line with its verdict. In a maintenance nothing opens,
    /// changes or closes; what is still so at its end, is done then.
    pub(crate) fn reconcile_incident(&mut self, id: &CheckId, effects: &mut Vec<Effect>) {
        let Some(check) = self.checks.get(id) else { return };
        if check.maintenance {
            return;
        }
        match self.call_of(check) {
            Call::Nothing => self.annotate(id, effects),
            Call::Close => self.close(id, effects),
            Call::Alarm { status, severity, operators } => {
                self.raise(id, status, severity, operators, effects);
                self.note_down(id);
            }
        }
    }

    /// Opens the check's incident, or lets it tell more people worse things; each status is told
    /// once an incident.
    fn raise(
        &mut self,
        id: &CheckId,
        status: Status,
        severity: Severity,
        operators: bool,
        effects: &mut Vec<Effect>,
    ) {
        let first_failed_at = self.first_failed_of(id);
        let known = self.checks.get(id).and_then(|check| check.incident);
        let incident_id = known.unwrap_or_else(|| self.open_incident(id, severity));
        let summary = self.summary_of(id);
        let sites = self.opinions_of(id);
        self.refresh_finding(id);
        let Some(incident) = self.incidents.get_mut(&incident_id) else { return };
        incident.first_failed_at = incident.first_failed_at.min(first_failed_at);
        // What is less bad than what people know already wakes nobody.
        if incident.told.iter().any(|told| told.badness() >= status.badness()) {
            let somebody_waits = !incident.inhibited.is_empty();
            self.annotate(id, effects);
            if somebody_waits {
                self.alarm(id, incident_id, status, BTreeSet::new(), effects);
            }
            return;
        }
        incident.told.push(status);
        incident.status = status;
        incident.severity = incident.severity.max(severity);
        incident.summary.clone_from(&summary);
        if known.is_some() {
            incident.note(self.now, EventKind::Changed, summary, sites);
        }
        effects.push(Effect::Incident(incident_id));
        let Some(check) = self.checks.get(id) else { return };
        let mut recipients = self.recipients(check, severity);
        if operators {
            recipients.extend(self.operators());
        }
        self.alarm(id, incident_id, status, recipients, effects);
    }

    fn open_incident(&mut self, id: &CheckId, severity: Severity) -> IncidentId {
        let flapping = self.count_edge(id);
        let summary = self.summary_of(id);
        let first_failed_at = self.first_failed_of(id);
        let sites = self.opinions_of(id);
        let now = self.now;
        let incident_id = self.next_incident_id();
        let Some(check) = self.checks.get_mut(id) else { return incident_id };
        check.incident = Some(incident_id);
        let mut incident = Incident {
            id: incident_id,
            subject: Subject::Check(id.clone()),
            target: check.spec.target.clone(),
            customer: check.spec.customer.clone(),
            severity,
            status: check.verdict.status,
            summary: summary.clone(),
            finding: None,
            opened_at: now,
            first_failed_at,
            acknowledged: None,
            resolved_at: None,
            timeline: Vec::new(),
            checks: Vec::new(),
            told: Vec::new(),
            inhibited: BTreeMap::new(),
            inhibited_by: Vec::new(),
            flapping,
        };
        if first_failed_at < now {
            let text = "the first failing run began".to_owned();
            incident.note(first_failed_at, EventKind::FirstFailure, text, Vec::new());
        }
        incident.note(now, EventKind::Opened, summary, sites);
        self.incidents.insert(incident_id, incident);
        incident_id
    }

    /// Notes a change of verdict in an open incident.
    fn annotate(&mut self, id: &CheckId, effects: &mut Vec<Effect>) {
        let Some(open) = self.checks.get(id).and_then(|check| check.incident) else { return };
        let summary = self.summary_of(id);
        if self.incidents.get(&open).is_none_or(|incident| incident.summary == summary) {
            return;
        }
        let sites = self.opinions_of(id);
        let status = self.checks.get(id).map(|check| check.verdict.status);
        let now = self.now;
        let Some(incident) = self.incidents.get_mut(&open) else { return };
        incident.status = status.unwrap_or(incident.status);
        incident.summary.clone_from(&summary);
        incident.note(now, EventKind::Changed, summary, sites);
        effects.push(Effect::Incident(open));
        self.refresh_finding(id);
    }

    fn close(&mut self, id: &CheckId, effects: &mut Vec<Effect>) {
        self.count_edge(id);
        let sites = self.opinions_of(id);
        let now = self.now;
        let Some(check) = self.checks.get_mut(id) else { return };
        let Some(open) = check.incident.take() else { return };
        check.closed_at = now;
        check.failed_from = None;
        let resolved_at = check.since;
        let summary = self.summary_of(id);
        self.resolve(open, resolved_at, summary, sites, Edge::Recovery, effects);
    }

    /// A check that is no longer configured takes its incident with it, with a last word to
    /// whoever was alarmed.
    pub(crate) fn close_removed(&mut self, id: &CheckId, effects: &mut Vec<Effect>) {
        let Some(open) = self.checks.get_mut(id).and_then(|check| check.incident.take()) else {
            return;
        };
        self.evidence.forget(id);
        let text = "the check was removed from the configuration".to_owned();
        self.resolve(open, self.now, text, Vec::new(), Edge::Removed, effects);
    }

    /// Ends an incident, and owes its end to whoever was told of its beginning.
    pub(crate) fn resolve(
        &mut self,
        id: IncidentId,
        at: Timestamp,
        summary: String,
        sites: Vec<SiteOpinion>,
        edge: Edge,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.now;
        let Some(incident) = self.incidents.get_mut(&id) else { return };
        incident.resolved_at = Some(at.max(incident.first_failed_at));
        incident.inhibited.clear();
        incident.inhibited_by.clear();
        incident.status = if edge == Edge::Recovery { Status::Up } else { Status::Unknown };
        incident.summary.clone_from(&summary);
        incident.note(now, EventKind::Resolved, summary, sites);
        let told = self.alarmed(id);
        self.notify(id, edge, told, effects);
        effects.push(Effect::Incident(id));
    }

    /// Somebody takes an incident on. The first one counts.
    pub(crate) fn acknowledge(
        &mut self,
        id: IncidentId,
        by: String,
        note: String,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let now = self.now;
        let Some(incident) = self.incidents.get_mut(&id) else {
            return Reply::Rejected(format!("no incident {id}"));
        };
        if incident.resolved_at.is_some() {
            return Reply::Rejected(format!("incident {id} is over"));
        }
        if let Some(first) = &incident.acknowledged {
            return Reply::Rejected(format!("{} has acknowledged incident {id}", first.by));
        }
        let text = if note.is_empty() { by.clone() } else { format!("{by}: {note}") };
        incident.acknowledged = Some(Acknowledgement { by, at: now, note });
        incident.note(now, EventKind::Acknowledged, text, Vec::new());
        effects.push(Effect::Incident(id));
        Reply::Done
    }

    /// The number of a new incident.
    pub(crate) fn next_incident_id(&mut self) -> IncidentId {
        self.next_incident += 1;
        IncidentId(self.next_incident)
    }

    /// What each site says of a check, for a mail and the timeline.
    pub(crate) fn opinions_of(&self, id: &CheckId) -> Vec<SiteOpinion> {
        let Some(check) = self.checks.get(id) else { return Vec::new() };
        let opinion = |view: SiteView<'_>| SiteOpinion {
            site: view.site.clone(),
            region: view.place.map(|place| place.region.clone()).unwrap_or_default(),
            carrier: view.place.map(|place| place.carrier.clone()).unwrap_or_default(),
            status: view.vote.map_or(Status::Unknown, |vote| vote.status),
            cause: view.vote.and_then(|vote| vote.cause),
            detail: match (view.vote, view.silent) {
                (Some(vote), _) => vote.detail.clone(),
                (None, silent) => silent.unwrap_or_default().to_owned(),
            },
            duration_us: view.vote.map_or(0, |vote| vote.duration_us),
            at: view.vote.map_or(self.now, |vote| vote.at),
        };
        self.site_views(check).into_iter().map(opinion).collect()
    }
}

impl State {
    fn call_of(&self, check: &CheckState) -> Call {
        let severity = check.spec.severity;
        let tally = &check.tally;
        let alarm = |status, severity, operators| Call::Alarm { status, severity, operators };
        match check.verdict.reason {
            Reason::Failing => alarm(Status::Down, severity, false),
            // It has been told of as worse: that is over, and what is left is told anew, so that
            // the next failure is told, too.
            Reason::Slow if self.is_past_the_worst(check) && self.is_stable(check) => Call::Close,
            Reason::Slow => alarm(Status::Degraded, severity.lower(), false),
            Reason::Mixed if tally.split_rounds >= MIXED_ROUNDS => {
                alarm(Status::Degraded, severity.lower(), false)
            }
            Reason::Suspect if self.confirmed_suspect(check) => {
                alarm(Status::Unknown, severity, true)
            }
            Reason::Working | Reason::Partial(_)
                if check.incident.is_some() && self.is_stable(check) =>
            {
                Call::Close
            }
            _ => Call::Nothing,
        }
    }

    /// A check that is slow now was told of as failing, and has answered for as long as a recovery
    /// takes.
    fn is_past_the_worst(&self, check: &CheckState) -> bool {
        let tally = &check.tally;
        let worse = |told: &Status| told.badness() > Status::Degraded.badness();
        let incident = check.incident.and_then(|id| self.incidents.get(&id));
        incident.is_some_and(|incident| incident.told.iter().any(worse))
            && tally.lame.is_none()
            && tally.row == Reason::Slow
            && tally.rounds >= RECOVERY_ROUNDS
            && self.now.since(tally.since) >= check.spec.recovery_hold
    }

    /// Those who are left have each been asked again since they were left alone, and still fail.
    fn confirmed_suspect(&self, check: &CheckState) -> bool {
        let since = check.tally.lame.as_ref().and_then(|lame| lame.failing_since);
        let live = Electorate::of(self, check).heard().live;
        let again = |since| live.iter().all(|elector| elector.vote.started > since);
        !live.is_empty() && since.is_some_and(again)
    }

    /// When the first run failed that led to the present verdict, as far as it is known.
    fn first_failed_of(&self, id: &CheckId) -> Timestamp {
        let Some(check) = self.checks.get(id) else { return self.now };
        let seen = || Electorate::of(self, check).first_failed();
        check.failed_from.or_else(seen).unwrap_or(self.now)
    }
}

impl Incident {
    /// Whether it is about the check, alone or among others.
    pub fn concerns(&self, check: &CheckId) -> bool {
        match &self.subject {
            Subject::Check(about) => about == check,
            _ => self.checks.contains(check),
        }
    }

    /// Adds an entry to the timeline; when it is full, the ones in the middle go.
    pub(crate) fn note(
        &mut self,
        at: Timestamp,
        kind: EventKind,
        text: String,
        sites: Vec<SiteOpinion>,
    ) {
        if self.timeline.len() >= TIMELINE_LIMIT {
            self.timeline.remove(TIMELINE_LIMIT / 2);
        }
        self.timeline.push(Event { at, kind, text, sites });
    }
}
