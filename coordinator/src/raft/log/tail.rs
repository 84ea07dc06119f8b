//! What the log keeps in memory: its ends, the vote, and the newest entries.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use openraft::entry::RaftEntry;

use super::store::Marks;
use super::{Entry, LogId, Vote};

/// How many bytes of synced entries stay in memory for followers that are a little behind.
const KEPT_BYTES: usize = 32 * 1024 * 1024;

/// What a log file says when it is opened.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) marks: Marks,
    /// The last entry, or the last one purged.
    pub(super) last: Option<LogId>,
}

#[derive(Debug)]
pub(super) struct Tail(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    on_disk: Loaded,
    /// Entries from the oldest in memory to the newest of all, with their sizes on the disk.
    entries: BTreeMap<u64, (Entry, usize)>,
    bytes: usize,
    /// Entries below this index are synced.
    synced_to: u64,
}

impl Tail {
    pub(super) fn new(on_disk: Loaded) -> Self {
        let synced_to = on_disk.last.map_or(0, |last| last.index + 1);
        Self(Mutex::new(Inner { on_disk, entries: BTreeMap::new(), bytes: 0, synced_to }))
    }

    pub(super) fn vote(&self) -> Option<Vote> {
        self.lock().on_disk.marks.vote
    }

    pub(super) fn set_vote(&self, vote: Vote) {
        self.lock().on_disk.marks.vote = Some(vote);
    }

    pub(super) fn committed(&self) -> Option<LogId> {
        self.lock().on_disk.marks.committed
    }

    pub(super) fn set_committed(&self, committed: Option<LogId>) {
        self.lock().on_disk.marks.committed = committed;
    }

    /// The last purged entry and the last of all.
    pub(super) fn ends(&self) -> (Option<LogId>, Option<LogId>) {
        let inner = self.lock();
        let purged = inner.on_disk.marks.purged;
        (purged, inner.on_disk.last.max(purged))
    }

    /// The entries in memory from `from` up to, not including, `to`.
    pub(super) fn entries(&self, from: u64, to: u64) -> Vec<Entry> {
        if from >= to {
            return Vec::new();
        }
        self.lock().entries.range(from..to).map(|(_, (entry, _))| entry.clone()).collect()
    }

    /// The first index from `from` on that is in memory (`to` if none is), and the sizes from
    /// there up to, not including, `to`.
    pub(super) fn sizes(&self, from: u64, to: u64) -> (u64, Vec<usize>) {
        if from >= to {
            return (to, Vec::new());
        }
        let inner = self.lock();
        let mut entries = inner.entries.range(from..to).peekable();
        let first = entries.peek().map_or(to, |(index, _)| **index);
        (first, entries.map(|(_, (_, size))| *size).collect())
    }

    pub(super) fn push(&self, entry: Entry, size: usize) {
        let mut inner = self.lock();
        inner.on_disk.last = Some(entry.log_id());
        inner.bytes += size;
        if let Some((_, old)) = inner.entries.insert(entry.log_id().index, (entry, size)) {
            inner.bytes -= old;
        }
    }

    /// Everything below `index` is on the disk: what takes too much memory may go.
    pub(super) fn synced(&self, index: u64) {
        let mut inner = self.lock();
        inner.synced_to = inner.synced_to.max(index);
        while inner.bytes > KEPT_BYTES {
            let Some(first) = inner.entries.first_entry() else { break };
            let (index, size) = (*first.key(), first.get().1);
            if index >= inner.synced_to {
                break;
            }
            inner.entries.remove(&index);
            inner.bytes -= size;
        }
    }

    pub(super) fn truncate(&self, last: Option<LogId>) {
        let mut inner = self.lock();
        let first = last.map_or(0, |last| last.index + 1);
        let gone = inner.entries.split_off(&first);
        inner.bytes -= gone.values().map(|(_, size)| size).sum::<usize>();
        inner.synced_to = inner.synced_to.min(first);
        if inner.on_disk.last > last {
            inner.on_disk.last = last;
        }
    }

    pub(super) fn purge(&self, upto: LogId) {
        let mut inner = self.lock();
        let kept = inner.entries.split_off(&(upto.index + 1));
        inner.entries = kept;
        inner.bytes = inner.entries.values().map(|(_, size)| size).sum();
        inner.on_disk.marks.purged = Some(upto);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is whole before the lock is let go.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
