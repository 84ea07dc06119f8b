//! What a coordinator's history holds, read from its file.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// An observation by what makes it unique: probe, process life, number.
pub type Identity = (String, u64, u64);

/// What is kept of an observation, as far as tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// When the run began, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// Up 0, Degraded 1, Down 2, Unknown 3.
    pub status: u8,
}

/// All observations of a history.
///
/// # Errors
/// The file cannot be read.
pub fn observations(history: &Path) -> rusqlite::Result<BTreeMap<Identity, Kept>> {
    let db = open(history)?;
    let mut select = db.prepare(
        "SELECT name.name, boot, seq, started, status FROM observation
         JOIN name ON name.id = observation.probe",
    )?;
    let rows = select.query_map([], |row| {
        let (boot, seq): (i64, i64) = (row.get(1)?, row.get(2)?);
        let identity = (row.get(0)?, boot.cast_unsigned(), seq.cast_unsigned());
        let started_ms: i64 = row.get(3)?;
        let kept = Kept { started_ms: started_ms.cast_unsigned(), status: row.get(4)? };
        Ok((identity, kept))
    })?;
    rows.collect()
}

/// How many runs the roll-ups of each width have counted.
///
/// # Errors
/// The file cannot be read.
pub fn rolled_up(history: &Path) -> rusqlite::Result<BTreeMap<i64, u64>> {
    let db = open(history)?;
    let mut select =
        db.prepare("SELECT width, SUM(up + degraded + down + unknown) FROM rollup GROUP BY width")?;
    let rows = select.query_map([], |row| {
        let runs: i64 = row.get(1)?;
        Ok((row.get(0)?, runs.cast_unsigned()))
    })?;
    rows.collect()
}

fn open(history: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(history, flags)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(db)
}
