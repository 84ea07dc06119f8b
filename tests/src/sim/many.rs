//! Many seeds at the same time, and what they come to together.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Coverage, Outcome};

/// Seeds of which every fault and every row of the decision table must have been met.
const COVERED_BY: u64 = 200;

/// Seeds that failed once.
const CORPUS: &str = include_str!("../../sim-corpus.txt");

/// The seeds that failed once, and must not again.
pub fn corpus() -> Vec<u64> {
    let seed = |line: &str| line.split('#').next()?.trim().parse().ok();
    CORPUS.lines().filter_map(seed).collect()
}

/// What many seeds came to.
#[derive(Default)]
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

    /// What so many seeds should have met and did not.
    pub fn missing(&self) -> Vec<String> {
        if self.seeds >= COVERED_BY { self.coverage.missing() } else { Vec::new() }
    }
}

/// Runs seeds on so many threads, and tells of each how many there have been; with
/// `until_violation`, no more than needed for one.
pub fn run_all(
    seeds: &[u64],
    threads: usize,
    until_violation: bool,
    tell: &(dyn Fn(u64, &Outcome) + Sync),
) -> Sum {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
            let Some(seed) = seeds.get(at) else { return };
            let outcome = super::run(*seed);
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
