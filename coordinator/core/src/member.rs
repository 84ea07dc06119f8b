//! The coordinators of the cluster: numbers that are never given twice, and their own trouble.
//!
//! Who votes is Raft's membership, not this: here is who may ask to get in, and who no more; and
//! whose key is whose. A number keeps its key as long as it lives: whoever needs another key joins
//! anew, under another number.

use crosscheck_model::join::{Fingerprint, JoinRefusal};
use crosscheck_model::mutant::{self, Mutant};
use crosscheck_model::{IncidentId, Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::Reply;
use crate::effect::Effect;
use crate::incident::Subject;
use crate::outbox::Edge;
use crate::state::State;

/// From this much of its disk in use on, a member's operators are told.
pub const DISK_ALARM_PERCENT: u8 = 90;
/// Below this much it is over: not at once below the alarm's bound, or it would come and go.
pub const DISK_CALM_PERCENT: u8 = 85;

/// A coordinator that belongs to the cluster, or may join it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberState {
    /// When it got its number.
    pub enrolled_at: Timestamp,
    /// Its public key; `None` between the first entry of one that founds the cluster and its
    /// [`crate::Command::Introduce`].
    pub key: Option<Fingerprint>,
    /// The open incident about its disk.
    pub incident: Option<IncidentId>,
}

impl State {
    /// Gives a new member its number: larger than all that were ever given, and than `above`.
    /// Asked again with the same key, because an answer was lost, it is the same number.
    ///
    /// # Errors
    /// The token is not good for it, or its number was taken away again.
    pub(crate) fn enrol_member(
        &mut self,
        token: &Fingerprint,
        key: Fingerprint,
        above: u64,
    ) -> Result<u64, JoinRefusal> {
        let used = self.join_tokens.get(token).is_some_and(|token| token.used.is_some());
        self.redeem_member(token, key)?;
        if used {
            let same = |(_, member): &(&u64, &MemberState)| member.key == Some(key);
            let known = self.members.iter().find(same).map(|(node, _)| *node);
            return known.ok_or(JoinRefusal::UsedToken);
        }
        let mut number = self.last_member.max(above) + 1;
        if mutant::is(Mutant::NodeIdReuse) {
            number = (1..number).find(|n| !self.members.contains_key(n)).unwrap_or(number);
        }
        self.last_member = self.last_member.max(number);
        let member =
            MemberState { enrolled_at: self.now, key: Some(key), ..MemberState::default() };
        self.members.insert(number, member);
        Ok(number)
    }

    /// Whether a member belongs to the cluster or may join it; `None`: this state has not heard
    /// of it yet.
    pub fn member_belongs(&self, node: u64) -> Option<bool> {
        (node <= self.last_member).then(|| self.members.contains_key(&node))
    }

    /// The public key of a coordinator, also of one that was removed; `None`: this state does not
    /// know it (yet).
    pub fn member_key(&self, node: u64) -> Option<Fingerprint> {
        match self.members.get(&node) {
            Some(member) => member.key,
            None => self.dismissed.get(&node).copied().flatten(),
        }
    }

    /// A coordinator that founded the cluster tells its key, once.
    pub(crate) fn introduce_member(&mut self, node: u64, key: Fingerprint) -> Reply {
        match self.members.get_mut(&node) {
            None => Reply::Rejected(format!("coordinator {node} does not belong to the cluster")),
            Some(MemberState { key: Some(known), .. }) if *known != key => Reply::Rejected(
                format!("coordinator {node} has another key: it must join anew to get a new one"),
            ),
            Some(member) => {
                member.key = Some(key);
                Reply::Done
            }
        }
    }

    /// A leader belongs to the cluster, also one that founded it and never joined.
    pub(crate) fn know_member(&mut self, node: u64) {
        let enrolled_at = self.now;
        self.last_member = self.last_member.max(node);
        if self.dismissed.contains_key(&node) {
            // It still votes, and led before it heard that it is to go.
            return;
        }
        self.members
            .entry(node)
            .or_insert_with(|| MemberState { enrolled_at, ..MemberState::default() });
    }

    /// Takes a member out of the book; its number stays taken.
    pub(crate) fn dismiss_member(&mut self, node: u64, effects: &mut Vec<Effect>) -> Reply {
        self.last_member = self.last_member.max(node);
        let removed = self.members.remove(&node);
        // Nobody else can speak for it even now, as long as the others still count its vote.
        let key = removed.as_ref().and_then(|member| member.key);
        self.dismissed.entry(node).or_insert(key);
        if let Some(MemberState { incident: Some(id), .. }) = removed {
            let text = format!("coordinator {node} was removed from the cluster");
            self.resolve(id, self.now, text, Vec::new(), Edge::Recovery, effects);
        }
        let text = format!("coordinator {node} was removed from the cluster");
        self.forget_clock(node, text.clone(), effects);
        self.forget_follower(node, text, Edge::Removed, effects);
        Reply::Done
    }

    /// A member tells how full its disk is: one incident an episode, with its recovery.
    pub(crate) fn note_disk(&mut self, node: u64, percent: u8, effects: &mut Vec<Effect>) -> Reply {
        let Some(member) = self.members.get(&node) else {
            return Reply::Rejected(format!("coordinator {node} does not belong to the cluster"));
        };
        match member.incident {
            None if percent >= DISK_ALARM_PERCENT => self.open_disk(node, percent, effects),
            Some(id) if percent < DISK_CALM_PERCENT => {
                self.change_member(node, |member| member.incident = None);
                let text = format!("the disk of coordinator {node} is {percent} % full again");
                self.resolve(id, self.now, text, Vec::new(), Edge::Recovery, effects);
            }
            _ => {}
        }
        Reply::Done
    }

    fn open_disk(&mut self, node: u64, percent: u8, effects: &mut Vec<Effect>) {
        let target = format!("coordinator {node}");
        let summary = format!(
            "the disk of coordinator {node} is {percent} % full; at 95 % it stops: free some \
             space, or give it a larger disk"
        );
        let subject = Subject::Member(node);
        let (status, since) = (Status::Degraded, self.now);
        let id = self.alarm_operators(subject, status, &target, &summary, since, effects);
        self.change_member(node, |member| member.incident = Some(id));
    }

    fn change_member(&mut self, node: u64, change: impl FnOnce(&mut MemberState)) {
        if let Some(member) = self.members.get_mut(&node) {
            change(member);
        }
    }
}
