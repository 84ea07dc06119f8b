//! Observations that wait to be delivered: the live ones in memory, and a bounded backlog of
//! those that could not be delivered in time, on disk. Pure: the disk is asked through [`DiskOp`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crosscheck_model::evidence::REPORTED_LIMIT;
use crosscheck_model::{Evidence, Observation};

use crate::Mono;
use crate::state::Weight;

/// Live observations beyond this go to the backlog: one second's worth of the fastest probe.
pub const LIVE_LIMIT: usize = 10_000;

/// Observations that wait for the disk, or that the disk refused; bounds memory (about 10 MiB)
/// when the disk is slow or full.
pub const UNSTORED_LIMIT: usize = 20_000;

/// Observations in one report of the backlog: half a report, so that live ones wait less.
pub const BACKLOG_BATCH: usize = 500;

/// Evidence that waits, in memory only: about 300 KiB. It explains a failure of now, so the oldest
/// goes first, and none outlives the process.
pub const EVIDENCE_LIMIT: usize = 200;

/// While cut off, the disk is written to this often: one fsync a second.
const SPILL_EVERY: Duration = Duration::from_secs(1);

/// After an error the disk is left alone for this long.
const DISK_RETRY: Duration = Duration::from_secs(10);

/// An observation with its place in the order of the spool.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Grows in the life of the spool, over restarts.
    pub id: u64,
    /// How much it matters.
    pub weight: Weight,
    /// What was seen.
    pub observation: Observation,
}

/// What a disk is asked to do, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum DiskOp {
    /// Keep these; answered by [`Spool::stored`].
    Append(Vec<Record>),
    /// Forget these; no answer.
    Remove(Vec<u64>),
    /// Give these back; answered by [`Spool::fetched`].
    Fetch(Vec<u64>),
}

#[derive(Debug)]
struct Entry {
    weight: Weight,
    /// `None`: only on disk.
    memory: Option<Observation>,
}

/// A batch of the backlog on its way into a report.
#[derive(Debug)]
enum Batch {
    None,
    Fetching {
        ids: Vec<u64>,
        here: Vec<Record>,
    },
    Here(Vec<Record>),
    /// The disk could not be read; it is asked again later.
    Resting {
        until: Mono,
    },
    Reported(Vec<u64>),
}

/// Observations that wait to be delivered.
#[derive(Debug)]
pub struct Spool {
    limit: usize,
    live: VecDeque<(Weight, Observation)>,
    evidence: VecDeque<Evidence>,
    urgent: bool,
    backlog: BTreeMap<u64, Entry>,
    by_weight: [BTreeSet<u64>; 3],
    unstored: BTreeSet<u64>,
    writing: Option<u64>,
    batch: Batch,
    next_id: u64,
    write_at: Mono,
    dropped: u64,
    removed: Vec<u64>,
}

impl Spool {
    /// At most `limit` observations; `kept` are those that the disk still has from before.
    pub fn new(limit: usize, kept: &[(u64, Weight)]) -> Self {
        let mut spool = Self {
            limit: limit.max(1),
            live: VecDeque::new(),
            evidence: VecDeque::new(),
            urgent: false,
            backlog: BTreeMap::new(),
            by_weight: Default::default(),
            unstored: BTreeSet::new(),
            writing: None,
            batch: Batch::None,
            next_id: kept.iter().map(|(id, _)| id + 1).max().unwrap_or(0),
            write_at: Mono::ZERO,
            dropped: 0,
            removed: Vec::new(),
        };
        for (id, weight) in kept {
            spool.enter(*id, *weight, None);
        }
        spool.make_room();
        spool
    }

    /// A new observation.
    pub fn push(&mut self, weight: Weight, observation: Observation) {
        self.urgent |= weight != Weight::Plain;
        self.live.push_back((weight, observation));
        while self.live.len() > LIVE_LIMIT {
            self.spill_one();
        }
        self.make_room();
    }

    /// Takes the oldest live observations.
    pub fn take_live(&mut self, most: usize) -> Vec<(Weight, Observation)> {
        let count = self.live.len().min(most);
        let taken = self.live.drain(..count).collect();
        self.urgent &= !self.live.is_empty();
        taken
    }

