//! What seeds have come past: what they never meet they prove nothing of.

use std::collections::BTreeMap;
use std::fmt::Debug;

/// Counters by name.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<String, u64>);

impl Coverage {
    /// Something was met once.
    pub fn hit(&mut self, name: &str) {
        self.add(name, 1);
    }

    /// Something was met so often.
    pub fn add(&mut self, name: &str, count: u64) {
        match self.0.get_mut(name) {
            Some(known) => *known += count,
            None => {
                self.0.insert(name.to_owned(), count);
            }
        }
    }

    /// A fault was made.
    pub fn fault(&mut self, fault: impl Debug) {
        self.hit(&fault_name(fault));
    }

    /// An invariant was tested so often; it must be, at least once.
    pub fn tested(&mut self, invariant: &str, count: u64) {
        self.add(&format!("{TESTED} {invariant}"), count);
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

    /// What of this was not met, and which invariants were not tested.
    pub fn missing(&self, expected: Vec<String>) -> Vec<String> {
        let invariants = self.0.keys().filter(|name| name.starts_with(TESTED)).cloned();
        expected.into_iter().chain(invariants).filter(|name| self.of(name) == 0).collect()
    }
}

const TESTED: &str = "tested";

/// The name that a fault is counted by.
pub fn fault_name(fault: impl Debug) -> String {
    format!("fault {fault:?}")
}
