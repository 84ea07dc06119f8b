//! I11, no send without a claim: each send has a claim of its own in the log, by the node that
//! sends, which leads.

use std::collections::BTreeSet;

use crosscheck_core::outbox::{Key, Owed};
use crosscheck_core::{Command, Reply};

use super::super::sink::Attempt;
use super::{Checker, Entry, Finding, View};

#[derive(Default)]
pub(super) struct NoSendWithoutClaim {
    /// Claims in the log: key, attempt, node, term.
    claims: BTreeSet<(Key, u32, u64, u64)>,
    sent: BTreeSet<(Key, u32)>,
}

impl Checker for NoSendWithoutClaim {
    fn name(&self) -> &'static str {
        "I11 no send without a claim"
    }

    fn tested(&self) -> u64 {
        self.sent.len() as u64
    }

    fn entry(&mut self, _: &View<'_>, entry: &Entry<'_>) -> Finding {
        if let (Command::Claim { key, term, node }, Reply::Claimed(attempt)) =
            (&entry.stamped.command, &entry.applied.reply)
        {
            self.claims.insert((*key, *attempt, *node, *term));
        }
        Ok(())
    }

    fn send(&mut self, view: &View<'_>, attempt: &Attempt) -> Finding {
        let (key, number, node) = (attempt.owed.key, attempt.owed.attempts, attempt.node);
        let term = view.world.log.term;
        if !self.claims.contains(&(key, number, node as u64 + 1, term)) {
            return Err(format!("node {node} sends {key} without a claim in term {term}"));
        }
        if !view.world.log.is_leader(node) {
            return Err(format!("node {node} sends {key} and does not lead"));
        }
        let of_it = |told: &&Owed| told.progress == attempt.owed.progress;
        if let Some(other) = attempt.told.iter().find(|told| !of_it(told)) {
            return Err(format!(
                "the message of {key} tells {}, which it has not claimed",
                other.key
            ));
        }
        if !self.sent.insert((key, number)) {
            return Err(format!("attempt {number} of {key} is sent twice"));
        }
        Ok(())
    }
}
