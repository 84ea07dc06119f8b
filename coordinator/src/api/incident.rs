//! `/api/v1/incidents`: open and resolved of late, with everything that happened.

use std::time::Duration;

use axum::extract::{Path, State as Shared};
use axum::http::HeaderMap;
use crosscheck_core::State;
use crosscheck_core::incident::{self as core, EventKind, Subject};
use crosscheck_core::outbox::SiteOpinion;
use crosscheck_model::evidence::Found;
use crosscheck_model::{Cause, IncidentId, ProbeId, Severity, Status, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::answer::{Answer, ApiError, Asked, milliseconds, read};
use crate::operator::{Caller, Sight};
use crate::page::ask;

/// Incidents on one page of the list unless another number is asked for.
const LIMIT: usize = 50;
/// The most incidents on one page: about a megabyte with full timelines.
const LIMIT_MOST: usize = 200;

/// An incident.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Incident {
    /// Its number.
    id: u64,
    /// The check it is about; null for the installation's own trouble.
    check: Option<String>,
    /// Whose check.
    customer: Option<String>,
    /// What is the case now, or was when it was resolved.
    status: Status,
    /// How far it is.
    state: Stage,
    /// How bad.
    severity: Severity,
    /// When it was decided.
    #[schemars(with = "String")]
    opened_at: Timestamp,
    /// When the first failing run began.
    #[schemars(with = "String")]
    first_failed_at: Timestamp,
    /// When it was over.
    #[schemars(with = "Option<String>")]
    resolved_at: Option<Timestamp>,
    /// What it is about: `check`, `blind`, `absent`, `idle`, `unstable`, `awaited`, a failure
    /// domain such as `carrier china-telecom`, or a `probe`, `coordinator`, `follower`, `channel` or
    /// `heartbeat` with its name.
    scope: String,
    /// In one sentence.
    summary: String,
    /// What the fault looks like, by all sites' causes and evidence; null while nobody can tell.
    finding: Option<String>,
    /// The checks that it depends on and because of which somebody has not been alarmed yet: who is
    /// told of these.
    inhibited_by: Vec<String>,
    /// What each site gathered when it began to fail; in the list of incidents left empty.
    evidence: Vec<Gathered>,
    /// What is checked.
    target: String,
    /// Who has taken it on.
    acknowledged: Option<Acknowledgement>,
    /// The checks concerned.
    checks: Vec<String>,
    /// What happened, oldest first.
    timeline: Vec<Event>,
}

/// How far an incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Nobody has taken it on.
    Open,
    /// Somebody has.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// Somebody has taken an incident on.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Acknowledgement {
    /// Who.
    by: String,
    /// When.
    #[schemars(with = "String")]
    at: Timestamp,
    /// What they said.
    note: String,
}

/// An entry of a timeline.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Event {
    /// When.
    #[schemars(with = "String")]
    at: Timestamp,
    /// What: `first_failure`, `opened`, `changed`, `notified`, `delivered`, `undelivered`,
    /// `inhibited`, `acknowledged`, `resolved`.
    #[schemars(with = "String")]
    kind: EventKind,
    /// In one sentence.
    text: String,
    /// What each site said, where a decision was made.
    sites: Vec<Opinion>,
}

/// What one site said when a decision was made.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Opinion {
    /// The site.
    site: String,
    /// Its region.
    region: String,
    /// Its carrier.
    carrier: String,
    /// What it said.
    status: Status,
    /// Why.
    cause: Option<Cause>,
    /// In the probe's words.
    detail: String,
    /// How long the run took.
    duration_ms: f64,
    /// When the run ended.
    #[schemars(with = "String")]
    at: Timestamp,
}

impl Incident {
    fn new(incident: &core::Incident) -> Self {
        let (check, checks) = match &incident.subject {
            Subject::Check(id) => (Some(id.to_string()), vec![id.to_string()]),
            _ => (None, incident.checks.iter().map(ToString::to_string).collect()),
        };
        Self {
            id: incident.id.0,
            check,
            customer: incident.customer.as_ref().map(ToString::to_string),
            status: incident.status,
            state: Stage::of(incident),
            severity: incident.severity,
            opened_at: incident.opened_at,
            first_failed_at: incident.first_failed_at,
            resolved_at: incident.resolved_at,
            scope: scope(&incident.subject),
            summary: incident.summary.clone(),
            finding: incident.finding.clone(),
            inhibited_by: incident.inhibited_by.iter().map(ToString::to_string).collect(),
            evidence: Vec::new(),
            target: incident.target.clone(),
            acknowledged: incident.acknowledged.as_ref().map(|taken| Acknowledgement {
                by: taken.by.clone(),
                at: taken.at,
                note: taken.note.clone(),
            }),
            checks,
            timeline: incident.timeline.iter().map(Event::new).collect(),
        }
    }
}

/// What one site gathered.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Gathered {
    /// The site.
    site: String,
    /// The probe there.
    probe: String,
    /// When the failure began there.
    #[schemars(with = "String")]
    failing_since: Timestamp,
    /// When it was gathered.
    #[schemars(with = "String")]
    at: Timestamp,
    /// What was found.
    found: Found,
}

impl Gathered {
    /// What was gathered about an incident's check while it lasted.
    fn of(state: &State, incident: &core::Incident) -> Vec<Self> {
        let Subject::Check(check) = &incident.subject else { return Vec::new() };
        let until = incident.resolved_at.unwrap_or(Timestamp::from_millis(u64::MAX));
        let gathered = state.evidence_in(check, incident.first_failed_at, until);
        let site = |probe: &ProbeId| state.probes.get(probe).map(|known| known.site.to_string());
        let each = gathered.into_iter().map(|(probe, evidence)| Self {
            site: site(probe).unwrap_or_default(),
            probe: probe.to_string(),
            failing_since: evidence.failing_since,
            at: evidence.at,
            found: evidence.found.clone(),
        });
        each.collect()
    }
}

