//! When each check runs: a fixed-rate schedule, spread evenly, at most one run of a check at a
//! time and a bounded number of runs in all. Pure: the clock comes in as an argument.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crosscheck_model::observation::Trigger;
use crosscheck_model::wire::Assigned;
use crosscheck_model::{CheckId, ProbeId};

use crate::{Mono, spread};

mod entry;

use entry::{Entry, Stage};

/// A new check first runs within this time, so that nobody waits a whole long interval for a
/// first answer; spread, so that a restarted probe does not run all its checks at once.
pub const FIRST_WITHIN: Duration = Duration::from_secs(10);

/// Confirmation orders remembered to tell a repeated one: the fleet's bound is 20 a second, so
/// this covers more than the 15 s of a session.
const NONCES_KEPT: usize = 1024;

/// One execution of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Unique in the life of the process.
    pub id: u64,
    /// What to run.
    pub check: Arc<Assigned>,
    /// When it was due.
    pub due: Mono,
    /// Why it runs.
    pub trigger: Trigger,
}

/// What the schedule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start this run now.
    Start(Run),
    /// Stop this run; its result is not wanted.
    Cancel(u64),
    /// What is known about this check is void: it is gone, or means something else now.
    Forget(CheckId),
}

/// What follows a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt, after the attempt gap.
    Attempt,
    /// Nothing before the next slot.
    Settled {
        /// The probe sees a failure, so slots follow the retry interval.
        failing: bool,
    },
}

/// Slots that got no run of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// The run before, with its attempts, was still going.
    pub skipped: u64,
    /// The probe was too busy, or stood still.
    pub dropped: u64,
}

/// The schedule of one probe.
#[derive(Debug)]
pub struct Schedule {
    probe: ProbeId,
    limit: usize,
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    index: HashMap<CheckId, usize>,
    heap: BinaryHeap<Reverse<(Mono, u32, u32)>>,
    urgent: VecDeque<(usize, u32)>,
    ready: VecDeque<(usize, u32)>,
    running: BTreeMap<u64, (usize, Run)>,
    nonces: VecDeque<u64>,
    stamp: u32,
    runs: u64,
    stopped: bool,
    missed: Missed,
}

impl Schedule {
    /// No checks yet; at most `limit` runs at the same time.
    pub fn new(probe: ProbeId, limit: usize) -> Self {
        Self {
            probe,
            limit: limit.max(1),
            entries: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            heap: BinaryHeap::new(),
            urgent: VecDeque::new(),
            ready: VecDeque::new(),
            running: BTreeMap::new(),
            nonces: VecDeque::new(),
            stamp: 0,
            runs: 0,
            stopped: false,
            missed: Missed::default(),
        }
    }

    /// From now on exactly these checks run. Checks whose settings stay keep slot and phase.
    pub fn assign(&mut self, now: Mono, checks: Vec<Assigned>) -> Vec<Effect> {
        let mut out = Vec::new();
        let wanted: BTreeSet<&CheckId> = checks.iter().map(|check| &check.spec.id).collect();
        let mut gone: Vec<CheckId> =
            self.index.keys().filter(|id| !wanted.contains(id)).cloned().collect();
        gone.sort_unstable(); // What is done must not follow the map's random order.
        for id in gone {
            self.remove(&id, &mut out);
        }
        for check in checks {
            match self.index.get(&check.spec.id).and_then(|&at| self.entries[at].as_ref()) {
                Some(entry) if entry.check.rev == check.rev => self.keep(now, check),
                Some(_) => {
                    self.remove(&check.spec.id, &mut out);
                    self.add(now, check);
                }
                None => self.add(now, check),
            }
        }
        self.pump(now, &mut out);
        out
    }

    /// Time has come to [`Self::wake`].
    pub fn time(&mut self, now: Mono) -> Vec<Effect> {
        let mut out = Vec::new();
        while let Some(&Reverse((due, at, stamp))) = self.heap.peek() {
            if due > now {
                break;
            }
            self.heap.pop();
            self.enqueue(at as usize, stamp);
        }
        self.pump(now, &mut out);
        out
    }

