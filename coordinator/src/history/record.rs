//! One stored observation: its columns, and the same on the way to another coordinator.

use std::time::Duration;

use crosscheck_model::Timestamp;
use crosscheck_model::observation::{Clock, Firmness, Trigger};
use crosscheck_model::{Cause, CheckId, Observation, Phase, Phases, ProbeId, SiteId, Status};
use rusqlite::types::Type;
use rusqlite::{Row as SqlRow, Statement, params};
use serde::{Deserialize, Serialize};

use super::query::Row;

/// How many bits of a row's id number the rows of one log entry: the rest is the entry's index.
/// A million observations do not fit into an entry, and 43 bits of entries last for millennia.
const POSITION_BITS: u32 = 20;

/// An observation as the history keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The log entry's index and the position in it: sorts by the log, and replays onto itself.
    pub(super) id: i64,
    pub(super) check: CheckId,
    pub(super) probe: ProbeId,
    pub(super) site: SiteId,
    pub(super) boot: u64,
    pub(super) seq: u64,
    pub(super) started: Timestamp,
    pub(super) at: Timestamp,
    pub(super) status: Status,
    pub(super) cause: Option<Cause>,
    pub(super) clock: Clock,
    pub(super) trigger: Trigger,
    pub(super) firmness: Firmness,
    pub(super) duration_us: u64,
    /// In the order of [`Phase::ALL`], in microseconds.
    pub(super) phases_us: [Option<u64>; 6],
    pub(super) address: Option<String>,
    pub(super) detail: String,
    pub(super) excerpt: String,
}

/// The first id that a row of log entry `entry` can have.
pub(super) fn first_id(entry: u64) -> i64 {
    i64::try_from(entry.saturating_mul(1 << POSITION_BITS)).unwrap_or(i64::MAX)
}

/// The columns that [`Record::read`] expects, with the tables they come from.
pub(super) const COLUMNS: &str = "o.id, c.name, p.name, s.name, o.boot, o.seq, o.started, o.ended, \
    o.status, o.cause, o.clock, o.why, o.firm, o.duration, o.dns, o.connect, o.tls, o.send, \
    o.first_byte, o.transfer, o.address, o.detail, o.excerpt FROM observation o \
    JOIN name c ON c.id = o.chk JOIN name p ON p.id = o.probe JOIN name s ON s.id = o.site";

/// What made a run take place, by the number that stands for it on the disk.
const TRIGGERS: [Trigger; 4] = [Trigger::Schedule, Trigger::Retry, Trigger::Confirm, Trigger::Push];

/// Stores a row unless the run is stored already.
pub(super) const INSERT: &str = "INSERT OR IGNORE INTO observation (id, chk, probe, site, boot, seq, \
    started, ended, status, cause, clock, why, firm, duration, dns, connect, tls, send, first_byte, \
    transfer, address, detail, excerpt) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, \
    ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)";

impl Record {
    /// The `position`th record of log entry `entry`.
    pub(super) fn new(
        entry: u64,
        position: usize,
        probe: &ProbeId,
        site: &SiteId,
        seen: &Observation,
    ) -> Self {
        let outcome = &seen.outcome;
        // What an Up run said in words is not worth its place on the disk.
        let words = outcome.status != Status::Up;
        Self {
            id: first_id(entry) + i64::try_from(position).unwrap_or(i64::MAX),
            check: seen.check.clone(),
            probe: probe.clone(),
            site: site.clone(),
            boot: seen.boot,
            seq: seen.seq,
            started: seen.started,
            at: seen.at,
            status: outcome.status,
            cause: outcome.cause,
            clock: seen.clock,
            trigger: seen.trigger,
            firmness: seen.firmness,
            duration_us: micros(outcome.duration),
            phases_us: Phase::ALL.map(|phase| outcome.phases.get(phase).map(micros)),
            address: outcome.address.clone(),
            detail: if words { outcome.detail.clone() } else { String::new() },
            excerpt: if words { outcome.excerpt.clone() } else { String::new() },
        }
    }

