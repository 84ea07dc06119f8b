//! I2: at no index do "fails" and "works" both hold, and the row of the table is the one that a
//! stranger computes from the log.

use crosscheck_core::Command;
use crosscheck_core::state::CheckState;
use crosscheck_core::verdict::Reason;

use super::super::evidence::Row;
use super::{Checker, Entry, Finding, View};

#[derive(Default)]
pub(super) struct Exclusive {
    tested: u64,
}

impl Checker for Exclusive {
    fn name(&self) -> &'static str {
        "I2 exclusive and pure"
    }

    fn tested(&self) -> u64 {
        self.tested
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        if entry.stamped.command != Command::Tick {
            return Ok(());
        }
        let evidence = &view.world.evidence;
        for (id, check) in &view.state().checks {
            // Judged before it closed its incident, by which some votes have become old.
            if check.closed_at == view.state().now {
                continue;
            }
            let ballot = evidence.ballots[id];
            let fails = evidence.suffices(ballot.assigned, ballot.live, ballot.failing);
            let fine = ballot.live & !ballot.failing;
            if fails && evidence.suffices(ballot.assigned, ballot.live, fine) {
                return Err(format!("{id} both fails and works: {ballot:?}"));
            }
            self.tested += 1;
            let row = evidence.row(&ballot);
            if !agrees(check, row) {
                let (tally, verdict) = (&check.tally, &check.verdict);
                let views = view.state().site_views(check);
                let seen = views
                    .iter()
                    .map(|view| (view.probe, view.vote.map(|vote| vote.status), view.silent));
                return Err(format!(
                    "{id}: the log says {row:?} {ballot:?}, the state {tally:?} {verdict:?} by {:?}",
                    seen.collect::<Vec<_>>()
                ));
            }
        }
        Ok(())
    }
}

fn agrees(check: &CheckState, row: Row) -> bool {
    let lame = check.tally.lame.as_ref();
    let suspect = lame.is_some_and(|lame| lame.failing_since.is_some());
    match row {
        Row::Suspect => suspect,
        Row::Blind => lame.is_some() && !suspect,
        _ if lame.is_some() => false,
        Row::Failing => check.tally.row == Reason::Failing,
        Row::Fine => matches!(check.tally.row, Reason::Working | Reason::Slow),
        Row::Partial => matches!(check.tally.row, Reason::Partial(_)),
        Row::Mixed => check.tally.row == Reason::Mixed,
    }
}
