//! `cargo sim`: runs seeds of the deterministic simulation, and proves on mutants that it notices.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use crosscheck_model::mutant::{self, Mutant};
use crosscheck_tests::sim::{self, Coverage, Outcome};

/// Seeds of which every fault and every row of the decision table must have been met.
const COVERED_BY: u64 = 200;
/// Seeds within which every mutant must be caught.
const MUTANT_SEEDS: u64 = 200;

/// The deterministic simulation.
#[derive(Parser)]
#[command(name = "sim")]
struct Arguments {
    /// Which tier.
    #[arg(long, default_value_t = 1)]
    tier: u8,
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Plant one wrong decision after the other, and see that each is noticed.
    #[arg(long)]
    mutants: bool,
    /// Show what the seeds have met.
    #[arg(long)]
    coverage: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.tier != 1 {
        say(&format!("tier {} is not built; there is tier 1", arguments.tier));
        return ExitCode::from(2);
    }
    let well = if arguments.mutants { mutants(&arguments) } else { seeds(&arguments) };
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stdout, reason = "the output of a command")]
fn say(text: &str) {
    println!("{text}");
}

/// What many seeds came to.
#[derive(Default)]
struct Sum {
    seeds: u64,
    runs: u64,
    entries: u64,
    mails: u64,
    hours: f64,
    coverage: Coverage,
    violations: Vec<Outcome>,
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

/// Runs seeds on all cores; with `until_violation`, no more than needed for one.
fn run(seeds: &[u64], until_violation: bool) -> Sum {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
            let Some(seed) = seeds.get(at) else { return };
            let outcome = sim::run(*seed);
            if until_violation && outcome.violation.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
            sum.lock().expect("no thread panics here").add(outcome);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let mut sum = sum.into_inner().expect("no thread panics here");
    sum.violations.sort_by_key(|outcome| outcome.seed);
    sum
}

fn seeds(arguments: &Arguments) -> bool {
    let began = Instant::now();
    let seeds: Vec<u64> = (arguments.first..arguments.first + arguments.seeds).collect();
    let sum = run(&seeds, false);
    for outcome in sum.violations.iter().take(3) {
        show(outcome);
    }
    if arguments.coverage {
        sum.coverage.iter().for_each(|(name, count)| say(&format!("{count:10}  {name}")));
    }
    let missing = if sum.seeds >= COVERED_BY { sum.coverage.missing() } else { Vec::new() };
    for name in &missing {
        say(&format!("never met: {name}"));
    }
    say(&format!(
        "tier 1: {} seeds, {} violations, {} runs, {} entries, {} mails, {:.0} simulated hours in {:.1} s",
        sum.seeds,
        sum.violations.len(),
        sum.runs,
        sum.entries,
        sum.mails,
        sum.hours,
        began.elapsed().as_secs_f64(),
    ));
    sum.violations.is_empty() && missing.is_empty()
}

fn show(outcome: &Outcome) {
    outcome.tail.iter().for_each(|line| say(line));
    if let Some(violation) = &outcome.violation {
        say(&format!("seed {}: {} is violated: {}", outcome.seed, violation.invariant, violation.what));
    }
    say(&format!("REPRODUCE: cargo sim --tier 1 --seeds 1 --first {}", outcome.seed));
}

fn mutants(arguments: &Arguments) -> bool {
    if !cfg!(feature = "mutants") {
        say("built without mutants; use `cargo sim`, which turns the feature `mutants` on");
        return false;
    }
    let mut caught = 0;
    for mutant in Mutant::ALL {
        mutant::plant(*mutant);
        let seeds: Vec<u64> = (arguments.first..arguments.first + MUTANT_SEEDS).collect();
        let sum = run(&seeds, true);
        let found = sum.violations.first().and_then(|outcome| outcome.violation.as_ref());
        match found {
            Some(violation) => {
                caught += 1;
                say(&format!("{mutant:?}: after {} seeds, {}", sum.seeds, violation.invariant));
            }
            None => say(&format!("{mutant:?}: NOT caught in {} seeds", sum.seeds)),
        }
    }
    mutant::plant(Mutant::Nothing);
    say(&format!("{caught} of {} caught", Mutant::ALL.len()));
    caught == Mutant::ALL.len()
}
