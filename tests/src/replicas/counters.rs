//! What the seeds have come past: every fault, every step of the outbox and every invariant must
//! be met, or the simulation proves less than it says.

use std::collections::BTreeMap;

use super::fault::{Fault, Step};

/// Counters by name.
#[derive(Clone, Debug, Default)]
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    pub(super) fn add(&mut self, name: &str, count: u64) {
        *self.0.entry(name.to_owned()).or_default() += count;
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.add(&format!("fault {fault:?}"), 1);
    }

    pub(super) fn step(&mut self, step: Step) {
        self.add(&format!("killed at {step:?}"), 1);
    }

    /// How often something was met.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(name, count)| self.add(name, *count));
    }

    /// Everything met, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// What should have been met and was not.
    pub fn missing(&self) -> Vec<String> {
        let faults = Fault::ALL.iter().map(|fault| format!("fault {fault:?}"));
        let steps = Step::ALL.iter().map(|step| format!("killed at {step:?}"));
        let invariants = self.0.keys().filter(|name| name.starts_with("tested")).cloned();
        faults.chain(steps).chain(invariants).filter(|name| self.of(name) == 0).collect()
    }
}
