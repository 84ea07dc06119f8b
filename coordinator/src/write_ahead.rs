//! SQLite's write-ahead mode without its two silences: a mode that could not be set, and a
//! write-ahead file that could not be folded into its table, are errors like any other.

use std::ffi::c_int;

use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode, ffi};

/// Pages in the write-ahead file from which on it is folded into the table: SQLite's own choice.
const FOLD_PAGES: c_int = 1_000;

/// Puts a connection into write-ahead mode.
pub(crate) fn begin(db: &mut Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    // Asked again: the change is committed only after its answer is given.
    let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode != "wal" {
        let why = format!("the journal stays in mode `{mode}`; the disk may be read-only or full");
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR), Some(why)));
    }
    // In the place of SQLite's own, which passes over errors: after a failed sync nobody knows
    // what is on the disk.
    db.wal_hook(Some(fold))
}

fn fold(wal: &mut Wal, pages: c_int) -> rusqlite::Result<()> {
    if pages < FOLD_PAGES {
        return Ok(());
    }
    match wal.checkpoint() {
        // Another connection is at it.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        done => done,
    }
}