    /// An order to run a check at once. A repeated order does nothing, nor does one that came late and
    /// would ask the target too often; and a run that is under way or about to start answers it.
    pub fn confirm(&mut self, now: Mono, check: &CheckId, nonce: u64) -> Vec<Effect> {
        let mut out = Vec::new();
        if self.stopped || self.nonces.contains(&nonce) {
            return out;
        }
        self.nonces.push_back(nonce);
        if self.nonces.len() > NONCES_KEPT {
            self.nonces.pop_front();
        }
        let Some(&at) = self.index.get(check) else { return out };
        let stamp = self.next_stamp();
        let Some(entry) = self.entries[at].as_mut() else { return out };
        match (&entry.stage, entry.trigger) {
            (Stage::Waiting, Trigger::Schedule | Trigger::Confirm) => {
                if !entry.take_confirmation(now) {
                    return out;
                }
                entry.trigger = Trigger::Confirm;
                entry.next = now;
                entry.slot.get_or_insert(now);
                entry.stamp = stamp;
                entry.stage = Stage::Ready;
                self.urgent.push_back((at, stamp));
            }
            (Stage::Ready, _) => self.urgent.push_back((at, entry.stamp)),
            _ => {}
        }
        self.pump(now, &mut out);
        out
    }

    /// A run has ended; `None` when it was cancelled. Its slot among the concurrent runs is free,
    /// but the check waits for [`Self::judged`].
    pub fn ended(&mut self, now: Mono, run: u64) -> Option<(Run, Vec<Effect>)> {
        let (at, run) = self.running.remove(&run)?;
        if let Some(entry) = self.entries[at].as_mut() {
            entry.stage = Stage::Judging;
        }
        let mut out = Vec::new();
        self.pump(now, &mut out);
        Some((run, out))
    }

    /// What follows the run that ended last for this check.
    pub fn judged(&mut self, now: Mono, check: &CheckId, next: Next) {
        let Some(&at) = self.index.get(check) else { return };
        let Some(entry) = self.entries[at].as_mut() else { return };
        if !matches!(entry.stage, Stage::Judging) {
            return;
        }
        match next {
            Next::Attempt => {
                entry.trigger = Trigger::Retry;
                entry.next = now + entry.times().attempt_gap;
            }
            Next::Settled { failing } => {
                let recovered = std::mem::replace(&mut entry.failing, failing) && !failing;
                entry.trigger = Trigger::Schedule;
                entry.next = match entry.slot {
                    // Back to the grid, without waiting longer than the retry interval asks for.
                    Some(slot) if recovered => {
                        entry.grid(slot + entry.interval().min(entry.times().retry_interval))
                    }
                    _ => entry.next_slot(now),
                };
                let interval = entry.interval();
                let behind = now.saturating_sub(entry.next);
                if behind > Duration::ZERO {
                    let skipped = spread::whole(behind, interval) + 1;
                    entry.next += spread::times(interval, skipped);
                    self.missed.skipped += skipped;
                }
            }
        }
        entry.next = entry.next.max(entry.alone_until);
        self.arm(at);
    }

    /// The target of this check asks to be left alone until then: neither an attempt nor an order
    /// to confirm runs before.
    pub fn leave_alone(&mut self, check: &CheckId, until: Mono) {
        let entry = self.index.get(check).and_then(|&at| self.entries[at].as_mut());
        if let Some(entry) = entry {
            entry.alone_until = until;
        }
    }

    /// Starts nothing any more and cancels what runs.
    pub fn stop(&mut self) -> Vec<Effect> {
        self.stopped = true;
        self.heap.clear();
        self.urgent.clear();
        self.ready.clear();
        std::mem::take(&mut self.running).into_keys().map(Effect::Cancel).collect()
    }

    /// When [`Self::time`] is wanted next.
    pub fn wake(&self) -> Option<Mono> {
        self.heap.peek().map(|Reverse((due, ..))| *due)
    }

    /// How many checks are assigned.
    pub fn checks(&self) -> usize {
        self.index.len()
    }

    /// How many runs are under way.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Slots without a run.
    pub fn missed(&self) -> Missed {
        self.missed
    }

