//! Measurements on this node's disk: append, roll up, query, retain. Never a decision.
//!
//! ```text
//! apply -> append(entry, effects) -> writer thread -> history.db <- readers: page, API, reports
//! ```
//!
//! **Invariants**
//! - A row names the log entry it came from; the newest entry is written in the same transaction.
//!   So a replay of the log after a crash stores everything once.
//! - The log is purged only up to what [`History::flush`] has said is on the disk.

mod audit;
mod days;
#[cfg(test)]
mod golden;
mod query;
mod record;
mod retain;
mod rollup;
mod schema;
mod sketch;
mod tables;
#[cfg(test)]
mod tests;
mod transfer;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crosscheck_core::Effect;
use crosscheck_model::Timestamp;
use crosscheck_model::config::Retention;
use rusqlite::Connection;

pub use audit::AUDIT_LIMIT;
pub use query::{Day, LatencyPoint, POINT_LIMIT, ROW_LIMIT, Row, Span};
pub use transfer::{Cursor, Page, Want};

use crate::fatal::Fatal;
use crate::surroundings::Storage;
use retain::Pruning;
use tables::{Lack, Names, Progress};
use writer::{Order, Writer, lock};

/// Log entries that may wait for the writer: some seconds of a full load.
const QUEUE: usize = 256;
/// Idle connections kept for readers; more are opened when more ask at once.
const IDLE_READERS: usize = 4;

/// Why the history cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// SQLite reports an error.
    #[error("cannot use the history's database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A newer version of crosscheck has written the file.
    #[error("the history's tables have version {found}, this program knows {known}: update it")]
    Version {
        /// In the file.
        found: i64,
        /// In this program.
        known: i64,
    },
    /// The writer's thread could not be started.
    #[error("cannot start the history's thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The writer has ended: the node is stopping.
    #[error("the history is closed")]
    Closed,
}

/// The history. A handle: clones share one writer and one pool of readers.
#[derive(Clone)]
pub struct History(Arc<Shared>);

struct Shared {
    path: PathBuf,
    writing: Writing,
    storage: Storage,
    progress: Arc<Mutex<Progress>>,
    idle: Mutex<Vec<Connection>>,
}

/// Who writes.
enum Writing {
    /// A thread. Both are `None` only while the last handle is dropped.
    Thread(Option<SyncSender<Order>>, Option<JoinHandle<()>>),
    /// Whoever has handed in so much that it is worth it. What waits is lost when the node ends.
    Turns(Box<Mutex<(Writer, Vec<Order>)>>),
}

impl History {
    /// Opens `history.db` in the directory `data`, or makes it.
    pub fn open(data: &Path, fatal: Fatal) -> Result<Self, HistoryError> {
        Self::open_on(data, fatal, Storage::Threads)
    }

    /// As [`Self::open`], on a storage of this kind.
    pub(crate) fn open_on(
        data: &Path,
        fatal: Fatal,
        storage: Storage,
    ) -> Result<Self, HistoryError> {
        let path = data.join("history.db");
        let mut db = schema::open_writer(&path)?;
        let progress = Arc::new(Mutex::new(read_progress(&db)?));
        let mut pruning = Pruning::default();
        // Whatever a stop interrupted goes on.
        pruning.restart(&db.transaction()?)?;
        let (orders, receiver) = sync_channel(QUEUE);
        let writer = Writer {
            db,
            orders: receiver,
            progress: progress.clone(),
            fatal,
            names: Names::new(),
            pruning,
        };
        let writing = match &storage {
            Storage::Threads => {
                let thread = std::thread::Builder::new().name("history".into());
                Writing::Thread(Some(orders), Some(thread.spawn(|| writer.run())?))
            }
            Storage::Turns(_) => Writing::Turns(Box::new(Mutex::new((writer, Vec::new())))),
        };
        Ok(Self(Arc::new(Shared { path, writing, storage, progress, idle: Mutex::default() })))
    }

    /// How work with the disk is waited for.
    pub(crate) fn storage(&self) -> &Storage {
        &self.0.storage
    }

    /// Keeps what log entry `entry` left behind; its observations can be read within a second.
    /// Entries must come in order, and one that is kept already is passed over.
    pub async fn append(&self, entry: u64, effects: Arc<Vec<Effect>>) -> Result<(), HistoryError> {
        self.order(Order::Append(entry, effects)).await
    }

    /// Forgets what is older than `retention` says at the log time `now`, a little at a time.
    pub async fn retain(&self, now: Timestamp, retention: &Retention) -> Result<(), HistoryError> {
        let (raw_from, rollups_from) = retain::limits(now, retention);
        self.order(Order::Retain(raw_from, rollups_from)).await
    }

