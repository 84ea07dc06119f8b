//! The deterministic simulation, as far as every change must pass it; `cargo sim` runs more.

use crosscheck_tests::{replicas, sim};

/// Seeds of every change: as many as every fault, every row of the decision table and every pair
/// of runs must be met in. Ten of them are run twice.
const SEEDS: u64 = 200;

/// Of whole coordinators.
const REPLICAS_SEEDS: [u64; 1] = [3];

#[test]
fn no_invariant_is_violated() {
    let seeds: Vec<u64> = sim::corpus().into_iter().chain(0..SEEDS).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let sum = sim::run_all(&seeds, cores, false, &|_, _| ());
    if let Some(outcome) = sum.violations.first() {
        let violation = outcome.violation.as_ref().expect("it is in the list for that");
        panic!(
            "{}\nseed {}: {} is violated: {}\nREPRODUCE: cargo sim --tier 1 --seeds 1 --first {}",
            outcome.tail.join("\n"),
            outcome.seed,
            violation.invariant,
            violation.what,
            outcome.seed
        );
    }
    assert_eq!(sum.seeds, seeds.len() as u64);
    assert_eq!(sum.missing(), Vec::<String>::new(), "never met");
}

#[test]
fn no_invariant_of_whole_coordinators_is_violated() {
    let seeds: Vec<u64> = replicas::corpus().into_iter().chain(REPLICAS_SEEDS).collect();
    let sum = replicas::run_all(&seeds, 1, false, &|_, _| ());
    if let Some(outcome) = sum.violations.first() {
        let violation = outcome.violation.as_ref().expect("it is in the list for that");
        panic!(
            "{}\nseed {}: {} is violated: {}\nREPRODUCE: cargo sim --tier 2 --seeds 1 --first {}",
            outcome.tail.join("\n"),
            outcome.seed,
            violation.invariant,
            violation.what,
            outcome.seed
        );
    }
    assert_eq!(sum.seeds, seeds.len() as u64);
}

#[test]
fn a_seed_of_whole_coordinators_is_one_history() {
    let [first, second] = [(); 2].map(|()| replicas::run_once(19));
    assert_eq!(first.hash(), second.hash());
    assert!(first.entries > 500, "{} entries", first.entries);
}
