//! The replicated state machine: votes become verdicts, verdicts incidents, incidents an outbox.
//!
//! ```text
//! Command (Raft log) --apply(&mut State, at, command)--> Applied { reply, effects }
//!     Batch -> session, health, votes -> quorum -> verdict -> incident -> outbox
//! ```
//!
//! Every replica applies every command; only the leader acts on the outbox, and says what came
//! of it in further commands.
//!
//! **Invariants**
//! - No clock, no randomness, no I/O, no hash maps, no floating point in a decision: time arrives
//!   with the command, stamped by the leader, and never goes back.
//! - `apply` is total: a bad command gets a refusal, nothing panics, every replica agrees.
//! - What must not be lost is state: an outbox entry goes away only by its committed result.

#![deny(clippy::float_arithmetic, reason = "replicas must round alike")]

pub mod absence;
pub mod apply;
pub mod assign;
pub mod audit;
pub mod awaited;
pub mod blindness;
pub mod bounce;
pub mod claim;
pub mod clock;
pub mod command;
pub mod conduct;
pub mod configure;
pub mod confirm;
pub mod delivery;
pub mod domain;
pub mod drill;
pub mod effect;
pub mod evidence;
pub mod finding;
pub mod flapping;
pub mod follower;
pub mod grouping;
pub mod heartbeat;
pub mod identity;
pub mod incident;
pub mod inhibition;
pub mod judge;
pub mod level;
pub mod maintenance;
pub mod member;
pub mod merge;
pub mod notify;
pub mod operator;
pub mod outbox;
pub mod push;
pub mod quarantine;
pub mod quorum;
pub mod reroute;
pub mod restore;
pub mod rival;
pub mod session;
mod settled;
pub mod snapshot;
pub mod state;
mod summary;
pub mod token;
pub mod verdict;
pub mod watch;

pub use apply::apply;
pub use command::{Command, Reply};
pub use effect::Effect;
pub use state::State;
