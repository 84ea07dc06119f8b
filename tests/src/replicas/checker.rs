//! The invariants of `decisions.md`, section 3.6, that whole coordinators are needed for, one a
//! file. Of I16 there is more in the witness and the harness: Raft's messages are looked at as they
//! are sent.

use super::sink::Attempt;
use super::witness::Committed;
use super::world::World;

pub(super) mod i05_bounded_detection;
mod i08_one_intent;
mod i09_never_lost;
mod i10_duplicates;
mod i11_no_send_without_claim;
mod i12_time;
pub(super) mod i13_leader_change;
mod i14_same_state;
pub(super) mod i15_kept;
mod i15_spooled;
mod i16_committed_on_quorum;
mod i16_raft_safety;
mod i16_state_order;
mod i19_followers;
mod liveness;

/// What a checker finds: what is wrong, in words.
pub(super) type Finding = Result<(), String>;

/// An invariant.
pub(super) trait Checker {
    /// Its number and name.
    fn name(&self) -> &'static str;

    /// An entry is committed; the witness' state is the one after it.
    fn entry(&mut self, _world: &World, _entry: &Committed) -> Finding {
        Ok(())
    }

    /// All processes have had their turn.
    fn turn(&mut self, _world: &World) -> Finding {
        Ok(())
    }

    /// A node has begun to send.
    fn send(&mut self, _world: &World, _attempt: &Attempt) -> Finding {
        Ok(())
    }

    /// All has healed, and time has passed.
    fn end(&mut self, _world: &World) -> Finding {
        Ok(())
    }

    /// How often it was put to the test: one that never is proves nothing.
    fn tested(&self, world: &World) -> u64;
}

/// All of them, as new.
pub(super) fn all() -> Vec<Box<dyn Checker>> {
    vec![
        Box::<i08_one_intent::OneIntent>::default(),
        Box::<i09_never_lost::NeverLost>::default(),
        Box::<i10_duplicates::Duplicates>::default(),
        Box::<i11_no_send_without_claim::NoSendWithoutClaim>::default(),
        Box::<i12_time::Time>::default(),
        Box::<i14_same_state::SameState>::default(),
        Box::<i15_kept::Kept>::default(),
        Box::<i15_spooled::Spooled>::default(),
        Box::<i16_raft_safety::RaftSafety>::default(),
        Box::<i16_committed_on_quorum::CommittedOnQuorum>::default(),
        Box::<i16_state_order::StateOrder>::default(),
        Box::<i19_followers::Followers>::default(),
        Box::<liveness::Liveness>::default(),
    ]
}
