//! openraft's own storage tests, against our log and state machine; and what they leave out.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crosscheck_core::Command;
use crosscheck_core::command::Stamped;
use crosscheck_model::{IncidentId, Timestamp};
use futures_util::TryStreamExt;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::testing::{blank_ent, log_id};
use openraft::type_config::TypeConfigExt;
use openraft::{RaftLogReader, RaftSnapshotBuilder, StorageError};
use rusqlite::Connection;
use tempfile::TempDir;

use super::log::{Entry, Log, LogError, Vote};
use super::machine::{Machine, Shared};
use super::wire::{Proposal, Types};
use crate::fatal::Fatal;
use crate::history::History;

/// A fatal hook that keeps the reasons.
fn recorder() -> (Fatal, Arc<Mutex<Vec<String>>>) {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let kept = reasons.clone();
    let fatal = Fatal::new(move |reason| kept.lock().expect("whole").push(reason.to_owned()));
    (fatal, reasons)
}

fn open(data: &Path) -> (Log, Machine, Arc<Shared>) {
    let (fatal, _) = recorder();
    let history = History::open(data, fatal.clone()).expect("the history opens");
    let shared = Shared::new(history, fatal.clone());
    let log = Log::open(data, fatal).expect("the log opens");
    let machine = Machine::open(data, shared.clone()).expect("the machine opens");
    (log, machine, shared)
}

struct Builder;

impl StoreBuilder<Types, Log, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, Log, Machine), StorageError<Types>> {
        let directory = tempfile::tempdir().expect("a directory");
        let (log, machine, _) = open(directory.path());
        Ok((directory, log, machine))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storage_suite_of_openraft_passes() {
    Suite::test_all(Builder).await.expect("every test of the suite");
}

async fn append(log: &mut Log, entries: Vec<Entry>) {
    let (sender, done) = Types::oneshot();
    log.append(entries, IOFlushed::signal(sender)).await.expect("handed in");
    done.await.expect("answered").expect("written");
}

fn entries(indexes: std::ops::Range<u64>) -> Vec<Entry> {
    indexes.map(|index| blank_ent::<Types>(1, 0, index)).collect()
}

#[tokio::test]
async fn a_restart_finds_vote_log_and_snapshot() {
    let directory = tempfile::tempdir().expect("a directory");
    let vote = Vote::new(3, 1);
    {
        let (mut log, mut machine, _) = open(directory.path());
        log.save_vote(&vote).await.expect("saved");
        append(&mut log, entries(0..10)).await;
        log.save_committed(Some(log_id::<Types>(1, 0, 8))).await.expect("saved");
        log.truncate_after(Some(log_id::<Types>(1, 0, 8))).await.expect("truncated");
        log.purge(log_id::<Types>(1, 0, 2)).await.expect("purged");
        let applied = futures_util::stream::iter(entries(0..6).into_iter().map(|e| Ok((e, None))));
        machine.apply(applied).await.expect("applied");
        machine.get_snapshot_builder().await.build_snapshot().await.expect("built");
    }
    let (mut log, mut machine, shared) = open(directory.path());
    assert_eq!(log.read_vote().await.expect("reads"), Some(vote));
    assert_eq!(log.read_committed().await.expect("reads"), Some(log_id::<Types>(1, 0, 8)));
    let state = log.get_log_state().await.expect("reads");
    assert_eq!(state.last_purged_log_id, Some(log_id::<Types>(1, 0, 2)));
    assert_eq!(state.last_log_id, Some(log_id::<Types>(1, 0, 8)));
    let found = log.try_get_log_entries(..).await.expect("reads");
    let indexes: Vec<u64> = found.iter().map(|entry| entry.log_id().index).collect();
    assert_eq!(indexes, [3, 4, 5, 6, 7, 8]);
    let snapshot = machine.get_current_snapshot().await.expect("reads").expect("there");
    assert_eq!(snapshot.meta.last_log_id, Some(log_id::<Types>(1, 0, 5)));
    machine.install_snapshot(&snapshot.meta, snapshot.snapshot).await.expect("installs");
    assert_eq!(shared.progress.borrow().0, 5);
    assert_eq!(shared.history.wanted(), None, "the history was flushed before the snapshot");
}

#[tokio::test]
async fn an_append_is_bounded_in_bytes_but_never_empty() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut log, _machine, _) = open(directory.path());
    let large = Command::Acknowledge {
        incident: IncidentId(1),
        by: String::new(),
        note: "x".repeat(3 * 1024 * 1024),
    };
    let stamped = Stamped { at: Timestamp::ZERO, command: large };
    let proposal = Proposal::encode(&stamped).expect("encodes");
    let mut all = entries(0..3);
    for index in 3..6 {
        let id = log_id::<Types>(1, 0, index);
        all.push(Entry::new_normal(id, proposal.clone()));
    }
    append(&mut log, all).await;
    for (from, wanted) in [(0, 4), (3, 1), (5, 1)] {
        let found = log.limited_get_log_entries(from, 6).await.expect("reads");
        assert_eq!(found.len(), wanted, "from {from}");
    }
    let mut reopened = Log::open(directory.path(), recorder().0).expect("opens");
    let found = reopened.limited_get_log_entries(0, 6).await.expect("reads from the disk");
    assert_eq!(found.len(), 4);
    let all: Vec<Entry> = reopened.entries_stream(1..6).await.try_collect().await.expect("reads");
    let indexes: Vec<u64> = all.iter().map(|entry| entry.log_id().index).collect();
    assert_eq!(indexes, [1, 2, 3, 4, 5]);
}

