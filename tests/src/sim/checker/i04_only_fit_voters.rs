//! I4, only fit voters: nobody without a session both ways, unfit, suspect or without an opinion
//! is counted.

use crosscheck_core::Command;

use super::{Checker, Entry, Finding, View};

#[derive(Default)]
pub(super) struct OnlyFitVoters {
    /// Voters that must not be counted, and are not.
    tested: u64,
}

impl Checker for OnlyFitVoters {
    fn name(&self) -> &'static str {
        "I4 only fit voters"
    }

    fn tested(&self) -> u64 {
        self.tested
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        if entry.stamped.command != Command::Tick {
            return Ok(());
        }
        let (state, evidence) = (view.state(), &view.world.evidence);
        for (id, check) in &state.checks {
            let ballot = evidence.ballots[id];
            for voter in &check.assigned {
                let Some(probe) = state.probes.get(voter) else { continue };
                let vote = state.vote_that_counts(check, voter, probe);
                let fit = evidence.index(voter).is_some_and(|i| ballot.live & 1 << i != 0);
                self.tested += u64::from(!fit);
                if vote.is_ok() != fit {
                    let what = if fit { "is left out" } else { "is counted" };
                    return Err(format!("{id}: {voter} {what} wrongly: {vote:?}"));
                }
            }
        }
        Ok(())
    }
}
