//! Reports on their way into the log: gathered for a moment, one batch of a coordinator at a
//! time, as the replica does it.

use std::time::Duration;

use crosscheck_core::Command;
use crosscheck_model::Status;
use crosscheck_model::wire::{Receipt, Refusal, Report};

use super::fault::Fault;
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

    /// Copies of a report may come again, soon or minutes later, at any coordinator.
    pub(super) fn repeat_later(&mut self, host: usize, report: &Report) {
        self.hosts[host].reported = Some(report.clone());
        let trouble = self.hosts[host].trouble;
        let twice = trouble.duplicate && self.random.chance(200);
        let late = trouble.replay && self.random.chance(300);
        for (copied, most) in [(twice, 3_000), (late, 300_000)] {
            if copied {
                let (delay, node) = (self.random.millis(10, most), self.random.below(3));
                let report = report.clone();
                self.after(delay, "copy", move |world| world.take_copy(host, node, report));
            }
        }
    }

    /// Goes on in a session that is over, as if the probe that had it were still there.
    pub(super) fn forge(&mut self, host: usize, mut report: Report, step: u64) {
        let known = self.state().probes.get(&report.probe);
        // Until the probe has another session this would not be somebody else's.
        if known.is_none_or(|known| known.epoch == report.epoch) {
            return;
        }
        self.coverage.fault(Fault::EpochReuse);
        (report.seq, report.echo) = (report.seq + step, self.state().now);
        for seen in &mut report.observations {
            (seen.seq, seen.at, seen.started) = (seen.seq + 1000 * step, report.echo, report.echo);
            seen.outcome.status = Status::Down;
        }
        let node = self.random.below(3);
        self.take_copy(host, node, report);
    }

    /// Nobody waits for the receipt of a copy.
    fn take_copy(&mut self, host: usize, node: usize, report: Report) {
        if self.nodes[node].up && self.nodes[node].paused_until <= self.now {
            self.take_report(node, report, (host, u64::MAX, 0));
        }
    }

    fn gather(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let delay = LINGER.max(self.nodes[node].paused_until.saturating_sub(self.now));
        self.after(delay, "batch", move |world| {
            if world.nodes[node].life != life {
                return;
            }
            if world.now < world.nodes[node].paused_until {
                return world.gather(node);
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