fn damage(data: &Path, sql: &str) {
    let db = Connection::open(data.join("log.db")).expect("opens");
    assert_eq!(db.execute(sql, []).expect("runs"), 1, "{sql}");
}

#[tokio::test]
async fn damage_is_an_end_and_never_a_cut() {
    let flip = "UPDATE entry SET record = CAST(record || x'00' AS BLOB) WHERE idx = 4";
    let swap = "UPDATE entry SET record = (SELECT record FROM entry WHERE idx = 5) WHERE idx = 4";
    let lose = "DELETE FROM entry WHERE idx = 4";
    let end = "DELETE FROM entry WHERE idx = 9";
    let vote = "UPDATE marks SET record = CAST(substr(record, 1, 3) || x'ff00000000' AS BLOB)";
    let no_vote = "DELETE FROM marks";
    for sql in [flip, swap, lose, end, vote, no_vote] {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut log, machine, _) = open(directory.path());
        log.save_vote(&Vote::new(3, 1)).await.expect("saved");
        append(&mut log, entries(0..10)).await;
        drop((log, machine));
        damage(directory.path(), sql);
        let (fatal, _) = recorder();
        let opened = Log::open(directory.path(), fatal);
        let error = opened.err().unwrap_or_else(|| panic!("opened in spite of {sql}"));
        let is_known =
            matches!(error, LogError::Record { .. } | LogError::Hole { .. } | LogError::End { .. });
        assert!(is_known, "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_damaged_write_ahead_file_is_no_shorter_log() {
    let directory = tempfile::tempdir().expect("a directory");
    let copy = tempfile::tempdir().expect("a directory");
    let (mut log, _machine, _) = open(directory.path());
    append(&mut log, entries(0..10)).await;
    append(&mut log, entries(10..20)).await;
    // As after a crash: an orderly end would fold the write-ahead file into the table.
    for name in ["log.db", "log.db-wal", "log.head"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).expect("copied");
    }
    let whole = Log::open(copy.path(), recorder().0).expect("the copy is whole");
    drop(whole);
    for name in ["log.db", "log.db-wal", "log.head"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).expect("copied");
    }
    let wal = copy.path().join("log.db-wal");
    let mut bytes = std::fs::read(&wal).expect("reads");
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    std::fs::write(&wal, bytes).expect("writes");
    let error = Log::open(copy.path(), recorder().0).err().expect("a cut");
    assert!(matches!(error, LogError::Cut { .. }), "{error}");
}

#[tokio::test]
async fn damage_under_a_running_node_stops_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut log, machine, _) = open(directory.path());
    append(&mut log, entries(0..10)).await;
    drop((log, machine));
    let (fatal, reasons) = recorder();
    // After opening, so that the entries are not in memory.
    let mut log = Log::open(directory.path(), fatal).expect("opens");
    damage(directory.path(), "UPDATE entry SET record = x'0102030405' WHERE idx = 7");
    assert_eq!(log.try_get_log_entries(0..7).await.expect("whole so far").len(), 7);
    assert!(log.try_get_log_entries(5..9).await.is_err());
    let reasons = reasons.lock().expect("whole");
    assert!(reasons[0].contains("entry 7"), "{reasons:?}");
}

#[tokio::test]
async fn a_failed_write_is_told_to_nobody_as_done_and_stops_the_node() {
    let directory = tempfile::tempdir().expect("a directory");
    let (fatal, reasons) = recorder();
    let mut log = Log::open(directory.path(), fatal).expect("opens");
    let path: PathBuf = directory.path().join("log.db");
    let db = Connection::open(path).expect("opens");
    db.execute_batch("DROP TABLE entry").expect("runs");
    let (sender, done) = Types::oneshot();
    let handed = log.append(entries(0..1), IOFlushed::signal(sender)).await;
    handed.expect("handed in before the writer looks");
    assert!(!matches!(done.await, Ok(Ok(()))));
    // Waits for the writer's end.
    drop(log);
    assert_eq!(reasons.lock().expect("whole").len(), 1);
}

#[tokio::test]
async fn the_file_does_not_grow_with_what_has_come_and_gone() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut log, _machine, _) = open(directory.path());
    let command = Command::Acknowledge {
        incident: IncidentId(1),
        by: String::new(),
        note: "x".repeat(10 * 1024),
    };
    let stamped = Stamped { at: Timestamp::ZERO, command };
    let proposal = Proposal::encode(&stamped).expect("encodes");
    let size = || -> u64 {
        let sizes = ["log.db", "log.db-wal"].map(|name| {
            std::fs::metadata(directory.path().join(name)).map_or(0, |file| file.len())
        });
        sizes.into_iter().sum()
    };
    let mut early = 0;
    for round in 0..40 {
        let indexes = round * 50..(round + 1) * 50;
        let batch = indexes
            .clone()
            .map(|index| Entry::new_normal(log_id::<Types>(1, 0, index), proposal.clone()));
        append(&mut log, batch.collect()).await;
        log.purge(log_id::<Types>(1, 0, indexes.end - 1)).await.expect("purged");
        if round == 9 {
            early = size();
        }
    }
    let late = size();
    assert!(late <= early / 10 * 11, "{late} bytes after 40 rounds, {early} after 10");
}
