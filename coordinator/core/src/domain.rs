//! A failure domain's own trouble: targets that fail from one site, carrier or region only. One
//! incident a domain, however many checks see it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_model::config::Site;
use crosscheck_model::{CheckId, IncidentId, SiteId, Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::incident::Subject;
use crate::notify::listed;
use crate::outbox::Edge;
use crate::quorum::Domain;
use crate::state::{CheckState, State};
use crate::verdict::Reason;

/// How long targets must fail from a domain until its operators are told.
const PARTIAL_LIMIT: Duration = Duration::from_secs(10 * 60);

/// How long nothing may fail from a domain any more until that is called over: its probes' votes
/// come one after the other, and one that succeeds once is no recovery.
const CALM_LIMIT: Duration = Duration::from_secs(60);

/// Why a domain's incident ends.
#[derive(Clone, Copy)]
enum Calm {
    /// All that it concerns works.
    Works,
    /// Nothing of it is configured any more.
    Gone,
}

/// The open incident about a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Troubled {
    /// The incident.
    pub incident: IncidentId,
    /// Since when, without a break, everything that it concerns is judged and works.
    pub calm_since: Option<Timestamp>,
}

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
        let partial = self.partial_checks();
        self.close_domains(&partial, effects);
        for (domain, Seen { checks, since }) in partial {
            match (self.domains.get(&domain), since) {
                (Some(open), _) => self.note_checks(open.incident, &checks),
                (None, Some(since))
                    if self.now.since(since) >= PARTIAL_LIMIT && !self.is_within_open(&domain) =>
                {
                    self.open_domain(domain, checks, since, effects);
                }
                (None, _) => {}
            }
        }
    }

    fn partial_checks(&self) -> BTreeMap<Domain, Seen> {
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
        partial
    }

    fn close_domains(&mut self, partial: &BTreeMap<Domain, Seen>, effects: &mut Vec<Effect>) {
        let now = self.now;
        let calm: Vec<(Domain, Option<Calm>)> = self
            .domains
            .iter()
            .map(|(domain, open)| {
                let fails = partial.contains_key(domain);
                let calm = (!fails).then(|| self.calm_of(domain, open.incident)).flatten();
                (domain.clone(), calm)
            })
            .collect();
        for (domain, calm) in calm {
            let Some(open) = self.domains.get_mut(&domain) else { continue };
            open.calm_since = calm.map(|_| open.calm_since.unwrap_or(now));
            let (id, since) = (open.incident, open.calm_since);
            let lasts = since.is_some_and(|since| now.since(since) >= CALM_LIMIT);
            let (edge, text) = match calm {
                Some(Calm::Gone) => {
                    (Edge::Removed, format!("what failed from {domain} is checked no more"))
                }
                Some(Calm::Works) if lasts => {
                    (Edge::Recovery, format!("nothing fails only from {domain} any more"))
                }
                _ => continue,
            };
            self.domains.remove(&domain);
            self.resolve(id, now, text, Vec::new(), edge, effects);
        }
    }

    /// Whether all that an incident concerns is known to be well; silence does not tell.
    fn calm_of(&self, domain: &Domain, incident: IncidentId) -> Option<Calm> {
        let concerned = self.incidents.get(&incident).map(|incident| incident.checks.iter());
        let mut left =
            concerned.into_iter().flatten().filter_map(|id| self.checks.get(id)).peekable();
        if left.peek().is_none() {
            return Some(Calm::Gone);
        }
        let works = |check: &CheckState| match &check.verdict.reason {
            Reason::Working | Reason::Slow => true,
            Reason::Partial(other) => !self.overlap(domain, other),
            _ => false,
        };
        left.all(works).then_some(Calm::Works)
    }

    /// Whether the domain is a part of one that operators know to be in trouble.
    fn is_within_open(&self, domain: &Domain) -> bool {
        let sites = self.sites_of(domain);
        self.domains.keys().any(|open| sites.is_subset(&self.sites_of(open)))
    }

    fn overlap(&self, one: &Domain, other: &Domain) -> bool {
        one == other || !self.sites_of(one).is_disjoint(&self.sites_of(other))
    }

    fn sites_of(&self, domain: &Domain) -> BTreeSet<&SiteId> {
        let within = |(id, site): &(&SiteId, &Site)| match domain {
            Domain::Site(name) => id.as_str() == name,
            Domain::Carrier(name) => site.carrier == *name,
            Domain::Region(name) => site.region == *name,
        };
        self.config.sites.iter().filter(within).map(|(id, _)| id).collect()
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
        let target = domain.to_string();
        let id = self.alarm_operators(subject, Status::Degraded, &target, &summary, since, effects);
        self.note_checks(id, &checks);
        self.domains.insert(domain, Troubled { incident: id, calm_since: None });
    }
}
