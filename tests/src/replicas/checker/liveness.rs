//! Liveness: when all has healed and time has passed, every member has caught up, the targets that
//! are up are Up, and nothing about them is open.

use crosscheck_core::incident::Subject;
use crosscheck_model::Status;

use super::super::world::World;
use super::{Checker, Finding};

/// Entries of the last moment.
const BEHIND: u64 = 20;

#[derive(Default)]
pub(super) struct Liveness;

impl Checker for Liveness {
    fn name(&self) -> &'static str {
        "liveness"
    }

    fn end(&mut self, world: &World) -> Finding {
        let tip = world.witness.tip().unwrap_or_default();
        for seat in world.seats.iter().filter(|seat| seat.belongs()) {
            let Some(running) = &seat.running else {
                return Err(format!("seat {} does not run", seat.index));
            };
            let replica = running.member.replica();
            // Within its process, whose clock the world moves: elsewhere it is the machine's.
            let _process = running.runtime.enter();
            let (applied, _) = replica.applied();
            if applied + BEHIND < tip {
                return Err(format!("seat {} is at {applied}, the log at {tip}", seat.index));
            }
            if let Some(why) = replica.unready() {
                return Err(format!("seat {} is not ready: {why}", seat.index));
            }
        }
        if !world.members.is_idle() {
            return Err("a change of the members has not ended".to_owned());
        }
        let state = &world.witness.state;
        for (id, check) in &state.checks {
            if check.verdict.status != Status::Up {
                return Err(format!("{id} is {:?}", check.verdict));
            }
        }
        let open = |subject: &Subject| matches!(subject, Subject::Check(_));
        let open = state.incidents.values().find(|i| i.resolved_at.is_none() && open(&i.subject));
        match open {
            Some(incident) => Err(format!("incident {} is still open", incident.id)),
            None => Ok(()),
        }
    }

    fn tested(&self, world: &World) -> u64 {
        world.witness.state.checks.len() as u64
    }
}
