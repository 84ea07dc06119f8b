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
            for site in state.site_views(check) {
                let fit = evidence.index(site.probe).is_some_and(|i| ballot.live & 1 << i != 0);
                self.tested += u64::from(!fit);
                if site.vote.is_some() != fit {
                    let what = if fit { "is left out" } else { "is counted" };
                    return Err(format!("{id}: {} {what} wrongly: {:?}", site.probe, site.vote));
                }
            }
        }
        Ok(())
    }
}
