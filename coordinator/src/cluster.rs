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

pub(crate) mod admission;
pub(crate) mod change;
pub mod identity;
pub mod init;
pub mod join;
pub(crate) mod removal;
pub mod report;

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
