//! The one thread that writes the history: many log entries in one transaction.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crosscheck_core::Effect;
use rusqlite::Connection;

use super::HistoryError;
use super::retain::Pruning;
use super::rollup::Additions;
use super::tables::{Names, Progress, Tables};
use super::transfer::Page;
use crate::fatal::Fatal;

/// How long the first of several entries waits for others: each transaction writes a roll-up
/// once, however many observations it holds.
const LINGER: Duration = Duration::from_millis(500);
/// The most effects in one transaction: about 50 MiB while they wait.
const BATCH_EFFECTS: usize = 50_000;

/// Orders that are worth a transaction where no thread gathers them for a while.
const TURN_ORDERS: usize = 128;

/// What the thread is asked to do. Everything happens in the order of asking.
pub(super) enum Order {
    /// Keep what a log entry left behind.
    Append(u64, Arc<Vec<Effect>>),
    /// Forget what began before these moments (observations, roll-ups).
    Retain(u64, u64),
    /// A snapshot stands for all entries up to this one.
    Lack(u64),
    /// Keep a page from another coordinator.
    Fill(Box<Page>),
    /// Nothing up to this entry is lacking any more.
    Filled(u64),
    /// Say when everything asked before is on the disk.
    Flush(SyncSender<Progress>),
}

pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) orders: Receiver<Order>,
    pub(super) progress: Arc<Mutex<Progress>>,
    pub(super) fatal: Fatal,
    pub(super) names: Names,
    pub(super) pruning: Pruning,
}

impl Writer {
    /// Works until nobody can ask any more.
    pub(super) fn run(mut self) {
        while let Ok(first) = self.orders.recv() {
            let batch = self.gather(first);
            if let Err(error) = self.write(batch) {
                self.fatal.stop(format_args!("cannot write the history: {error}"));
                return;
            }
        }
    }

    /// Without a thread: writes what waits when there is enough of it, or when somebody wants it.
    pub(super) fn take_turn(
        &mut self,
        waiting: &mut Vec<Order>,
        order: Order,
    ) -> Result<(), HistoryError> {
        let is_due = is_urgent(&order) || waiting.len() >= TURN_ORDERS;
        waiting.push(order);
        if !is_due {
            return Ok(());
        }
        self.write(std::mem::take(waiting)).map_err(|error| {
            self.fatal.stop(format_args!("cannot write the history: {error}"));
            HistoryError::Sqlite(error)
        })
    }

    fn gather(&self, first: Order) -> Vec<Order> {
        let until = Instant::now() + LINGER;
        let mut effects = weight(&first);
        let mut batch = vec![first];
        while effects < BATCH_EFFECTS && !batch.last().is_some_and(is_urgent) {
            let left = until.saturating_duration_since(Instant::now());
            match self.orders.recv_timeout(left) {
                Ok(order) => {
                    effects += weight(&order);
                    batch.push(order);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        batch
    }

    fn write(&mut self, batch: Vec<Order>) -> rusqlite::Result<()> {
        // Without a sync a commit may be lost with the power, but never half: the log still has
        // those entries until a flush, and replays them.
        let durable = batch.iter().any(|order| !matches!(order, Order::Append(..)));
        if durable {
            self.db.pragma_update(None, "synchronous", "FULL")?;
        }
        let mut progress = *lock(&self.progress);
        let waiting = self.transact(batch, &mut progress)?;
        *lock(&self.progress) = progress;
        if durable {
            self.db.pragma_update(None, "synchronous", "NORMAL")?;
        }
        for asker in waiting {
            // Whoever asked may have gone.
            let _ = asker.send(progress);
        }
        Ok(())
    }

    fn transact(
        &mut self,
        batch: Vec<Order>,
        progress: &mut Progress,
    ) -> rusqlite::Result<Vec<SyncSender<Progress>>> {
        let tx = self.db.transaction()?;
        let mut tables = Tables {
            tx,
            names: &mut self.names,
            progress,
            additions: Additions::default(),
            stored: 0,
        };
        let mut waiting = Vec::new();
        for order in batch {
            match order {
                Order::Append(entry, effects) => tables.append(entry, &effects)?,
                Order::Lack(to) => tables.lack(to),
                Order::Fill(page) => {
                    tables.progress.raw_from = tables.progress.raw_from.max(page.raw_from);
                    tables.fill(&page)?;
                }
                Order::Filled(to) => tables.filled(to),
                Order::Flush(asker) => waiting.push(asker),
                Order::Retain(raw_from, rollups_from) => {
                    tables.progress.raw_from = tables.progress.raw_from.max(raw_from);
                    tables.progress.rollups_from = tables.progress.rollups_from.max(rollups_from);
                    self.pruning.restart(&tables.tx)?;
                }
            }
        }
        // First the new, which may be too old already.
        tables.roll_up()?;
        self.pruning.step(&tables.tx, tables.progress, tables.stored)?;
        tables.commit()?;
        Ok(waiting)
    }
}

fn weight(order: &Order) -> usize {
    match order {
        Order::Append(_, effects) => effects.len(),
        _ => 1,
    }
}

/// Somebody waits for it.
fn is_urgent(order: &Order) -> bool {
    matches!(order, Order::Flush(_))
}

/// A thread that panicked with the lock held left a whole value behind: it is copied in and out.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
