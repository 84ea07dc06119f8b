//! The leader's side of a change of the membership.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_core::command::Enclosed;
use crosscheck_core::level::Level;
use crosscheck_core::operator::Actor;
use crosscheck_core::{Command, State};
use crosscheck_model::Timestamp;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::{Change, Changed};
use crate::raft::{Asked, CallError, ChangeError, Known, Role};
use crate::replica::{Inner, Replica};

/// Between two tries to find a leader.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A coordinator that takes longer to answer is not there.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// How long a change may take as a whole: several elections, or a handing over of the lead.
const CHANGE_LIMIT: Duration = Duration::from_secs(30);

impl Replica {
    /// Has the leader, wherever it is, change the membership.
    pub async fn change(&self, change: Change) -> Changed {
        let end = Instant::now() + CHANGE_LIMIT;
        loop {
            let leader = self.0.leadership.borrow().leader;
            let changed = match leader {
                Some(id) if id == self.0.id => Asked::change(self, change.clone()).await,
                Some(id) => self.change_at(id, &change).await,
                None => Changed::NotLeader(None),
            };
            if !matches!(changed, Changed::NotLeader(_)) || Instant::now() >= end {
                return changed;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn change_at(&self, leader: u64, change: &Change) -> Changed {
        let urls = self.0.node.urls();
        let Some(url) = urls.get(&leader) else { return Changed::NotLeader(None) };
        let asked = self.0.peers.call((leader, url), "change", change, CHANGE_LIMIT).await;
        asked.unwrap_or_else(|error| match error {
            CallError::NotTaken { .. } => Changed::NotLeader(None),
            error => Changed::Unknown(error.to_string()),
        })
    }
}

/// Makes a change, on the leader only.
pub(crate) async fn carry_out(inner: &Arc<Inner>, change: Change) -> Changed {
    let _turn = inner.changes.lock().await;
    if !inner.leadership.borrow().is_leader {
        return not_leader(inner);
    }
    let limit = inner.profile.submit_limit();
    let work = async {
        // A leader that stood still for long may have been followed by another: what it knows of
        // members is of yesterday, and whoever it sent away would never come back.
        if !inner.node.confirm_leadership().await {
            return Ok(not_leader(inner));
        }
        inner.node.finish_change().await?;
        match change {
            Change::Admit { node, level, .. } if level < inner.shared.read(State::level) => {
                let cluster = inner.shared.read(State::level);
                Ok(Changed::Refused(too_old(&format!("coordinator {node}"), level, cluster)))
            }
            Change::Admit { node, url, .. } => admit(inner, node, &url).await,
            Change::Remove { node, by } => remove(inner, node, by).await,
            Change::Transfer { node, by } => Ok(transfer(inner, node, by).await),
        }
    };
    match timeout(limit, work).await {
        Ok(Ok(changed)) => changed,
        Ok(Err(ChangeError::NotLeader)) => not_leader(inner),
        Ok(Err(ChangeError::Failed(reason))) => Changed::Unknown(reason),
        Err(_) => Changed::Unknown("no majority has confirmed it in time".to_owned()),
    }
}

fn not_leader(inner: &Inner) -> Changed {
    let leader = inner.leadership.borrow().leader.filter(|id| *id != inner.id);
    Changed::NotLeader(leader.and_then(|id| Some((id, inner.node.urls().remove(&id)?))))
}

/// One step further: a stranger becomes a learner, a learner that has caught up a voter. Whoever
/// wants to get in asks again until it votes.
async fn admit(inner: &Arc<Inner>, node: u64, url: &str) -> Result<Changed, ChangeError> {
    let group = inner.node.group();
    let known = group.get(&node);
    let (enrolled, dismissed) = inner
        .shared
        .read(|state| (state.members.contains_key(&node), state.dismissed.contains_key(&node)));
    if dismissed || (known.is_none() && !enrolled) {
        return Ok(Changed::Removed(removed(node)));
    }
    if let Some((other, _)) = group.iter().find(|(id, known)| **id != node && known.url == url) {
        return Ok(Changed::Refused(taken(*other, url)));
    }
    if known.is_none_or(|known| known.url != url) {
        inner.node.add_learner(node, url).await?;
        tracing::info!(node, url, "a coordinator is reached there from now on");
    }
    let role = inner.node.group().get(&node).map(|known| known.role);
    if role == Some(Role::Voter) {
        return Ok(Changed::Done);
    }
    if inner.node.is_caught_up(node) {
        inner.node.promote(node).await?;
        tracing::info!(node, "a coordinator has caught up and votes from now on");
        return Ok(Changed::Done);
    }
    let matched = inner.node.followed().get(&node).copied().flatten();
    let behind = inner.node.ends().0.saturating_sub(matched.unwrap_or_default());
    Ok(Changed::Learning { behind })
}

async fn remove(inner: &Arc<Inner>, node: u64, by: Actor) -> Result<Changed, ChangeError> {
    let group = inner.node.group();
    let enrolled = inner.shared.read(|state| state.members.contains_key(&node));
    if !group.contains_key(&node) && !enrolled {
        return Ok(Changed::Refused(format!(
            "there is no coordinator {node}: `crosscheck cluster status` lists them"
        )));
    }
    if let Some(kept) = keep(inner, &group, node).await {
        return Ok(kept);
    }
    // On record first, with who said so: a leader that is lost in between has a successor that goes
    // on from there (`finish_removals`). From now on nobody of that number gets in.
    let recorded = record(inner, by, &Command::Dismiss { node }).await;
    if recorded != Changed::Done || !group.contains_key(&node) {
        return Ok(recorded);
    }
    expel(inner, node).await.map(|()| Changed::Done)
}

/// Why a node cannot be taken out of the group here and now.
async fn keep(inner: &Inner, group: &BTreeMap<u64, Known>, node: u64) -> Option<Changed> {
    if group.get(&node)?.role != Role::Voter {
        return None;
    }
    if let Some(refusal) = why_not_without(inner, group, node).await {
        return Some(Changed::Refused(refusal));
    }
    if node != inner.id {
        return None;
    }
    inner.node.hand_over().await;
    Some(match inner.node.standing().is_leader {
        true => Changed::Unknown("no other coordinator has taken over: try again".into()),
        false => Changed::NotLeader(None),
    })
}

async fn expel(inner: &Inner, node: u64) -> Result<(), ChangeError> {
    inner.node.expel(node).await?;
    tracing::warn!(node, "a coordinator was removed from the cluster");
    Ok(())
}

/// Takes out of the group whoever is on record as removed and is still in it, because the leader
/// that put it on record was lost before it had come to that.
pub(crate) async fn finish_removals(inner: &Arc<Inner>) {
    let left = || {
        let mut group = inner.node.group();
        inner.shared.read(|state| group.retain(|node, _| state.dismissed.contains_key(node)));
        group.into_keys().next()
    };
    if left().is_none() || !inner.leadership.borrow().is_leader {
        return;
    }
    let _turn = inner.changes.lock().await;
    // Somebody may have done it meanwhile.
    let Some(node) = left() else { return };
    let work = async {
        if !inner.node.confirm_leadership().await {
            return Ok(());
        }
        inner.node.finish_change().await?;
        match keep(inner, &inner.node.group(), node).await {
            None => expel(inner, node).await,
            Some(Changed::Refused(reason)) => Err(ChangeError::Failed(reason)),
            Some(_) => Ok(()),
        }
    };
    match timeout(inner.profile.submit_limit(), work).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(node, %error, "a removal is not finished yet"),
        Err(_) => tracing::warn!(node, "a removal is not finished yet: no majority in time"),
    }
}

/// Commits an operator's act, which leaves its entry in the audit trail.
async fn record(inner: &Arc<Inner>, actor: Actor, command: &Command) -> Changed {
    match inner.submit(Command::Act { actor, command: Enclosed::new(command) }).await {
        Ok(_) => Changed::Done,
        Err(error) => Changed::Unknown(error.to_string()),
    }
}

/// Why the cluster would not work without a voter: those that are left must be able to commit.
async fn why_not_without(inner: &Inner, group: &BTreeMap<u64, Known>, node: u64) -> Option<String> {
    let voters = group.iter().filter(|(_, known)| known.role == Role::Voter);
    let left: Vec<u64> = voters.map(|(id, _)| *id).filter(|id| *id != node).collect();
    if left.is_empty() {
        return Some(format!(
            "coordinator {node} is the only one that votes: without it there is no cluster"
        ));
    }
    let heard = join_all(left.iter().map(|id| answers(inner, group, *id))).await;
    let silent: Vec<u64> =
        left.iter().zip(heard).filter(|(_, heard)| !heard).map(|(id, _)| *id).collect();
    let answering = left.len() - silent.len();
    (answering <= left.len() / 2).then(|| {
        format!(
            "without coordinator {node} there would be no majority: {silent:?} of the other \
             voters {left:?} do not answer; start or remove those first"
        )
    })
}

/// Whether a coordinator answers now: what was heard a moment ago does not tell.
async fn answers(inner: &Inner, group: &BTreeMap<u64, Known>, node: u64) -> bool {
    if node == inner.id {
        return true;
    }
    let Some(known) = group.get(&node) else { return false };
    let to = (node, known.url.as_str());
    inner.peers.call::<Timestamp>(to, "clock", &(), ANSWER_LIMIT).await.is_ok()
}

async fn transfer(inner: &Arc<Inner>, node: u64, by: Actor) -> Changed {
    let group = inner.node.group();
    match group.get(&node).map(|known| known.role) {
        None => return Changed::Refused(format!("there is no coordinator {node}")),
        Some(Role::Learner) => {
            return Changed::Refused(format!("coordinator {node} does not vote yet"));
        }
        Some(Role::Voter) if node == inner.id => return Changed::Done,
        Some(Role::Voter) => {}
    }
    if !answers(inner, &group, node).await || !inner.node.is_caught_up(node) {
        return Changed::Refused(format!(
            "coordinator {node} does not answer or lags behind: `crosscheck cluster status`"
        ));
    }
    // Recorded by the one who has the say until then: afterwards there may be nobody to do it.
    let recorded = record(inner, by, &Command::HandOver { to: node }).await;
    if recorded != Changed::Done {
        return recorded;
    }
    match inner.node.transfer(node, inner.profile.submit_limit()).await {
        true => Changed::Done,
        false => Changed::Unknown(format!("coordinator {node} has not taken over in time")),
    }
}

/// What a coordinator hears that does not read what the cluster writes.
pub(crate) fn too_old(who: &str, level: Level, cluster: Level) -> String {
    format!(
        "{who} reads formats up to level {level}, and this cluster writes level {cluster}: install \
         the release that the other coordinators run (`crosscheck cluster status`)"
    )
}

/// What a coordinator hears that does not belong to the cluster any more.
pub(crate) fn removed(node: u64) -> String {
    format!(
        "coordinator {node} was removed from the cluster, and its number is never used again. To \
         use this machine again, empty its data directory and join as a new member: `crosscheck \
         cluster token` on a coordinator that runs, `crosscheck cluster join` here"
    )
}

fn taken(other: u64, url: &str) -> String {
    format!(
        "coordinator {other} is a member at {url} already. If this machine replaces it, remove \
         it first: `crosscheck cluster remove {other}`"
    )
}
