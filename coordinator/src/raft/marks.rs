//! How far a node has come, as a simulation compares it with what is on disks.

use std::collections::BTreeSet;

use openraft::async_runtime::WatchReceiver;

use super::log::LogId;
use super::node::Node;

/// An entry: its index, and its term.
type Place = (u64, u64);

/// A node's marks in its log, all seen at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The last entry that it has forgotten.
    pub purged: Option<Place>,
    /// The last entry in its newest snapshot.
    pub snapshot: Option<Place>,
    /// The last entry that it has applied.
    pub applied: Option<Place>,
    /// The last entry of its log that it counts as committed.
    pub committed: Option<Place>,
    /// The last entry of its log.
    pub last: Option<Place>,
    /// Who votes by the last membership in its log: of each of these sets a majority.
    pub voters: Vec<BTreeSet<u64>>,
}

fn place(id: LogId) -> Place {
    (id.index, id.leader_id.term)
}

impl Node {
    /// How far it has come.
    pub(crate) fn marks(&self) -> Marks {
        let metrics = self.raft.data_metrics().borrow_watched().clone();
        let server = self.raft.server_metrics();
        let voters = server.borrow_watched().membership_config.get_joint_config().clone();
        Marks {
            purged: metrics.purged.map(place),
            snapshot: metrics.snapshot.map(place),
            applied: metrics.last_applied.map(place),
            committed: metrics.local_committed.map(place),
            last: metrics.last_log.map(place),
            voters,
        }
    }
}
