//! A failure domain's own trouble: targets that fail from one site, carrier or region only. One
//! incident a domain, however many checks see it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_model::{CheckId, IncidentId, Severity, Status, Timestamp};

use crate::effect::Effect;
use crate::incident::{EventKind, Incident, Subject, TIMELINE_LIMIT};
use crate::notify::listed;
use crate::outbox::Edge;
use crate::quorum::Domain;
use crate::state::State;
use crate::verdict::Reason;

/// How long targets must fail from a domain until its operators are told.
const PARTIAL_LIMIT: Duration = Duration::from_secs(10 * 60);

/// The checks that fail from one domain only.
#[derive(Default)]
struct Seen {
    checks: Vec<CheckId>,
    /// Since when, outside of maintenance.
    since: Option<Timestamp>,
}

impl State {
    /// Opens, extends and closes the incidents of domains.
    pub(crate) fn reconcile_domains(&mut self, effects: &mut Vec<Effect>) {
        let mut partial: BTreeMap<Domain, Seen> = BTreeMap::new();
        for (id, check) in &self.checks {
            if let Reason::Partial(domain) = &check.verdict.reason {
                let seen = partial.entry(domain.clone()).or_default();
                seen.checks.push(id.clone());
                // A maintenance keeps an incident from opening, and ends none.
                if !check.maintenance {
                    let since = check.tally.unwell_since.unwrap_or(check.since);
                    seen.since = Some(seen.since.map_or(since, |first| first.min(since)));
                }
            }
        }
        let over: Vec<(Domain, IncidentId)> = self
            .domains
            .iter()
            .filter(|(domain, _)| !partial.contains_key(*domain))
            .map(|(domain, id)| (domain.clone(), *id))
            .collect();
        for (domain, id) in over {
            self.domains.remove(&domain);
            let text = format!("nothing fails only from {domain} any more");
            self.resolve(id, self.now, text, Vec::new(), Edge::Recovery, effects);
        }
        for (domain, Seen { checks, since }) in partial {
            match (self.domains.get(&domain), since) {
                (Some(id), _) => self.note_checks(*id, &checks),
                (None, Some(since)) if self.now.since(since) >= PARTIAL_LIMIT => {
                    self.open_domain(domain, checks, since, effects);
                }
                (None, _) => {}
            }
        }
    }

    fn open_domain(
        &mut self,
        domain: Domain,
        checks: Vec<CheckId>,
        since: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let summary = format!("fails only from {domain}: {}", listed(&checks));
        let subject = Subject::Domain(domain.clone());
        let id = self.open_own(subject, Status::Degraded, &domain.to_string(), &summary, since);
        self.note_checks(id, &checks);
        self.domains.insert(domain, id);
        let operators = self.operators();
        self.notify(id, Edge::Alarm(Status::Degraded), operators, effects);
        effects.push(Effect::Incident(id));
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
            summary: summary.to_owned(),
            opened_at: now,
            first_failed_at: since,
            acknowledged: None,
            resolved_at: None,
            timeline: Vec::new(),
            checks: Vec::new(),
            told: vec![status],
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
}
