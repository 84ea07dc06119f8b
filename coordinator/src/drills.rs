//! Planned drills that are to be held now. Pure; the core sees to it that each is held once.

use std::time::Duration;

use crosscheck_core::drill::Occasion;
use crosscheck_core::{Command, State};

use crate::windows;

/// A drill that nobody could begin for so long, because nobody led or another was under way, is
/// left out: at night nobody wants the one of the evening before.
pub const LATE: Duration = Duration::from_secs(10 * 60);

/// The commands for what is due.
pub fn due(state: &State) -> Vec<Command> {
    let after = state.now.minus(LATE);
    let planned = state.config.drills.iter().filter_map(|drill| {
        let at = windows::last_start(drill, after, state.now)?;
        let is_due = state.is_due(drill, at);
        is_due.then(|| Command::Drill(Occasion::Planned { drill: drill.clone(), at }))
    });
    planned.collect()
}
