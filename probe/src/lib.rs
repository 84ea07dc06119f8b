//! One probe: runs what is assigned to it, and reports what it saw.

use std::time::Duration;

pub mod anchor;
pub mod average;
pub mod figures;
pub mod health;
pub mod jitter;
pub mod judge;
pub mod probe;
pub mod schedule;
pub mod spool;
mod spread;
pub mod state;
pub mod store;
pub mod uplink;

/// A moment on the monotonic clock: the time since the process began.
pub type Mono = Duration;
