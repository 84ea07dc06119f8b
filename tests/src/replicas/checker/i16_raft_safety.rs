//! I16, Raft safety, as each member sees it: terms, commits and what is applied never go back while
//! a member runs. (One leader a term, equal logs, and that nothing committed is taken back, are seen
//! in what members say to each other: the witness. Numbers given once: the harness' people.)

use std::collections::BTreeMap;

use super::super::ground::Life;
use super::super::witness::Committed;
use super::super::world::World;
use super::{Checker, Finding};

#[derive(Default)]
pub(super) struct RaftSafety {
    /// Term and last applied entry.
    seen: BTreeMap<Life, (u64, u64)>,
}

impl Checker for RaftSafety {
    fn name(&self) -> &'static str {
        "I16 Raft safety"
    }

    fn entry(&mut self, world: &World, _: &Committed) -> Finding {
        for seat in &world.seats {
            let Some(running) = &seat.running else { continue };
            let replica = running.member.replica();
            let term = replica.leadership().borrow().term;
            let now = (term, replica.applied().0);
            let before = self.seen.insert(seat.me(), now).unwrap_or_default();
            if now.0 < before.0 || now.1 < before.1 {
                return Err(format!(
                    "seat {} goes from (term, applied) {before:?} back to {now:?}",
                    seat.index
                ));
            }
        }
        Ok(())
    }

    fn tested(&self, world: &World) -> u64 {
        world.witness.tested()
    }
}
