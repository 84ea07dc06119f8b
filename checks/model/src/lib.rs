//! The words and the wire format that every crate of crosscheck shares.
//!
//! Types only: serde, no I/O, no clock, no async runtime. What a word means is said once, here.
//!
//! **Invariants**
//! - Nothing here reads a clock, a file, the environment or a socket.
//! - Every type has one serde form that both JSON (wire) and postcard (log) can carry:
//!   no `flatten`, no `untagged`; no skipped fields but where a run was ([`Outcome::place`]),
//!   which no probe tells.

pub mod config;
pub mod evidence;
pub mod ids;
pub mod join;
pub mod mutant;
pub mod observation;
pub mod pattern;
pub mod place;
pub mod secret;
pub mod spec;
pub mod time;
pub mod wire;

pub use config::Config;
pub use evidence::Evidence;
pub use ids::{CheckId, ContactId, CustomerId, IncidentId, ProbeId, SiteId};
pub use observation::{Cause, Observation, Outcome, Phase, Phases, Status};
pub use place::Place;
pub use secret::{Secret, Text};
pub use spec::{CheckSpec, Family, Severity, SiteQuorum};
pub use time::Timestamp;
