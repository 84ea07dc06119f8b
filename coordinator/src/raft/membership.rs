//! Who belongs to the Raft group, and one change of it at a time.
//!
//! **Invariants**
//! - A change is based on the membership that was looked at, or it is not made: two changes never
//!   run into each other, also not those of an old leader and a new one.
//! - A node votes only when it has been caught up as a learner before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::alias::StoredMembershipOf;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::impls::BasicNode;
use openraft::raft::Precondition;

use super::node::Node;
use super::wire::Types;

/// A learner that is no more than this many entries behind may vote: what it lacks arrives
/// within one append or two.
const CAUGHT_UP_ENTRIES: u64 = 100;

/// What a node is in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// It votes and can lead.
    Voter,
    /// It gets the log and does not vote yet.
    Learner,
}

/// A node of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The base URL of its Raft listener.
    pub(crate) url: String,
    pub(crate) role: Role,
}

/// Why the group was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// This node does not lead.
    #[error("this node does not lead")]
    NotLeader,
    /// Another change is under way, or its outcome is not known.
    #[error("the membership was not changed: {0}")]
    Failed(String),
}

impl From<RaftError<Types, ClientWriteError<Types>>> for ChangeError {
    fn from(error: RaftError<Types, ClientWriteError<Types>>) -> Self {
        match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => Self::NotLeader,
            other => Self::Failed(other.to_string()),
        }
    }
}

impl Node {
    /// The group as this node knows it, this node too when it belongs to it.
    pub(crate) fn group(&self) -> BTreeMap<u64, Known> {
        group(&self.membership())
    }

    /// The base URLs of the group's nodes.
    pub(crate) fn urls(&self) -> BTreeMap<u64, String> {
        self.group().into_iter().map(|(id, known)| (id, known.url)).collect()
    }

    fn membership(&self) -> StoredMembershipOf<Types> {
        (*self.raft.server_metrics().borrow_watched().membership_config).clone()
    }

    /// The last entry that each follower is known to have; nothing on a node that does not lead.
    pub(crate) fn followed(&self) -> BTreeMap<u64, Option<u64>> {
        let replication = self.raft.metrics().borrow_watched().replication.clone();
        let others = replication.into_iter().flatten().filter(|(id, _)| *id != self.id);
        others.map(|(id, matched)| (id, matched.map(|last| last.index))).collect()
    }

    /// Whether a learner has nearly all that the leader has.
    pub(crate) fn is_caught_up(&self, id: u64) -> bool {
        let last = self.raft.metrics().borrow_watched().last_log_index.unwrap_or_default();
        let matched = self.followed().get(&id).copied().flatten();
        matched.is_some_and(|matched| matched + CAUGHT_UP_ENTRIES >= last)
    }

    /// Lets a node have the log, without a vote; at another URL than before, it is followed there.
    pub(crate) async fn add_learner(&self, id: u64, url: &str) -> Result<(), ChangeError> {
        let node = BTreeMap::from([(id, BasicNode::new(url))]);
        self.change(|before| match before.contains_key(&id) {
            true => ChangeMembers::SetNodes(node),
            false => ChangeMembers::AddNodes(node),
        })
        .await
    }

    /// Lets a learner vote.
    pub(crate) async fn promote(&self, id: u64) -> Result<(), ChangeError> {
        self.change(|_| ChangeMembers::AddVoterIds(BTreeSet::from([id]))).await
    }

    /// Takes a node out, voter or not.
    pub(crate) async fn expel(&self, id: u64) -> Result<(), ChangeError> {
        self.change(|before| match before.get(&id).map(|known| known.role) {
            Some(Role::Voter) => ChangeMembers::RemoveVoters(BTreeSet::from([id])),
            _ => ChangeMembers::RemoveNodes(BTreeSet::from([id])),
        })
        .await
    }

    /// Ends what a leader that was lost in the middle of a change has left behind: its joint
    /// configuration becomes the one that it was to lead to.
    pub(crate) async fn finish_change(&self) -> Result<(), ChangeError> {
        let joint = self.membership().get_joint_config().clone();
        let [.., wanted] = &joint[..] else { return Ok(()) };
        if joint.len() < 2 {
            return Ok(());
        }
        let wanted = wanted.clone();
        self.change(|_| ChangeMembers::ReplaceAllVoters(wanted)).await
    }

    async fn change(
        &self,
        what: impl FnOnce(&BTreeMap<u64, Known>) -> ChangeMembers<u64, BasicNode>,
    ) -> Result<(), ChangeError> {
        let before = self.membership();
        let unchanged =
            Precondition::LastMembershipLogId { last_membership_log_id: *before.log_id() };
        let change = what(&group(&before));
        self.raft.change_membership_if(change, false, [unchanged]).await?;
        Ok(())
    }

    /// Has `target` lead; whether it does within the time.
    pub(crate) async fn transfer(&self, target: u64, limit: Duration) -> bool {
        let mut news = self.watch();
        let transferred = async {
            self.raft.trigger().transfer_leader(target).await.ok()?;
            while self.standing().leader != Some(target) {
                self.next_standing(&mut news).await?;
            }
            Some(())
        };
        matches!(tokio::time::timeout(limit, transferred).await, Ok(Some(())))
    }
}

fn group(membership: &StoredMembershipOf<Types>) -> BTreeMap<u64, Known> {
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let nodes = membership.nodes().map(|(id, node)| {
        let role = if voters.contains(id) { Role::Voter } else { Role::Learner };
        (*id, Known { url: node.addr.clone(), role })
    });
    nodes.collect()
}
