//! Roll-ups: what an hour's and a day's observations of a check from a site come to.

use std::collections::BTreeMap;

use crosscheck_model::{Status, Timestamp};
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row as SqlRow, Transaction, params};
use serde::{Deserialize, Serialize};

use super::record::{Record, unsigned};
use super::sketch::Sketch;

/// How long a time one roll-up stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Width {
    Hour,
    Day,
}

impl Width {
    pub(super) const ALL: [Self; 2] = [Self::Hour, Self::Day];

    pub(super) const fn millis(self) -> u64 {
        match self {
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    /// The number that stands for it on the disk: minutes.
    pub(super) const fn code(self) -> i64 {
        match self {
            Self::Hour => 60,
            Self::Day => 1440,
        }
    }

    /// The start of the hour or UTC day that a moment lies in.
    pub(super) fn start(self, moment: Timestamp) -> u64 {
        moment.as_millis() / self.millis() * self.millis()
    }
}

/// What a roll-up is about: the check's and the site's number, the width and the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) check: i64,
    pub(super) site: i64,
    pub(super) width: Width,
    pub(super) start: u64,
}

/// What observations come to. Durations are in microseconds and of Up and Degraded runs only: a
/// failure's length says how patient the probe was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    /// Counts in the order of [`super::record::status_code`].
    pub(super) by_status: [u32; 4],
    pub(super) total_us: u64,
    pub(super) fastest_us: u64,
    pub(super) slowest_us: u64,
    pub(super) sketch: Sketch,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            by_status: [0; 4],
            total_us: 0,
            fastest_us: i64::MAX.cast_unsigned(),
            slowest_us: 0,
            sketch: Sketch::default(),
        }
    }
}

impl Totals {
    fn add(&mut self, status: Status, duration_us: u64) {
        self.by_status[usize::from(super::record::status_code(status))] += 1;
        if matches!(status, Status::Up | Status::Degraded) {
            self.total_us += duration_us;
            self.fastest_us = self.fastest_us.min(duration_us);
            self.slowest_us = self.slowest_us.max(duration_us);
            self.sketch.add(duration_us);
        }
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.by_status.iter_mut().zip(other.by_status) {
            *mine += theirs;
        }
        self.total_us += other.total_us;
        self.fastest_us = self.fastest_us.min(other.fastest_us);
        self.slowest_us = self.slowest_us.max(other.slowest_us);
        self.sketch.merge(&other.sketch);
    }
}

/// What a transaction's new observations add to roll-ups.
#[derive(Debug, Default)]
pub(super) struct Additions(BTreeMap<Key, Totals>);

impl Additions {
    pub(super) fn add(&mut self, check: i64, site: i64, record: &Record) {
        for width in Width::ALL {
            let key = Key { check, site, width, start: width.start(record.started) };
            self.0.entry(key).or_default().add(record.status, record.duration_us);
        }
    }

    /// Writes them: each roll-up is read and written once a transaction.
    pub(super) fn write(self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        for (key, mut totals) in self.0 {
            if let Some(stored) = load(tx, key)? {
                totals.merge(&stored);
            }
            store(tx, key, &totals)?;
        }
        Ok(())
    }
}

/// The columns that [`read_totals`] expects.
pub(super) const TOTALS: &str = "up, degraded, down, unknown, total, fastest, slowest, sketch";

/// Reads [`TOTALS`] that begin at the column `at`.
pub(super) fn read_totals(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Totals> {
    Ok(Totals {
        by_status: [row.get(at)?, row.get(at + 1)?, row.get(at + 2)?, row.get(at + 3)?],
        total_us: unsigned(row, at + 4)?,
        fastest_us: unsigned(row, at + 5)?,
        slowest_us: unsigned(row, at + 6)?,
        sketch: decode_sketch(row, at + 7)?,
    })
}

/// Reads a sketch's column.
pub(super) fn decode_sketch(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Sketch> {
    let bytes = row.get_ref(column)?.as_blob()?;
    postcard::from_bytes(bytes).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error))
    })
}

/// Puts a roll-up in the place of what stands there.
pub(super) fn store(tx: &Transaction<'_>, key: Key, totals: &Totals) -> rusqlite::Result<()> {
    let sketch = postcard::to_stdvec(&totals.sketch)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let [up, degraded, down, unknown] = totals.by_status;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO rollup (chk, width, start, site, up, degraded, down, unknown,
         total, fastest, slowest, sketch) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
    )?
    .execute(params![
        key.check,
        key.width.code(),
        key.start.cast_signed(),
        key.site,
        up,
        degraded,
        down,
        unknown,
        totals.total_us.cast_signed(),
        totals.fastest_us.cast_signed(),
        totals.slowest_us.cast_signed(),
        sketch
    ])?;
    Ok(())
}

fn load(tx: &Transaction<'_>, key: Key) -> rusqlite::Result<Option<Totals>> {
    tx.prepare_cached(&format!(
        "SELECT {TOTALS} FROM rollup WHERE chk = ?1 AND width = ?2 AND start = ?3 AND site = ?4"
    ))?
    .query_row(params![key.check, key.width.code(), key.start.cast_signed(), key.site], |row| {
        read_totals(row, 0)
    })
    .optional()
}
