//! Pages of history for a coordinator that was away: what happened in log entries that it got as
//! a snapshot of the state.
//!
//! Observations and spans go as they are and pass through the same code as new ones, so that the
//! receiver's roll-ups are built from them. Roll-ups go only for days whose observations are
//! forgotten already.

use crosscheck_model::{CheckId, SiteId, Status, Timestamp};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::audit::{self, AuditPart};
use super::record::{self, Record, first_id, status_of, unsigned};
use super::rollup::{self, Totals, Width};
use super::{History, HistoryError};

/// The most rows of a page: with excerpts at their limit about 4 MiB, usually a tenth of that.
const PAGE_ROWS: usize = 2_000;

/// What the asking side lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The newest log entry that it has.
    pub after: u64,
    /// The newest log entry that it asks for.
    pub to: u64,
    /// Roll-ups that begin earlier are there already, in milliseconds since the epoch.
    pub rollups_from: u64,
    /// Where the page before ended.
    pub cursor: Cursor,
}

/// A place in the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cursor {
    /// After this row of the roll-ups; 0 is the beginning of all.
    Rollups(i64),
    /// After this check's number and this start.
    Spans(i64, i64),
    /// After this observation.
    Records(i64),
    /// After this entry of the audit trail.
    Audit(i64),
}

/// A part of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// Observations of runs before this moment are forgotten on the answering side. When it
    /// changes between pages, begin again.
    pub(super) raw_from: u64,
    pub(super) rollups: Vec<RollupPart>,
    pub(super) spans: Vec<SpanPart>,
    pub(super) records: Vec<Record>,
    pub(super) audit: Vec<AuditPart>,
    /// Where to go on; `None`: that was all.
    pub next: Option<Cursor>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RollupPart {
    pub(super) check: CheckId,
    pub(super) site: SiteId,
    pub(super) width: Width,
    pub(super) start: u64,
    pub(super) totals: Totals,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SpanPart {
    pub(super) entry: u64,
    pub(super) check: CheckId,
    pub(super) from: Timestamp,
    pub(super) status: Option<Status>,
    pub(super) maintenance: bool,
}

impl History {
    /// The page that `want` asks for; `None` when this node does not have it itself.
    pub fn page(&self, want: &Want) -> Result<Option<Page>, HistoryError> {
        let progress = self.progress();
        if progress.lacks.is_some() || progress.applied < want.to {
            return Ok(None);
        }
        let raw_from = progress.raw_from;
        self.read(|db| {
            let mut page = Page {
                raw_from,
                rollups: Vec::new(),
                spans: Vec::new(),
                records: Vec::new(),
                audit: Vec::new(),
                next: None,
            };
            page.next = match want.cursor {
                Cursor::Rollups(after) => page.read_rollups(db, want, after)?,
                Cursor::Spans(check, start) => page.read_spans(db, want, check, start)?,
                Cursor::Records(after) => page.read_records(db, want, after)?,
                Cursor::Audit(after) => page.read_audit(db, want, after)?,
            };
            Ok(Some(page))
        })
    }
}

impl Page {
    /// See the field: pages of which it differs do not fit together.
    pub(crate) const fn raw_from(&self) -> u64 {
        self.raw_from
    }

    fn read_rollups(
        &mut self,
        db: &Connection,
        want: &Want,
        after: i64,
    ) -> Result<Option<Cursor>, HistoryError> {
        let mut query = db.prepare_cached(&format!(
            "SELECT r.rowid, c.name, s.name, r.width, r.start, {} FROM rollup r
             JOIN name c ON c.id = r.chk JOIN name s ON s.id = r.site
             WHERE r.rowid > ?1 AND r.start >= ?2 AND r.start < ?3 ORDER BY r.rowid LIMIT ?4",
            rollup::TOTALS
        ))?;
        let (from, to) = (want.rollups_from.cast_signed(), self.raw_from.cast_signed());
        let mut rows = query.query(params![after, from, to, PAGE_ROWS.cast_signed()])?;
        let mut last = after;
        while let Some(row) = rows.next()? {
            last = row.get(0)?;
            let code: i64 = row.get(3)?;
            let width = Width::ALL.into_iter().find(|width| width.code() == code);
            self.rollups.push(RollupPart {
                check: CheckId::new(row.get::<_, String>(1)?),
                site: SiteId::new(row.get::<_, String>(2)?),
                width: width.ok_or_else(|| record::unreadable(format!("width {code}")))?,
                start: unsigned(row, 4)?,
                totals: rollup::read_totals(row, 5)?,
            });
        }
        let full = self.rollups.len() == PAGE_ROWS;
        Ok(Some(if full { Cursor::Rollups(last) } else { Cursor::Spans(0, 0) }))
    }

    fn read_spans(
        &mut self,
        db: &Connection,
        want: &Want,
        check: i64,
        start: i64,
    ) -> Result<Option<Cursor>, HistoryError> {
        let mut query = db.prepare_cached(
            "SELECT n.chk, n.start, n.entry, n.status, n.maintenance, c.name FROM span n
             JOIN name c ON c.id = n.chk
             WHERE (n.chk, n.start) > (?1, ?2) AND n.entry > ?3 AND n.entry <= ?4
             ORDER BY n.chk, n.start LIMIT ?5",
        )?;
        let (after, to) = (want.after.cast_signed(), want.to.cast_signed());
        let mut rows = query.query(params![check, start, after, to, PAGE_ROWS.cast_signed()])?;
        let mut last = Cursor::Spans(check, start);
        while let Some(row) = rows.next()? {
            last = Cursor::Spans(row.get(0)?, row.get(1)?);
            self.spans.push(SpanPart {
                entry: unsigned(row, 2)?,
                check: CheckId::new(row.get::<_, String>(5)?),
                from: Timestamp::from_millis(unsigned(row, 1)?),
                status: row.get::<_, Option<u8>>(3)?.map(status_of).transpose()?,
                maintenance: row.get(4)?,
            });
        }
        let full = self.spans.len() == PAGE_ROWS;
        Ok(Some(if full {
            last
        } else {
            Cursor::Records(first_id(want.after.saturating_add(1)) - 1)
        }))
    }

    fn read_records(
        &mut self,
        db: &Connection,
        want: &Want,
        after: i64,
    ) -> Result<Option<Cursor>, HistoryError> {
        let mut query = db.prepare_cached(&format!(
            "SELECT {} WHERE o.id > ?1 AND o.id < ?2 AND o.started >= ?3
             ORDER BY o.id LIMIT ?4",
            record::COLUMNS
        ))?;
        let limits = params![
            after,
            first_id(want.to.saturating_add(1)),
            self.raw_from.cast_signed(),
            PAGE_ROWS.cast_signed()
        ];
        for record in query.query_map(limits, Record::read)? {
            self.records.push(record?);
        }
        let full = self.records.len() == PAGE_ROWS;
        let last = self.records.last().filter(|_| full);
        Ok(Some(last.map_or(Cursor::Audit(0), |last| Cursor::Records(last.id))))
    }

    fn read_audit(
        &mut self,
        db: &Connection,
        want: &Want,
        after: i64,
    ) -> Result<Option<Cursor>, HistoryError> {
        self.audit = audit::between(db, (want.after, want.to), after, PAGE_ROWS)?;
        let full = self.audit.len() == PAGE_ROWS;
        let last = self.audit.last().filter(|_| full);
        Ok(last.map(|last| Cursor::Audit(last.entry.index.cast_signed())))
    }
}
