//! `summary.json` in Atlassian Statuspage's shape (status API v2), for the tools that read it.
//!
//! Like the page it says nothing about contacts and deliveries.

use axum::extract::{Path, State as Shared};
use axum::http::HeaderMap;
use crosscheck_core::State;
use crosscheck_core::incident::{self as core, Subject};
use crosscheck_core::state::CheckState;
use crosscheck_core::verdict::Reason;
use crosscheck_model::{CheckId, Severity, Status, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::answer::{Answer, ApiError, read};
use crate::page::{Freshness, Overall, Reader, Scope, Story, Tone, Work, ask, reason, segment};

/// A page in a few words.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Summary {
    page: PageRef,
    status: OverallStatus,
    components: Vec<Component>,
    incidents: Vec<Incident>,
    scheduled_maintenances: Vec<Scheduled>,
}

/// Which page.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PageRef {
    id: String,
    name: String,
    url: String,
    time_zone: &'static str,
    #[schemars(with = "String")]
    updated_at: Timestamp,
}

/// The overall state: `none`, `minor`, `major`, `critical` or `maintenance`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OverallStatus {
    indicator: &'static str,
    description: String,
}

/// A check: `operational`, `degraded_performance`, `partial_outage`, `major_outage` or
/// `under_maintenance`. The shape has no word for what cannot be judged: that is
/// `degraded_performance`, never `operational`, and the description says so.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Component {
    id: String,
    name: String,
    status: &'static str,
    #[schemars(with = "String")]
    updated_at: Timestamp,
    position: usize,
    description: Option<String>,
    showcase: bool,
    group_id: Option<String>,
    page_id: String,
    group: bool,
    only_show_if_degraded: bool,
}

/// An open incident.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Incident {
    id: String,
    name: String,
    /// `investigating`, or `identified` once somebody has taken it on.
    status: &'static str,
    /// `none`, `minor`, `major` or `critical`.
    impact: &'static str,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[schemars(with = "String")]
    started_at: Timestamp,
    #[schemars(with = "String")]
    updated_at: Timestamp,
    #[schemars(with = "Option<String>")]
    resolved_at: Option<Timestamp>,
    shortlink: String,
    page_id: String,
    incident_updates: Vec<Update>,
    components: Vec<Component>,
}

/// What happened to an incident.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Update {
    id: String,
    incident_id: String,
    status: &'static str,
    body: String,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[schemars(with = "String")]
    display_at: Timestamp,
}

/// Planned work.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Scheduled {
    id: String,
    name: String,
    /// `scheduled` or `in_progress`.
    status: &'static str,
    impact: &'static str,
    #[schemars(with = "String")]
    scheduled_for: Timestamp,
    #[schemars(with = "String")]
    scheduled_until: Timestamp,
    page_id: String,
    incident_updates: Vec<Update>,
}

/// `GET /api/v2/summary.json`.
pub(super) async fn home(Shared(api): Shared<Api>, headers: HeaderMap) -> Result<Answer, ApiError> {
    read(api, move |reader| answer(reader, None, &headers)).await
}

/// `GET /pages/{page}/api/v2/summary.json`.
pub(super) async fn page(
    Shared(api): Shared<Api>,
    Path(page): Path<String>,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    read(api, move |reader| answer(reader, Some(&page), &headers)).await
}

fn answer(
    reader: &dyn Reader,
    page: Option<&str>,
    headers: &HeaderMap,
) -> Result<Answer, ApiError> {
    let freshness = reader.freshness();
    let summary = ask(reader, |state| {
        let scope = Scope::of(state, page)?;
        Some(Summary::new(state, &scope, freshness))
    });
    let missing = || ApiError::missing("page", page.unwrap_or_default(), "pages are configured");
    Answer::new(&summary.ok_or_else(missing)?, headers)
}

impl Summary {
    fn new(state: &State, scope: &Scope, freshness: Freshness) -> Self {
        let now = freshness.as_of;
        let id = scope.page.clone().unwrap_or_else(|| "status".to_owned());
        let overall = Overall::new(state, scope, freshness.minority);
        let open = state.incidents.values().rev().filter(|i| i.resolved_at.is_none());
        let address = public_address(state);
        let mut components = components(state, scope, &id, |_| true);
        if freshness.minority {
            components.iter_mut().for_each(Component::doubt);
        }
        Self {
            page: PageRef {
                id: id.clone(),
                name: scope.title.clone(),
                url: format!("{address}{}", scope.home()),
                time_zone: "Etc/UTC",
                updated_at: now,
            },
            status: OverallStatus {
                indicator: indicator(overall.tone),
                description: overall.sentence,
            },
            components,
            incidents: open
                .filter(|incident| scope.shows(incident))
                .map(|incident| Incident::new(state, incident, scope, (&id, &address), now))
                .collect(),
            scheduled_maintenances: Work::of(state, scope, now)
                .into_iter()
                .map(|work| Scheduled::new(work, &id))
                .collect(),
        }
    }
}

