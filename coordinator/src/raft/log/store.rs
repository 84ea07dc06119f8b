//! The tables of `log.db`, and each record's checksum.

use std::path::Path;

use openraft::entry::RaftEntry;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use super::tail::Loaded;
use super::{Entry, LogError, LogId};
use crate::raft::wire::{seal, unseal};

/// The version of the tables, kept in `user_version`.
const VERSION: i64 = 1;

/// `entry.idx` is the log index; `mark` holds the vote, two log ids and
/// how many transactions there were.
const TABLES: &str = "
CREATE TABLE entry (idx INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE mark (place INTEGER PRIMARY KEY, record BLOB NOT NULL);
";

/// A single value beside the entries.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    Vote = 1,
    Committed = 2,
    Purged = 3,
    Commits = 4,
}

impl Mark {
    /// No entry has such an index, so a mark never passes for an entry.
    const fn place(self) -> u64 {
        u64::MAX - self as u64
    }
}

pub(super) struct Store(pub(super) Connection);

impl Store {
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        let mut db = Connection::open(path)?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            VERSION => {}
            0 => {
                let tx = db.transaction()?;
                tx.execute_batch(TABLES)?;
                tx.pragma_update(None, "user_version", VERSION)?;
                tx.commit()?;
            }
            other => return Err(LogError::Version(other)),
        }
        Ok(Self(db))
    }

    /// Reads and checks everything.
    pub(super) fn load(&self) -> Result<Loaded, LogError> {
        let purged: Option<LogId> = self.mark(Mark::Purged)?;
        let mut next = purged.map(|purged| purged.index + 1);
        let mut last = purged;
        let mut query = self.0.prepare("SELECT idx, record FROM entry ORDER BY idx")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let index = row.get::<_, i64>(0)?.cast_unsigned();
            let wanted = next.unwrap_or(index);
            if index != wanted {
                return Err(LogError::Hole { wanted, found: index });
            }
            last = Some(decode(index, row.get_ref(1)?.as_blob().map_err(sqlite)?)?.log_id());
            next = Some(index + 1);
        }
        Ok(Loaded {
            vote: self.mark(Mark::Vote)?,
            committed: self.mark(Mark::Committed)?,
            purged,
            last,
            commits: self.mark(Mark::Commits)?.unwrap_or_default(),
        })
    }

    /// The entries from `from` up to, not including, `to`.
    pub(super) fn read(&self, from: u64, to: u64) -> Result<Vec<Entry>, LogError> {
        let mut query = self.0.prepare_cached(
            "SELECT idx, record FROM entry WHERE idx >= ?1 AND idx < ?2 ORDER BY idx",
        )?;
        let to = i64::try_from(to).unwrap_or(i64::MAX);
        let mut rows = query.query(params![from.cast_signed(), to])?;
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(row) = rows.next()? {
            let index = row.get::<_, i64>(0)?.cast_unsigned();
            let wanted = entries.last().map_or(index, |last| last.log_id().index + 1);
            if index != wanted {
                return Err(LogError::Hole { wanted, found: index });
            }
            entries.push(decode(index, row.get_ref(1)?.as_blob().map_err(sqlite)?)?);
        }
        Ok(entries)
    }

    /// The sizes of the entries from `from` up to, not including, `to`.
    pub(super) fn sizes(&self, from: u64, to: u64) -> Result<Vec<usize>, LogError> {
        let mut query = self.0.prepare_cached(
            "SELECT length(record) FROM entry WHERE idx >= ?1 AND idx < ?2 ORDER BY idx",
        )?;
        let to = i64::try_from(to).unwrap_or(i64::MAX);
        let sizes = query
            .query_map(params![from.cast_signed(), to], |row| Ok(row.get::<_, u32>(0)? as usize))?;
        Ok(sizes.collect::<Result<_, _>>()?)
    }

    fn mark<T: for<'a> Deserialize<'a>>(&self, mark: Mark) -> Result<Option<T>, LogError> {
        let sql = "SELECT record FROM mark WHERE place = ?1";
        let record: Option<Vec<u8>> =
            self.0.query_row(sql, [mark as i64], |row| row.get(0)).optional()?;
        let Some(record) = record else { return Ok(None) };
        unseal(mark.place(), &record)
            .map_err(|error| LogError::Record { place: format!("the mark {mark:?}"), error })
    }
}

/// Writes a mark.
pub(super) fn put_mark<T: Serialize>(
    tx: &Transaction<'_>,
    mark: Mark,
    value: Option<&T>,
) -> Result<(), LogError> {
    let record = seal(mark.place(), &value)
        .map_err(|error| LogError::Record { place: format!("the mark {mark:?}"), error })?;
    tx.prepare_cached("INSERT OR REPLACE INTO mark VALUES (?1, ?2)")?
        .execute(params![mark as i64, record])?;
    Ok(())
}

fn decode(index: u64, record: &[u8]) -> Result<Entry, LogError> {
    let damaged = |error| LogError::Record { place: format!("entry {index}"), error };
    unseal(index, record).map_err(damaged)
}

fn sqlite(error: rusqlite::types::FromSqlError) -> rusqlite::Error {
    error.into()
}
