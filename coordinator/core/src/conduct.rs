//! How a probe conducts itself: one that contradicts the quorum of the others too often is
//! suspect, and its votes do not count until it agrees again.

use std::time::Duration;

use crosscheck_model::{ProbeId, Status};

use crate::effect::Effect;
use crate::state::{CheckState, State};
use crate::verdict::Electorate;

/// Fewer checks than this say nothing about a probe.
const LEAST_CHECKS: usize = 4;
/// Suspect from this share of contradictions on, in percent.
const SUSPECT_PERCENT: usize = 50;
/// Fit again below this share, in percent ..
const CALM_PERCENT: usize = 20;
/// .. for this long.
const CALM_FOR: Duration = Duration::from_secs(5 * 60);

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
                effects.push(Effect::Conduct { probe: id, suspect: true });
            } else if probe.suspect.is_some() && calm {
                let since = *probe.calm_since.get_or_insert(now);
                if now.since(since) >= CALM_FOR {
                    probe.suspect = None;
                    effects.push(Effect::Conduct { probe: id, suspect: false });
                }
            } else {
                probe.calm_since = None;
            }
        }
    }

    /// On how many checks the others have a quorum without the probe, and on how many of those
    /// it says the opposite.
    fn contradictions(&self, id: &ProbeId) -> (usize, usize) {
        let (mut judged, mut lonely) = (0, 0);
        for check in self.checks.values().filter(|check| check.assigned.contains(id)) {
            let Some(says_down) = self.says_down(check, id) else { continue };
            let mut others = Electorate::of(self, check);
            others.live.retain(|elector| elector.probe != id);
            match others.verdict_on_failing() {
                Some(down) => {
                    judged += 1;
                    lonely += usize::from(down != says_down);
                }
                None => {}
            }
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
