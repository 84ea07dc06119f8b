//! How a probe conducts itself. One that contradicts the quorum of the others too often, and
//! alone, is suspect: its votes do not count until it agrees again. (Two that contradict it
//! together are a carrier in trouble, and are to be seen.) Operators are told of probes that are
//! suspect or unfit for long; one that is suspect again and again is quarantined
//! ([`crate::quarantine`]).

use std::collections::BTreeSet;
use std::time::Duration;

use crosscheck_model::wire::Fitness;
use crosscheck_model::{ProbeId, Status};

use crate::effect::Effect;
use crate::incident::Subject;
use crate::outbox::Edge;
use crate::quarantine::Why;
use crate::state::{CheckState, ProbeState, State, Vote};
use crate::verdict::Electorate;

/// Fewer checks than this say nothing about a probe.
const LEAST_CHECKS: usize = 4;
/// Suspect from this share of contradictions on, in percent.
const SUSPECT_PERCENT: usize = 50;
/// Fit again below this share, in percent ..
const CALM_PERCENT: usize = 20;
/// .. for this long.
const CALM_FOR: Duration = Duration::from_secs(5 * 60);

/// How a probe's votes compare with the quorum of the others.
#[derive(Default)]
struct Conduct {
    /// Checks on which the others have a quorum without it.
    judged: usize,
    /// Those on which it alone says the opposite.
    lonely: usize,
    /// Those on which it says the opposite, and another probe with it.
    seconded: usize,
    /// How long it must go on: whoever would second it has looked by then.
    patience: Duration,
}

impl Conduct {
    const fn is_suspicious(&self) -> bool {
        self.judged >= LEAST_CHECKS && self.lonely * 100 >= self.judged * SUSPECT_PERCENT
    }

    const fn is_calm(&self) -> bool {
        self.lonely * 100 < self.judged * CALM_PERCENT || self.judged == 0
    }

    /// Others have come to say the same.
    const fn is_refuted(&self) -> bool {
        self.seconded * 100 >= self.judged * SUSPECT_PERCENT && self.seconded > 0
    }
}

/// How long a probe's votes must be withheld until its operators are told.
const TROUBLE_LIMIT: Duration = Duration::from_secs(3 * 60);

/// Why a probe's votes are withheld though it is heard.
fn trouble_of(probe: &ProbeState, quarantined: Option<Why>) -> Option<String> {
    if let Some(why) = quarantined {
        return Some(why.advice().to_owned());
    }
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
        let dissenters = self.dissenters();
        let conducts: Vec<(ProbeId, Conduct)> = self
            .probes
            .iter()
            .filter(|(_, probe)| self.is_live(probe))
            .map(|(id, _)| match dissenters.contains(id) {
                true => (id.clone(), self.conduct_of(id)),
                // On how much it agrees makes no difference.
                false => (id.clone(), Conduct::default()),
            })
            .collect();
        for (id, conduct) in conducts {
            let Some(probe) = self.probes.get_mut(&id) else { continue };
            if conduct.is_refuted() {
                let was_suspect = probe.suspect.is_some();
                (probe.suspect, probe.doubted_since, probe.calm_since) = (None, None, None);
                if was_suspect {
                    self.withdraw_suspicion(&id);
                }
            } else if probe.suspect.is_none() && conduct.is_suspicious() {
                let since = *probe.doubted_since.get_or_insert(now);
                if now.since(since) >= conduct.patience {
                    (probe.suspect, probe.calm_since) = (Some(now), None);
                    self.note_suspicion(&id);
                }
            } else if probe.suspect.is_some() && conduct.is_calm() {
                let since = *probe.calm_since.get_or_insert(now);
                if now.since(since) >= CALM_FOR {
                    probe.suspect = None;
                }
            } else {
                (probe.doubted_since, probe.calm_since) = (None, None);
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
            let quarantined = self.quarantine(&id).map(|(_, why)| why);
            let Some(probe) = self.probes.get_mut(&id) else { continue };
            let trouble = trouble_of(probe, quarantined);
            match (&trouble, probe.troubled_since) {
                (Some(_), None) if live || quarantined.is_some() => {
                    probe.troubled_since = Some(now);
                }
                (None, Some(_)) if live => probe.troubled_since = None,
                _ => {}
            }
            let (since, open, site) = (probe.troubled_since, probe.incident, probe.site.clone());
            match (since, trouble, open) {
                (Some(since), Some(what), None)
                    if quarantined.is_some() || now.since(since) >= TROUBLE_LIMIT =>
                {
                    let summary = format!("probe {id} at site {site}: {what}");
                    let subject = Subject::Probe(id.clone());
                    let target = format!("probe {id}");
                    let status = Status::Unknown;
                    let incident =
                        self.alarm_operators(subject, status, &target, &summary, since, effects);
                    if let Some(probe) = self.probes.get_mut(&id) {
                        probe.incident = Some(incident);
                    }
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

    /// The probes that contradict the quorum of the others on any check. Mostly there are none, and
    /// then no look at every probe's part in every check is needed.
    fn dissenters(&self) -> BTreeSet<&ProbeId> {
        let mut dissenters = BTreeSet::new();
        for check in self.checks.values().filter(|check| self.is_contested(check)) {
            let electorate = Electorate::of(self, check).heard();
            for id in
                check.assigned.iter().filter(|id| !dissenters.contains(id)).collect::<Vec<_>>()
            {
                let Some(says_down) = self.says_down(check, id) else { continue };
                if electorate.verdict_without(id).is_some_and(|down| down != says_down) {
                    dissenters.insert(id);
                }
            }
        }
        dissenters
    }

    /// Whether any of its fresh votes says Down, and any does not.
    fn is_contested(&self, check: &CheckState) -> bool {
        let mut said = check.votes.values().filter_map(|vote| self.fresh_word(check, vote));
        let first = said.next();
        said.any(|down| Some(down) != first)
    }

    /// How the probe's votes compare with the quorum of the others.
    fn conduct_of(&self, id: &ProbeId) -> Conduct {
        let mut conduct = Conduct::default();
        for check in self.checks.values().filter(|check| check.assigned.contains(id)) {
            let Some(says_down) = self.says_down(check, id) else { continue };
            // Nobody is doubted for what those say whom nobody hears.
            let electorate = Electorate::of(self, check).heard();
            let Some(down) = electorate.verdict_without(id) else { continue };
            conduct.judged += 1;
            conduct.patience = conduct.patience.max(2 * check.spec.schedule.interval);
            if down == says_down {
                continue;
            }
            // Another suspect seconds too: the two may be a carrier whose probes noticed its
            // trouble one after the other.
            let seconded = check.assigned.iter().filter(|other| *other != id).any(|other| {
                let live = self.probes.get(other).is_some_and(|probe| self.is_live(probe))
                    && self.quarantined_since(other).is_none();
                live && self.says_down(check, other) == Some(says_down)
            });
            conduct.lonely += usize::from(!seconded);
            conduct.seconded += usize::from(seconded);
        }
        conduct
    }

    /// Whether the probe's newest vote, fresh, says Down. A suspect probe's counts here, so that
    /// it can be seen to agree again.
    fn says_down(&self, check: &CheckState, id: &ProbeId) -> Option<bool> {
        self.fresh_word(check, check.votes.get(id)?)
    }

    fn fresh_word(&self, check: &CheckState, vote: &Vote) -> Option<bool> {
        let fresh = vote.rev == check.rev && self.now.since(vote.at) <= check.spec.validity();
        (fresh && vote.status != Status::Unknown).then_some(vote.status == Status::Down)
    }
}
