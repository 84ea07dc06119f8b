//! What can be asked of the history, and the answers. Reads only, on connections of their own.
//!
//! All of it blocks on the disk: call it from `spawn_blocking` in async code.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_model::observation::{Firmness, Trigger};
use crosscheck_model::{Cause, CheckId, Phases, ProbeId, SiteId, Status, Timestamp};
use jiff::civil::Date;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use super::days;
use super::record;
use super::rollup::{self, Width};
use super::sketch::Sketch;
use super::{History, HistoryError};

/// One observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Who saw it.
    pub probe: ProbeId,
    /// From where.
    pub site: SiteId,
    /// When the run began.
    pub started: Timestamp,
    /// When it ended.
    pub at: Timestamp,
    /// What it found.
    pub status: Status,
    /// Why it is not Up.
    pub cause: Option<Cause>,
    /// The cause in this case's words; empty when Up.
    pub detail: String,
    /// The beginning of what came back; empty when Up.
    pub excerpt: String,
    /// The whole run, in whole microseconds.
    pub duration: Duration,
    /// The parts of it, in whole microseconds.
    pub phases: Phases,
    /// Why it ran.
    pub trigger: Trigger,
    /// Whether it was a vote.
    pub firmness: Firmness,
    /// The address that was connected to.
    pub address: Option<String>,
}

/// The response times of one site within a part of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyPoint {
    /// From where.
    pub site: SiteId,
    /// The part's start.
    pub at: Timestamp,
    /// Runs that said Up, Degraded or Down.
    pub count: u32,
    /// Those that said Down.
    pub failed: u32,
    /// Half of the runs that were Up or Degraded were faster (to 3 %).
    pub p50: Duration,
    /// 95 of 100 of them were faster (to 3 %).
    pub p95: Duration,
    /// The slowest of them, exactly.
    pub max: Duration,
}

/// What the verdict was on one UTC day. The six times add up to the part of the day that has
/// passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// The day.
    pub date: Date,
    /// It worked.
    pub up: Duration,
    /// It worked badly, or not from everywhere.
    pub degraded: Duration,
    /// It did not work.
    pub down: Duration,
    /// Evidence was gathered and gave no answer.
    pub unknown: Duration,
    /// Planned work, whatever the verdict was.
    pub maintenance: Duration,
    /// No evidence was gathered.
    pub no_data: Duration,
}

/// A time during which one verdict held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it began, or the start of what was asked for.
    pub from: Timestamp,
    /// When the next one began, or the end of what was asked for.
    pub to: Timestamp,
    /// The verdict; `None`: no evidence was gathered.
    pub status: Option<Status>,
    /// A maintenance was under way.
    pub maintenance: bool,
}

/// The most rows that one question brings back, whatever limit it names.
pub const ROW_LIMIT: u32 = 10_000;
/// The most parts of one chart and the most days of one strip.
pub const POINT_LIMIT: u32 = 2_000;