    /// Waits until everything appended before is on the disk; the newest entry that is.
    pub async fn flush(&self) -> Result<u64, HistoryError> {
        let (asker, answer) = sync_channel(1);
        self.order(Order::Flush(asker)).await?;
        let progress = self.0.storage.run(move || answer.recv()).await;
        match progress {
            Ok(Ok(progress)) => Ok(progress.applied),
            _ => Err(HistoryError::Closed),
        }
    }

    /// The state was replaced by a snapshot that stands for all entries up to `entry`.
    pub async fn lack(&self, entry: u64) -> Result<(), HistoryError> {
        self.order(Order::Lack(entry)).await?;
        self.flush().await.map(drop)
    }

    /// What to ask another coordinator for; `None` when nothing is lacking.
    pub fn wanted(&self) -> Option<Want> {
        let Lack { after, to, from } = self.progress().lacks?;
        Some(Want { after, to, rollups_from: from, cursor: Cursor::Rollups(0) })
    }

    /// Keeps a page that another coordinator gave for `want`. Returns whether pages go on fitting together:
    /// `false` when the other one has forgotten more since `first`, so that the asking must begin
    /// again.
    pub async fn fill(
        &self,
        want: &Want,
        page: Page,
        first: &mut Option<u64>,
    ) -> Result<bool, HistoryError> {
        if *first.get_or_insert(page.raw_from) != page.raw_from {
            return Ok(false);
        }
        let last = page.next.is_none();
        self.order(Order::Fill(Box::new(page))).await?;
        if last {
            self.order(Order::Filled(want.to)).await?;
            self.flush().await?;
        }
        Ok(true)
    }

    /// Gives up on what is lacking: no other coordinator exists that could have it.
    pub async fn do_without(&self, want: &Want) -> Result<(), HistoryError> {
        self.order(Order::Filled(want.to)).await?;
        self.flush().await.map(drop)
    }

    /// The newest entry whose observations can be read.
    pub fn applied(&self) -> u64 {
        self.progress().applied
    }

    fn progress(&self) -> Progress {
        *lock(&self.0.progress)
    }

    async fn order(&self, order: Order) -> Result<(), HistoryError> {
        let orders = match &self.0.writing {
            Writing::Thread(orders, _) => orders.as_ref().ok_or(HistoryError::Closed)?,
            Writing::Turns(turns) => {
                let (writer, waiting) = &mut *lock(turns);
                return writer.take_turn(waiting, order);
            }
        };
        match orders.try_send(order) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(HistoryError::Closed),
            // The disk is slower than the log: the state machine waits, not the runtime.
            Err(TrySendError::Full(order)) => {
                let orders = orders.clone();
                match tokio::task::spawn_blocking(move || orders.send(order)).await {
                    Ok(Ok(())) => Ok(()),
                    _ => Err(HistoryError::Closed),
                }
            }
        }
    }

    fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, HistoryError>,
    ) -> Result<T, HistoryError> {
        let idle = lock(&self.0.idle).pop();
        let db = match idle {
            Some(db) => db,
            None => schema::open_reader(&self.0.path)?,
        };
        let answer = query(&db)?;
        let mut idle = lock(&self.0.idle);
        if idle.len() < IDLE_READERS {
            idle.push(db);
        }
        Ok(answer)
    }
}

impl Drop for Shared {
    /// Everything appended is written before the file is let go.
    fn drop(&mut self) {
        let Writing::Thread(orders, thread) = &mut self.writing else { return };
        drop(orders.take());
        if let Some(thread) = thread.take() {
            // It has nothing to say: it reports its errors itself.
            let _ = thread.join();
        }
    }
}

fn read_progress(db: &Connection) -> Result<Progress, HistoryError> {
    let sql = "SELECT applied, raw_from, rollups_from, lacks_after, lacks_to, lacks_from
               FROM progress";
    let progress = db.query_row(sql, [], |row| {
        let lacks = match row.get::<_, Option<i64>>(3)? {
            None => None,
            Some(after) => Some(Lack {
                after: after.cast_unsigned(),
                to: record::unsigned(row, 4)?,
                from: record::unsigned(row, 5)?,
            }),
        };
        Ok(Progress {
            applied: record::unsigned(row, 0)?,
            raw_from: record::unsigned(row, 1)?,
            rollups_from: record::unsigned(row, 2)?,
            lacks,
        })
    })?;
    Ok(progress)
}
