//! A data directory that begins in the middle: where a backup was made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crosscheck_core::State;
use openraft::impls::BasicNode;
use openraft::storage::RaftLogStorage;
use openraft::vote::leader_id_std::CommittedLeaderId;
use openraft::{LogId, Membership};

use super::log::{Log, Vote};
use super::node::StartError;
use super::snapshot::{Content, Meta, Snapshots};
use crate::fatal::Fatal;

/// Writes log and snapshot of a cluster that has node `node` alone and has applied everything up
/// to entry `index`. Terms go on from the state's last.
pub(crate) async fn plant(
    data: &Path,
    node: u64,
    url: &str,
    state: State,
    index: u64,
) -> Result<(), StartError> {
    let term = state.lead_term.max(1);
    let last = LogId::new(CommittedLeaderId::new(term), index);
    let nodes = BTreeMap::from([(node, BasicNode::new(url))]);
    let membership =
        Membership::new(vec![BTreeSet::from([node])], nodes).map_err(StartError::new)?;
    let last_membership = openraft::StoredMembership::new(Some(last), membership);
    let content = Content { meta: Meta { last_log_id: Some(last), last_membership }, state };
    let snapshots = Snapshots::open(data)?;
    snapshots.write(index, &content.encode()?)?;
    let mut log = Log::open(data, Fatal::exit())?;
    log.save_vote(&Vote::new(term, node)).await.map_err(StartError::new)?;
    log.purge(last).await.map_err(StartError::new)?;
    Ok(())
}
