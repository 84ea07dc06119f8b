//! The tables of `history.db`, and how connections to it are opened.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::HistoryError;
use crate::write_ahead;

/// The version of the tables, kept in `user_version`. A stored format: a change adds a step.
const VERSION: i64 = 2;

/// `name.kind`.
pub(super) const CHECK: i64 = 0;
/// `name.kind`.
pub(super) const PROBE: i64 = 1;
/// `name.kind`.
pub(super) const SITE: i64 = 2;

/// Version 1. Names are stored once. `observation.id` holds the log index, see `record.rs`. A span
/// lasts until the next one of its check begins. `progress` has one row.
const TABLES: &str = "
CREATE TABLE name (
    id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (kind, name)
);
CREATE TABLE observation (
    id INTEGER PRIMARY KEY, chk INTEGER NOT NULL, probe INTEGER NOT NULL, site INTEGER NOT NULL,
    boot INTEGER NOT NULL, seq INTEGER NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL,
    status INTEGER NOT NULL, cause TEXT, clock INTEGER NOT NULL, why INTEGER NOT NULL,
    firm INTEGER NOT NULL, duration INTEGER NOT NULL, dns INTEGER, connect INTEGER, tls INTEGER,
    send INTEGER, first_byte INTEGER, transfer INTEGER, address TEXT, detail TEXT, excerpt TEXT,
    UNIQUE (probe, boot, seq)
);
CREATE INDEX observation_by_check ON observation (chk, started);
CREATE TABLE rollup (
    chk INTEGER NOT NULL, width INTEGER NOT NULL, start INTEGER NOT NULL, site INTEGER NOT NULL,
    up INTEGER NOT NULL, degraded INTEGER NOT NULL, down INTEGER NOT NULL, unknown INTEGER NOT NULL,
    total INTEGER NOT NULL, fastest INTEGER NOT NULL, slowest INTEGER NOT NULL,
    sketch BLOB NOT NULL, UNIQUE (chk, width, start, site)
);
CREATE TABLE span (
    chk INTEGER NOT NULL, start INTEGER NOT NULL, entry INTEGER NOT NULL, status INTEGER,
    maintenance INTEGER NOT NULL, PRIMARY KEY (chk, start)
) WITHOUT ROWID;
CREATE TABLE progress (
    one INTEGER PRIMARY KEY CHECK (one = 1), applied INTEGER NOT NULL,
    raw_from INTEGER NOT NULL, rollups_from INTEGER NOT NULL,
    lacks_after INTEGER, lacks_to INTEGER, lacks_from INTEGER
);
INSERT INTO progress VALUES (1, 0, 0, 0, NULL, NULL, NULL);
";

/// From version 1 to 2. `audit.entry` is the log entry's index. `progress.commits` changes each
/// time: SQLite syncs nothing when nothing has changed, and a flush must bring to the disk what was
/// committed before it.
const STEP_2: &str = "
ALTER TABLE progress ADD COLUMN commits INTEGER NOT NULL DEFAULT 0;
CREATE TABLE audit (
    idx INTEGER PRIMARY KEY, entry INTEGER NOT NULL, at INTEGER NOT NULL, actor TEXT NOT NULL,
    role TEXT NOT NULL, source TEXT NOT NULL, act TEXT NOT NULL, subject TEXT NOT NULL,
    before BLOB, after BLOB, previous BLOB NOT NULL, hash BLOB NOT NULL
);
";

/// Opens the only connection that writes, and makes the tables of a new file.
pub(super) fn open_writer(path: &Path) -> Result<Connection, HistoryError> {
    let mut db = Connection::open(path)?;
    write_ahead::begin(&mut db)?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.set_prepared_statement_cache_capacity(32);
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        VERSION => {}
        0 | 1 => {
            let tx = db.transaction()?;
            if version == 0 {
                tx.execute_batch(TABLES)?;
            }
            tx.execute_batch(STEP_2)?;
            tx.pragma_update(None, "user_version", VERSION)?;
            tx.commit()?;
        }
        found => return Err(HistoryError::Version { found, known: VERSION }),
    }
    Ok(db)
}

/// Opens a connection that can only read.
pub(super) fn open_reader(path: &Path) -> Result<Connection, HistoryError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(db)
}
