//! I9, never lost: when all has healed, every notification is settled; what counts as delivered was
//! taken by the mail server, and what counts as refused was refused by it.

use crosscheck_core::outbox::Progress;

use super::super::world::World;
use super::{Checker, Finding};

#[derive(Default)]
pub(super) struct NeverLost;

impl Checker for NeverLost {
    fn name(&self) -> &'static str {
        "I9 never lost"
    }

    fn end(&mut self, world: &World) -> Finding {
        let ground = world.ground.lock();
        for owed in world.witness.state.outbox.values() {
            let taken = ground.sink.mails.iter().any(|mail| mail.key == owed.key);
            let refused = ground.sink.refused.contains_key(&owed.key);
            let fits = match owed.progress {
                Progress::Delivered { .. } => taken,
                Progress::Refused { .. } => refused,
                Progress::Merged { .. } => true,
                _ => false,
            };
            if !fits {
                let (key, edge, progress) = (owed.key, owed.notice.edge, owed.progress);
                return Err(format!(
                    "{key} ({edge:?}) is {progress:?}, taken: {taken}, refused: {refused}, {:?}",
                    owed.last_error
                ));
            }
        }
        Ok(())
    }

    fn tested(&self, world: &World) -> u64 {
        world.witness.state.outbox.len() as u64
    }
}
