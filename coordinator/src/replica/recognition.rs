//! Whom this member hears, and what each may ask: by the key, by the book of numbers, by the group.

use std::sync::Arc;

use super::Replica;
use crate::access::{self, Credentials, Keyring};
use crate::cluster::join;
use crate::raft::Shared;

/// What a member proves itself by, and what it knows others by: the applied state, before all.
pub(super) fn secure(
    credentials: Arc<Credentials>,
    shared: &Arc<Shared>,
) -> (Arc<Credentials>, Arc<Keyring>) {
    let book = shared.clone();
    let known = move |node| book.read(|state| state.member_key(node));
    let keyring = Keyring::new(credentials.told(), known);
    (credentials, Arc::new(keyring))
}

impl Replica {
    /// The routes of the Raft listener.
    pub fn raft_routes(&self) -> axum::Router {
        let raft = self.0.node.routes(self.clone());
        let raft = match &self.0.secured {
            Some((_, keyring)) => {
                let (replica, keyring) = (self.clone(), keyring.clone());
                access::only_members(raft, move |node, key, path| {
                    keyring.recognises(node, key) && replica.hears(node, path)
                })
            }
            None => raft,
        };
        raft.merge(join::routes(self.clone()))
    }

    /// What this member proves itself by; `None` within one process.
    pub fn credentials(&self) -> Option<&Arc<Credentials>> {
        self.0.secured.as_ref().map(|(credentials, _)| credentials)
    }

    /// Whether a member may ask this. One that was removed may only ask whether it was. One that
    /// this node has not heard of yet, and that others vouch for, may be the leader that tells of
    /// it, and no more than that: it changes nothing here and reads nothing.
    fn hears(&self, node: u64, path: &str) -> bool {
        const NEWS: [&str; 5] = ["append", "vote", "pre-vote", "snapshot", "transfer"];
        let asked = path.strip_prefix("/raft/v1/").unwrap_or_default();
        asked == "belongs"
            || match self.belongs_here(node) {
                Some(belongs) => belongs,
                None => NEWS.contains(&asked),
            }
    }

    /// Whether a member belongs to the cluster, as far as this node has heard. Raft's membership
    /// comes first: who founded the cluster together with others stands in the book of numbers
    /// only once it has led.
    pub(super) fn belongs_here(&self, node: u64) -> Option<bool> {
        match self.0.node.group().contains_key(&node) {
            true => Some(true),
            false => self.read(|state| state.member_belongs(node)),
        }
    }
}
