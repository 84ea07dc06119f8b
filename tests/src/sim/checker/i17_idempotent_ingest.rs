//! I17, idempotent ingest: a batch that comes again changes nothing that counts, and is not
//! recorded again; probes' votes never go back within a process life.

use std::collections::BTreeMap;

use crosscheck_core::state::State;
use crosscheck_core::{Command, Effect, apply};
use crosscheck_model::{CheckId, ProbeId};

use super::{Checker, Entry, Finding, View};

/// Every so many batches one is put in again, into a copy of the state.
const REPEAT_EVERY: u64 = 200;

#[derive(Default)]
pub(super) struct IdempotentIngest {
    batches: u64,
    votes: BTreeMap<(CheckId, ProbeId), (u64, u64)>,
}

impl Checker for IdempotentIngest {
    fn name(&self) -> &'static str {
        "I17 idempotent ingest"
    }

    fn tested(&self) -> u64 {
        self.batches / REPEAT_EVERY
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        let Command::Batch(reports) = &entry.stamped.command else { return Ok(()) };
        let recorded = records(&entry.applied.effects);
        if recorded != view.world.evidence.taken {
            return Err(format!(
                "{recorded} observations recorded, {} new",
                view.world.evidence.taken
            ));
        }
        self.batches += 1;
        for observation in reports.iter().flat_map(|report| &report.observations) {
            self.forward(view.state(), &observation.check)?;
        }
        if self.batches.is_multiple_of(REPEAT_EVERY) {
            return again(view.state(), &entry.stamped.command);
        }
        Ok(())
    }
}

fn records(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Record { .. })).count()
}

impl IdempotentIngest {
    fn forward(&mut self, state: &State, id: &CheckId) -> Finding {
        let Some(check) = state.checks.get(id) else { return Ok(()) };
        for (probe, vote) in &check.votes {
            let place = (id.clone(), probe.clone());
            let newest = (vote.boot, vote.seq);
            if let Some((boot, seq)) = self.votes.insert(place, newest)
                && boot == vote.boot
                && vote.seq < seq
            {
                return Err(format!("{id}: the vote of {probe} goes from {seq} to {}", vote.seq));
            }
        }
        Ok(())
    }
}

fn again(state: &State, command: &Command) -> Finding {
    let mut copy = state.clone();
    let applied = apply(&mut copy, state.now, command.clone());
    if records(&applied.effects) > 0 {
        return Err("a repeated batch is recorded again".to_owned());
    }
    let same = copy.checks.iter().all(|(id, check)| check.votes == state.checks[id].votes);
    if !same || copy.probes != state.probes {
        return Err("a repeated batch changes votes".to_owned());
    }
    Ok(())
}
