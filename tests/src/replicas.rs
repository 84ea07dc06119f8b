//! Tier 2 of the deterministic simulation: whole coordinators, with the real Raft and the real
//! stores, each on a paused clock of its own, in a world of one seed.
//!
//! ```text
//! nemesis --> seats (Member: leader, replica, courier, openraft, SQLite) <-- network --> seats
//!               ^ lines, edits       | mails            | what they say to each other
//!     hosts (Probe), operators      sink             witness: the committed log --> checkers
//! ```
//!
//! A seat is a machine: its process has a runtime of its own, so that it can be killed (the runtime
//! is dropped, and what was not written yet is gone) and can stand still (its clock then jumps).
//!
//! **Invariants**
//! - A seed is a history: the same seed gives the same trace, on every machine.
//! - Nothing of production is modelled here but the networks, the disks of probes and the times of
//!   others, the mail server, and what runs of checks and questions to references come to.
//! - Messages take longer than a turn, so it does not matter that seats take turns.

use crosscheck_coordinator::random::Seeded;
use crosscheck_model::CheckSpec;

mod checker;
mod clock;
mod coverage;
mod disk;
mod fault;
mod ground;
mod lines;
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

use checker::i05_bounded_detection::notices;
use checker::i13_leader_change::compare;
use plan::Plan;
use truth::Truth;
use world::{EdgeSeen, World};

use crate::seeds::{Outcome, Tier, Violation};

/// Tier 2.
pub const TIER: Tier = Tier {
    number: 2,
    seeds: 20,
    corpus: include_str!("../replicas-corpus.txt"),
    covered_by: 100,
    expected: coverage::expected,
    run,
};

/// Lines of the trace that a violation shows.
const TAIL: usize = 80;
/// Every so many seeds one is run twice, to see that it gives the same history.
const TWICE_EVERY: u64 = 10;
/// Every so many seeds one is run with leaders that die and with a leader that does not (I13, I5),
/// and with a member that is lost for long (I19).
const PAIRED_EVERY: u64 = 10;

/// What a seed came to, and its course.
pub struct History {
    /// What it came to.
    pub outcome: Outcome,
    /// Stands for everything that happened.
    pub hash: u64,
    edges: Vec<EdgeSeen>,
    /// Incidents about coordinators that do not follow.
    unfollowed: usize,
}

/// Runs a seed; some are run a second time, to compare.
fn run(seed: u64) -> Outcome {
    let History { outcome: mut first, hash, .. } = once(Plan::of(seed));
    if first.violation.is_none() && seed % TWICE_EVERY == TWICE_EVERY - 1 {
        let second = once(Plan::of(seed));
        if second.hash != hash {
            let what = "two runs of the seed differ".to_owned();
            first.violation = Some(Violation { invariant: "determinism", what });
        }
    }
    if first.violation.is_none() && seed % PAIRED_EVERY == PAIRED_EVERY / 2 {
        compared(seed, &mut first);
    }
    first
}

/// The seed's outages without any trouble, with leaders that die, and with a member that is lost for
/// long: noticed in time, by the same edges, and the lost member is told of, once, and nobody else.
fn compared(seed: u64, first: &mut Outcome) {
    let plans = [
        (Plan::calm(seed), 0),
        (Plan::with_leader_kills(seed), 0),
        (Plan::with_lost_member(seed), 1),
    ];
    let (checks, safety) = (plans[0].0.config.checks.clone(), plans[0].0.safety);
    let truth = Truth::of(seed, checks.len(), safety);
    let runs = plans.map(|(plan, unfollowed)| (once(plan), unfollowed));
    let calm = &runs[0].0.edges;
    for (run, unfollowed) in &runs {
        first.coverage.merge(&run.outcome.coverage);
        match holds(run, *unfollowed, calm, (&truth, &checks)) {
            Ok(noticed) => first.coverage.tested("I5 bounded detection", noticed),
            Err(violation) => {
                first.tail.clone_from(&run.outcome.tail);
                first.violation = Some(violation);
                return;
            }
        }
    }
    first.coverage.tested("I13 leader change", calm.len() as u64);
}

/// Whether a run holds by itself and beside the one without trouble; how many outages it noticed.
fn holds(
    run: &History,
    unfollowed: usize,
    calm: &[EdgeSeen],
    (truth, checks): (&Truth, &[CheckSpec]),
) -> Result<u64, Violation> {
    if let Some(violation) = &run.outcome.violation {
        return Err(violation.clone());
    }
    let of = |invariant| move |what| Violation { invariant, what };
    compare(calm, &run.edges).map_err(of("I13 leader change"))?;
    if run.unfollowed != unfollowed {
        let count = run.unfollowed;
        let what = format!("{count} coordinators are told not to follow, not {unfollowed}");
        return Err(of("I19 followers")(what));
    }
    notices(truth, checks, &run.edges).map_err(of("I5 bounded detection"))
}

/// Runs a seed once, without the comparisons.
pub fn run_once(seed: u64) -> History {
    once(Plan::of(seed))
}

fn once(plan: Plan) -> History {
    let seed = plan.seed;
    let _seeded = Seeded::begin(seed);
    let mut world = World::new(plan);
    // A panic is a violation like any other: no coordinator may.
    let run = std::panic::AssertUnwindSafe(|| world.run());
    if std::panic::catch_unwind(run).is_err() {
        world.fail("no panic", "something panicked; its message stands above".to_owned());
    }
    world.history(seed)
}
