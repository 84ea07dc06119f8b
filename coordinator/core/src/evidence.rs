//! What probes gathered about checks that fail: kept for the present episode of each, within a
//! bound, and told in one sentence. It decides nothing.

use std::collections::BTreeMap;

use crosscheck_model::{CheckId, Evidence, IncidentId, ProbeId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::finding::{Witness, finding};
use crate::state::{SiteView, State};

/// The most evidence that is kept: usually a quarter of a MiB of state, and 3.5 MB at worst. In a
/// mass outage the probes' own rates come first, and the oldest goes.
pub const KEPT_LIMIT: usize = 500;

/// The newest evidence of each probe about each check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cabinet(BTreeMap<CheckId, BTreeMap<ProbeId, Evidence>>);

impl Cabinet {
    /// What a probe gathered last about a check.
    pub fn of(&self, check: &CheckId, probe: &ProbeId) -> Option<&Evidence> {
        self.0.get(check)?.get(probe)
    }

    /// How much is kept.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nobody asks about this check any more.
    pub(crate) fn forget(&mut self, check: &CheckId) {
        self.0.remove(check);
    }

    fn keep(&mut self, probe: &ProbeId, evidence: Evidence) {
        let of_check = self.0.entry(evidence.check.clone()).or_default();
        of_check.insert(probe.clone(), evidence);
        if self.len() > KEPT_LIMIT {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let each = self.0.iter().flat_map(|(check, probes)| {
            probes.iter().map(move |(probe, evidence)| (evidence.at, check, probe))
        });
        let Some((_, check, probe)) = each.min() else { return };
        let (check, probe) = (check.clone(), probe.clone());
        let Some(probes) = self.0.get_mut(&check) else { return };
        probes.remove(&probe);
        if probes.is_empty() {
            self.0.remove(&check);
        }
    }
}

impl State {
    /// Takes evidence of a probe's present life. What comes twice, or late, changes nothing. The
    /// check that it is about, if it was taken: its sentence is to be brought up to date when all
    /// that came with it has been taken, in whatever order that was.
    pub(crate) fn take_evidence(
        &mut self,
        probe: &ProbeId,
        boot: u64,
        mut evidence: Evidence,
    ) -> Option<CheckId> {
        let check = self.checks.get(&evidence.check)?;
        let known = self.evidence.of(&evidence.check, probe);
        let is_new = known.is_none_or(|known| known.boot != boot || known.number < evidence.number);
        let fits =
            evidence.boot == boot && evidence.rev == check.rev && check.assigned.contains(probe);
        if !fits || !is_new {
            return None;
        }
        evidence.at = evidence.at.min(self.now);
        evidence.failing_since = evidence.failing_since.min(self.now);
        let id = evidence.check.clone();
        self.evidence.keep(probe, evidence);
        Some(id)
    }

    /// Brings the sentence of a check's open incident up to date. What was found stays when its
    /// sites recover one after the other. The incident, if its sentence has changed.
    pub(crate) fn refresh_finding(&mut self, id: &CheckId) -> Option<IncidentId> {
        let open = self.checks.get(id)?.incident?;
        let found = self.finding_of(id)?;
        let incident = self.incidents.get_mut(&open)?;
        let before = incident.finding.replace(found);
        (before != incident.finding).then_some(open)
    }

    /// What the fault of a check looks like, in one sentence; `None` while no site fails.
    pub fn finding_of(&self, id: &CheckId) -> Option<String> {
        // What reports by itself says all there is to say.
        let check = self.checks.get(id).filter(|check| !check.spec.source.is_push())?;
        let views = self.site_views(check);
        let witnesses: Vec<_> = views.iter().filter_map(|view| self.witness(id, view)).collect();
        let since = check
            .failed_from
            .or_else(|| views.iter().filter_map(|view| view.vote?.failing_since).min());
        finding(&witnesses, check.spec.family, since.unwrap_or(self.now))
    }

    fn witness<'a>(&'a self, id: &CheckId, view: &SiteView<'a>) -> Option<Witness<'a>> {
        let vote = view.vote?;
        let evidence = self.evidence_of(id, view.probe, vote.failing_since);
        Some(Witness {
            site: view.site.as_str(),
            region: view.place.map_or("", |place| place.region.as_str()),
            carrier: view.place.map_or("", |place| place.carrier.as_str()),
            status: vote.status,
            cause: vote.cause,
            detail: &vote.detail,
            found: evidence.map(|evidence| &evidence.found),
        })
    }

    /// The evidence of the failure that began then: what was gathered before is about another one.
    fn evidence_of(
        &self,
        id: &CheckId,
        probe: &ProbeId,
        failing_since: Option<Timestamp>,
    ) -> Option<&Evidence> {
        let since = failing_since?;
        self.evidence.of(id, probe).filter(|evidence| evidence.at >= since)
    }

    /// The evidence of each site about an incident's check, gathered while it lasted.
    pub fn evidence_in(
        &self,
        id: &CheckId,
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<(&ProbeId, &Evidence)> {
        let during = |evidence: &&Evidence| from <= evidence.at && evidence.failing_since <= to;
        let kept = self.evidence.0.get(id).into_iter().flatten();
        kept.filter(|(_, evidence)| during(evidence)).collect()
    }
}
