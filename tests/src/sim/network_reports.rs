//! Reports on their way into the log: gathered for a moment, one batch of a coordinator at a
//! time, as the replica does it.

use std::time::Duration;

use crosscheck_core::Command;
use crosscheck_model::wire::{Receipt, Refusal, Report};

use super::log::Origin;
use super::world::World;

/// How long the first report waits for others, as in the replica's batcher.
const LINGER: Duration = Duration::from_millis(100);

/// Who waits for a receipt: the machine, its life, and its attempt.
pub(super) type Asker = (usize, u64, u64);

/// Reports that a coordinator gathers.
#[derive(Debug, Default)]
pub(super) struct Reports {
    waiting: Vec<(Report, Asker)>,
    busy: bool,
}

impl World {
    pub(super) fn take_report(&mut self, node: usize, report: Report, asker: Asker) {
        let reports = &mut self.nodes[node].reports;
        reports.waiting.push((report, asker));
        if !std::mem::replace(&mut reports.busy, true) {
            self.gather(node);
        }
    }

    fn gather(&mut self, node: usize) {
        let life = self.nodes[node].life;
        self.after(LINGER, "batch", move |world| {
            if world.nodes[node].life != life {
                return;
            }
            let waiting = std::mem::take(&mut world.nodes[node].reports.waiting);
            let (reports, askers) = waiting.into_iter().unzip();
            let origin = Origin::Batch { node, life, askers };
            world.submit(node, Command::Batch(reports), origin);
        });
    }

    /// A batch has ended, well or not.
    pub(super) fn batched(
        &mut self,
        node: usize,
        life: u64,
        askers: Vec<Asker>,
        receipts: Vec<Result<Receipt, Refusal>>,
    ) {
        if self.nodes[node].life != life {
            return;
        }
        let mut receipts = receipts.into_iter();
        for asker in askers {
            let receipt = receipts.next().unwrap_or(Err(Refusal::Unavailable));
            self.answer_report(asker, node, receipt);
        }
        if self.nodes[node].reports.waiting.is_empty() {
            self.nodes[node].reports.busy = false;
        } else {
            self.gather(node);
        }
    }
}
