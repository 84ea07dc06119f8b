//! `cargo sim`: runs seeds of the deterministic simulation, and proves on mutants that it notices.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use crosscheck_model::mutant::{self, Mutant};
use crosscheck_tests::crash::{self, Reach, Subject};
use crosscheck_tests::seeds::{Outcome, Tier};
use crosscheck_tests::{replicas, scenarios, sim};

/// Seeds between two words of how far it is.
const PROGRESS_EVERY: u64 = 100;
/// Violations that are shown with what led to them.
const SHOWN: usize = 3;
/// Seeds within which every mutant must be caught.
const MUTANT_SEEDS: u64 = 200;

/// The deterministic simulation.
#[derive(Parser)]
#[command(name = "sim")]
struct Arguments {
    /// Which tier: 1, the state machines; 2, whole coordinators; 3, the stores under crashes; 4, real processes.
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
    /// Only the mutants, or of tier 4 the scenarios, with this in their name.
    #[arg(long, default_value = "")]
    only: String,
    /// How many seeds at the same time; without it, one on each core.
    #[arg(long)]
    jobs: Option<usize>,
    /// In tier 3, try what the gate tries (a minute) instead of a crash at every operation.
    #[arg(long)]
    sample: bool,
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
        1 => seeds(&sim::TIER, &arguments),
        2 => seeds(&replicas::TIER, &arguments),
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
    let reach = if arguments.sample { Reach::Sample } else { Reach::Every };
    let recorder = std::env::current_exe().map_err(anyhow::Error::new);
    let sum = match recorder.and_then(|recorder| crash::run_all(&recorder, seeds, reach, &say)) {
        Ok(sum) => sum,
        Err(error) => {
            say(&format!("tier 3 could not run: {error:#}"));
            return false;
        }
    };
    for violation in sum.violations.iter().take(SHOWN) {
        say(&format!("{}\n{}", violation.what, violation.reproduce));
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

fn seeds(tier: &Tier, arguments: &Arguments) -> bool {
    let began = Instant::now();
    let once_failed = if arguments.first.is_none() { tier.corpus() } else { Vec::new() };
    let (first, count) = (arguments.first.unwrap_or(0), arguments.seeds.unwrap_or(tier.seeds));
    let seeds: Vec<u64> = once_failed.into_iter().chain(first..first + count).collect();
    let tell = |done, outcome: &Outcome| {
        progress(done, seeds.len(), outcome.seed, outcome.violation.is_some());
    };
    let sum = tier.run_all(&seeds, jobs(arguments), false, &tell);
    for outcome in sum.violations.iter().take(SHOWN) {
        tier.report(outcome).iter().for_each(|line| say(line));
    }
    if arguments.coverage {
        sum.coverage.iter().for_each(|(name, count)| say(&format!("{count:10}  {name}")));
    }
    let missing = tier.missing(&sum);
    for name in &missing {
        say(&format!("never met: {name}"));
    }
    name_failed(sum.violations.iter().map(|outcome| outcome.seed).collect());
    say(&format!(
        "tier {}: {} seeds, {} violations, {} runs, {} entries, {} mails, {:.0} simulated hours in {:.1} s",
        tier.number,
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

/// Tells now and then how far it is, and of each violation at once.
#[expect(clippy::print_stderr, reason = "a word to who waits, which is no part of the result")]
fn progress(done: u64, all: usize, seed: u64, is_violated: bool) {
    if is_violated {
        eprintln!("seed {seed} is violated ({done} of {all} done)");
    } else if done.is_multiple_of(PROGRESS_EVERY) {
        eprintln!("{done} of {all} seeds");
    }
}

/// Which seeds failed: more may have than are shown.
fn name_failed(seeds: Vec<u64>) {
    if !seeds.is_empty() {
        say(&format!("failed: {seeds:?}"));
    }
}

fn jobs(arguments: &Arguments) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    arguments.jobs.unwrap_or_else(cores)
}

fn mutants(arguments: &Arguments) -> bool {
    if !cfg!(feature = "mutants") {
        say("built without mutants; use `cargo sim`, which turns the feature `mutants` on");
        return false;
    }
    let mut caught = 0;
    let is_wanted = |mutant: &&Mutant| format!("{mutant:?}").contains(&arguments.only);
    let planted: Vec<Mutant> = Mutant::ALL.iter().filter(is_wanted).copied().collect();
    for mutant in &planted {
        mutant::plant(*mutant);
        let tier = hunting_tier(*mutant);
        let (seeds, found) = hunt(&tier, arguments);
        caught += usize::from(found.is_some());
        say(&match found {
            Some(invariant) => {
                format!("{mutant:?}: tier {}, after {seeds} seeds, {invariant}", tier.number)
            }
            None => format!("{mutant:?}: NOT caught in {seeds} seeds of tier {}", tier.number),
        });
    }
    mutant::plant(Mutant::Nothing);
    say(&format!("{caught} of {} caught", planted.len()));
    caught == planted.len()
}

/// Which tier notices it: what is about disks and Raft needs whole coordinators.
fn hunting_tier(mutant: Mutant) -> Tier {
    match mutant {
        Mutant::AckBeforeFsync
        | Mutant::VoteLogReorder
        | Mutant::CutMidLogCorruption
        | Mutant::NodeIdReuse => replicas::TIER,
        _ => sim::TIER,
    }
}

/// Runs seeds until something is violated: how many, and what.
fn hunt(tier: &Tier, arguments: &Arguments) -> (u64, Option<&'static str>) {
    let first = arguments.first.unwrap_or(0);
    let seeds: Vec<u64> = (first..first + MUTANT_SEEDS).collect();
    let sum = tier.run_all(&seeds, jobs(arguments), true, &|_, _| ());
    let violation = sum.violations.first().and_then(|outcome| outcome.violation.as_ref());
    (sum.seeds, violation.map(|violation| violation.invariant))
}
