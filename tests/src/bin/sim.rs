//! `cargo sim`: runs seeds of the deterministic simulation, and proves on mutants that it notices.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use crosscheck_model::mutant::{self, Mutant};
use crosscheck_tests::crash::{self, Subject};
use crosscheck_tests::scenarios;
use crosscheck_tests::sim::{self, Outcome};

/// Seeds of tier 1, unless told otherwise.
const SEEDS: u64 = 200;
/// Violations that are shown.
const SHOWN: usize = 3;
/// Seeds within which every mutant must be caught.
const MUTANT_SEEDS: u64 = 200;

/// The deterministic simulation.
#[derive(Parser)]
#[command(name = "sim")]
struct Arguments {
    /// Which tier: 1, the state machines; 3, the stores under crashes; 4, real processes.
    #[arg(long, default_value_t = 1)]
    tier: u8,
    /// How many seeds; in tier 3, recorded runs; in tier 4, rounds of all scenarios.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first of them; without it, the seeds that once failed are run as well.
    #[arg(long)]
    first: Option<u64>,
    /// Plant one wrong decision after the other, and see that each is noticed.
    #[arg(long)]
    mutants: bool,
    /// Of tier 4, only the scenarios with this in their name.
    #[arg(long, default_value = "")]
    only: String,
    /// Show what the seeds have met.
    #[arg(long)]
    coverage: bool,
    /// Be the program that tier 3 records, in this directory.
    #[arg(long, hide = true)]
    record: Option<PathBuf>,
    /// Record a probe's spool instead of a coordinator.
    #[arg(long, hide = true)]
    spool: bool,
    /// Record little.
    #[arg(long, hide = true)]
    small: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let well = match arguments.tier {
        _ if arguments.record.is_some() => record(&arguments),
        _ if arguments.mutants => mutants(&arguments),
        1 => seeds(&arguments),
        3 => crashes(&arguments),
        4 => rounds(&arguments),
        tier => {
            say(&format!("there is no tier {tier}"));
            return ExitCode::from(2);
        }
    };
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stdout, reason = "the output of a command")]
fn say(text: &str) {
    println!("{text}");
}

fn record(arguments: &Arguments) -> bool {
    let subject = if arguments.spool { Subject::Spool } else { Subject::Coordinator };
    let folder = arguments.record.as_deref().unwrap_or_else(|| "".as_ref());
    let seed = arguments.first.unwrap_or(0);
    let recorded = crash::record(subject, seed, arguments.small, folder);
    recorded.inspect_err(|error| say(&format!("{error:#}"))).is_ok()
}

fn crashes(arguments: &Arguments) -> bool {
    let began = Instant::now();
    let first = arguments.first.unwrap_or(0);
    let seeds = first..first + arguments.seeds.unwrap_or(1);
    let recorder = std::env::current_exe().map_err(anyhow::Error::new);
    let sum = match recorder.and_then(|recorder| crash::run_all(&recorder, seeds)) {
        Ok(sum) => sum,
        Err(error) => {
            say(&format!("tier 3 could not run: {error:#}"));
            return false;
        }
    };
    for violation in sum.violations.iter().take(SHOWN) {
        say(&format!("{}\nREPRODUCE: {}", violation.what, violation.reproduce));
    }
    say(&format!("{sum} in {:.1} s", began.elapsed().as_secs_f64()));
    sum.violations.is_empty()
}

fn rounds(arguments: &Arguments) -> bool {
    let rounds = arguments.seeds.unwrap_or(1);
    let first = arguments.first.unwrap_or(0);
    let outcome = scenarios::list(&arguments.only).and_then(|scenarios| {
        // Without the time that building takes.
        let (began, mut failed) = (Instant::now(), 0);
        for seed in first..first + rounds {
            failed += scenarios::round(&scenarios, seed, |ran| say(&ran.to_string()))?;
        }
        Ok((scenarios.len(), failed, began.elapsed().as_secs_f64()))
    });
    match outcome {
        Ok((count, failed, seconds)) => {
            let runs = count as u64 * rounds;
            say(&format!(
                "tier 4: {rounds} rounds of {count} scenarios, {failed} violations, {runs} runs in \
                 {seconds:.1} s"
            ));
            failed == 0
        }
        Err(error) => {
            say(&format!("tier 4 could not run: {error:#}"));
            false
        }
    }
}

fn seeds(arguments: &Arguments) -> bool {
    let began = Instant::now();
    let first = arguments.first.unwrap_or(0);
    let once_failed = if arguments.first.is_none() { sim::corpus() } else { Vec::new() };
    let seeds: Vec<u64> =
        once_failed.into_iter().chain(first..first + arguments.seeds.unwrap_or(SEEDS)).collect();
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
