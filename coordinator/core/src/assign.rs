//! Who runs what: all sites, a list, or the most diverse ones, stable while the fleet changes.

use std::collections::BTreeSet;
use std::time::Duration;

use crosscheck_model::spec::SiteChoice;
use crosscheck_model::wire::{Assigned, Assignment};
use crosscheck_model::{CheckId, ProbeId, SiteId, pattern};
use sha2::{Digest, Sha256};

use crate::effect::Effect;
use crate::state::{CheckState, State};

/// A probe unheard for longer is replaced where a check wants a number of probes; a restart is
/// shorter.
const ABSENT_LIMIT: Duration = Duration::from_secs(5 * 60);

/// So long the measurements of a probe that a check was taken from are kept when they arrive: what
/// it saw while it was cut off waits on its disk.
const BACKFILL_LIMIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Voters that a decision is to rest on: with five over three carriers no single one can hide
/// an outage.
const CONFIRMERS: usize = 5;

/// A probe that may be given a check, and where it stands.
struct Candidate<'a> {
    probe: &'a ProbeId,
    site: &'a SiteId,
    carrier: &'a str,
    region: &'a str,
    live: bool,
}

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

    /// Gives every check its probes anew; probes whose set has changed are told.
    pub(crate) fn assign(&mut self, effects: &mut Vec<Effect>) {
        let ids: Vec<CheckId> = self.checks.keys().cloned().collect();
        let changed = ids.iter().flat_map(|id| self.assign_one(id)).collect();
        self.tell_reassigned(changed, effects);
    }

    /// Recruits further probes for a check of a few while it is in doubt, so that the decision
    /// rests on as many voters as a large layout has; whether any came or went.
    pub(crate) fn recruit(&mut self, id: &CheckId, effects: &mut Vec<Effect>) -> bool {
        let recruits = self.assign_one(id);
        let changed = !recruits.is_empty();
        self.tell_reassigned(recruits, effects);
        changed
    }

    /// Gives one check its probes anew; those that come or go.
    fn assign_one(&mut self, id: &CheckId) -> BTreeSet<ProbeId> {
        let chosen = self.choose(id);
        let now = self.now;
        let Some(check) = self.checks.get_mut(id) else { return BTreeSet::new() };
        if chosen == check.assigned {
            return BTreeSet::new();
        }
        let changed = chosen.symmetric_difference(&check.assigned).cloned().collect();
        if !check.assigned.is_subset(&chosen) && !chosen.is_subset(&check.assigned) {
            // Who is new has no vote yet, and who is gone has none any more. Where some only come
            // or only go, the others still judge.
            check.settling_until = check.settling_until.max(now.plus(check.spec.validity()));
        }
        check.votes.retain(|probe, _| chosen.contains(probe));
        check.former.extend(check.assigned.difference(&chosen).map(|probe| (probe.clone(), now)));
        check.former.retain(|probe, _| !chosen.contains(probe));
        check.assigned = chosen;
        changed
    }

    /// Whether what a probe says of a check belongs into its history: it runs the check, or did
    /// until lately. Nobody else writes there.
    pub(crate) fn may_record(&self, probe: &ProbeId, check: &CheckId) -> bool {
        self.checks
            .get(check)
            .is_some_and(|check| check.assigned.contains(probe) || check.former.contains_key(probe))
    }

    /// Forgets who ran a check long ago.
    pub(crate) fn forget_former(&mut self) {
        let now = self.now;
        for check in self.checks.values_mut() {
            check.former.retain(|_, left| now.since(*left) <= BACKFILL_LIMIT);
        }
    }

    /// Tells probes that what they are to run has changed.
    pub(crate) fn tell_reassigned(
        &mut self,
        changed: BTreeSet<ProbeId>,
        effects: &mut Vec<Effect>,
    ) {
        if changed.is_empty() {
            return;
        }
        let revision = self.number();
        for id in &changed {
            if let Some(probe) = self.probes.get_mut(id) {
                probe.assignment = revision;
            }
        }
        effects.push(Effect::Reassigned(changed.into_iter().collect()));
    }

    fn choose(&self, id: &CheckId) -> BTreeSet<ProbeId> {
        let run = |check: &&CheckState| !check.spec.source.is_push();
        let Some(check) = self.checks.get(id).filter(run) else { return BTreeSet::new() };
        let candidates = self.probes.iter().filter_map(|(probe, state)| {
            let at = self.config.sites.get(&state.site)?;
            // A probe that is not believed keeps nobody else from the check.
            let live = self.now.since(state.echo) <= ABSENT_LIMIT
                && self.quarantined_since(probe).is_none();
            Some(Candidate {
                probe,
                site: &state.site,
                carrier: &at.carrier,
                region: &at.region,
                live,
            })
        });
        match &check.spec.sites {
            SiteChoice::All => candidates.map(|c| c.probe.clone()).collect(),
            SiteChoice::List(sites) => {
                candidates.filter(|c| sites.contains(c.site)).map(|c| c.probe.clone()).collect()
            }
            SiteChoice::Pick { count, region } => {
                let fits = |c: &Candidate<'_>| {
                    region.as_ref().is_none_or(|wanted| pattern::matches(wanted, c.region))
                };
                let (count, doubt) = (*count as usize, check.is_in_doubt());
                // In doubt nobody who may have something to say is exchanged.
                let stays = |c: &Candidate<'_>| doubt && c.live && check.assigned.contains(c.probe);
                let (staying, others) = candidates.filter(fits).partition(stays);
                let count = if doubt { count.max(CONFIRMERS) } else { count };
                pick(id, staying, others, count, &check.assigned)
            }
        }
    }
}

/// The `count` most diverse candidates beginning with those chosen: each next one shares as few
/// domains as possible with those already in. Of equals who is present stays; ties are broken by a
/// hash of (check, probe), so that load spreads and one probe's arrival moves few checks.
fn pick<'a>(
    check: &CheckId,
    mut chosen: Vec<Candidate<'a>>,
    mut candidates: Vec<Candidate<'a>>,
    count: usize,
    present: &BTreeSet<ProbeId>,
) -> BTreeSet<ProbeId> {
    while chosen.len() < count && !candidates.is_empty() {
        let shared = |candidate: &Candidate<'_>| {
            let with = |same: fn(&Candidate<'_>, &Candidate<'_>) -> bool| {
                chosen.iter().filter(|other| same(candidate, other)).count()
            };
            (
                with(|a, b| a.carrier == b.carrier),
                with(|a, b| a.region == b.region),
                with(|a, b| a.site == b.site),
            )
        };
        let rank = |candidate: &Candidate<'_>| {
            let stays = present.contains(candidate.probe);
            (!candidate.live, shared(candidate), !stays, spread(check, candidate.probe))
        };
        let Some(best) = (0..candidates.len()).min_by_key(|index| rank(&candidates[*index])) else {
            break;
        };
        chosen.push(candidates.swap_remove(best));
    }
    chosen.into_iter().map(|candidate| candidate.probe.clone()).collect()
}

fn spread(check: &CheckId, probe: &ProbeId) -> [u8; 32] {
    Sha256::new()
        .chain_update(check.as_str())
        .chain_update([0])
        .chain_update(probe.as_str())
        .finalize()
        .into()
}
