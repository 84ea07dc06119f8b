//! The one function: a command goes in, the state changes, a reply and effects come out.

use crosscheck_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::command::{Applied, Command, Reply};
use crate::state::State;

/// Progress towards a verdict that needs more than one round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {}

/// Applies a command that carries the log time `at`.
pub fn apply(state: &mut State, at: Timestamp, command: Command) -> Applied {
    state.now = state.now.max(at);
    let _ = command;
    Applied { reply: Reply::Done, effects: Vec::new() }
}
