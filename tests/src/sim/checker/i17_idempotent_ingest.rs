//! I17, idempotent ingest: what comes again is not recorded again, and probes' votes never go back
//! within a process life. (That the log with doubled, reordered and repeated reports leads to the
//! same state, byte for byte, is shown by pairs of replays; see [`super::super::replay`].)

use std::collections::BTreeMap;

use crosscheck_core::{Command, Effect};
use crosscheck_model::CheckId;

use super::{Checker, Entry, Finding, View};

#[derive(Default)]
pub(super) struct IdempotentIngest {
    batches: u64,
    /// The newest vote, as (boot, seq), by check and probe.
    votes: BTreeMap<(usize, usize), (u64, u64)>,
}

impl Checker for IdempotentIngest {
    fn name(&self) -> &'static str {
        "I17 idempotent ingest"
    }

    fn tested(&self) -> u64 {
        self.batches
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        let Command::Batch(reports) = &entry.stamped.command else { return Ok(()) };
        let recorded = records(&entry.applied.effects) + unasked(&entry.applied.effects);
        if recorded != view.world.evidence.taken {
            return Err(format!(
                "{recorded} observations recorded, {} new",
                view.world.evidence.taken
            ));
        }
        self.batches += 1;
        for observation in reports.iter().flat_map(|report| &report.observations) {
            self.forward(view, &observation.check)?;
        }
        Ok(())
    }
}

fn records(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Record { .. })).count()
}

impl IdempotentIngest {
    fn forward(&mut self, view: &View<'_>, id: &CheckId) -> Finding {
        let Some(index) = view.world.check_index(id) else { return Ok(()) };
        let Some(check) = view.state().checks.get(id) else { return Ok(()) };
        for (probe, vote) in &check.votes {
            let Some(place) = view.world.evidence.index(probe) else { continue };
            if let Some((boot, seq)) = self.votes.insert((index, place), (vote.boot, vote.seq))
                && boot == vote.boot
                && vote.seq < seq
            {
                return Err(format!("{id}: the vote of {probe} goes from {seq} to {}", vote.seq));
            }
        }
        Ok(())
    }
}

/// Observations that were refused, and told as such: of checks that their probe was not given, or
/// that are gone.
fn unasked(effects: &[Effect]) -> usize {
    let refused = effects.iter().map(|effect| match effect {
        Effect::Unasked { observations, .. } => {
            usize::try_from(*observations).unwrap_or(usize::MAX)
        }
        _ => 0,
    });
    refused.sum()
}
