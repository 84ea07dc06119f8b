//! Sites that are configured, and that no probe was ever heard from: whoever meant to set one up
//! is told, once for all that came with the same configuration.

use std::collections::BTreeSet;

use crosscheck_model::spec::SiteChoice;
use crosscheck_model::{IncidentId, SiteId, Status, Timestamp, pattern};
use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::incident::Subject;
use crate::notify::named;
use crate::outbox::Edge;
use crate::state::{CheckState, State};
use crate::watch::{PATIENCE, TOGETHER};

/// A site that a probe is to come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// Since when it is configured and some check may use it.
    pub since: Timestamp,
    /// The open incident about it.
    pub incident: Option<IncidentId>,
}

impl State {
    /// Opens and closes the incidents about sites that nobody was ever heard from.
    pub(crate) fn reconcile_awaited(&mut self, effects: &mut Vec<Effect>) {
        self.note_seen();
        let (now, wanted) = (self.now, self.awaited_sites());
        for site in &wanted {
            if !self.watch.awaited.contains_key(site) {
                let awaited = Awaited { since: now, incident: None };
                self.watch.awaited.insert(site.clone(), awaited);
            }
        }
        let known: Vec<SiteId> = self.watch.awaited.keys().cloned().collect();
        for site in known.into_iter().filter(|site| !wanted.contains(site)) {
            self.await_no_more(&site, effects);
        }
        self.miss_sites(effects);
    }

    /// The awaited sites that a check may use and that are in an open incident.
    pub(crate) fn missed_for(&self, check: &CheckState) -> Vec<IncidentId> {
        let missed = self.watch.awaited.iter().filter(|(site, _)| self.may_use(check, site));
        missed.filter_map(|(_, awaited)| awaited.incident).collect()
    }

    fn note_seen(&mut self) {
        for probe in self.probes.values().filter(|probe| probe.echo > Timestamp::ZERO) {
            if !self.watch.seen.contains(&probe.site) {
                self.watch.seen.insert(probe.site.clone());
            }
        }
        let sites = &self.config.sites;
        self.watch.seen.retain(|site| sites.contains_key(site));
    }

    fn awaited_sites(&self) -> BTreeSet<SiteId> {
        let unseen = self.config.sites.keys().filter(|site| !self.watch.seen.contains(*site));
        unseen
            .filter(|site| self.checks.values().any(|check| self.may_use(check, site)))
            .cloned()
            .collect()
    }

    fn may_use(&self, check: &CheckState, site: &SiteId) -> bool {
        match &check.spec.sites {
            SiteChoice::All => true,
            SiteChoice::List(sites) => sites.contains(site),
            SiteChoice::Pick { region, .. } => region.as_ref().is_none_or(|wanted| {
                let at = self.config.sites.get(site);
                at.is_some_and(|at| pattern::matches(wanted, &at.region))
            }),
        }
    }

    fn await_no_more(&mut self, site: &SiteId, effects: &mut Vec<Effect>) {
        let Some(open) = self.watch.awaited.remove(site).and_then(|awaited| awaited.incident)
        else {
            return;
        };
        let left = self.watch.awaited.iter().filter(|(_, other)| other.incident == Some(open));
        let left = named(left.map(|(site, _)| format!("site {site}")));
        if !left.is_empty() {
            return self.restate(open, format!("still never heard: {left}"), effects);
        }
        let (text, edge) = match self.watch.seen.contains(site) {
            true => (format!("a probe at site {site} is heard"), Edge::Recovery),
            false => (format!("site {site} is not to be used any more"), Edge::Removed),
        };
        self.resolve(open, self.now, text, Vec::new(), edge, effects);
    }

    fn miss_sites(&mut self, effects: &mut Vec<Effect>) {
        let waiting = self.watch.awaited.iter().filter(|(_, awaited)| awaited.incident.is_none());
        let waiting: Vec<(SiteId, Timestamp)> =
            waiting.map(|(site, awaited)| (site.clone(), awaited.since)).collect();
        if !waiting.iter().any(|(_, since)| self.is_overdue(*since, PATIENCE)) {
            return;
        }
        let missed: Vec<(SiteId, Timestamp)> = waiting
            .into_iter()
            .filter(|(_, since)| self.is_overdue(*since, PATIENCE - TOGETHER))
            .collect();
        let since = missed.iter().map(|(_, since)| *since).min().unwrap_or(self.now);
        let sites = named(missed.iter().map(|(site, _)| format!("site {site}")));
        let target = format!("first report from {sites}");
        let summary = format!(
            "{sites}: configured, and no probe was ever heard from there; start one, or take the site out of the configuration"
        );
        let id = self.alarm_operators(
            Subject::Awaited,
            Status::Unknown,
            &target,
            &summary,
            since,
            effects,
        );
        for (site, _) in missed {
            if let Some(awaited) = self.watch.awaited.get_mut(&site) {
                awaited.incident = Some(id);
            }
        }
    }
}