    /// Reads a row of [`COLUMNS`].
    pub(super) fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        let cause: Option<String> = row.get(9)?;
        let mut phases_us = [None; 6];
        for (i, slot) in phases_us.iter_mut().enumerate() {
            *slot = row.get::<_, Option<i64>>(14 + i)?.map(i64::cast_unsigned);
        }
        Ok(Self {
            id: row.get(0)?,
            check: CheckId::new(row.get::<_, String>(1)?),
            probe: ProbeId::new(row.get::<_, String>(2)?),
            site: SiteId::new(row.get::<_, String>(3)?),
            boot: unsigned(row, 4)?,
            seq: unsigned(row, 5)?,
            started: Timestamp::from_millis(unsigned(row, 6)?),
            at: Timestamp::from_millis(unsigned(row, 7)?),
            status: status_of(row.get(8)?)?,
            cause: cause.map(|word| cause_of(&word)).transpose()?,
            clock: pick(row, 10, [Clock::Leader, Clock::Wall])?,
            trigger: pick(row, 11, TRIGGERS)?,
            firmness: pick(row, 12, [Firmness::Soft, Firmness::Hard])?,
            duration_us: unsigned(row, 13)?,
            phases_us,
            address: row.get(20)?,
            detail: row.get::<_, Option<String>>(21)?.unwrap_or_default(),
            excerpt: row.get::<_, Option<String>>(22)?.unwrap_or_default(),
        })
    }

    /// Runs [`INSERT`] with the ids of the names; whether the row is new.
    pub(super) fn insert(
        &self,
        statement: &mut Statement<'_>,
        [check, probe, site]: [i64; 3],
    ) -> rusqlite::Result<bool> {
        let phase = |i: usize| self.phases_us[i].map(u64::cast_signed);
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let stored = statement.execute(params![
            self.id,
            check,
            probe,
            site,
            self.boot.cast_signed(),
            self.seq.cast_signed(),
            self.started.as_millis().cast_signed(),
            self.at.as_millis().cast_signed(),
            status_code(self.status),
            self.cause.map(Cause::as_str),
            match self.clock {
                Clock::Leader => 0,
                Clock::Wall => 1,
            },
            match self.trigger {
                Trigger::Schedule => 0,
                Trigger::Retry => 1,
                Trigger::Confirm => 2,
                Trigger::Push => 3,
            },
            match self.firmness {
                Firmness::Soft => 0,
                Firmness::Hard => 1,
            },
            self.duration_us.cast_signed(),
            phase(0),
            phase(1),
            phase(2),
            phase(3),
            phase(4),
            phase(5),
            self.address,
            text(&self.detail),
            text(&self.excerpt),
        ])?;
        Ok(stored == 1)
    }
}

impl From<Record> for Row {
    fn from(record: Record) -> Self {
        let mut phases = Phases::default();
        for (phase, time) in Phase::ALL.into_iter().zip(record.phases_us) {
            if let Some(time) = time {
                phases.add(phase, Duration::from_micros(time));
            }
        }
        Self {
            probe: record.probe,
            site: record.site,
            started: record.started,
            at: record.at,
            status: record.status,
            cause: record.cause,
            detail: record.detail,
            excerpt: record.excerpt,
            duration: Duration::from_micros(record.duration_us),
            phases,
            trigger: record.trigger,
            firmness: record.firmness,
            address: record.address,
        }
    }
}

/// The number that stands for a status on the disk (the Nagios plugin codes 0 to 3).
pub(super) const fn status_code(status: Status) -> u8 {
    match status {
        Status::Up => 0,
        Status::Degraded => 1,
        Status::Down => 2,
        Status::Unknown => 3,
    }
}

/// The status that a number on the disk stands for.
pub(super) fn status_of(code: u8) -> rusqlite::Result<Status> {
    match code {
        0 => Ok(Status::Up),
        1 => Ok(Status::Degraded),
        2 => Ok(Status::Down),
        3 => Ok(Status::Unknown),
        _ => Err(unreadable(format!("status {code}"))),
    }
}

/// A column that holds a number that is never negative.
pub(super) fn unsigned(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

/// What stands in a row and means nothing: damage, or a newer version's writing.
pub(super) fn unreadable(what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Null, what.into())
}

fn cause_of(word: &str) -> rusqlite::Result<Cause> {
    let found = Cause::ALL.iter().find(|cause| cause.as_str() == word);
    found.copied().ok_or_else(|| unreadable(format!("cause {word}")))
}

fn pick<T: Copy, const N: usize>(
    row: &SqlRow<'_>,
    column: usize,
    choices: [T; N],
) -> rusqlite::Result<T> {
    let code: usize = row.get::<_, u8>(column)?.into();
    choices.get(code).copied().ok_or_else(|| unreadable(format!("code {code}")))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
