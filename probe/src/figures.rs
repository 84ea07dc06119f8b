//! What a probe counts about itself, as numbers; [`crate::metrics`] writes them as text. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_model::Status;
use crosscheck_model::wire::Health;

use crate::schedule::Missed;

/// Upper bounds of the lateness histogram's buckets, in seconds: around the goal of 10 ms, and up
/// to where a run is too late to judge.
pub const LATENESS_BOUNDS: [f64; 11] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

/// How late runs began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lateness {
    /// Runs per bucket; the last holds what is beyond all bounds.
    pub buckets: [u64; LATENESS_BOUNDS.len() + 1],
    /// The sum of all, in seconds.
    pub sum: f64,
}

impl Lateness {
    /// Counts one run.
    pub fn add(&mut self, late: Duration) {
        let late = late.as_secs_f64();
        let bucket = LATENESS_BOUNDS.iter().take_while(|bound| late > **bound).count();
        self.buckets[bucket] += 1;
        self.sum += late;
    }

    /// How many runs were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// Everything a probe tells about itself, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Observations by kind and status.
    pub runs: BTreeMap<(String, Status), u64>,
    /// How late runs began.
    pub lateness: Lateness,
    /// Slots without a run.
    pub missed: Missed,
    /// Assigned checks.
    pub checks: u64,
    /// Runs under way.
    pub running: u64,
    /// Live observations that wait in memory.
    pub live: u64,
    /// Observations of the backlog.
    pub spooled: u64,
    /// Observations lost to the bound of the spool.
    pub dropped: u64,
    /// How old the session is; `None` without one.
    pub session_age: Option<Duration>,
    /// When a coordinator last said anything at all, be it a refusal: the time since the probe's
    /// start; zero: never.
    pub reached: Duration,
    /// How long the newest acknowledged report took.
    pub round_trip: Option<Duration>,
    /// Whether the probe is fit.
    pub health: Health,
    /// What the coordinators said last, unless all is well.
    pub complaint: Option<String>,
}
