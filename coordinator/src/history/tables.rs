//! What one transaction of the writer does to the tables.

use std::collections::HashMap;

use crosscheck_core::Effect;
use crosscheck_model::{CheckId, Status, Timestamp};
use rusqlite::{OptionalExtension, Transaction, params};

use super::audit::{self, AuditPart};
use super::record::{self, Record, status_code};
use super::rollup::{self, Additions, Key};
use super::schema::{CHECK, PROBE, SITE};
use super::transfer::{Page, SpanPart};

/// How far the history is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// The newest log entry whose effects are in the tables.
    pub(super) applied: u64,
    /// Observations of runs that began earlier are not kept; a UTC midnight.
    pub(super) raw_from: u64,
    /// Roll-ups and spans that ended earlier are not kept; a UTC midnight.
    pub(super) rollups_from: u64,
    /// What is still to be fetched from another coordinator.
    pub(super) lacks: Option<Lack>,
}

/// Entries that came as a snapshot of the state, without their measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lack {
    /// The entry before the first of them.
    pub(super) after: u64,
    /// The last of them.
    pub(super) to: u64,
    /// [`Progress::raw_from`] when the absence began: older roll-ups are complete.
    pub(super) from: u64,
}

/// The numbers of names seen so far, so that they are not looked up for each row.
pub(super) type Names = HashMap<(i64, String), i64>;

/// A transaction that is being filled.
pub(super) struct Tables<'a> {
    pub(super) tx: Transaction<'a>,
    pub(super) names: &'a mut Names,
    pub(super) progress: &'a mut Progress,
    pub(super) additions: Additions,
    /// Rows stored, for how much to prune in return.
    pub(super) stored: u32,
}

impl Tables<'_> {
    /// What log entry `entry` left behind; an entry that is in the tables already adds nothing.
    pub(super) fn append(&mut self, entry: u64, effects: &[Effect]) -> rusqlite::Result<()> {
        if entry <= self.progress.applied {
            return Ok(());
        }
        for (position, effect) in effects.iter().enumerate() {
            match effect {
                Effect::Record { probe, site, observation } => {
                    self.record(&Record::new(entry, position, probe, site, observation))?;
                }
                Effect::Span { check, from, status, maintenance } => {
                    self.span(entry, check, *from, *status, *maintenance)?;
                }
                Effect::Audited(act) => audit::store(&self.tx, entry, act)?,
                _ => {}
            }
        }
        self.progress.applied = entry;
        Ok(())
    }

    /// A page of what another coordinator has and this one lacks.
    pub(super) fn fill(&mut self, page: &Page) -> rusqlite::Result<()> {
        for part in &page.rollups {
            let check = self.name(CHECK, part.check.as_str())?;
            let site = self.name(SITE, part.site.as_str())?;
            let key = Key { check, site, width: part.width, start: part.start };
            rollup::store(&self.tx, key, &part.totals)?;
        }
        for SpanPart { entry, check, from, status, maintenance } in &page.spans {
            self.span(*entry, check, *from, *status, *maintenance)?;
        }
        for record in &page.records {
            self.record(record)?;
        }
        for AuditPart { log, entry } in &page.audit {
            audit::store(&self.tx, *log, entry)?;
        }
        Ok(())
    }

    /// The state was replaced by a snapshot that stands for all entries up to `to`.
    pub(super) fn lack(&mut self, to: u64) {
        if to > self.progress.applied {
            let Progress { applied, raw_from, .. } = *self.progress;
            let first = Lack { after: applied, to, from: raw_from };
            self.progress.lacks = Some(Lack { to, ..self.progress.lacks.unwrap_or(first) });
            self.progress.applied = to;
        }
    }

    /// All that was lacking up to `to` is there, or nobody has it. Another snapshot may have come
    /// since it was asked for: what that stands for is still lacking.
    pub(super) fn filled(&mut self, to: u64) {
        let left = |lack: &Lack| lack.to > to;
        let rest = self.progress.lacks.filter(left);
        self.progress.lacks = rest.map(|lack| Lack { after: lack.after.max(to), ..lack });
    }

    /// Adds what was stored to the roll-ups.
    pub(super) fn roll_up(&mut self) -> rusqlite::Result<()> {
        std::mem::take(&mut self.additions).write(&self.tx)
    }

    /// Ends the transaction.
    pub(super) fn commit(self) -> rusqlite::Result<()> {
        let p = *self.progress;
        self.tx
            .prepare_cached(
                "UPDATE progress SET applied = ?1, raw_from = ?2, rollups_from = ?3,
                 lacks_after = ?4, lacks_to = ?5, lacks_from = ?6,
                 commits = commits + 1",
            )?
            .execute(params![
                p.applied.cast_signed(),
                p.raw_from.cast_signed(),
                p.rollups_from.cast_signed(),
                p.lacks.map(|lack| lack.after.cast_signed()),
                p.lacks.map(|lack| lack.to.cast_signed()),
                p.lacks.map(|lack| lack.from.cast_signed()),
            ])?;
        self.tx.commit()
    }

    fn record(&mut self, record: &Record) -> rusqlite::Result<()> {
        // Its roll-ups are closed, and other coordinators may have handed them on already.
        if record.started.as_millis() < self.progress.raw_from {
            return Ok(());
        }
        let check = self.name(CHECK, record.check.as_str())?;
        let probe = self.name(PROBE, record.probe.as_str())?;
        let site = self.name(SITE, record.site.as_str())?;
        let ids = [check, probe, site];
        let mut insert = self.tx.prepare_cached(record::INSERT)?;
        if record.insert(&mut insert, ids)? {
            self.additions.add(check, site, record);
            self.stored += 1;
        }
        Ok(())
    }

    /// A span lives unless one of a later entry begins no later than it. Stated like this, the
    /// order in which spans arrive does not matter: replay and catching up need nothing more.
    fn span(
        &mut self,
        entry: u64,
        check: &CheckId,
        from: Timestamp,
        status: Option<Status>,
        maintenance: bool,
    ) -> rusqlite::Result<()> {
        let check = self.name(CHECK, check.as_str())?;
        let (entry, start) = (entry.cast_signed(), from.as_millis().cast_signed());
        let replaced: Option<i64> = self
            .tx
            .prepare_cached(
                "SELECT 1 FROM span WHERE chk = ?1 AND start <= ?2 AND entry > ?3 LIMIT 1",
            )?
            .query_row(params![check, start, entry], |row| row.get(0))
            .optional()?;
        if replaced.is_some() {
            return Ok(());
        }
        self.tx
            .prepare_cached("DELETE FROM span WHERE chk = ?1 AND start >= ?2 AND entry <= ?3")?
            .execute(params![check, start, entry])?;
        self.tx
            .prepare_cached("INSERT INTO span VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![check, start, entry, status.map(status_code), maintenance])?;
        Ok(())
    }

    fn name(&mut self, kind: i64, name: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.names.get(&(kind, name.to_owned())) {
            return Ok(*id);
        }
        self.tx
            .prepare_cached("INSERT OR IGNORE INTO name (kind, name) VALUES (?1, ?2)")?
            .execute(params![kind, name])?;
        let id = self
            .tx
            .prepare_cached("SELECT id FROM name WHERE kind = ?1 AND name = ?2")?
            .query_row(params![kind, name], |row| row.get(0))?;
        self.names.insert((kind, name.to_owned()), id);
        Ok(id)
    }
}
