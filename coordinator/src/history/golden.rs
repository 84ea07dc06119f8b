//! The history's tables as they were written once, kept as SQL in `golden/`: every later program
//! must read them.
//!
//! A failure here after a release says: add a step to `schema.rs` and keep what reads the old
//! tables. Before the first release, write the file anew:
//! `CROSSCHECK_GOLDEN=write cargo test -p crosscheck-coordinator golden`.

use std::fmt::Write;
use std::path::PathBuf;

use rusqlite::Connection;

use super::tests::{act, at, keep, open, rows, seen, span, trail};
use super::*;
use crosscheck_core::audit::Chain;
use crosscheck_model::Status;

/// A database as SQL.
fn dump(path: &Path) -> rusqlite::Result<String> {
    let db = Connection::open(path)?;
    let mut out = String::new();
    let mut tables =
        db.prepare("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")?;
    let mut found = tables.query([])?;
    while let Some(row) = found.next()? {
        let (name, sql): (String, String) = (row.get(0)?, row.get(1)?);
        writeln!(out, "{sql};").expect("memory takes it");
        if !sql.starts_with("CREATE TABLE") {
            continue;
        }
        let columns: Vec<String> = db
            .prepare("SELECT 'quote(' || name || ')' FROM pragma_table_info(?1)")?
            .query_map([&name], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let values = columns.join(" || ', ' || ");
        let mut rows = db.prepare(&format!("SELECT {values} FROM {name}"))?;
        for row in rows.query_map([], |row| row.get::<_, String>(0))? {
            writeln!(out, "INSERT INTO {name} VALUES ({});", row?).expect("memory takes it");
        }
    }
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    writeln!(out, "PRAGMA user_version = {version};").expect("memory takes it");
    Ok(out)
}

async fn filled(data: &Path) -> History {
    let history = open(data);
    let mut chain = Chain::default();
    let effects = vec![
        seen("a", 1, 1_000, Status::Up, 12_000),
        seen("b", 2, 2_000, Status::Down, 9_000),
        span(1_000, Some(Status::Up), false),
        act(&mut chain),
    ];
    keep(&history, 7, effects).await;
    keep(&history, 8, vec![span(2_000, Some(Status::Down), true)]).await;
    history.flush().await.expect("flushed");
    history
}

#[tokio::test]
async fn the_golden_history_is_read_as_it_was_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let history = filled(directory.path()).await;
    let now = dump(&directory.path().join("history.db")).expect("reads");
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/history/golden/history-2.sql");
    if std::env::var_os("CROSSCHECK_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&golden, &now).expect("written");
    }
    let kept = std::fs::read_to_string(&golden).expect("the golden file");
    for (kept, now) in kept.lines().zip(now.lines()) {
        assert_eq!(kept, now, "it is written otherwise");
    }
    let other = tempfile::tempdir().expect("a directory");
    Connection::open(other.path().join("history.db"))
        .and_then(|db| db.execute_batch(&kept))
        .expect("SQL");
    let old = open(other.path());
    assert_eq!(old.applied(), 8);
    assert_eq!(rows(&old), rows(&history));
    assert_eq!(trail(&old), trail(&history));
    let spans = |history: &History| history.spans(&"shop".into(), at(0), at(9_000)).expect("reads");
    assert_eq!(spans(&old), spans(&history));
}

/// What a member that was away for long asks another for, as it travels: a line a page.
#[tokio::test]
async fn golden_pages_are_sent_as_they_were() {
    let directory = tempfile::tempdir().expect("a directory");
    let history = filled(directory.path()).await;
    let mut lines = String::new();
    for cursor in [Cursor::Rollups(0), Cursor::Spans(0, 0), Cursor::Records(0), Cursor::Audit(0)] {
        let want = Want { after: 0, to: 8, rollups_from: 0, cursor };
        let page = history.page(&want).expect("reads").expect("it has them");
        let bytes = postcard::to_stdvec(&page).expect("encodes");
        assert_eq!(postcard::from_bytes::<Page>(&bytes).expect("decodes"), page);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(lines, "page {hex}").expect("memory takes it");
    }
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/history/golden/pages.txt");
    if std::env::var_os("CROSSCHECK_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&golden, &lines).expect("written");
    }
    let kept = std::fs::read_to_string(&golden).expect("the golden file");
    for (kept, now) in kept.lines().zip(lines.lines()) {
        assert_eq!(kept, now, "it is sent otherwise");
    }
    assert_eq!(kept.lines().count(), lines.lines().count());
}

#[tokio::test]
async fn tables_of_a_newer_program_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(filled(directory.path()).await);
    let db = Connection::open(directory.path().join("history.db")).expect("opens");
    db.pragma_update(None, "user_version", 3).expect("written");
    drop(db);
    let fatal = Fatal::new(|reason| panic!("{reason}"));
    let refused = History::open(directory.path(), fatal).map(drop).expect_err("newer").to_string();
    assert!(refused.contains("version 3") && refused.contains("update"), "{refused}");
}
