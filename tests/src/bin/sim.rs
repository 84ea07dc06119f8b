//! `cargo sim`: runs seeds of the deterministic simulation, and proves on mutants that it notices.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use crosscheck_model::mutant::{self, Mutant};
use crosscheck_tests::sim::{self, Outcome};

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
    /// The first of them; without it, the seeds that once failed are run as well.
    #[arg(long)]
    first: Option<u64>,
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

fn seeds(arguments: &Arguments) -> bool {
    let began = Instant::now();
    let first = arguments.first.unwrap_or(0);
    let once_failed = if arguments.first.is_none() { sim::corpus() } else { Vec::new() };
    let seeds: Vec<u64> = once_failed.into_iter().chain(first..first + arguments.seeds).collect();
    let sum = sim::run_all(&seeds, false);
    for outcome in sum.violations.iter().take(3) {
        show(outcome);
    }
    if arguments.coverage {
        sum.coverage.iter().for_each(|(name, count)| say(&format!("{count:10}  {name}")));
    }
    let missing = sum.missing();
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
        say(&format!(
            "seed {}: {} is violated: {}",
            outcome.seed, violation.invariant, violation.what
        ));
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
        let first = arguments.first.unwrap_or(0);
        let seeds: Vec<u64> = (first..first + MUTANT_SEEDS).collect();
        let sum = sim::run_all(&seeds, true);
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
