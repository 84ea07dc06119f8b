//! Tier 2 of the deterministic simulation: whole coordinators, with the real Raft and the real
//! stores, each on a paused clock of its own, in a world of one seed.
//!
//! ```text
//! nemesis --> seats (Member: leader, replica, courier, openraft, SQLite) <-- network --> seats
//!               ^ reports, edits     | mails            | what they say to each other
//!             probes, operators     sink             witness: the committed log --> checkers
//! ```
//!
//! A seat is a machine: its process has a runtime of its own, so that it can be killed (the runtime
//! is dropped, and what was not written yet is gone) and can stand still (its clock then jumps).
//!
//! **Invariants**
//! - A seed is a history: the same seed gives the same trace, on every machine.
//! - Nothing of production is modelled here but the network, the disk's times and the mail server.
//! - Messages take longer than a turn, so it does not matter that seats take turns.

use std::time::Duration;

use crosscheck_coordinator::random::Seeded;

mod checker;
mod clock;
mod counters;
mod disk;
mod fault;
mod ground;
mod many;
mod members;
mod nemesis;
mod network;
mod plan;
mod probes;
mod same_state;
mod seat;
mod sink;
mod truth;
mod witness;
mod world;

pub use counters::Counters;
pub use many::{Sum, corpus, run_all};

use checker::i13_leader_change::compare;
use plan::Plan;
use world::World;

/// Lines of the trace that a violation shows.
const TAIL: usize = 80;
/// Every so many seeds one is run twice, to see that it gives the same history.
const TWICE_EVERY: u64 = 10;
/// Every so many seeds one is run with leaders that die and with a leader that does not (I13).
const PAIRED_EVERY: u64 = 10;

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
    pub counters: Counters,
    /// Entries of the log.
    pub entries: u64,
    /// Messages that the mail server took.
    pub mails: u64,
    /// How much time passed in it.
    pub simulated: Duration,
    hash: u64,
    edges: Vec<world::EdgeSeen>,
}

impl Outcome {
    /// Stands for everything that happened.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// Runs a seed; some are run a second time, to compare.
pub fn run(seed: u64) -> Outcome {
    let mut first = once(Plan::of(seed));
    if first.violation.is_none() && seed % TWICE_EVERY == TWICE_EVERY - 1 {
        let second = once(Plan::of(seed));
        if second.hash != first.hash {
            let what = "two runs of the seed differ".to_owned();
            first.violation = Some(Violation { invariant: "determinism", what });
        }
    }
    if first.violation.is_none() && seed % PAIRED_EVERY == PAIRED_EVERY / 2 {
        let calm = once(Plan::calm(seed));
        let killed = once(Plan::with_leader_kills(seed));
        first.counters.merge(&killed.counters);
        let failed = [&calm, &killed].into_iter().find(|outcome| outcome.violation.is_some());
        if let Some(failed) = failed {
            first.tail.clone_from(&failed.tail);
            first.violation.clone_from(&failed.violation);
        } else if let Err(what) = compare(&calm.edges, &killed.edges) {
            first.tail = killed.tail;
            first.violation = Some(Violation { invariant: "I13 leader change", what });
        } else {
            first.counters.add("tested I13 leader change", calm.edges.len() as u64);
        }
    }
    first
}

/// Runs a seed once, without the comparisons.
pub fn run_once(seed: u64) -> Outcome {
    once(Plan::of(seed))
}

fn once(plan: Plan) -> Outcome {
    let seed = plan.seed;
    let _seeded = Seeded::begin(seed);
    let mut world = World::new(plan);
    // A panic is a violation like any other: no coordinator may.
    let run = std::panic::AssertUnwindSafe(|| world.run());
    if std::panic::catch_unwind(run).is_err() {
        world.fail("no panic", "something panicked; its message stands above".to_owned());
    }
    world.outcome(seed)
}
