//! I16, state ordering, of each member at each moment: what it has forgotten is in a snapshot, what
//! is in the snapshot was applied, what was applied is committed, and what is committed is in its log.

use super::super::world::World;
use super::{Checker, Finding};

#[derive(Default)]
pub(super) struct StateOrder {
    tested: u64,
}

impl Checker for StateOrder {
    fn name(&self) -> &'static str {
        "I16 state order"
    }

    fn turn(&mut self, world: &World) -> Finding {
        for seat in &world.seats {
            let Some(running) = &seat.running else { continue };
            let marks = running.member.replica().marks();
            let steps = [
                ("purged", marks.purged),
                ("in a snapshot", marks.snapshot),
                ("applied", marks.applied),
                ("committed", marks.committed),
                ("in the log", marks.last),
            ];
            for pair in steps.windows(2) {
                let [(before, lower), (after, upper)] = pair else { continue };
                if lower > upper {
                    return Err(format!(
                        "seat {}: {lower:?} is {before}, and only {upper:?} is {after}",
                        seat.index
                    ));
                }
            }
            self.tested += u64::from(marks.last.is_some());
        }
        Ok(())
    }

    fn tested(&self, _: &World) -> u64 {
        self.tested
    }
}
