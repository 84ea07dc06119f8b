//! Whether this node can be relied on now: the truth behind `/readyz`.

use super::Replica;
use crate::raft::Role;

/// A state that is this many committed entries behind is not the present one.
const BEHIND_LIMIT: u64 = 100;

impl Replica {
    /// Whether the history has everything up to the applied state: after a long absence the
    /// measurements are fetched from other members.
    pub fn is_caught_up(&self) -> bool {
        self.0.shared.history.wanted().is_none()
    }

    /// What keeps this member from serving, in a few words; `None`: nothing.
    pub fn unready(&self) -> Option<&'static str> {
        let inner = &self.0;
        if inner.stop.is_cancelled() || inner.ending.borrow().is_some() {
            return Some("stopping");
        }
        if !inner.has_quorum() {
            return Some("no quorum");
        }
        if inner.leadership.borrow().leader.is_none() {
            return Some("no leader");
        }
        let role = inner.node.group().get(&inner.id).map(|known| known.role);
        if role != Some(Role::Voter) {
            return Some("joining: it does not vote yet");
        }
        let (_, committed) = inner.node.ends();
        if committed > self.applied().0 + BEHIND_LIMIT {
            return Some("catching up with the log");
        }
        if !self.is_caught_up() {
            return Some("fetching the history");
        }
        None
    }
}
