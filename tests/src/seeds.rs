//! Many seeds of one tier at the same time, and what they come to together.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::coverage::Coverage;
use crate::reproduce;

/// A tier of the simulation whose worlds follow from seeds.
#[derive(Clone, Copy, Debug)]
pub struct Tier {
    /// As `cargo sim --tier` names it.
    pub number: u8,
    /// Seeds to run unless told otherwise.
    pub seeds: u64,
    /// Seeds that failed once, a line each, with what comes after a `#` as a remark.
    pub(crate) corpus: &'static str,
    /// After so many seeds everything expected must have been met.
    pub(crate) covered_by: u64,
    /// What that is, by the names that it is counted by.
    pub(crate) expected: fn() -> Vec<String>,
    /// Runs one.
    pub(crate) run: fn(u64) -> Outcome,
}

/// An invariant that does not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// In what way.
    pub what: String,
}

/// What a seed came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What did not hold.
    pub violation: Option<Violation>,
    /// What led to it.
    pub tail: Vec<String>,
    /// What was met.
    pub coverage: Coverage,
    /// Runs of checks; of whole coordinators, those that were acknowledged.
    pub runs: u64,
    /// Entries of the log.
    pub entries: u64,
    /// Messages that channels took.
    pub mails: u64,
    /// How much time passed in it.
    pub simulated: Duration,
}

/// What many seeds came to.
#[derive(Debug, Default)]
pub struct Sum {
    /// How many.
    pub seeds: u64,
    /// Runs of checks.
    pub runs: u64,
    /// Entries of the log.
    pub entries: u64,
    /// Messages that channels took.
    pub mails: u64,
    /// Hours of virtual time.
    pub hours: f64,
    /// What was met.
    pub coverage: Coverage,
    /// The seeds in which something did not hold.
    pub violations: Vec<Outcome>,
}

impl Sum {
    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.runs += outcome.runs;
        self.entries += outcome.entries;
        self.mails += outcome.mails;
        self.hours += outcome.simulated.as_secs_f64() / 3600.0;
        self.coverage.merge(&outcome.coverage);
        if outcome.violation.is_some() {
            self.violations.push(outcome);
        }
    }
}

impl Tier {
    /// The seeds that failed once, and must not again.
    pub fn corpus(&self) -> Vec<u64> {
        let seed = |line: &str| line.split('#').next()?.trim().parse().ok();
        self.corpus.lines().filter_map(seed).collect()
    }

    /// What the seeds should have met and did not.
    pub fn missing(&self, sum: &Sum) -> Vec<String> {
        if sum.seeds < self.covered_by { Vec::new() } else { self.never_met(sum) }
    }

    /// The same of seeds that were chosen to meet everything, however few they are.
    pub fn never_met(&self, sum: &Sum) -> Vec<String> {
        sum.coverage.missing((self.expected)())
    }

    /// What led to a violation, what it is, and the command that repeats it; a line each.
    pub fn report(&self, outcome: &Outcome) -> Vec<String> {
        let (number, seed) = (self.number, outcome.seed);
        let mut lines = outcome.tail.clone();
        if let Some(Violation { invariant, what }) = &outcome.violation {
            lines.push(format!("seed {seed}: {invariant} is violated: {what}"));
        }
        lines.push(reproduce::line(&format!("--tier {number} --seeds 1 --first {seed}")));
        lines
    }

    /// Runs seeds on so many threads, and tells of each how many there have been; with
    /// `until_violation`, no more than needed for one.
    pub fn run_all(
        &self,
        seeds: &[u64],
        threads: usize,
        until_violation: bool,
        tell: &(dyn Fn(u64, &Outcome) + Sync),
    ) -> Sum {
        let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let sum = Mutex::new(Sum::default());
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(seed) = usize::try_from(at).ok().and_then(|at| seeds.get(at)) else {
                    return;
                };
                let outcome = (self.run)(*seed);
                if until_violation && outcome.violation.is_some() {
                    stop.store(true, Ordering::Relaxed);
                }
                let mut sum = sum.lock().expect("no thread panics here");
                tell(sum.seeds + 1, &outcome);
                sum.add(outcome);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
        let mut sum = sum.into_inner().expect("no thread panics here");
        sum.violations.sort_by_key(|outcome| outcome.seed);
        sum
    }
}
