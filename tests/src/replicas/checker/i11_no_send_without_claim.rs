//! I11, no send without a claim: each attempt is begun once, by the node whose claim of it is
//! committed in a term that it leads, while it knows of no other leader; and not after a later
//! leader has taken the notification over, nor so late that it might.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_coordinator::dispatch::SEND_DEADLINE;
use crosscheck_core::claim::CLAIM_LEASE;
use crosscheck_core::outbox::Key;
use crosscheck_core::{Command, Reply};

use super::super::seat::TURN;
use super::super::sink::Attempt;
use super::super::witness::Committed;
use super::super::world::World;
use super::{Checker, Finding};

/// A send begins so early that it ends within the lease of its claim.
const LATEST: Duration = CLAIM_LEASE.saturating_sub(SEND_DEADLINE).saturating_add(TURN);

/// Who has claimed, in which term.
type Claim = (u64, u64);

#[derive(Default)]
pub(super) struct NoSendWithoutClaim {
    /// Each committed claim, and when the witness came to see it.
    claims: BTreeMap<(Key, u32), (Claim, Duration)>,
    /// The newest attempt that is claimed.
    newest: BTreeMap<Key, u32>,
    /// Sends of which the witness has not seen the claim yet: it hears of commits a little later.
    unseen: BTreeMap<(Key, u32), Claim>,
    sent: BTreeSet<(Key, u32)>,
}

impl Checker for NoSendWithoutClaim {
    fn name(&self) -> &'static str {
        "I11 no send without a claim"
    }

    fn entry(&mut self, world: &World, entry: &Committed) -> Finding {
        let (Command::Claim { key, node, term }, Reply::Claimed(number)) =
            (&entry.stamped.command, &entry.applied.reply)
        else {
            return Ok(());
        };
        let leader = world.witness.leader_of(*term);
        if entry.place.1 != *term || leader != Some(*node) {
            return Err(format!(
                "node {node} has claimed {key} for term {term}, which {leader:?} leads, at {:?}",
                entry.place
            ));
        }
        let claim = (*node, *term);
        self.claims.insert((*key, *number), (claim, world.now));
        self.newest.insert(*key, *number);
        match self.unseen.remove(&(*key, *number)) {
            Some(sender) => belongs(*key, sender, claim),
            None => Ok(()),
        }
    }

    fn send(&mut self, world: &World, attempt: &Attempt) -> Finding {
        let Attempt { seat, key, number, term } = *attempt;
        let node = world.seats[seat].node;
        if !self.sent.insert((key, number)) {
            return Err(format!("attempt {number} of {key} is sent twice"));
        }
        let Some(term) = term else {
            return Err(format!("node {node} sends {key}, which nobody has claimed as it sees it"));
        };
        if !world.seats[seat].led.contains(&Some(term)) {
            return Err(format!("node {node} sends {key} of term {term}, deposed as it knows"));
        }
        if self.newest.get(&key).is_some_and(|newest| *newest > number) {
            return Err(format!("node {node} sends {key} after another has claimed it"));
        }
        match self.claims.get(&(key, number)) {
            Some((claim, seen)) => {
                let age = world.now.saturating_sub(*seen);
                if age > LATEST {
                    return Err(format!("node {node} sends {key}, claimed {age:?} ago"));
                }
                belongs(key, (node, term), *claim)
            }
            None => {
                self.unseen.insert((key, number), (node, term));
                Ok(())
            }
        }
    }

    fn end(&mut self, _: &World) -> Finding {
        match self.unseen.first_key_value() {
            Some(((key, number), (node, _))) => {
                Err(format!("node {node} has sent attempt {number} of {key} without a claim"))
            }
            None => Ok(()),
        }
    }

    fn tested(&self, _: &World) -> u64 {
        self.sent.len() as u64
    }
}

fn belongs(key: Key, sender: Claim, claim: Claim) -> Finding {
    match sender == claim {
        true => Ok(()),
        false => Err(format!("{sender:?} (node, term) sends {key}, which {claim:?} has claimed")),
    }
}
