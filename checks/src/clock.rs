//! The machine's wall clock: for what others date by it (certificates, mails, a probe's start).
//! Nothing is decided by it.

use std::time::{SystemTime, UNIX_EPOCH};

use crosscheck_model::Timestamp;

/// What it shows; may jump.
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::ZERO.plus(since)
}
