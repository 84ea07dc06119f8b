//! I11, no send without a claim: each attempt is begun once, by the node whose claim of it is
//! committed, and not after a later leader has taken the notification over.

use std::collections::{BTreeMap, BTreeSet};

use crosscheck_core::outbox::Key;
use crosscheck_core::{Command, Reply};

use super::super::sink::Attempt;
use super::super::witness::Committed;
use super::super::world::World;
use super::{Checker, Finding};

#[derive(Default)]
pub(super) struct NoSendWithoutClaim {
    /// The node of each committed claim.
    claims: BTreeMap<(Key, u32), u64>,
    /// The newest attempt that is claimed.
    newest: BTreeMap<Key, u32>,
    /// Sends of which the witness has not seen the claim yet: it hears of commits a little later.
    unseen: BTreeMap<(Key, u32), u64>,
    sent: BTreeSet<(Key, u32)>,
}

impl Checker for NoSendWithoutClaim {
    fn name(&self) -> &'static str {
        "I11 no send without a claim"
    }

    fn entry(&mut self, _: &World, entry: &Committed) -> Finding {
        let (Command::Claim { key, node, .. }, Reply::Claimed(number)) =
            (&entry.stamped.command, &entry.applied.reply)
        else {
            return Ok(());
        };
        self.claims.insert((*key, *number), *node);
        self.newest.insert(*key, *number);
        match self.unseen.remove(&(*key, *number)) {
            Some(sender) if sender != *node => {
                Err(format!("node {sender} has sent {key}, which node {node} has claimed"))
            }
            _ => Ok(()),
        }
    }

    fn send(&mut self, world: &World, attempt: &Attempt) -> Finding {
        let Attempt { seat, key, number } = *attempt;
        let node = world.seats[seat].node;
        if !self.sent.insert((key, number)) {
            return Err(format!("attempt {number} of {key} is sent twice"));
        }
        if self.newest.get(&key).is_some_and(|newest| *newest > number) {
            return Err(format!("node {node} sends {key} after another has claimed it"));
        }
        match self.claims.get(&(key, number)) {
            Some(claimed) if *claimed == node => {}
            Some(claimed) => {
                return Err(format!("node {node} sends {key}, which node {claimed} has claimed"));
            }
            None => {
                self.unseen.insert((key, number), node);
            }
        }
        Ok(())
    }

    fn end(&mut self, _: &World) -> Finding {
        match self.unseen.first_key_value() {
            Some(((key, number), node)) => {
                Err(format!("node {node} has sent attempt {number} of {key} without a claim"))
            }
            None => Ok(()),
        }
    }

    fn tested(&self, _: &World) -> u64 {
        self.sent.len() as u64
    }
}