    /// New evidence.
    pub fn push_evidence(&mut self, evidence: Evidence) {
        self.evidence.push_back(evidence);
        self.bound_evidence();
    }

    /// Takes the oldest evidence, as much as fits into a report.
    pub fn take_evidence(&mut self) -> Vec<Evidence> {
        let count = self.evidence.len().min(REPORTED_LIMIT);
        self.evidence.drain(..count).collect()
    }

    /// Puts undelivered evidence back to where it was.
    pub fn put_evidence_back(&mut self, taken: Vec<Evidence>) {
        taken.into_iter().rev().for_each(|evidence| self.evidence.push_front(evidence));
        self.bound_evidence();
    }

    fn bound_evidence(&mut self) {
        let excess = self.evidence.len().saturating_sub(EVIDENCE_LIMIT);
        self.evidence.drain(..excess);
    }

    /// How much evidence waits.
    pub fn evidence(&self) -> usize {
        self.evidence.len()
    }

    /// Puts undelivered live observations back to where they were.
    pub fn put_back(&mut self, taken: Vec<(Weight, Observation)>) {
        for item in taken.into_iter().rev() {
            self.urgent |= item.0 != Weight::Plain;
            self.live.push_front(item);
        }
        self.make_room();
    }

    /// No coordinator takes anything: all that is live goes to the backlog.
    pub fn spill(&mut self) {
        while !self.live.is_empty() {
            self.spill_one();
        }
        self.urgent = false;
        self.make_room();
    }

    /// What the disk is to do now; `flush` at shutdown, when nothing may wait.
    pub fn disk(&mut self, now: Mono, flush: bool) -> Vec<DiskOp> {
        let mut ops = Vec::new();
        if matches!(self.batch, Batch::Resting { until } if now >= until) {
            self.batch = Batch::None;
        }
        if self.writing.is_none() && !self.unstored.is_empty() && (flush || now >= self.write_at) {
            self.write_at = now + SPILL_EVERY;
            self.writing = self.unstored.last().copied();
            let records = self.unstored.iter().filter_map(|id| self.record(*id)).collect();
            ops.push(DiskOp::Append(records));
        }
        if !self.removed.is_empty() {
            ops.push(DiskOp::Remove(std::mem::take(&mut self.removed)));
        }
        ops
    }

    /// The disk has done its newest append, or has not.
    pub fn stored(&mut self, now: Mono, done: bool) {
        let Some(last) = self.writing.take() else { return };
        if !done {
            self.write_at = now + DISK_RETRY;
            return;
        }
        let later = self.unstored.split_off(&(last + 1));
        for id in std::mem::replace(&mut self.unstored, later) {
            if let Some(entry) = self.backlog.get_mut(&id) {
                entry.memory = None;
            }
        }
    }

    /// The oldest of the backlog, once it is in memory; asks the disk for it otherwise. The batch
    /// stays in the backlog until [`Self::settle_batch`].
    pub fn backlog_batch(&mut self) -> (Option<Vec<Observation>>, Option<DiskOp>) {
        match &mut self.batch {
            Batch::None if !self.backlog.is_empty() => self.begin_batch(),
            Batch::Here(records) => {
                let records = std::mem::take(records);
                self.batch = Batch::Reported(records.iter().map(|record| record.id).collect());
                let batch = records.into_iter().map(|record| record.observation).collect();
                (Some(batch), None)
            }
            _ => (None, None),
        }
    }

    /// The disk gives back what [`DiskOp::Fetch`] asked for; what is missing is lost. `None`: it
    /// cannot be read at present.
    pub fn fetched(&mut self, now: Mono, records: Option<Vec<Record>>) {
        let Batch::Fetching { ids, here } = std::mem::replace(&mut self.batch, Batch::None) else {
            return;
        };
        let Some(records) = records else {
            self.batch = Batch::Resting { until: now + DISK_RETRY };
            return;
        };
        let found: BTreeSet<u64> = records.iter().map(|record| record.id).collect();
        for id in ids.iter().filter(|id| !found.contains(id)) {
            if self.leave(*id) {
                self.dropped += 1;
            }
        }
        let mut all = here;
        all.extend(records);
        all.sort_by_key(|record| record.id);
        if !all.is_empty() {
            self.batch = Batch::Here(all);
        }
    }

