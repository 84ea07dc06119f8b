//! What the seeds must have come past: every fault, every row of the decision table, every pair,
//! messages that tell several.

use super::fault::Fault;
use super::sink::{OF_SEVERAL, OF_SEVERAL_AGAIN};
use crate::coverage::fault_name;

/// The rows of the decision table, by the names that are counted.
const ROWS: [&str; 10] = [
    "row New",
    "row Suspect",
    "row Blind",
    "row Failing",
    "row Unconfirmed",
    "row Working",
    "row Slow",
    "row Partial",
    "row Mixed",
    "row Maintenance",
];

/// Pairs of runs and replays, likewise.
const PAIRS: [&str; 5] = [
    "pair the same seed",
    "pair probes' clocks",
    "pair a coordinator's clock",
    "pair snapshot and tail",
    "pair reports again",
];

/// All of them.
pub(super) fn expected() -> Vec<String> {
    let others = ROWS.iter().chain(&PAIRS).chain(&[OF_SEVERAL, OF_SEVERAL_AGAIN]);
    let others = others.map(|name| (*name).to_owned());
    Fault::ALL.iter().map(fault_name).chain(others).collect()
}
