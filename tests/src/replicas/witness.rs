//! Reads what the coordinators say to each other, and follows the log from it: every entry that is
//! ever led to a follower, what is committed, and the state that follows from it.

use std::collections::{BTreeMap, BTreeSet};

use crosscheck_coordinator::raft::Types;
use crosscheck_core::command::{Applied, Stamped};
use crosscheck_core::{State, apply, level};
use openraft::alias::LogIdOf;
use openraft::entry::{EntryPayload, RaftEntry};
use openraft::raft::AppendEntriesRequest;

use crate::sim::trace::fnv;

/// Index, term.
pub(super) type Place = (u64, u64);
pub(super) type Request = AppendEntriesRequest<Types>;

pub(super) fn place(id: &LogIdOf<Types>) -> Place {
    (id.index, id.leader_id.term)
}

/// An entry that was led to somebody.
struct Seen {
    prev: Option<Place>,
    hash: u64,
    stamped: Option<Stamped>,
    /// Who votes from this entry on, when it says so.
    voters: Option<Vec<BTreeSet<u64>>>,
}

/// An entry that is committed, and what it gave.
pub(super) struct Committed {
    pub(super) place: Place,
    pub(super) stamped: Stamped,
    pub(super) applied: Applied,
    /// The log time before it.
    pub(super) before: crosscheck_model::Timestamp,
}

#[derive(Default)]
pub(super) struct Witness {
    seen: BTreeMap<Place, Seen>,
    /// By term.
    leaders: BTreeMap<u64, u64>,
    /// By index: the entry's term, and the term in which it was first said to be committed.
    committed: BTreeMap<u64, (u64, u64)>,
    tip: Option<Place>,
    pub(super) state: State,
    pub(super) entries: u64,
}

impl Witness {
    /// The last entry in the state.
    pub(super) fn tip(&self) -> Option<u64> {
        self.tip.map(|(index, _)| index)
    }

    /// Who votes by the log as far as it is committed.
    pub(super) fn voters(&self) -> Option<Vec<BTreeSet<u64>>> {
        self.voters_at(self.tip?)
    }

    /// Who leads a term, as far as it has led anything.
    pub(super) fn leader_of(&self, term: u64) -> Option<u64> {
        self.leaders.get(&term).copied()
    }

    /// How many claims of Raft's were looked at.
    pub(super) fn tested(&self) -> u64 {
        self.leaders.len() as u64
    }

    /// A leader leads entries to a follower: those that are new, or what is wrong with them (I16:
    /// election safety, log matching, leader completeness).
    pub(super) fn observe(&mut self, request: &Request) -> Result<Vec<Stamped>, String> {
        let (term, node) = (request.vote.leader_id.term, request.vote.leader_id.voted_for);
        let leader = *self.leaders.entry(term).or_insert(node);
        if leader != node {
            return Err(format!("term {term} is led by {leader} and by {node}"));
        }
        let mut prev = request.prev_log_id.as_ref().map(place);
        let mut new = Vec::new();
        for entry in &request.entries {
            let place = place(&entry.log_id());
            if place.1 > term || prev.is_some_and(|prev| prev.1 > place.1) {
                return Err(format!("entry {place:?} is of a later term than it can be"));
            }
            if let Some((committed, since)) = self.committed.get(&place.0)
                && *since < term
                && *committed != place.1
            {
                return Err(format!(
                    "the leader of term {term} has {place:?}, but term {committed} is committed"
                ));
            }
            new.extend(self.note(place, prev, &entry.payload)?);
            prev = Some(place);
        }
        Ok(new)
    }

    fn note(
        &mut self,
        place: Place,
        prev: Option<Place>,
        payload: &openraft::alias::PayloadOf<Types>,
    ) -> Result<Option<Stamped>, String> {
        let bytes = postcard::to_stdvec(payload).expect("an entry has bytes");
        let hash = fnv(0, &bytes);
        if let Some(known) = self.seen.get(&place) {
            let same = known.hash == hash && known.prev == prev;
            return match same {
                true => Ok(None),
                false => Err(format!("entry {place:?} is two different ones")),
            };
        }
        let stamped = match payload {
            EntryPayload::Normal(proposal) => {
                Some(proposal.decode(level::NEWEST).map_err(|e| e.to_string())?)
            }
            _ => None,
        };
        let voters = match payload {
            EntryPayload::Membership(membership) => Some(membership.get_joint_config().clone()),
            _ => None,
        };
        self.seen.insert(place, Seen { prev, hash, stamped: stamped.clone(), voters });
        Ok(stamped)
    }

    /// Who votes by the last membership up to an entry, as far as it was ever led to anybody.
    pub(super) fn voters_at(&self, place: Place) -> Option<Vec<BTreeSet<u64>>> {
        let mut at = Some(place);
        while let Some(seen) = at.and_then(|place| self.seen.get(&place)) {
            if seen.voters.is_some() {
                return seen.voters.clone();
            }
            at = seen.prev;
        }
        None
    }

    /// A leader says that everything up to this entry is committed: what is newly so, to be carried
    /// out in this order, or how it contradicts what was (I16: what is committed never changes).
    pub(super) fn commit(&self, request: &Request) -> Result<Vec<Place>, String> {
        let Some(upto) = request.leader_commit.as_ref().map(place) else { return Ok(Vec::new()) };
        if let Some((known, _)) = self.committed.get(&upto.0) {
            return match *known == upto.1 {
                true => Ok(Vec::new()),
                false => Err(format!("{upto:?} is committed, and so is term {known} there")),
            };
        }
        let mut chain = Vec::new();
        let mut at = Some(upto);
        while at != self.tip {
            let Some(place) = at else {
                return Err(format!("{upto:?} is committed without {:?}", self.tip));
            };
            if self.tip.is_some_and(|tip| place.0 <= tip.0) {
                return Err(format!("{place:?} is committed in the place of {:?}", self.tip));
            }
            // What was never led to anybody cannot be committed: here it is only not known yet.
            let Some(seen) = self.seen.get(&place) else { return Ok(Vec::new()) };
            chain.push(place);
            at = seen.prev;
        }
        chain.reverse();
        Ok(chain)
    }

    /// Applies an entry that is committed since term `since`; what it gave, if it is a command.
    pub(super) fn carry_out(&mut self, place: Place, since: u64) -> Option<Committed> {
        self.committed.insert(place.0, (place.1, since));
        self.tip = Some(place);
        self.entries += 1;
        let stamped = self.seen.get(&place)?.stamped.clone()?;
        let before = self.state.now;
        let applied = apply(&mut self.state, stamped.at, stamped.command.clone());
        Some(Committed { place, stamped, applied, before })
    }
}
