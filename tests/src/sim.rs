//! Tier 1 of the deterministic simulation: the production state machines (probe, decisions,
//! dispatcher) in a world of one seed, with virtual time and everything that can go wrong.
//!
//! ```text
//! nemesis, people --> hosts (Probe) <-- network --> nodes (Dispatcher) --> sink
//!                         |  targets                  |
//!                         +------------------------> log: apply(state) --> checkers
//! ```
//!
//! **Invariants**
//! - A seed is a history: the same seed gives the same trace, on every machine.
//! - Nothing of what is proved here is written a second time, but for the checkers, which share
//!   no code with what they check.

mod checker;
mod courier;
mod coverage;
mod evidence;
mod fault;
mod host;
mod log;
mod nemesis;
mod nemesis_hosts;
mod network;
mod network_reports;
mod node;
mod people;
mod plan;
pub(crate) mod process;
pub(crate) mod random;
mod replay;
mod sink;
mod target;
pub(crate) mod trace;
mod world;

use node::DAY_MILLIS;
use plan::Plan;
use world::World;

use crate::seeds::{Outcome, Tier, Violation};

/// Tier 1.
pub const TIER: Tier = Tier {
    number: 1,
    seeds: 200,
    corpus: include_str!("../sim-corpus.txt"),
    covered_by: 200,
    expected: coverage::expected,
    run,
};

/// Lines of the trace that a violation shows.
const TAIL: usize = 60;
/// Every so many seeds one is run twice, to see that it gives the same history.
const TWICE_EVERY: u64 = 20;
/// Every so many seeds one is run again with other wall clocks (I12).
const SHIFTED_EVERY: u64 = 20;
/// A year, in milliseconds.
const YEAR_MILLIS: i64 = 31_536_000_000;

/// What a seed came to, and what stands for its course.
struct History {
    outcome: Outcome,
    hash: u64,
    decisions: u64,
}

/// Runs a seed; some are run a second time, to compare.
fn run(seed: u64) -> Outcome {
    let History { outcome: mut first, hash, .. } = once(Plan::of(seed));
    if first.violation.is_none() && seed % TWICE_EVERY == TWICE_EVERY - 1 {
        let second = once(Plan::of(seed));
        first.coverage.hit("pair the same seed");
        if second.hash != hash {
            let what = "two runs of the seed differ".to_owned();
            first.violation = Some(Violation { invariant: "determinism", what });
        }
    }
    // Half of the pairs have a clock ahead, and half have it behind.
    let sign = if (seed / SHIFTED_EVERY).is_multiple_of(2) { 1 } else { -1 };
    if first.violation.is_none() && seed % SHIFTED_EVERY == SHIFTED_EVERY / 2 {
        let shifted = once(Plan { wall_shift: sign * YEAR_MILLIS, ..Plan::of(seed) });
        first.coverage.hit("pair probes' clocks");
        if shifted.hash != hash {
            let what = "probes' wall clocks change what happens".to_owned();
            first.violation = Some(Violation { invariant: "I12 time", what });
        }
    }
    if first.violation.is_none() && seed % SHIFTED_EVERY == SHIFTED_EVERY / 4 {
        let with = |shift| once(Plan::of(seed).with_clocks(shift)).decisions;
        first.coverage.hit("pair a coordinator's clock");
        if with(0) != with(sign * DAY_MILLIS) {
            let what = "one coordinator's wall clock changes decisions".to_owned();
            first.violation = Some(Violation { invariant: "I12 time", what });
        }
    }
    first
}

fn once(plan: Plan) -> History {
    let seed = plan.seed;
    let mut world = World::new(plan, checker::all());
    // A panic is a violation like any other: nothing in the state machines may.
    let run = std::panic::AssertUnwindSafe(|| world.run());
    if std::panic::catch_unwind(run).is_err() {
        world.fail("no panic", "a state machine panicked; its message stands above".to_owned());
    }
    let outcome = Outcome {
        seed,
        tail: world.trace.tail(TAIL),
        coverage: world.coverage,
        runs: world.counts.runs,
        entries: world.counts.entries,
        mails: world.counts.mails,
        simulated: world.now,
        violation: world.violation,
    };
    History { outcome, hash: world.trace.hash(), decisions: world.trace.decisions() }
}
