//! The audit trail on the disk: every entry, for ever. No retention touches it.

use crosscheck_core::audit::{Digest, Entry};
use crosscheck_core::operator::Role;
use crosscheck_model::Timestamp;
use rusqlite::{Connection, Row as SqlRow, Transaction, params};
use serde::{Deserialize, Serialize};

use super::record::{unreadable, unsigned};
use super::{History, HistoryError};

/// The most entries in one answer.
pub const AUDIT_LIMIT: usize = 1_000;

const COLUMNS: &str =
    "idx, entry, at, actor, role, source, act, subject, before, after, previous, hash";

/// An entry of the trail, and the log entry that it came with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AuditPart {
    pub(super) log: u64,
    pub(super) entry: Entry,
}

impl History {
    /// The entries of the audit trail behind number `after`, in order; at most `limit` and
    /// [`AUDIT_LIMIT`]. What happened within the last second may be missing at the end.
    pub fn audit(&self, after: u64, limit: usize) -> Result<Vec<Entry>, HistoryError> {
        self.read(|db| {
            let sql = format!("SELECT {COLUMNS} FROM audit WHERE idx > ?1 ORDER BY idx LIMIT ?2");
            let limit = limit.min(AUDIT_LIMIT).cast_signed();
            let after = i64::try_from(after).unwrap_or(i64::MAX);
            let parts = read(db, &sql, params![after, limit])?;
            Ok(parts.into_iter().map(|part| part.entry).collect())
        })
    }
}

/// Keeps an entry. The first one of a number stays, as everywhere in the trail.
pub(super) fn store(tx: &Transaction<'_>, log: u64, entry: &Entry) -> rusqlite::Result<()> {
    let digest = |digest: &Digest| digest.0.to_vec();
    tx.prepare_cached(&format!(
        "INSERT OR IGNORE INTO audit ({COLUMNS})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
    ))?
    .execute(params![
        entry.index.cast_signed(),
        log.cast_signed(),
        entry.at.as_millis().cast_signed(),
        entry.actor,
        entry.role.as_str(),
        entry.from,
        entry.act,
        entry.subject,
        entry.before.as_ref().map(digest),
        entry.after.as_ref().map(digest),
        digest(&entry.previous),
        digest(&entry.hash),
    ])?;
    Ok(())
}

/// The entries that came with the log entries behind `after` up to `to`, from number `from` on.
pub(super) fn between(
    db: &Connection,
    (after, to): (u64, u64),
    from: i64,
    limit: usize,
) -> Result<Vec<AuditPart>, HistoryError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM audit WHERE idx > ?1 AND entry > ?2 AND entry <= ?3
         ORDER BY idx LIMIT ?4"
    );
    let limits = params![from, after.cast_signed(), to.cast_signed(), limit.cast_signed()];
    Ok(read(db, &sql, limits)?)
}

fn read(
    db: &Connection,
    sql: &str,
    limits: &[&dyn rusqlite::ToSql],
) -> rusqlite::Result<Vec<AuditPart>> {
    let mut query = db.prepare_cached(sql)?;
    let rows = query.query_map(limits, |row| {
        let role: String = row.get(4)?;
        let entry = Entry {
            index: unsigned(row, 0)?,
            at: Timestamp::from_millis(unsigned(row, 2)?),
            actor: row.get(3)?,
            role: role.parse::<Role>().map_err(unreadable)?,
            from: row.get(5)?,
            act: row.get(6)?,
            subject: row.get(7)?,
            before: digest(row, 8)?,
            after: digest(row, 9)?,
            previous: digest(row, 10)?.unwrap_or_default(),
            hash: digest(row, 11)?.unwrap_or_default(),
        };
        Ok(AuditPart { log: unsigned(row, 1)?, entry })
    })?;
    rows.collect()
}

fn digest(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Option<Digest>> {
    let bytes: Option<Vec<u8>> = row.get(column)?;
    let whole = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).map(Digest);
    bytes.map(whole).transpose().map_err(|_| unreadable("a hash of another length".to_owned()))
}
