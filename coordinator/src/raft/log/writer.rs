//! What writes the log: everything that waits in one transaction, then the answers. A thread; in a
//! simulation a task, which the simulated disk holds up.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crosscheck_model::mutant::{self, Mutant};
use openraft::storage::IOFlushed;
use rusqlite::params;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::head::Head;
use super::store::{Marks, Store, put_marks};
use super::tail::Tail;
use super::{LogError, LogId, Vote, closed};
use crate::fatal::Fatal;
use crate::raft::wire::Types;
use crate::surroundings::{Disk, Storage};

/// The most changes in one transaction. openraft itself bounds how much can wait.
const BATCH: usize = 1_024;

/// A change of the log.
pub(super) enum Writing {
    Append(Vec<(u64, Vec<u8>)>, IOFlushed<Types>),
    Vote(Vote, oneshot::Sender<()>),
    Committed(Option<LogId>),
    /// Everything from this index on goes.
    Truncate(u64, oneshot::Sender<()>),
    Purge(LogId, oneshot::Sender<()>),
}

/// What the thread writes to.
pub(super) struct LogFile {
    pub(super) store: Store,
    pub(super) head: Head,
    /// What was written last.
    pub(super) marks: Marks,
    /// A vote that is written too late, where a mutant wants that.
    pub(super) late_vote: Option<Vote>,
}

/// Who is to be told after the sync, in order.
enum Waiting {
    Appended(IOFlushed<Types>),
    Written(oneshot::Sender<()>),
}

/// The handle of the thread, and the connection that readers share.
pub(super) struct Writer {
    // `None` only while this is dropped.
    orders: Option<UnboundedSender<Writing>>,
    /// `None` also where a task writes.
    thread: Option<JoinHandle<()>>,
    reader: Mutex<Store>,
}

impl Writer {
    pub(super) fn start(
        file: LogFile,
        reader: Store,
        tail: Arc<Tail>,
        fatal: Fatal,
        storage: &Storage,
    ) -> Result<Self, LogError> {
        let (orders, receiver) = unbounded_channel();
        let thread = match storage {
            Storage::Threads => {
                let thread = std::thread::Builder::new().name("raft log".into());
                Some(thread.spawn(move || run(file, receiver, &tail, &fatal))?)
            }
            Storage::Turns(disk) => {
                tokio::spawn(run_in_turn(file, receiver, tail, fatal, disk.clone()));
                None
            }
        };
        Ok(Self { orders: Some(orders), thread, reader: Mutex::new(reader) })
    }

    pub(super) fn hand(&self, writing: Writing) -> io::Result<()> {
        let orders = self.orders.as_ref().ok_or_else(closed)?;
        let writing = match writing {
            Writing::Append(records, callback) if mutant::is(Mutant::AckBeforeFsync) => {
                callback.io_completed(Ok(()));
                Writing::Append(records, IOFlushed::noop())
            }
            other => other,
        };
        orders.send(writing).map_err(|_| closed())
    }

    /// Reads what is synced.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        read(&self.reader.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // It reports its errors itself.
            let _ = thread.join();
        }
    }
}

fn run(mut file: LogFile, mut orders: UnboundedReceiver<Writing>, tail: &Tail, fatal: &Fatal) {
    let mut held = None;
    while let Some(first) = orders.blocking_recv() {
        let Some(batch) = gather(first, &mut held, &mut orders) else { continue };
        match write(&mut file, batch, tail) {
            Ok(waiting) => tell(waiting),
            Err(error) => return fatal.stop(error),
        }
    }
    // The last one, when the log is closed in order; nothing depends on it.
    if let Some(held) = held
        && let Err(error) = write(&mut file, vec![held], tail)
    {
        tracing::warn!(%error, "the commit mark was not written");
    }
}

async fn run_in_turn(
    mut file: LogFile,
    mut orders: UnboundedReceiver<Writing>,
    tail: Arc<Tail>,
    fatal: Fatal,
    disk: Arc<dyn Disk>,
) {
    let mut held = None;
    while let Some(first) = orders.recv().await {
        let Some(batch) = gather(first, &mut held, &mut orders) else { continue };
        disk.write().await;
        let waiting = match write(&mut file, batch, &tail) {
            Ok(waiting) => waiting,
            Err(error) => return fatal.stop(error),
        };
        disk.answer().await;
        tell(waiting);
    }
}

/// What goes into one transaction; `None` when it is not worth one yet.
fn gather(
    first: Writing,
    held: &mut Option<Writing>,
    orders: &mut UnboundedReceiver<Writing>,
) -> Option<Vec<Writing>> {
    let mut batch: Vec<Writing> = held.take().into_iter().chain([first]).collect();
    while batch.len() < BATCH
        && let Ok(next) = orders.try_recv()
    {
        batch.push(next);
    }
    // A commit mark alone is not worth a sync: it waits for company.
    if let [Writing::Committed(_)] | [Writing::Committed(_), Writing::Committed(_)] = &batch[..] {
        *held = batch.pop();
        return None;
    }
    Some(batch)
}

/// Writes and syncs; who is to be told then.
fn write(file: &mut LogFile, batch: Vec<Writing>, tail: &Tail) -> Result<Vec<Waiting>, LogError> {
    let mut marks = file.marks.clone();
    marks.commits += 1;
    let late_vote = file.late_vote.take();
    let tx = file.store.0.transaction()?;
    let mut waiting = Vec::new();
    let mut votes = None;
    let mut appended = None;
    for writing in batch {
        match writing {
            Writing::Append(records, callback) => {
                let mut insert =
                    tx.prepare_cached("INSERT OR REPLACE INTO entry VALUES (?1, ?2)")?;
                for (index, record) in records {
                    insert.execute(params![index.cast_signed(), record])?;
                    marks.append(index);
                    appended = Some(index + 1);
                }
                waiting.push(Waiting::Appended(callback));
            }
            Writing::Vote(vote, done) => {
                if mutant::is(Mutant::VoteLogReorder) {
                    file.late_vote = Some(vote);
                } else {
                    marks.vote = Some(vote);
                }
                votes = Some(vote);
                waiting.push(Waiting::Written(done));
            }
            Writing::Committed(upto) => {
                marks.committed = upto;
            }
            Writing::Truncate(first, done) => {
                tx.execute("DELETE FROM entry WHERE idx >= ?1", [first.cast_signed()])?;
                marks.truncate(first);
                appended = appended.map(|to: u64| to.min(first));
                waiting.push(Waiting::Written(done));
            }
            Writing::Purge(upto, done) => {
                tx.execute("DELETE FROM entry WHERE idx <= ?1", [upto.index.cast_signed()])?;
                marks.purge(upto);
                waiting.push(Waiting::Written(done));
            }
        }
    }
    marks.vote = late_vote.or(marks.vote);
    put_marks(&tx, &marks)?;
    tx.commit()?;
    file.head.write(marks.commits)?;
    file.marks = marks;
    if let Some(vote) = votes {
        tail.set_vote(vote);
    }
    if let Some(index) = appended {
        tail.synced(index);
    }
    Ok(waiting)
}

/// Tells them in order.
fn tell(waiting: Vec<Waiting>) {
    for waiting in waiting {
        match waiting {
            Waiting::Appended(callback) => callback.io_completed(Ok(())),
            // Whoever asked may have gone.
            Waiting::Written(done) => drop(done.send(())),
        }
    }
}
