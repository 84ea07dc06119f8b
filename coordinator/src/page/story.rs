//! An incident as the page tells it: what, since when, and what happened, without whom it woke.
//!
//! The page is public: contacts, delivery and who took it on stay in the operators' API.

use crosscheck_core::State;
use crosscheck_core::incident::{Event, EventKind, Incident, Subject};
use crosscheck_model::{Status, Timestamp};

use super::component::{SiteVote, domain_text};
use super::exhibit::Exhibit;
use super::scope::Scope;
use super::text::{self, Moment};
use super::tone::Tone;

/// An incident on a page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Story {
    /// Its number.
    pub(crate) number: u64,
    /// What it is about.
    pub(crate) title: String,
    /// Where its own page is.
    pub(crate) path: String,
    /// Its look.
    pub(crate) tone: Tone,
    /// `Open`, `Acknowledged` or `Resolved`.
    pub(crate) stage: &'static str,
    /// How bad.
    pub(crate) severity: &'static str,
    /// What is checked.
    pub(crate) target: String,
    /// What is the case, in one sentence.
    pub(crate) summary: String,
    /// What the fault looks like, in one sentence; empty while nobody can tell.
    pub(crate) finding: String,
    /// What each site gathered; only where everything is shown, for it tells of networks.
    pub(crate) exhibits: Vec<Exhibit>,
    /// When it was decided.
    pub(crate) opened: Moment,
    /// When the first failing run began.
    pub(crate) first_failed: Moment,
    /// When it was over.
    pub(crate) resolved: Option<Moment>,
    /// From the first failing run to the end, or until now.
    pub(crate) lasted: String,
    /// What happened, newest first.
    pub(crate) events: Vec<Chapter>,
    /// The page's checks concerned: name and path.
    pub(crate) checks: Vec<(String, String)>,
}

/// An entry of an incident's timeline.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chapter {
    /// When, for machines.
    pub(crate) when: Timestamp,
    /// When.
    pub(crate) at: Moment,
    /// What kind of thing.
    pub(crate) heading: &'static str,
    /// In one sentence.
    pub(crate) text: String,
    /// What each site said.
    pub(crate) votes: Vec<SiteVote>,
}

impl Story {
    /// The view of one incident.
    pub(crate) fn new(state: &State, incident: &Incident, scope: &Scope, now: Timestamp) -> Self {
        let ended = incident.resolved_at.unwrap_or(now);
        let own = is_own(incident, scope);
        let mut events: Vec<Chapter> =
            incident.timeline.iter().filter_map(|event| Chapter::new(event, now, own)).collect();
        events.reverse();
        Self {
            number: incident.id.0,
            title: title(state, incident),
            path: scope.incident_path(incident),
            tone: Tone::of(worst(incident)),
            stage: stage(incident),
            severity: incident.severity.as_str(),
            target: text::quote(&incident.target),
            summary: summary(incident, scope),
            finding: if own { finding(incident) } else { String::new() },
            exhibits: if scope.whole { Exhibit::of(state, incident) } else { Vec::new() },
            opened: Moment::near(incident.opened_at, now),
            first_failed: Moment::near(incident.first_failed_at, now),
            resolved: incident.resolved_at.map(|at| Moment::near(at, now)),
            lasted: text::length(ended.since(incident.first_failed_at)),
            events,
            checks: checks(state, incident, scope),
        }
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        self.resolved.is_some()
    }
}

impl Chapter {
    /// The view of one event; `None` for what concerns the staff only.
    fn new(event: &Event, now: Timestamp, own: bool) -> Option<Self> {
        let words = if own { text::quote(&event.text) } else { String::new() };
        let (heading, text) = match event.kind {
            EventKind::FirstFailure => ("First failing run", words),
            EventKind::Opened => ("Opened", words),
            EventKind::Changed => ("Changed", words),
            EventKind::Acknowledged => ("Acknowledged", "Somebody is working on it.".to_owned()),
            EventKind::Resolved => ("Resolved", words),
            EventKind::Notified
            | EventKind::Delivered
            | EventKind::Undelivered
            | EventKind::Inhibited => return None,
        };
        let votes = event.sites.iter().map(|opinion| SiteVote::past(opinion, now)).collect();
        Some(Self { when: event.at, at: Moment::near(event.at, now), heading, text, votes })
    }
}

/// Open, acknowledged or resolved.
pub(crate) fn stage(incident: &Incident) -> &'static str {
    match (&incident.resolved_at, &incident.acknowledged) {
        (Some(_), _) => "Resolved",
        (None, Some(_)) => "Acknowledged",
        (None, None) => "Open",
    }
}

/// What an incident is about, in a few words.
pub(crate) fn title(state: &State, incident: &Incident) -> String {
    match &incident.subject {
        Subject::Check(id) => {
            let name = state.checks.get(id).map_or(id.as_str(), |check| &check.spec.name);
            text::quote(name)
        }
        Subject::Domain(domain) => format!("Failures seen only from {}", domain_text(domain)),
        Subject::Probe(probe) => format!("Probe {} is not heeded", text::quote(probe.as_str())),
        Subject::Blind => "Too few sites can judge".to_owned(),
        Subject::Member(node) => format!("The disk of coordinator {node} is nearly full"),
        Subject::Absent | Subject::Idle | Subject::Unstable | Subject::Awaited => {
            format!("No {}", text::quote(&incident.target))
        }
        Subject::Channel(name) => format!("Channel {} delivers nothing", text::quote(name)),
        Subject::Heartbeat(name) => {
            format!("Heartbeats do not reach {}", text::quote(name))
        }
        Subject::Clock(node) => format!("The clock of coordinator {node} is wrong"),
        Subject::Follower(node) => format!("Coordinator {node} does not follow"),
        Subject::Drill(_) => format!("Drill: {}", text::quote(&incident.target)),
    }
}

/// What the incident was about: what is the case, and of one that is over, where that is Up by now,
/// the worst that people were told.
fn worst(incident: &Incident) -> Status {
    let told = incident.told.iter().copied().max_by_key(|told| told.badness());
    match incident.status {
        Status::Up => told.unwrap_or(Status::Down),
        status => status,
    }
}

/// Whether the page may tell in the incident's own words: those of one that is wider than the page
/// name other customers' checks.
fn is_own(incident: &Incident, scope: &Scope) -> bool {
    scope.whole || matches!(incident.subject, Subject::Check(_))
}

/// In one sentence.
fn summary(incident: &Incident, scope: &Scope) -> String {
    if is_own(incident, scope) { text::quote(&incident.summary) } else { String::new() }
}

/// What the fault looks like.
fn finding(incident: &Incident) -> String {
    incident.finding.as_deref().map(text::quote).unwrap_or_default()
}

/// The page's checks that a wider incident concerns.
fn checks(state: &State, incident: &Incident, scope: &Scope) -> Vec<(String, String)> {
    let about = match &incident.subject {
        Subject::Check(id) => std::slice::from_ref(id),
        _ => incident.checks.as_slice(),
    };
    let shown = about.iter().filter(|id| scope.has(id));
    let known = shown.filter_map(|id| Some((id, state.checks.get(id)?)));
    known.map(|(id, check)| (text::quote(&check.spec.name), scope.check_path(id))).collect()
}
