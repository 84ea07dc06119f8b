//! The machine's wall clock: for what others date by it (certificates, mails, a probe's start).
//! Nothing is decided by it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crosscheck_model::Timestamp;

/// What it shows; may jump.
pub fn wall() -> Timestamp {
    Timestamp::ZERO.plus(since_1970())
}

/// The same, as fine as the machine has it.
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
