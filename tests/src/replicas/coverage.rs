//! What the seeds must have come past: every fault, and a death at every step of the outbox.

use super::fault::{Fault, Step};
use crate::coverage::fault_name;

/// The name that a death at this step is counted by.
pub(super) fn step_name(step: Step) -> String {
    format!("killed at {step:?}")
}

/// All of them.
pub(super) fn expected() -> Vec<String> {
    let steps = Step::ALL.iter().copied().map(step_name);
    Fault::ALL.iter().map(fault_name).chain(steps).collect()
}
