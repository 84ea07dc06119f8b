//! Forgetting: a little at a time, so that appending never waits for long.

use std::collections::VecDeque;
use std::time::Duration;

use crosscheck_model::Timestamp;
use crosscheck_model::config::Retention;
use rusqlite::{Transaction, params};

use super::rollup::Width;
use super::tables::Progress;

/// The fewest rows that one transaction forgets: some milliseconds of work.
const STEP_ROWS: u32 = 2_000;

/// A walk over all checks that deletes what is too old.
#[derive(Debug, Default)]
pub(super) struct Pruning(VecDeque<i64>);

impl Pruning {
    /// Begins at the first check again.
    pub(super) fn restart(&mut self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut query = tx.prepare_cached("SELECT id FROM name WHERE kind = 0 ORDER BY id")?;
        let checks = query.query_map([], |row| row.get(0))?;
        self.0 = checks.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Forgets about twice as many rows as were `stored`, so that it keeps up with any rate.
    pub(super) fn step(
        &mut self,
        tx: &Transaction<'_>,
        progress: &Progress,
        stored: u32,
    ) -> rusqlite::Result<()> {
        let mut left = STEP_ROWS.max(stored.saturating_mul(2)) as usize;
        while let Some(check) = self.0.front().copied() {
            let gone = forget(tx, check, progress, left)?;
            if gone >= left {
                return Ok(());
            }
            left -= gone;
            self.0.pop_front();
        }
        Ok(())
    }
}

/// From when on things are kept at `now`, as UTC midnights: roll-ups of days are then built from
/// all of a day's observations or from none.
pub(super) fn limits(now: Timestamp, retention: &Retention) -> (u64, u64) {
    let midnight = |kept: Duration| Width::Day.start(now.minus(kept));
    (midnight(retention.raw), midnight(retention.rollups))
}

fn forget(
    tx: &Transaction<'_>,
    check: i64,
    progress: &Progress,
    limit: usize,
) -> rusqlite::Result<usize> {
    let raw_from = progress.raw_from.cast_signed();
    let rollups_from = progress.rollups_from.cast_signed();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let observations = tx
        .prepare_cached(
            "DELETE FROM observation WHERE id IN (
                 SELECT id FROM observation WHERE chk = ?1 AND started < ?2 LIMIT ?3)",
        )?
        .execute(params![check, raw_from, limit])?;
    let mut rollups = 0;
    for width in Width::ALL {
        rollups += tx
            .prepare_cached(
                "DELETE FROM rollup WHERE rowid IN (
                     SELECT rowid FROM rollup WHERE chk = ?1 AND width = ?2 AND start < ?3
                     LIMIT ?4)",
            )?
            .execute(params![check, width.code(), rollups_from, limit])?;
    }
    // The last span that began before the limit still holds after it.
    let spans = tx
        .prepare_cached(
            "DELETE FROM span WHERE chk = ?1 AND start < coalesce(
                 (SELECT max(start) FROM span WHERE chk = ?1 AND start <= ?2), 0)",
        )?
        .execute(params![check, rollups_from])?;
    Ok(observations + rollups + spans)
}
