//! I14, same state: members that have applied the same entries have the same state, byte for byte,
//! whether they have replayed all of them, or begun from a snapshot. It is that which follows from
//! the log. (Compared while the world runs; here, that it was, and once more at the end.)

use crosscheck_core::snapshot;

use super::super::world::World;
use super::{Checker, Finding};

#[derive(Default)]
pub(super) struct SameState;

impl Checker for SameState {
    fn name(&self) -> &'static str {
        "I14 same state"
    }

    fn end(&mut self, world: &World) -> Finding {
        let mut known: Option<(u64, usize, Vec<u8>)> = None;
        for seat in world.seats.iter().filter(|seat| seat.belongs()) {
            let Some(running) = &seat.running else { continue };
            let (state, applied) = running.member.replica().view();
            let state = snapshot::encode(&state).map_err(|error| error.to_string())?;
            match &known {
                Some((index, other, wanted)) if *index == applied && *wanted != state => {
                    return Err(format!(
                        "after entry {applied}, seats {other} and {} differ",
                        seat.index
                    ));
                }
                _ => known = Some((applied, seat.index, state)),
            }
        }
        Ok(())
    }

    fn tested(&self, world: &World) -> u64 {
        world.compared
    }
}
