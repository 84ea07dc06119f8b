//! The Raft log on disk: `log.db`, written by one thread, synced before anything is acknowledged.
//!
//! Whatever waits is written in one transaction, so that a sync serves many; completions are told
//! in the order of writing. Entries that are not synced yet are read from memory.

mod head;
mod store;
mod tail;
mod writer;

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;

use openraft::alias::{EntryOf, LogIdOf, VoteOf};
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use self::head::Head;
use self::store::Store;
use self::tail::Tail;
use self::writer::{LogFile, Writer, Writing};
use super::wire::{FormatError, Types, seal};
use crate::fatal::Fatal;

pub(super) type Entry = EntryOf<Types>;
pub(super) type LogId = LogIdOf<Types>;
pub(super) type Vote = VoteOf<Types>;

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("cannot use the Raft log: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{place} of the Raft log cannot be trusted: {error}")]
    Record { place: String, error: FormatError },
    #[error("the Raft log has a hole: entry {found} follows where {wanted} should")]
    Hole { wanted: u64, found: u64 },
    #[error("the Raft log has tables of version {0}, which this program does not know: update it")]
    Version(i64),
    #[error(
        "the Raft log ends early: {found} of {wanted} commits are left; this node must be replaced"
    )]
    Cut { wanted: u64, found: u64 },
    #[error("cannot use the Raft log's files: {0}")]
    Io(#[from] io::Error),
}

impl From<LogError> for io::Error {
    fn from(error: LogError) -> Self {
        Self::other(error)
    }
}

/// The log. Clones are readers of the same log.
#[derive(Clone)]
pub(crate) struct Log {
    tail: Arc<Tail>,
    writer: Arc<Writer>,
    fatal: Fatal,
}

impl Log {
    /// Opens `log.db` in the directory `data`, or makes it, and reads every record once: a node
    /// with a damaged log must neither vote nor lead.
    pub(crate) fn open(data: &Path, fatal: Fatal) -> Result<Self, LogError> {
        let store = Store::open(&data.join("log.db"))?;
        let head = Head::open(&data.join("log.head"))?;
        let loaded = store.load()?;
        let commits = loaded.commits;
        match head.read() {
            Some(wanted) if wanted > commits => {
                return Err(LogError::Cut { wanted, found: commits });
            }
            _ => {}
        }
        let tail = Arc::new(Tail::new(loaded));
        let reader = Store::open(&data.join("log.db"))?;
        let file = LogFile { store, head, commits };
        let writer = Arc::new(Writer::start(file, reader, tail.clone(), fatal.clone())?);
        Ok(Self { tail, writer, fatal })
    }

    /// Hands a change to the writer and waits until it is on the disk.
    async fn write(&self, writing: impl FnOnce(oneshot::Sender<()>) -> Writing) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        self.writer.hand(writing(done))?;
        wait.await.map_err(|_| closed())
    }

    fn entries(&self, from: u64, to: u64) -> Result<Vec<Entry>, LogError> {
        let memory = self.tail.entries(from, to);
        let end = memory.first().map_or(to, |entry| entry.log_id().index);
        if from >= end {
            return Ok(memory);
        }
        let mut entries = self.writer.read(from, end)?;
        entries.extend(memory);
        Ok(entries)
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> io::Result<Vec<Entry>> {
        let from = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(index) => index + 1,
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        self.entries(from, to).map_err(|error| {
            self.fatal.stop(&error);
            error.into()
        })
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.tail.vote())
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let (last_purged_log_id, last_log_id) = self.tail.ends();
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = *vote;
        self.write(|done| Writing::Vote(vote, done)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        // Only a hint where replay may go to: it is written with whatever is written next.
        self.tail.set_committed(committed);
        self.writer.hand(Writing::Committed(committed))
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.tail.committed())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut records = Vec::new();
        for entry in entries {
            let index = entry.log_id().index;
            let record = seal(index, &entry).map_err(io::Error::other)?;
            self.tail.push(entry, record.len());
            records.push((index, record));
        }
        self.writer.hand(Writing::Append(records, callback))
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let first = last.map_or(0, |last| last.index + 1);
        self.write(|done| Writing::Truncate(first, done)).await?;
        // Not before: an append that the writer finished meanwhile would count as synced.
        self.tail.truncate(last);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.tail.purge(upto);
        self.write(|done| Writing::Purge(upto, done)).await
    }
}

fn closed() -> io::Error {
    io::Error::other("the Raft log is closed")
}
