//! The tables of `log.db`, and each record's checksum.

use std::path::Path;

use crosscheck_model::mutant::{self, Mutant};
use openraft::entry::RaftEntry;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use super::tail::Loaded;
use super::{Entry, LogError, LogId, Vote};
use crate::raft::wire::{FormatError, seal, unseal};
use crate::write_ahead;

/// The version of the tables, kept in `user_version`.
const VERSION: i64 = 2;

/// `entry.idx` is the log index; `marks` has one row.
const TABLES: &str = "
CREATE TABLE entry (idx INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE marks (one INTEGER PRIMARY KEY CHECK (one = 1), record BLOB NOT NULL);
";

/// No entry has this index, so the marks never pass for an entry.
const MARKS: u64 = u64::MAX;

/// Everything beside the entries, in one record that each transaction writes anew. It is there
/// from the beginning and says which entries there are: a row that damage has hidden is missed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Marks {
    /// Transactions so far.
    pub(super) commits: u64,
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    pub(super) purged: Option<LogId>,
    /// The first entry's index, and the one after the last entry's.
    pub(super) entries: (u64, u64),
}

impl Marks {
    /// An entry is appended.
    pub(super) fn append(&mut self, index: u64) {
        let (first, end) = self.entries;
        self.entries = (if first == end { index } else { first }, index + 1);
    }

    /// Entries from this index on are gone.
    pub(super) fn truncate(&mut self, from: u64) {
        let (first, end) = self.entries;
        self.entries = (first, end.min(from.max(first)));
    }

    /// Entries up to this one are gone.
    pub(super) fn purge(&mut self, upto: LogId) {
        let (first, end) = self.entries;
        let first = first.max(upto.index + 1);
        self.entries = (first, end.max(first));
        self.purged = Some(upto);
    }
}

pub(super) struct Store(pub(super) Connection);

impl Store {
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        let mut db = Connection::open(path)?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        write_ahead::begin(&mut db)?;
        db.pragma_update(None, "synchronous", "FULL")?;
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            VERSION => {}
            0 => {
                let tx = db.transaction()?;
                tx.execute_batch(TABLES)?;
                put_marks(&tx, &Marks::default())?;
                tx.pragma_update(None, "user_version", VERSION)?;
                tx.commit()?;
            }
            other => return Err(LogError::Version(other)),
        }
        Ok(Self(db))
    }

    /// Reads and checks everything.
    pub(super) fn load(&self) -> Result<Loaded, LogError> {
        let marks = self.marks()?;
        let (mut wanted, end) = marks.entries;
        let mut last = marks.purged;
        let mut query = self.0.prepare("SELECT idx, record FROM entry ORDER BY idx")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let found = row.get::<_, i64>(0)?.cast_unsigned();
            if found != wanted {
                return Err(LogError::Hole { wanted, found });
            }
            match decode(found, row.get_ref(1)?.as_blob().map_err(sqlite)?) {
                Ok(entry) => last = Some(entry.log_id()),
                Err(_) if mutant::is(Mutant::CutMidLogCorruption) => {
                    return self.cut(marks, wanted, last);
                }
                Err(error) => return Err(error),
            }
            wanted += 1;
        }
        if wanted != end {
            return Err(LogError::End { wanted: end, found: wanted });
        }
        Ok(Loaded { marks, last })
    }

    /// What must never be done: whatever is damaged, and all after it, goes without a word.
    fn cut(&self, mut marks: Marks, from: u64, last: Option<LogId>) -> Result<Loaded, LogError> {
        self.0.execute("DELETE FROM entry WHERE idx >= ?1", [from.cast_signed()])?;
        marks.truncate(from);
        Ok(Loaded { marks, last })
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

    fn marks(&self) -> Result<Marks, LogError> {
        let sql = "SELECT record FROM marks WHERE one = 1";
        let record: Option<Vec<u8>> = self.0.query_row(sql, [], |row| row.get(0)).optional()?;
        unseal(MARKS, &record.unwrap_or_default()).map_err(damaged_marks)
    }
}

/// Writes the marks.
pub(super) fn put_marks(tx: &Transaction<'_>, marks: &Marks) -> Result<(), LogError> {
    let record = seal(MARKS, marks).map_err(damaged_marks)?;
    tx.prepare_cached("INSERT OR REPLACE INTO marks VALUES (1, ?1)")?.execute([record])?;
    Ok(())
}

fn damaged_marks(error: FormatError) -> LogError {
    LogError::Record { place: "the vote".to_owned(), error }
}

fn decode(index: u64, record: &[u8]) -> Result<Entry, LogError> {
    let damaged = |error| LogError::Record { place: format!("entry {index}"), error };
    unseal(index, record).map_err(damaged)
}

fn sqlite(error: rusqlite::types::FromSqlError) -> rusqlite::Error {
    error.into()
}