    /// The batch was delivered, or must be tried again.
    pub fn settle_batch(&mut self, delivered: bool) {
        if let Batch::Reported(ids) = std::mem::replace(&mut self.batch, Batch::None)
            && delivered
        {
            for id in ids {
                self.leave(id);
            }
        }
    }

    /// How many live observations wait.
    pub fn live(&self) -> usize {
        self.live.len()
    }

    /// Whether one of the live observations must not wait for company.
    pub fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// How many observations the backlog holds.
    pub fn backlog(&self) -> usize {
        self.backlog.len()
    }

    /// Whether a batch of the backlog could be reported now, or fetched.
    pub fn wants_batch(&self) -> bool {
        match self.batch {
            Batch::None => !self.backlog.is_empty(),
            Batch::Here(_) => true,
            Batch::Fetching { .. } | Batch::Resting { .. } | Batch::Reported(_) => false,
        }
    }

    /// Whether everything is on disk that should be.
    pub fn is_flushed(&self) -> bool {
        self.live.is_empty() && self.unstored.is_empty()
    }

    /// Observations lost to the bound.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// When [`Self::disk`] is wanted next.
    pub fn wake(&self) -> Option<Mono> {
        let write = (self.writing.is_none() && !self.unstored.is_empty()).then_some(self.write_at);
        let read = match self.batch {
            Batch::Resting { until } => Some(until),
            _ => None,
        };
        write.into_iter().chain(read).min()
    }

    fn begin_batch(&mut self) -> (Option<Vec<Observation>>, Option<DiskOp>) {
        let ids: Vec<u64> = self.backlog.keys().take(BACKLOG_BATCH).copied().collect();
        let here: Vec<Record> = ids.iter().filter_map(|id| self.record(*id)).collect();
        let absent: Vec<u64> = ids
            .into_iter()
            .filter(|id| self.backlog.get(id).is_some_and(|entry| entry.memory.is_none()))
            .collect();
        if absent.is_empty() {
            self.batch = Batch::Here(here);
            return self.backlog_batch();
        }
        self.batch = Batch::Fetching { ids: absent.clone(), here };
        (None, Some(DiskOp::Fetch(absent)))
    }

    fn record(&self, id: u64) -> Option<Record> {
        let entry = self.backlog.get(&id)?;
        let observation = entry.memory.clone()?;
        Some(Record { id, weight: entry.weight, observation })
    }

    fn spill_one(&mut self) {
        if let Some((weight, observation)) = self.live.pop_front() {
            let id = self.next_id;
            self.next_id += 1;
            self.unstored.insert(id);
            self.enter(id, weight, Some(observation));
        }
    }

    fn enter(&mut self, id: u64, weight: Weight, memory: Option<Observation>) {
        self.backlog.insert(id, Entry { weight, memory });
        self.by_weight[weight as usize].insert(id);
    }

    /// Takes an entry out of the backlog and off the disk; whether it was there.
    fn leave(&mut self, id: u64) -> bool {
        let Some(entry) = self.backlog.remove(&id) else { return false };
        self.by_weight[entry.weight as usize].remove(&id);
        let unwritten = self.unstored.remove(&id) && self.writing.is_none_or(|last| id > last);
        if !unwritten {
            self.removed.push(id);
        }
        true
    }

    /// Keeps the bounds: the least weight goes first, and of that the oldest.
    fn make_room(&mut self) {
        while self.backlog.len() + self.live.len() > self.limit {
            self.drop_lightest();
        }
        if self.unstored.len() > UNSTORED_LIMIT {
            // A tenth at once, so that a broken disk does not cost a search for each observation.
            let mut ids: Vec<u64> = self.unstored.iter().copied().collect();
            ids.sort_by_key(|id| (self.backlog.get(id).map(|entry| entry.weight), *id));
            for id in ids.into_iter().take(UNSTORED_LIMIT / 10) {
                self.leave(id);
                self.dropped += 1;
            }
        }
    }

    fn drop_lightest(&mut self) {
        self.dropped += 1;
        for weight in [Weight::Plain, Weight::Repeat, Weight::Transition] {
            if let Some(&id) = self.by_weight[weight as usize].first() {
                self.leave(id);
                return;
            }
            if let Some(at) = self.live.iter().position(|(live, _)| *live == weight) {
                self.live.remove(at);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
