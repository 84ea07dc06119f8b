//! What a coordinator counts of what it applies and serves, since its process began.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crosscheck_core::{Effect, Reply};
use crosscheck_model::Timestamp;

/// Ticks come every second of log time.
const TICK_MILLIS: u64 = 1_000;

/// Upper bounds of the buckets of ticks' lateness, in seconds: from a busy machine to a change of
/// leader and beyond.
pub(crate) const LATENESS_BOUNDS: [f64; 9] = [0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0];

/// The numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    /// Log entries applied.
    pub(crate) entries: u64,
    /// Probes' reports taken, and refused.
    pub(crate) reports: [u64; 2],
    /// Observations that went into the history.
    pub(crate) observations: u64,
    /// Observations of checks that their probe was never given.
    pub(crate) unasked: u64,
    /// Attempts to send, by channel and what came of them.
    pub(crate) attempts: BTreeMap<(String, &'static str), u64>,
    /// How late ticks were: how many by bucket, the last beyond all bounds.
    pub(crate) lateness: [u64; LATENESS_BOUNDS.len() + 1],
    /// The sum of it, in seconds.
    pub(crate) lateness_sum: f64,
    /// Answers of the status page, by status code.
    pub(crate) pages: BTreeMap<u16, u64>,
    /// The newest tick's log time.
    tick: Option<Timestamp>,
}

/// The numbers, shared by those who count.
#[derive(Debug, Default)]
pub(crate) struct Counter(Mutex<Counts>);

impl Counter {
    /// Counts what came of an entry.
    pub(crate) fn applied(&self, at: Timestamp, is_tick: bool, reply: &Reply, effects: &[Effect]) {
        let mut counts = self.lock();
        counts.entries += 1;
        if is_tick {
            counts.tick(at);
        }
        if let Reply::Batch(answers) = reply {
            let taken = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
            counts.reports[0] += taken;
            counts.reports[1] += answers.len() as u64 - taken;
        }
        for effect in effects {
            match effect {
                Effect::Record { .. } => counts.observations += 1,
                Effect::Unasked { observations, .. } => counts.unasked += observations,
                Effect::Attempted { channel, outcome } => {
                    *counts.attempts.entry((channel.clone(), *outcome)).or_default() += 1;
                }
                _ => {}
            }
        }
    }

    /// Counts an answer of the status page.
    pub(crate) fn page(&self, status: u16) {
        *self.lock().pages.entry(status).or_default() += 1;
    }

    /// The numbers now.
    pub(crate) fn now(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Each number is whole, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn tick(&mut self, at: Timestamp) {
        if let Some(before) = self.tick {
            let passed = at.as_millis().saturating_sub(before.as_millis());
            let late = passed.saturating_sub(TICK_MILLIS) as f64 / 1_000.0;
            let bucket = LATENESS_BOUNDS.iter().take_while(|bound| late > **bound).count();
            self.lateness[bucket] += 1;
            self.lateness_sum += late;
        }
        self.tick = Some(at);
    }
}
