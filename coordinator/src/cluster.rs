//! The cluster as people operate it: coordinators that come, go, and tell how they are.
//!
//! ```text
//! new machine: join (token) -> a number -> admit -> learner -> caught up -> voter
//! operator:    remove, transfer -> any coordinator -> leader -> Raft's membership
//! ```
//!
//! **Invariants**
//! - The leader alone changes the membership, one change at a time.
//! - A number is given once in the life of a cluster, and never to a second data directory.
//! - A number has one key, for ever: a machine that has lost its key gets another number.
//! - Nobody is let in who does not read what the cluster writes.

pub(crate) mod acquaint;
pub(crate) mod admission;
pub(crate) mod change;
pub mod identity;
pub mod init;
pub mod join;
pub(crate) mod removal;
pub mod report;
pub(crate) mod upgrade;

use crosscheck_core::level::{self, Level};
use crosscheck_core::operator::Actor;
use serde::{Deserialize, Serialize};

/// What can be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A coordinator that has its number asks to be let in, and says where it is reached.
    Admit {
        /// Its number.
        node: u64,
        /// The base URL of its Raft listener.
        url: String,
        /// The newest format level that its program reads.
        level: Level,
    },
    /// A coordinator is to go, and never to come back under its number.
    Remove {
        /// Its number.
        node: u64,
        /// Who says so.
        by: Actor,
    },
    /// A coordinator is to lead.
    Transfer {
        /// Its number.
        node: u64,
        /// Who says so.
        by: Actor,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Changed {
    /// It is so.
    Done,
    /// The coordinator gets the log, and votes when it has caught up: so many entries are left.
    Learning {
        /// Entries that it does not have yet.
        behind: u64,
    },
    /// Nothing was changed, and why, with what to do.
    Refused(String),
    /// The coordinator that asks was removed, and why it must not run again.
    Removed(String),
    /// The coordinator that was asked does not lead; who does, if it knows, and where.
    NotLeader(Option<(u64, String)>),
    /// It may or may not have been changed: look before trying again.
    Unknown(String),
}

/// This program's version, as members tell it each other.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a coordinator runs, as it tells the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// The newest format level that it reads, and writes when all do.
    pub level: Level,
}

impl Program {
    /// This one.
    pub fn this() -> Self {
        Self { version: VERSION.to_owned(), level: level::NEWEST }
    }
}