    fn add(&mut self, now: Mono, check: Assigned) {
        let id = check.spec.id.clone();
        let mut entry = Entry {
            hash: spread::hash(&id, &self.probe),
            check: Arc::new(check),
            slot: None,
            next: now,
            trigger: Trigger::Schedule,
            stage: Stage::Waiting,
            failing: false,
            stamp: 0,
            alone_until: Mono::ZERO,
            confirmation: Mono::ZERO,
        };
        entry.next = entry.next_slot(now);
        let at = self.free.pop().unwrap_or(self.entries.len());
        if at == self.entries.len() {
            self.entries.push(None);
        }
        self.entries[at] = Some(entry);
        self.index.insert(id, at);
        self.arm(at);
    }

    fn keep(&mut self, now: Mono, check: Assigned) {
        let Some(&at) = self.index.get(&check.spec.id) else { return };
        let Some(entry) = self.entries[at].as_mut() else { return };
        if entry.check.spec == check.spec {
            return;
        }
        let moved = *entry.times() != check.spec.schedule;
        entry.check = Arc::new(check);
        if moved && matches!((&entry.stage, entry.trigger), (Stage::Waiting, Trigger::Schedule)) {
            let slot = entry.next_slot(now);
            // With a shorter interval that slot is over for most checks. They do not start now, all
            // at once and at all probes.
            let next = if slot < now { entry.grid(now) } else { slot };
            entry.next = next.max(entry.alone_until);
            self.arm(at);
        }
    }

    fn remove(&mut self, id: &CheckId, out: &mut Vec<Effect>) {
        let Some(at) = self.index.remove(id) else { return };
        if let Some(Entry { stage: Stage::Running(run), .. }) = self.entries[at].take() {
            self.running.remove(&run);
            out.push(Effect::Cancel(run));
        }
        self.free.push(at);
        out.push(Effect::Forget(id.clone()));
    }

    fn next_stamp(&mut self) -> u32 {
        self.stamp = self.stamp.wrapping_add(1);
        self.stamp
    }

    fn arm(&mut self, at: usize) {
        let stamp = self.next_stamp();
        let Some(entry) = self.entries[at].as_mut() else { return };
        entry.stage = Stage::Waiting;
        entry.stamp = stamp;
        if self.stopped {
            return;
        }
        let place = u32::try_from(at).expect("fewer checks than 2^32 fit into memory");
        self.heap.push(Reverse((entry.next, place, stamp)));
        // Confirmations and edits leave outdated alarms behind; they must not pile up.
        if self.heap.len() > 2 * self.index.len() + 64 {
            let entries = &self.entries;
            self.heap.retain(|Reverse((_, at, stamp))| {
                entries[*at as usize].as_ref().is_some_and(|entry| entry.stamp == *stamp)
            });
        }
    }

    fn enqueue(&mut self, at: usize, stamp: u32) {
        let Some(entry) = self.entries[at].as_mut() else { return };
        if entry.stamp != stamp || !matches!(entry.stage, Stage::Waiting) {
            return;
        }
        entry.stage = Stage::Ready;
        let urgent = entry.trigger != Trigger::Schedule;
        if urgent { &mut self.urgent } else { &mut self.ready }.push_back((at, stamp));
    }

    /// Starts what is ready, as far as the limit allows; confirmations and attempts first.
    fn pump(&mut self, now: Mono, out: &mut Vec<Effect>) {
        while self.running.len() < self.limit {
            let Some((at, stamp)) = self.urgent.pop_front().or_else(|| self.ready.pop_front())
            else {
                return;
            };
            let Some(entry) = self.entries[at].as_mut() else { continue };
            if entry.stamp != stamp || !matches!(entry.stage, Stage::Ready) {
                continue;
            }
            self.missed.dropped += entry.catch_up(now);
            if entry.trigger == Trigger::Schedule {
                entry.slot = Some(entry.next);
            }
            self.runs += 1;
            entry.stage = Stage::Running(self.runs);
            let run = Run {
                id: self.runs,
                check: Arc::clone(&entry.check),
                due: entry.next,
                trigger: entry.trigger,
            };
            self.running.insert(run.id, (at, run.clone()));
            out.push(Effect::Start(run));
        }
    }
}

#[cfg(test)]
mod tests;
