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

use futures_util::{Stream, TryStreamExt, stream};
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
use crate::surroundings::Storage;

pub(super) type Entry = EntryOf<Types>;
pub(super) type LogId = LogIdOf<Types>;
pub(super) type Vote = VoteOf<Types>;

/// The most bytes of entries in one append, unless a single one is larger.
const APPEND_BYTES: usize = 4 * 1024 * 1024;

/// The most entries that are read at once for replay, however small they are.
const PIECE_ENTRIES: u64 = 256;

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// SQLite reports an error.
    #[error("cannot use the Raft log: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A record is damaged, or of another format.
    #[error("{place} of the Raft log cannot be trusted: {error}")]
    Record {
        /// Which.
        place: String,
        /// What is wrong with it.
        error: FormatError,
    },
    /// Entries are missing between others.
    #[error("the Raft log has a hole: entry {found} follows where {wanted} should")]
    Hole {
        /// The index that should be there.
        wanted: u64,
        /// The index that is.
        found: u64,
    },
    /// Entries are missing at the end.
    #[error(
        "the Raft log ends before entry {found}, but should before {wanted}: replace this node"
    )]
    End {
        /// The index after the last entry that should be there.
        wanted: u64,
        /// The index after the last one that is.
        found: u64,
    },
    /// A newer version of crosscheck has written the file.
    #[error("the Raft log has tables of version {0}, which this program does not know: update it")]
    Version(i64),
    /// Transactions that were on the disk are not there any more.
    #[error(
        "the Raft log ends early: {found} of {wanted} commits are left; this node must be replaced"
    )]
    Cut {
        /// Transactions that there have been.
        wanted: u64,
        /// Transactions that are there.
        found: u64,
    },
    /// The file system reports an error.
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
pub struct Log {
    tail: Arc<Tail>,
    writer: Arc<Writer>,
    fatal: Fatal,
}

impl Log {
    /// Opens `log.db` in the directory `data`, or makes it, and reads every record once: a node
    /// with a damaged log must neither vote nor lead.
    pub fn open(data: &Path, fatal: Fatal) -> Result<Self, LogError> {
        Self::open_on(data, fatal, &Storage::Threads)
    }

    /// As [`Self::open`], on a storage of this kind.
    pub(crate) fn open_on(data: &Path, fatal: Fatal, storage: &Storage) -> Result<Self, LogError> {
        let store = Store::open(&data.join("log.db"))?;
        let head = Head::open(&data.join("log.head"))?;
        let loaded = store.load()?;
        let marks = loaded.marks.clone();
        let commits = marks.commits;
        match head.read() {
            Some(wanted) if wanted > commits => {
                return Err(LogError::Cut { wanted, found: commits });
            }
            _ => {}
        }
        let tail = Arc::new(Tail::new(loaded));
        let reader = Store::open(&data.join("log.db"))?;
        let file = LogFile { store, head, marks, late_vote: None };
        let writer = Arc::new(Writer::start(file, reader, tail.clone(), fatal.clone(), storage)?);
        Ok(Self { tail, writer, fatal })
    }

    /// Hands a change to the writer and waits until it is on the disk.
    async fn write(&self, writing: impl FnOnce(oneshot::Sender<()>) -> Writing) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        self.writer.hand(writing(done))?;
        wait.await.map_err(|_| closed())
    }

    /// The sizes on the disk of the entries from `from` up to, not including, `to`.
    fn sizes(&self, from: u64, to: u64) -> Result<Vec<usize>, LogError> {
        let (first, memory) = self.tail.sizes(from, to);
        let mut sizes = self.writer.read(|store| store.sizes(from, first))?;
        sizes.extend(memory);
        Ok(sizes)
    }

    fn entries(&self, from: u64, to: u64) -> Result<Vec<Entry>, LogError> {
        let memory = self.tail.entries(from, to);
        let end = memory.first().map_or(to, |entry| entry.log_id().index);
        if from >= end {
            return Ok(memory);
        }
        let mut entries = self.writer.read(|store| store.read(from, end))?;
        entries.extend(memory);
        Ok(entries)
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> io::Result<Vec<Entry>> {
        let (from, to) = bounds(&range);
        self.entries(from, to).map_err(|error| {
            self.fatal.stop(&error);
            error.into()
        })
    }

    /// In pieces: what is replayed after a restart need not fit into the memory.
    async fn entries_stream<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend {
        let (from, to) = bounds(&range);
        let start = (self.clone(), from);
        let pieces = stream::try_unfold(start, move |(mut log, from)| async move {
            let end = to.min(from.saturating_add(PIECE_ENTRIES));
            if from >= end {
                return Ok(None);
            }
            let entries = log.limited_get_log_entries(from, end).await?;
            let Some(last) = entries.last() else { return Ok::<_, io::Error>(None) };
            let next = last.log_id().index + 1;
            Ok(Some((stream::iter(entries.into_iter().map(Ok)), (log, next))))
        });
        pieces.try_flatten()
    }

    /// Fewer than asked for when they are large: an append over a slow line must end in time.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let sizes = self.sizes(start, end).map_err(|error| {
            self.fatal.stop(&error);
            io::Error::from(error)
        })?;
        self.try_get_log_entries(start..end.min(start + fitting(&sizes))).await
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

/// The first index of a range, and the one after its last.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
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
    (from, to)
}

/// How many of the first entries go into one append: at least one.
fn fitting(sizes: &[usize]) -> u64 {
    let mut bytes = 0;
    let within = sizes.iter().take_while(|size| {
        bytes += **size;
        bytes <= APPEND_BYTES
    });
    (within.count() as u64).max(1)
}

fn closed() -> io::Error {
    io::Error::other("the Raft log is closed")
}