impl Stage {
    const fn of(incident: &core::Incident) -> Self {
        match (&incident.resolved_at, &incident.acknowledged) {
            (Some(_), _) => Self::Resolved,
            (None, Some(_)) => Self::Acknowledged,
            (None, None) => Self::Open,
        }
    }

    /// Whether a filter by this stage lets an incident through: `open` is all that is not over.
    fn admits(self, incident: &core::Incident) -> bool {
        match self {
            Self::Open => incident.resolved_at.is_none(),
            stage => stage == Self::of(incident),
        }
    }
}

impl Event {
    fn new(event: &core::Event) -> Self {
        let sites = event.sites.iter().map(Opinion::new).collect();
        Self { at: event.at, kind: event.kind, text: event.text.clone(), sites }
    }
}

impl Opinion {
    fn new(opinion: &SiteOpinion) -> Self {
        Self {
            site: opinion.site.to_string(),
            region: opinion.region.clone(),
            carrier: opinion.carrier.clone(),
            status: opinion.status,
            cause: opinion.cause,
            detail: opinion.detail.clone(),
            duration_ms: milliseconds(Duration::from_micros(opinion.duration_us)),
            at: opinion.at,
        }
    }
}

/// How wide an incident is.
fn scope(subject: &Subject) -> String {
    match subject {
        Subject::Check(_) => "check".to_owned(),
        Subject::Domain(domain) => domain.to_string(),
        Subject::Probe(probe) => format!("probe {probe}"),
        Subject::Blind => "blind".to_owned(),
        Subject::Member(node) => format!("coordinator {node}"),
        Subject::Absent => "absent".to_owned(),
        Subject::Idle => "idle".to_owned(),
        Subject::Unstable => "unstable".to_owned(),
        Subject::Awaited => "awaited".to_owned(),
        Subject::Channel(name) => format!("channel {name}"),
        Subject::Heartbeat(name) => format!("heartbeat {name}"),
        Subject::Clock(node) => format!("clock of coordinator {node}"),
        Subject::Follower(node) => format!("follower {node}"),
        Subject::Drill(_) => "drill".to_owned(),
    }
}

/// Which incidents are wanted.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct IncidentsQuery {
    /// Only those at this stage; `open` includes acknowledged ones.
    status: Option<Stage>,
    /// Only those about this check, by its id.
    check: Option<String>,
    /// Only those with a number below this one: where the page before ended.
    before: Option<u64>,
    /// How many, at most 200.
    limit: Option<usize>,
}

impl IncidentsQuery {
    fn admits(&self, incident: &core::Incident) -> bool {
        let about = |check: &String| match &incident.subject {
            Subject::Check(id) => id.as_str() == check,
            _ => incident.checks.iter().any(|id| id.as_str() == check),
        };
        self.before.is_none_or(|before| incident.id.0 < before)
            && self.status.is_none_or(|stage| stage.admits(incident))
            && self.check.as_ref().is_none_or(about)
    }

    /// Where the next page is.
    fn next(&self, last: u64, limit: usize) -> String {
        let mut next =
            form_urlencode(&[("before", &last.to_string()), ("limit", &limit.to_string())]);
        if let Some(stage) = self.status {
            let word = match stage {
                Stage::Open => "open",
                Stage::Acknowledged => "acknowledged",
                Stage::Resolved => "resolved",
            };
            next.push_str(&format!("&status={word}"));
        }
        if let Some(check) = &self.check {
            next.push_str(&format!("&check={}", crate::page::segment(check)));
        }
        format!("/api/v1/incidents?{next}")
    }
}

/// Pairs of plain words as a query string.
fn form_urlencode(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// `GET /api/v1/incidents`.
pub(super) async fn list(
    Shared(api): Shared<Api>,
    caller: Caller,
    Asked(query): Asked<IncidentsQuery>,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    read(api, move |reader| {
        let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MOST);
        let (page, more) = ask(reader, |state| wanted(state, &caller.sight, &query, limit));
        let next = page.last().filter(|_| more).map(|last| query.next(last.id, limit));
        Ok(Answer::new(&page, &headers)?.with_next(next))
    })
    .await
}

/// One page of the incidents wanted, newest first, and whether there are more.
fn wanted(
    state: &State,
    sight: &Sight,
    query: &IncidentsQuery,
    limit: usize,
) -> (Vec<Incident>, bool) {
    let seen = state.incidents.values().rev().filter(|incident| sight.sees_incident(incident));
    let mut found = seen.filter(|incident| query.admits(incident));
    let page = found.by_ref().take(limit).map(Incident::new).collect();
    (page, found.next().is_some())
}

/// `GET /api/v1/incidents/{incident}`.
pub(super) async fn one(
    Shared(api): Shared<Api>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    read(api, move |reader| {
        let number = parse(&id)?;
        let found = ask(reader, |state| {
            let incident = state.incidents.get(&number);
            let incident = incident.filter(|incident| caller.sight.sees_incident(incident))?;
            let evidence = Gathered::of(state, incident);
            Some(Incident { evidence, ..Incident::new(incident) })
        });
        Answer::new(&found.ok_or_else(|| missing(&id))?, &headers)
    })
    .await
}

/// An incident's number from a path.
pub(super) fn parse(id: &str) -> Result<IncidentId, ApiError> {
    id.parse().map(IncidentId).map_err(|_| missing(id))
}

/// There is no incident of that number.
pub(super) fn missing(id: &str) -> ApiError {
    ApiError::missing(
        "incident",
        id,
        "GET /api/v1/incidents lists them; old ones are in the reports",
    )
}
