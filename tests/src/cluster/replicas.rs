//! Whether members have the same state: read from the disks that they left behind when they were
//! killed, by the code that a start uses.
//!
//! Each is brought to the same entry from its own snapshot and its own log. Then the states must
//! be equal byte by byte: they follow from the log and from nothing else.

use std::path::{Path, PathBuf};

use crosscheck_coordinator::fatal::Fatal;
use crosscheck_coordinator::history::History;
use crosscheck_coordinator::raft::{Log, Machine, Shared};
use crosscheck_core::snapshot;
use openraft::RaftLogReader;
use openraft::storage::{RaftLogStorage, RaftStateMachine};

use super::{Cluster, SETTLED};
use crate::eventually::eventually;

/// What a member left behind.
struct Left {
    node: usize,
    log: Log,
    data: PathBuf,
    /// The last entry that it knew to be committed.
    committed: u64,
}

impl Left {
    async fn open(node: usize, data: &Path) -> Self {
        let mut log = Log::open(data, fatal(node)).expect("a log");
        let committed = log.read_committed().await.expect("a log that can be read");
        let committed = committed.map_or(0, |last| last.index);
        Self { node, log, data: data.to_owned(), committed }
    }

    /// The state after this entry.
    async fn state(&mut self, index: u64) -> Vec<u8> {
        let elsewhere = tempfile::tempdir().expect("a directory");
        let fatal = fatal(self.node);
        let history = History::open(elsewhere.path(), fatal.clone()).expect("a history");
        let shared = Shared::new(history, fatal);
        let mut machine = Machine::open(&self.data, shared.clone()).expect("a state machine");
        let snapshot = machine.get_current_snapshot().await.expect("snapshots");
        if let Some(snapshot) = snapshot {
            let installed = machine.install_snapshot(&snapshot.meta, snapshot.snapshot).await;
            installed.expect("a snapshot");
        }
        let (applied, _) = machine.applied_state().await.expect("a state");
        let next = applied.map_or(0, |last| last.index + 1);
        assert!(next <= index + 1, "member {} has a newer snapshot", self.node);
        let entries = self.log.try_get_log_entries(next..=index).await.expect("entries");
        assert_eq!(entries.len() as u64, index + 1 - next, "member {} lacks some", self.node);
        let entries = entries.into_iter().map(|entry| Ok((entry, None)));
        machine.apply(futures_util::stream::iter(entries)).await.expect("they apply");
        shared.read(snapshot::encode).expect("bytes")
    }
}

fn fatal(node: usize) -> Fatal {
    Fatal::new(move |reason| panic!("member {node} cannot be trusted: {reason}"))
}

/// Entries that follow one that must be known to be committed: the news of it comes with them.
const NEWS: u64 = 5;

/// Waits until all members are where the first one is now; then kills them all at once, and
/// compares what they have agreed on, which is at least that.
///
/// # Panics
/// One lags, or they have not the same state.
pub async fn assert_same_state(cluster: &mut Cluster) {
    let least = applied(cluster).await.expect("an answer").into_iter().min().unwrap_or_default();
    eventually(SETTLED, "all members apply what is new", || async {
        let applied = applied(cluster).await?;
        let all = applied.iter().all(|index| *index >= least + NEWS);
        if all { Ok(()) } else { Err(format!("{applied:?}, from {least}")) }
    })
    .await;
    let members = cluster.members();
    members.iter().for_each(|node| cluster.coordinator_mut(*node).kill());
    let mut left = Vec::new();
    for node in members {
        left.push(Left::open(node, &cluster.coordinator(node).data()).await);
    }
    let common = left.iter().map(|member| member.committed).min().unwrap_or_default();
    assert!(common >= least, "a member knows only of {common} entries, not of {least}");
    let mut states = Vec::new();
    for member in &mut left {
        states.push((member.node, member.state(common).await));
    }
    let (first, wanted) = &states[0];
    for (node, state) in &states {
        assert!(state == wanted, "after entry {common}, {node} has another state than {first}");
    }
}

/// The last entry that each member has applied.
async fn applied(cluster: &Cluster) -> Result<Vec<u64>, String> {
    let report = cluster.coordinator(1).api.json("/api/v1/cluster").await?;
    let members = report["members"].as_array().ok_or("no members")?;
    let applied = members.iter().map(|member| member["applied_index"].as_u64());
    applied.collect::<Option<Vec<u64>>>().ok_or_else(|| report.to_string())
}
