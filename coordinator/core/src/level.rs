//! The format level: one number in front of everything that coordinators store and send each
//! other, so that programs of two releases can form one cluster while it is upgraded.
//!
//! ```text
//! record = level that its reader must know (1 byte) | content
//! a program reads every level up to NEWEST; the cluster writes State::level() and below
//! State::level() rises by Command::Raise, when every coordinator has said that it reads more
//! ```
//!
//! **Rules**
//! - A record names the least level that its reader must know. Who does not know it refuses the
//!   record and says so; nobody guesses.
//! - What a level has added is written only when the cluster is at that level, and what `apply`
//!   does with an older command may change only by [`State::level`]: replicas of two releases apply
//!   the same log, and must come to the same state, byte for byte.
//! - The state is written in the form of the cluster's level, not of the program's.
//! - A level is never taken back: from then on no member can return to a release that does not
//!   know it.

use crate::command::{Command, Reply};
use crate::state::State;

/// A level of the formats.
pub type Level = u8;

/// The first formats.
pub const FIRST: Level = 1;

/// The newest level that this program reads, and writes when the whole cluster does. Level 2 added
/// [`Command::Release`].
pub const NEWEST: Level = 2;

/// A record of a level that a program does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it has format level {found}, and this program reads {known}: update crosscheck on this machine"
)]
pub struct Newer {
    /// The record's.
    pub found: Level,
    /// The newest that the program reads.
    pub known: Level,
}

/// Whether a program that knows `known` reads a record of the level `found`.
///
/// # Errors
/// It does not; no level is 0.
pub const fn admit(found: Level, known: Level) -> Result<(), Newer> {
    if found < FIRST || found > known { Err(Newer { found, known }) } else { Ok(()) }
}

impl Command {
    /// The least level that whoever reads it must know. Every variant is named here, so that a new
    /// one cannot be forgotten.
    pub fn level(&self) -> Level {
        match self {
            Self::Lead { .. }
            | Self::Tick
            | Self::Configure(_)
            | Self::Windows { .. }
            | Self::Open(_)
            | Self::Batch(_)
            | Self::Claim { .. }
            | Self::Settle { .. }
            | Self::Acknowledge { .. }
            | Self::IssueJoinToken { .. }
            | Self::Enrol { .. }
            | Self::Renew { .. }
            | Self::OpenAs { .. }
            | Self::Revoke { .. }
            | Self::EnrolMember { .. }
            | Self::Dismiss { .. }
            | Self::Disk { .. }
            | Self::Reinstate { .. }
            | Self::CreateToken(_)
            | Self::RevokeToken { .. }
            | Self::Heartbeat { .. }
            | Self::HandOver { .. }
            | Self::Clock { .. }
            | Self::Push { .. }
            | Self::Introduce { .. }
            | Self::BackUp { .. }
            // It must be told with a coordinator dead, when no level rises.
            | Self::Follower { .. }
            | Self::Drill(_)
            | Self::Bounce { .. } => FIRST,
            // What it encloses is read when it is carried out, and must be known then.
            Self::Act { command, .. } => command.open().map_or(FIRST, |command| command.level()),
            // A member that does not know the level stops here, and not at the first entry of it.
            Self::Raise { level } => *level,
            Self::Release { .. } => 2,
        }
    }
}

impl State {
    /// The level that the cluster writes: the formats that every coordinator reads.
    pub fn level(&self) -> Level {
        self.level.max(FIRST)
    }

    /// Every coordinator reads this level from now on.
    pub(crate) fn raise_level(&mut self, level: Level) -> Reply {
        if level <= self.level() {
            return Reply::Rejected(format!("the cluster is at level {} already", self.level()));
        }
        self.level = level;
        Reply::Done
    }
}

#[cfg(test)]
mod tests {
    use crosscheck_model::Timestamp;

    use super::*;
    use crate::apply;
    use crate::command::Enclosed;
    use crate::operator::{Actor, Role};
    use crate::outbox::Key;

    #[test]
    fn levels_rise_only() {
        let mut state = State::default();
        assert_eq!(state.level(), FIRST, "also of a state that has never heard of levels");
        let mut raise = |level| {
            let reply = apply(&mut state, Timestamp::ZERO, Command::Raise { level }).reply;
            (reply == Reply::Done, state.level())
        };
        assert_eq!(raise(2), (true, 2));
        assert_eq!(raise(2), (false, 2));
        assert_eq!(raise(1), (false, 2));
    }

    #[test]
    fn what_is_enclosed_counts() {
        let newer = Command::Release { key: Key([1; 16]), attempt: 1 };
        let actor = Actor { name: "li".into(), role: Role::Operator, from: "here".into() };
        let act = |command| Command::Act { actor: actor.clone(), command: Enclosed::new(command) };
        assert_eq!(act(&newer).level(), 2);
        assert_eq!(act(&Command::Tick).level(), FIRST);
    }

    #[test]
    fn what_is_newer_is_refused_with_both_numbers() {
        assert_eq!(admit(1, 2), Ok(()));
        assert_eq!(admit(2, 2), Ok(()));
        assert!(admit(0, 2).is_err(), "no level");
        let newer = admit(3, 2).expect_err("newer").to_string();
        assert!(newer.contains("level 3") && newer.contains("reads 2"), "{newer}");
    }
}