/// The configured address of the pages, without a slash at its end.
fn public_address(state: &State) -> String {
    let address = state.config.public_url.as_deref().unwrap_or_default();
    address.trim_end_matches('/').to_owned()
}

/// The indicator of an overall state. What is unknown or stale is not `none`.
const fn indicator(tone: Tone) -> &'static str {
    match tone {
        Tone::Up => "none",
        Tone::Maintenance => "maintenance",
        Tone::Unknown | Tone::Degraded => "minor",
        Tone::Down => "major",
    }
}

/// A component's status.
const fn component_status(check: &CheckState) -> &'static str {
    match (Tone::of_check(check), &check.verdict.reason) {
        (Tone::Maintenance, _) => "under_maintenance",
        (Tone::Up, _) => "operational",
        (Tone::Degraded, Reason::Partial(_) | Reason::Mixed) => "partial_outage",
        (Tone::Degraded | Tone::Unknown, _) => "degraded_performance",
        (Tone::Down, _) => "major_outage",
    }
}

/// The page's components that are wanted.
fn components(
    state: &State,
    scope: &Scope,
    page: &str,
    wanted: impl Fn(&CheckId) -> bool,
) -> Vec<Component> {
    let checks = scope.checks(state).into_iter().zip(1..);
    checks
        .filter(|((id, _), _)| wanted(id))
        .map(|((id, check), position)| Component {
            id: segment(id.as_str()),
            name: check.spec.name.clone(),
            status: component_status(check),
            updated_at: check.since,
            position,
            description: description(state, check),
            showcase: true,
            group_id: None,
            page_id: page.to_owned(),
            group: false,
            only_show_if_degraded: false,
        })
        .collect()
}

impl Component {
    /// Nothing is green without fresh evidence, and a minority has none.
    fn doubt(&mut self) {
        if self.status == "operational" {
            self.status = "degraded_performance";
            self.description = Some("Last known up; nobody can tell at present".to_owned());
        }
    }
}

/// Why a component is not operational.
fn description(state: &State, check: &CheckState) -> Option<String> {
    let tone = Tone::of_check(check);
    let why = || format!("{}: {}", tone.word(), reason(check, &state.site_views(check)));
    (tone != Tone::Up).then(why)
}

impl Incident {
    fn new(
        state: &State,
        incident: &core::Incident,
        scope: &Scope,
        (page, address): (&str, &str),
        now: Timestamp,
    ) -> Self {
        let story = Story::new(state, incident, scope, now);
        let id = incident.id.to_string();
        let status = if incident.acknowledged.is_some() { "identified" } else { "investigating" };
        let updated_at = incident.timeline.last().map_or(incident.opened_at, |event| event.at);
        let concerned = |check: &CheckId| match &incident.subject {
            Subject::Check(about) => about == check,
            Subject::Domain(_) | Subject::Probe(_) | Subject::Blind | Subject::Member(_) => {
                incident.checks.contains(check)
            }
        };
        let updates = story.events.iter().zip((0..story.events.len()).rev());
        Self {
            name: story.title.clone(),
            status,
            impact: impact(incident),
            created_at: incident.opened_at,
            started_at: incident.first_failed_at,
            updated_at,
            resolved_at: incident.resolved_at,
            shortlink: format!("{address}{}", story.path),
            page_id: page.to_owned(),
            incident_updates: updates
                .map(|(event, n)| Update {
                    id: format!("{id}-{n}"),
                    incident_id: id.clone(),
                    status,
                    body: format!("{}. {}", event.heading, event.text),
                    created_at: event.when,
                    display_at: event.when,
                })
                .collect(),
            components: components(state, scope, page, concerned),
            id,
        }
    }
}

/// An incident's impact, by its status and severity.
const fn impact(incident: &core::Incident) -> &'static str {
    match (incident.status, incident.severity) {
        (Status::Down, Severity::Disaster) => "critical",
        (Status::Down, Severity::High) => "major",
        (Status::Up, _) => "none",
        _ => "minor",
    }
}

impl Scheduled {
    fn new(work: Work, page: &str) -> Self {
        let (scheduled_for, scheduled_until) = work.window;
        Self {
            id: work.key,
            name: work.reason,
            status: if work.is_now { "in_progress" } else { "scheduled" },
            impact: "maintenance",
            scheduled_for,
            scheduled_until,
            page_id: page.to_owned(),
            incident_updates: Vec::new(),
        }
    }
}