impl History {
    /// The observations of `check` whose runs began in `from..to`, newest first, at most `limit`
    /// (and [`ROW_LIMIT`]); of one site or of all.
    pub fn observations(
        &self,
        check: &CheckId,
        site: Option<&SiteId>,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<Row>, HistoryError> {
        self.read(|db| {
            let site = site.map(SiteId::as_str);
            let mut query = db.prepare_cached(&format!(
                "SELECT {} WHERE o.chk = (SELECT id FROM name WHERE kind = 0 AND name = ?1)
                 AND o.started >= ?2 AND o.started < ?3 AND (?4 IS NULL OR s.name = ?4)
                 ORDER BY o.started DESC, o.id DESC LIMIT ?5",
                record::COLUMNS
            ))?;
            let limit = limit.min(ROW_LIMIT);
            let rows = query.query_map(
                params![check.as_str(), millis(from), millis(to), site, limit],
                |row| Ok(Row::from(record::Record::read(row)?)),
            )?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Response times per site in at most `buckets` parts of `from..to`, in the order of site and
    /// time; parts without runs are left out. Parts of an hour and more come from roll-ups and
    /// begin on whole hours or days.
    pub fn latency(
        &self,
        check: &CheckId,
        from: Timestamp,
        to: Timestamp,
        buckets: u32,
    ) -> Result<Vec<LatencyPoint>, HistoryError> {
        let grid = Grid::new(from, to, buckets);
        let parts = self.read(|db| match check_id(db, check)? {
            None => Ok(BTreeMap::new()),
            Some(id) => match grid.source {
                None => grid.add_rows(db, id),
                Some(width) => grid.add_rollups(db, id, width),
            },
        })?;
        Ok(parts.into_iter().map(|((site, at), sum)| sum.point(site, at)).collect())
    }

    /// The last `days` UTC days up to `until` (at most [`POINT_LIMIT`]), oldest first; the last
    /// one is as long as it has lasted by `until`.
    pub fn days(
        &self,
        check: &CheckId,
        until: Timestamp,
        days: u32,
    ) -> Result<Vec<Day>, HistoryError> {
        let days = days.min(POINT_LIMIT);
        let from = days::first_midnight(until, days);
        Ok(days::split(&self.spans(check, from, until)?, from, until))
    }

    /// [`Self::days`] of several checks, by one question to the disk.
    pub fn days_of(
        &self,
        checks: &[CheckId],
        until: Timestamp,
        days: u32,
    ) -> Result<BTreeMap<CheckId, Vec<Day>>, HistoryError> {
        let days = days.min(POINT_LIMIT);
        let from = days::first_midnight(until, days);
        let mut spans = self.spans_of(checks, from, until)?;
        let split = |check: &CheckId| {
            let spans = spans.remove(check).unwrap_or_default();
            (check.clone(), days::split(&spans, from, until))
        };
        Ok(checks.iter().map(split).collect())
    }

    /// [`Self::spans`] of several checks; those without any are left out.
    fn spans_of(
        &self,
        checks: &[CheckId],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<CheckId, Vec<Span>>, HistoryError> {
        let names: Vec<&str> = checks.iter().map(CheckId::as_str).collect();
        let names = serde_json::Value::from(names).to_string();
        let mut found: BTreeMap<CheckId, Vec<Span>> = BTreeMap::new();
        self.read(|db| {
            // In this order of the loops each check is one lookup and one range of the key.
            let mut query = db.prepare_cached(
                "SELECT n.start, n.status, n.maintenance, c.name FROM json_each(?1) w
                 CROSS JOIN name c ON c.kind = 0 AND c.name = w.value
                 CROSS JOIN span n ON n.chk = c.id AND n.start < ?3 AND n.start >= coalesce(
                     (SELECT max(start) FROM span WHERE chk = c.id AND start <= ?2), 0)
                 ORDER BY w.key, n.start",
            )?;
            let mut rows = query.query(params![names, millis(from), millis(to)])?;
            let mut of: Option<(String, Vec<Span>)> = None;
            while let Some(row) = rows.next()? {
                let (span, name) = (read_span(row)?, row.get::<_, String>(3)?);
                match &mut of {
                    Some((known, spans)) if *known == name => spans.push(span),
                    _ => {
                        let next = Some((name, vec![span]));
                        let done = std::mem::replace(&mut of, next);
                        found.extend(done.map(|(name, spans)| (CheckId::new(name), spans)));
                    }
                }
            }
            found.extend(of.map(|(name, spans)| (CheckId::new(name), spans)));
            Ok(())
        })?;
        found.values_mut().for_each(|spans| close(spans, from, to));
        Ok(found)
    }

    /// What the verdict was in `from..to`, oldest first, without gaps after the first span; the
    /// time before the first verdict of all is left out.
    pub fn spans(
        &self,
        check: &CheckId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Span>, HistoryError> {
        self.read(|db| {
            let Some(id) = check_id(db, check)? else { return Ok(Vec::new()) };
            let mut query = db.prepare_cached(
                "SELECT start, status, maintenance FROM span WHERE chk = ?1 AND start < ?3
                 AND start >= coalesce(
                     (SELECT max(start) FROM span WHERE chk = ?1 AND start <= ?2), 0)
                 ORDER BY start",
            )?;
            let starts = query.query_map(params![id, millis(from), millis(to)], read_span)?;
            let mut spans: Vec<Span> = starts.collect::<Result<_, _>>()?;
            close(&mut spans, from, to);
            Ok(spans)
        })
    }
}

/// Each span ends where the next one begins, and none reaches out of `from..to`.
fn close(spans: &mut Vec<Span>, from: Timestamp, to: Timestamp) {
    for i in 0..spans.len() {
        spans[i].to = spans.get(i + 1).map_or(to, |next| next.from);
        spans[i].from = spans[i].from.max(from);
    }
    spans.retain(|span| span.from < span.to);
}

/// How a chart's time is cut.
struct Grid {
    /// The first part's start.
    start: u64,
    /// The end, exclusive.
    end: u64,
    /// One part.
    step: u64,
    /// From which roll-ups; `None`: from the observations themselves.
    source: Option<Width>,
}

impl Grid {
    fn new(from: Timestamp, to: Timestamp, buckets: u32) -> Self {
        let (from, to) = (from.as_millis(), to.as_millis());
        let buckets = u64::from(buckets.clamp(1, POINT_LIMIT));
        let step = to.saturating_sub(from).div_ceil(buckets).max(1);
        let source = [Width::Day, Width::Hour].into_iter().find(|width| step >= width.millis());
        let unit = source.map_or(1, Width::millis);
        let start = from / unit * unit;
        // The start was moved back by up to a unit: the steps must still cover the end.
        let step = to.saturating_sub(start).div_ceil(buckets).max(1).div_ceil(unit) * unit;
        Self { start, end: to, step, source }
    }

    fn part(&self, at: u64) -> Timestamp {
        let past = at.saturating_sub(self.start) / self.step;
        Timestamp::from_millis(self.start + past * self.step)
    }

    fn add_rows(&self, db: &Connection, check: i64) -> Result<Parts, HistoryError> {
        let mut query = db.prepare_cached(
            "SELECT s.name, o.started, o.status, o.duration FROM observation o
             JOIN name s ON s.id = o.site
             WHERE o.chk = ?1 AND o.started >= ?2 AND o.started < ?3",
        )?;
        let mut rows = query.query(params![check, signed(self.start), signed(self.end)])?;
        let mut parts = Parts::new();
        while let Some(row) = rows.next()? {
            let key = (SiteId::new(row.get::<_, String>(0)?), self.part(record::unsigned(row, 1)?));
            let status = record::status_of(row.get(2)?)?;
            parts.entry(key).or_default().add(status, record::unsigned(row, 3)?);
        }
        Ok(parts)
    }

    fn add_rollups(&self, db: &Connection, id: i64, width: Width) -> Result<Parts, HistoryError> {
        let mut query = db.prepare_cached(
            "SELECT s.name, r.start, r.up, r.degraded, r.down, r.slowest, r.sketch
             FROM rollup r JOIN name s ON s.id = r.site
             WHERE r.chk = ?1 AND r.width = ?2 AND r.start >= ?3 AND r.start < ?4",
        )?;
        let mut rows =
            query.query(params![id, width.code(), signed(self.start), signed(self.end)])?;
        let mut parts = Parts::new();
        while let Some(row) = rows.next()? {
            let key = (SiteId::new(row.get::<_, String>(0)?), self.part(record::unsigned(row, 1)?));
            let part = parts.entry(key).or_default();
            let (up, degraded, down): (u32, u32, u32) = (row.get(2)?, row.get(3)?, row.get(4)?);
            part.answered += up + degraded;
            part.failed += down;
            part.slowest = part.slowest.max(record::unsigned(row, 5)?);
            part.sketch.merge(&rollup::decode_sketch(row, 6)?);
        }
        Ok(parts)
    }
}

type Parts = BTreeMap<(SiteId, Timestamp), Part>;

/// One part of a chart while it is added up.
#[derive(Default)]
struct Part {
    answered: u32,
    failed: u32,
    slowest: u64,
    sketch: Sketch,
}

impl Part {
    fn add(&mut self, status: Status, duration_us: u64) {
        match status {
            Status::Up | Status::Degraded => {
                self.answered += 1;
                self.slowest = self.slowest.max(duration_us);
                self.sketch.add(duration_us);
            }
            Status::Down => self.failed += 1,
            Status::Unknown => {}
        }
    }

    fn point(self, site: SiteId, at: Timestamp) -> LatencyPoint {
        // A bucket's middle may lie above the slowest run, which is known exactly.
        let below = |percent| Duration::from_micros(self.sketch.below(percent).min(self.slowest));
        LatencyPoint {
            site,
            at,
            count: self.answered + self.failed,
            failed: self.failed,
            p50: below(50),
            p95: below(95),
            max: Duration::from_micros(self.slowest),
        }
    }
}

fn read_span(row: &SqlRow<'_>) -> rusqlite::Result<Span> {
    let from = Timestamp::from_millis(record::unsigned(row, 0)?);
    let status = row.get::<_, Option<u8>>(1)?.map(record::status_of).transpose()?;
    Ok(Span { from, to: from, status, maintenance: row.get(2)? })
}

fn check_id(db: &Connection, check: &CheckId) -> Result<Option<i64>, HistoryError> {
    let mut query = db.prepare_cached("SELECT id FROM name WHERE kind = 0 AND name = ?1")?;
    Ok(query.query_row([check.as_str()], |row| row.get(0)).optional()?)
}

fn millis(moment: Timestamp) -> i64 {
    signed(moment.as_millis())
}

/// SQLite's integers are signed; a moment beyond them is as good as their end.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
