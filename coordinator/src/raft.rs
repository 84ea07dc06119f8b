//! openraft, bound to crosscheck's log, state machine and network. Nothing outside this module
//! names it.
//!
//! **Invariants**
//! - A vote or an entry is acknowledged only when it is synced to the disk, and in that order.
//! - What cannot be written, read or understood stops the node; nothing is cut or passed over.

#[cfg(test)]
mod golden;
mod log;
mod machine;
mod marks;
mod membership;
mod network;
mod node;
mod plant;
mod runtime;
mod snapshot;
#[cfg(test)]
mod suite;
mod wire;

// The log, the machine and their types are public so that the simulation can run them by
// themselves; the coordinator uses them through `Node`.
pub use log::{Log, LogError};
pub use machine::{Builder, Machine, Shared};
pub use marks::Marks;
pub(crate) use membership::{ChangeError, Known, Role};
pub(crate) use network::{Answer, Asked, CallError, Peers, Submitted, causes};
pub(crate) use node::{Node, NodeOptions, ProposeError, Standing, create_log};
pub use node::{Profile, StartError};
pub(crate) use plant::plant;
pub use snapshot::SnapshotError;
pub(crate) use wire::Blob;
pub use wire::{Answered, FormatError, Proposal, Types, seal, unpack, unseal};
