//! What the seeds have come past: every fault and every row of the decision table must be met,
//! or the simulation proves less than it says.

use std::collections::BTreeMap;

use super::fault::Fault;

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

/// Counters by name.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<String, u64>);

impl Coverage {
    pub(super) fn hit(&mut self, name: &str) {
        self.add(name, 1);
    }

    pub(super) fn add(&mut self, name: &str, count: u64) {
        match self.0.get_mut(name) {
            Some(known) => *known += count,
            None => {
                self.0.insert(name.to_owned(), count);
            }
        }
    }

    /// Two runs, or two replays, that must agree.
    pub(super) fn pair(&mut self, what: &str) {
        self.hit(&format!("pair {what}"));
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.hit(&format!("fault {fault:?}"));
    }

    /// How often something was met.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Adds what another seed has met.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(name, count)| self.add(name, *count));
    }

    /// Everything met, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// What should have been met and was not.
    pub fn missing(&self) -> Vec<String> {
        let faults = Fault::ALL.iter().map(|fault| format!("fault {fault:?}"));
        let rows = ROWS.iter().chain(&PAIRS).map(|row| (*row).to_owned());
        let invariants = self.0.keys().filter(|name| name.starts_with("tested")).cloned();
        faults.chain(rows).chain(invariants).filter(|name| self.of(name) == 0).collect()
    }
}
