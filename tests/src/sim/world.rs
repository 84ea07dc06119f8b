//! The world of a seed: one loop over events in virtual time. What happens at the same moment
//! happens in the order in which it was arranged, so a seed always gives the same history.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use crosscheck_core::State;
use crosscheck_model::Timestamp;

use super::checker::{Checker, View};
use super::evidence::Evidence;
use super::fault::Fault;
use super::host::Host;
use super::log::Log;
use super::network::Network;
use super::node::Node;
use super::people::Planned;
use super::plan::{Class, Plan};
use super::random::Random;
use super::sink::Sink;
use super::target::{Mode, Target};
use super::trace::Trace;
use crate::coverage::Coverage;
use crate::seeds::Violation;

/// After everything has healed, all must be well within this time.
pub(super) const LIVENESS: Duration = Duration::from_secs(15 * 60);
/// What came at the last moment has its consequences within this time.
const AFTERMATH: Duration = Duration::from_secs(180);
/// Events at one moment beyond which something turns in a circle.
const SAME_MOMENT_LIMIT: u32 = 100_000;

type Act = Box<dyn FnOnce(&mut World)>;

struct Slot {
    at: Duration,
    order: u64,
    act: Act,
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Slot {}

impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slot {
    /// The heap gives the greatest first: that is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// What was counted in a seed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) runs: u64,
    pub(super) entries: u64,
    pub(super) mails: u64,
    pub(super) alarms: u64,
}

pub(super) struct World {
    pub(super) now: Duration,
    queue: BinaryHeap<Slot>,
    order: u64,
    pub(super) plan: Plan,
    pub(super) random: Random,
    pub(super) hosts: Vec<Host>,
    pub(super) targets: Vec<Target>,
    pub(super) network: Network,
    pub(super) nodes: Vec<Node>,
    pub(super) log: Log,
    pub(super) sink: Sink,
    pub(super) evidence: Evidence,
    pub(super) checkers: Vec<Box<dyn Checker>>,
    pub(super) trace: Trace,
    pub(super) coverage: Coverage,
    pub(super) counts: Counts,
    pub(super) violation: Option<Violation>,
    /// Faults are over ..
    pub(super) healing: bool,
    /// .. since then.
    pub(super) healed_at: Duration,
    /// The maintenance windows that people planned, by their reasons.
    pub(super) planned: BTreeMap<String, Planned>,
}

impl World {
    pub(super) fn new(plan: Plan, checkers: Vec<Box<dyn Checker>>) -> Self {
        let targets =
            plan.config.checks.iter().map(|_| Target { mode: Mode::Fine, since: Duration::ZERO });
        let mut world = Self {
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            order: 0,
            random: Random::new(plan.seed, 2),
            targets: targets.collect(),
            hosts: Host::all(&plan),
            network: Network::default(),
            nodes: Node::all(),
            log: Log::default(),
            sink: Sink::default(),
            evidence: Evidence::of(&plan),
            checkers,
            trace: Trace::new(),
            coverage: Coverage::default(),
            counts: Counts::default(),
            violation: None,
            healing: false,
            healed_at: Duration::MAX,
            planned: BTreeMap::new(),
            plan,
        };
        world.begin_log();
        for host in 0..world.hosts.len() {
            let mut delay = world.random.millis(0, 3000);
            if let Some((_, late)) = world.plan.late.filter(|(who, _)| *who == host) {
                world.coverage.fault(Fault::ProbeLate);
                delay = late;
            }
            world.after(delay, "start", move |world| world.start_host(host));
        }
        world.begin_nemesis();
        world
    }

    /// Arranges something for later; `name` goes into the trace's hash.
    pub(super) fn after(
        &mut self,
        delay: Duration,
        name: &'static str,
        act: impl FnOnce(&mut Self) + 'static,
    ) {
        let at = self.now + delay;
        self.order += 1;
        let act = move |world: &mut Self| {
            world.trace.mix(world.now, name);
            act(world);
        };
        self.queue.push(Slot { at, order: self.order, act: Box::new(act) });
    }

    /// Runs the safety phase, heals everything, and runs the liveness phase.
    pub(super) fn run(&mut self) {
        let safety = self.plan.safety;
        self.run_until(safety);
        if self.violation.is_some() {
            return;
        }
        self.heal();
        self.run_until(safety + LIVENESS);
        // A refused attempt is repeated after up to half an hour, in a maintenance no incident ends,
        // and that of a check that came and went ends late: what waits for these is not late.
        let waited_for =
            self.log.latest_retry().max(self.log.latest_window()).max(self.log.latest_stability());
        if self.violation.is_none() {
            let late = waited_for.map_or(Duration::ZERO, |at| at.since(self.log.state.now));
            self.run_until(self.now + late + AFTERMATH);
        }
        if self.violation.is_none() {
            self.check(|checker, view| checker.end(view));
        }
        if self.violation.is_none() {
            self.replay_from_snapshot();
        }
        for checker in &self.checkers {
            self.coverage.tested(checker.name(), checker.tested());
        }
    }

    fn run_until(&mut self, end: Duration) {
        let mut same_moment = 0;
        while self.violation.is_none() && self.queue.peek().is_some_and(|slot| slot.at <= end) {
            let Some(slot) = self.queue.pop() else { return };
            same_moment = if slot.at == self.now { same_moment + 1 } else { 0 };
            if same_moment > SAME_MOMENT_LIMIT {
                self.fail("B1", "something turns in a circle without time passing".to_owned());
            }
            self.now = slot.at;
            self.counts.events += 1;
            (slot.act)(self);
        }
        self.now = self.now.max(end);
    }

    pub(super) fn fail(&mut self, invariant: &'static str, what: String) {
        if self.violation.is_none() {
            self.trace.tell(self.now, format!("VIOLATION of {invariant}: {what}"));
            self.violation = Some(Violation { invariant, what });
        }
    }

    /// Puts something to every checker.
    pub(super) fn check(
        &mut self,
        mut ask: impl FnMut(&mut dyn Checker, &View<'_>) -> Result<(), String>,
    ) {
        let mut checkers = std::mem::take(&mut self.checkers);
        let mut wrong = None;
        for checker in &mut checkers {
            let view = View { world: self };
            if let Err(what) = ask(checker.as_mut(), &view) {
                wrong.get_or_insert((checker.name(), what));
            }
        }
        self.checkers = checkers;
        if let Some((invariant, what)) = wrong {
            self.fail(invariant, what);
        }
    }

    pub(super) fn tell(&mut self, text: String) {
        self.trace.tell(self.now, text);
    }

    pub(super) fn state(&self) -> &State {
        &self.log.state
    }

    pub(super) fn is_one_domain(&self) -> bool {
        self.plan.class == Class::OneDomain
    }

    /// What a perfect clock would show.
    pub(super) fn true_time(&self) -> Timestamp {
        self.plan.start.plus(self.now)
    }
}
