//! How a probe conducts itself. One that contradicts the quorum of the others too often, and
//! alone, is suspect: its votes do not count until it agrees again. (Two that contradict it
//! together are a carrier in trouble, and are to be seen.) Operators are told of probes that are
//! suspect or unfit for long.

use std::time::Duration;

use crosscheck_model::wire::Fitness;
use crosscheck_model::{ProbeId, Status};

use crate::effect::Effect;
use crate::incident::Subject;
use crate::outbox::Edge;
use crate::state::{CheckState, ProbeState, State};
use crate::verdict::Electorate;

/// Fewer checks than this say nothing about a probe.
const LEAST_CHECKS: usize = 4;
/// Suspect from this share of contradictions on, in percent.
const SUSPECT_PERCENT: usize = 50;
/// Fit again below this share, in percent ..
const CALM_PERCENT: usize = 20;
/// .. for this long.
const CALM_FOR: Duration = Duration::from_secs(5 * 60);

/// How long a probe's votes must be withheld until its operators are told.
const TROUBLE_LIMIT: Duration = Duration::from_secs(3 * 60);

/// Why a probe's votes are withheld though it is heard.
fn trouble_of(probe: &ProbeState) -> Option<String> {
    if probe.suspect.is_some() {
        return Some("it alone contradicts the other sites; its votes are withheld".to_owned());
    }
    let parts = [("IPv4", &probe.health.v4), ("IPv6", &probe.health.v6)];
    parts.into_iter().find_map(|(family, fitness)| match fitness {
        Fitness::Unfit(why) => Some(format!("it is unfit over {family} ({why})")),
        Fitness::Fit | Fitness::Untested => None,
    })
}

impl State {
    /// Judges every probe by how it votes compared with the quorum of the others.
    pub(crate) fn judge_conduct(&mut self, effects: &mut Vec<Effect>) {
        let now = self.now;
        let ids: Vec<ProbeId> = self
            .probes
            .iter()
            .filter(|(_, probe)| self.is_live(probe))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            let (judged, lonely) = self.contradictions(&id);
            let Some(probe) = self.probes.get_mut(&id) else { continue };
            let suspicious = judged >= LEAST_CHECKS && lonely * 100 >= judged * SUSPECT_PERCENT;
            let calm = lonely * 100 < judged.max(1) * CALM_PERCENT;
            if probe.suspect.is_none() && suspicious {
                probe.suspect = Some(now);
                probe.calm_since = None;
            } else if probe.suspect.is_some() && calm {
                let since = *probe.calm_since.get_or_insert(now);
                if now.since(since) >= CALM_FOR {
                    probe.suspect = None;
                }
            } else {
                probe.calm_since = None;
            }
        }
        self.reconcile_probes(effects);
    }

    /// One incident for each probe whose votes are withheld for long.
    fn reconcile_probes(&mut self, effects: &mut Vec<Effect>) {
        let now = self.now;
        let ids: Vec<ProbeId> = self.probes.keys().cloned().collect();
        for id in ids {
            let live = self.probes.get(&id).is_some_and(|probe| self.is_live(probe));
            let Some(probe) = self.probes.get_mut(&id) else { continue };
            let trouble = trouble_of(probe);
            match (&trouble, probe.troubled_since) {
                (Some(_), None) if live => probe.troubled_since = Some(now),
                (None, Some(_)) if live => probe.troubled_since = None,
                _ => {}
            }
            let (since, open, site) = (probe.troubled_since, probe.incident, probe.site.clone());
            match (since, trouble, open) {
                (Some(since), Some(what), None) if now.since(since) >= TROUBLE_LIMIT => {
                    let summary = format!("probe {id} at site {site}: {what}");
                    let subject = Subject::Probe(id.clone());
                    let target = format!("probe {id}");
                    let incident =
                        self.open_own(subject, Status::Unknown, &target, &summary, since);
                    if let Some(probe) = self.probes.get_mut(&id) {
                        probe.incident = Some(incident);
                    }
                    let operators = self.operators();
                    self.notify(incident, Edge::Alarm(Status::Unknown), operators, effects);
                    effects.push(Effect::Incident(incident));
                }
                (None, _, Some(open)) => {
                    probe.incident = None;
                    let text = format!("the votes of probe {id} count again");
                    self.resolve(open, now, text, Vec::new(), Edge::Recovery, effects);
                }
                _ => {}
            }
        }
    }

    /// On how many checks the others have a quorum without the probe, and on how many of those
    /// it alone says the opposite.
    fn contradictions(&self, id: &ProbeId) -> (usize, usize) {
        let (mut judged, mut lonely) = (0, 0);
        for check in self.checks.values().filter(|check| check.assigned.contains(id)) {
            let Some(says_down) = self.says_down(check, id) else { continue };
            let mut others = Electorate::of(self, check);
            others.live.retain(|elector| elector.probe != id);
            let Some(down) = others.verdict_on_failing() else { continue };
            judged += 1;
            let seconded = others
                .live
                .iter()
                .any(|elector| (elector.vote.status == Status::Down) == says_down);
            lonely += usize::from(down != says_down && !seconded);
        }
        (judged, lonely)
    }

    /// Whether the probe's newest vote, fresh, says Down. A suspect probe's counts here, so that
    /// it can be seen to agree again.
    fn says_down(&self, check: &CheckState, id: &ProbeId) -> Option<bool> {
        let vote = check.votes.get(id)?;
        let fresh = vote.rev == check.rev && self.now.since(vote.at) <= check.spec.validity();
        (fresh && vote.status != Status::Unknown).then_some(vote.status == Status::Down)
    }
}
