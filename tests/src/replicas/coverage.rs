//! What the seeds must have come past: every fault, a death at every step of the outbox, and runs
//! for every reason that a coordinator can give.

use crosscheck_model::observation::Trigger;

use super::fault::{Fault, Step};
use crate::coverage::fault_name;

/// The name that a death at this step is counted by.
pub(super) fn step_name(step: Step) -> String {
    format!("killed at {step:?}")
}

/// A run of a check whose settings have been changed.
pub(super) const EDITED: &str = "run of an edited check";

/// The name that a run for this reason is counted by.
pub(super) fn run_name(trigger: Trigger) -> String {
    format!("run by {trigger:?}")
}

/// All of them.
pub(super) fn expected() -> Vec<String> {
    let steps = Step::ALL.iter().copied().map(step_name);
    let runs = [Trigger::Schedule, Trigger::Retry, Trigger::Confirm].map(run_name);
    let faults = Fault::ALL.iter().map(fault_name);
    faults.chain(steps).chain(runs).chain([EDITED.to_owned()]).collect()
}
