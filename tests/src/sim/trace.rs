//! What happened, for people and for comparison: a readable tail, and a hash of everything.

use std::collections::VecDeque;
use std::time::Duration;

/// Lines kept: what led to a violation is usually within the last minutes.
const LINES: usize = 400;

/// The trace of a seed.
#[derive(Debug)]
pub(crate) struct Trace {
    lines: VecDeque<String>,
    hash: u64,
    decisions: u64,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { lines: VecDeque::new(), hash: FNV_OFFSET, decisions: FNV_OFFSET }
    }

    /// Something happened: it goes into the hash only.
    pub(crate) fn mix(&mut self, now: Duration, what: &str) {
        let millis = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        self.hash = fnv(fnv(self.hash, &millis.to_le_bytes()), what.as_bytes());
    }

    /// Something happened that people want to read.
    pub(crate) fn tell(&mut self, now: Duration, text: String) {
        self.mix(now, &text);
        let (minutes, millis) = (now.as_secs() / 60, now.as_millis() % 60_000);
        let line = format!("{minutes:3}:{:02}.{:03}  {text}", millis / 1000, millis % 1000);
        self.lines.push_back(line);
        if self.lines.len() > LINES {
            self.lines.pop_front();
        }
    }

    /// A decision: the same in two runs that differ in nothing that may decide.
    pub(crate) fn decide(&mut self, now: Duration, text: String) {
        self.decisions = fnv(self.decisions, text.as_bytes());
        self.tell(now, text);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn decisions(&self) -> u64 {
        self.decisions
    }

    pub(crate) fn tail(&self, count: usize) -> Vec<String> {
        let skip = self.lines.len().saturating_sub(count);
        self.lines.iter().skip(skip).cloned().collect()
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits: the same in every process.
pub(crate) fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}
