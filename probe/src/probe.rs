//! One probe as a state machine: schedule, belief, self-health, spool and uplink together. Pure:
//! the same code runs in production and in simulation.
//!
//! ```text
//! orders -> uplink -> schedule -> Run ... Ended -> average -> judge (late?) -> self-health (fit?)
//!              ^                                                                     |
//!              +---- spool <---- Observation <---- state (soft, hard) <--------------+
//! ```

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crosscheck_model::observation::RETRY_AFTER;
use crosscheck_model::spec;
use crosscheck_model::wire::{Health, Hello, Order, WIRE_VERSION};
use crosscheck_model::{Cause, CheckId, Evidence, Observation, Outcome, Status};

use crate::Mono;
use crate::anchor::Anchor;
use crate::average::Average;
use crate::evidence::{Gathered, Gatherings, Memory};
use crate::figures::{Figures, Lateness};
use crate::health::{Known, SelfHealth};
use crate::jitter::Jitter;
use crate::judge::{Stalls, Times, judge, withheld};
use crate::schedule::{self, Run, Schedule};
use crate::spool::Spool;
use crate::state::State;
use crate::uplink::{self, Failure, Task, Uplink};

mod event;

pub use event::{Effect, Event, Setup};

/// While runs are under way the process is to be awake this often, so that it notices when it
/// stood still; a fraction of [`crate::judge::STALL`].
const ATTENTION: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
struct Belief {
    state: State,
    /// Made where the rule asks for one.
    average: Option<Box<Average>>,
    evidence: Memory,
}

/// A run with its outcome, already judged by its times.
#[derive(Debug)]
struct Finished {
    run: Run,
    started: Mono,
    ended: Mono,
    outcome: Outcome,
}

/// One probe.
#[derive(Debug)]
pub struct Probe {
    boot: u64,
    seq: u64,
    schedule: Schedule,
    /// Never walked through, so its order does not matter.
    beliefs: HashMap<CheckId, Belief>,
    stalls: Stalls,
    health: SelfHealth,
    /// Failures that wait for the references' answer before they become votes.
    held: Vec<Finished>,
    /// What was known of the references when those were looked at last.
    held_since: Known,
    gatherings: Gatherings,
    spool: Spool,
    uplink: Uplink,
    stopping: bool,
    /// The disk refused what was to be kept at the end.
    hopeless: bool,
    halted: bool,
    /// By kind and status.
    runs: BTreeMap<String, BTreeMap<Status, u64>>,
    lateness: Lateness,
}

impl Probe {
    /// A probe that has just started, with nothing to run yet.
    pub fn new(setup: Setup) -> Self {
        let hello = Hello {
            wire: WIRE_VERSION,
            probe: setup.probe.clone(),
            site: setup.site,
            boot: setup.boot,
            version: setup.version,
        };
        let (jitter, anchor) = (Jitter::new(setup.seed), Anchor::new(setup.wall));
        Self {
            boot: setup.boot,
            seq: 0,
            schedule: Schedule::new(setup.probe, setup.concurrency),
            beliefs: HashMap::new(),
            stalls: Stalls::default(),
            health: SelfHealth::default(),
            held: Vec::new(),
            held_since: Known::default(),
            gatherings: Gatherings::default(),
            spool: Spool::new(setup.spool, &setup.kept),
            uplink: Uplink::new(hello, setup.coordinators, jitter, anchor),
            stopping: false,
            hopeless: false,
            halted: false,
            runs: BTreeMap::new(),
            lateness: Lateness::default(),
        }
    }

    /// Takes an event; what is to be done because of it, in this order.
    pub fn step(&mut self, now: Mono, event: Event) -> Vec<Effect> {
        self.stalls.awake(now);
        let mut out = Vec::new();
        self.take(now, event, &mut out);
        if !self.stopping {
            self.advance(now, &mut out);
            out.extend(self.gatherings.begin().into_iter().map(Effect::Gather));
        }
        if !self.halted && !self.hopeless {
            out.extend(self.spool.disk(now, self.stopping).into_iter().map(Effect::Disk));
        }
        if self.stopping && !self.halted && (self.hopeless || self.spool.is_flushed()) {
            self.halted = true;
            out.push(Effect::Halt);
        }
        self.stalls.promise(self.wake(now).max(now));
        out
    }

    /// When [`Event::Time`] is wanted, if nothing else happens before.
    pub fn wake(&self, now: Mono) -> Mono {
        let spool = self.spool.wake().unwrap_or(Mono::MAX);
        if self.stopping {
            return spool;
        }
        let attention = if self.schedule.running() > 0 { now + ATTENTION } else { Mono::MAX };
        [self.schedule.wake(), self.health.wake()]
            .into_iter()
            .flatten()
            .chain([attention, spool, self.uplink.wake(now, &self.spool)])
            .fold(Mono::MAX, Mono::min)
    }

    /// Whether there is a session at present.
    pub fn has_session(&self) -> bool {
        self.uplink.session_since().is_some()
    }

    /// What the coordinators said last, unless all is well.
    pub fn complaint(&self) -> Option<&Failure> {
        self.uplink.complaint()
    }

    /// The probe's opinion of itself.
    pub fn health(&self) -> &Health {
        self.health.health()
    }

    /// What the probe tells about itself.
    pub fn figures(&self, now: Mono) -> Figures {
        Figures {
            runs: self.counted(),
            lateness: self.lateness.clone(),
            missed: self.schedule.missed(),
            checks: self.schedule.checks() as u64,
            running: self.schedule.running() as u64,
            live: self.spool.live() as u64,
            spooled: self.spool.backlog() as u64,
            dropped: self.spool.dropped(),
            session_age: self.uplink.session_since().map(|since| now.saturating_sub(since)),
            reached: self.uplink.reached(),
            round_trip: self.uplink.round_trip(),
            health: self.health.health().clone(),
            complaint: self.uplink.complaint().map(|failure| failure.to_string()),
        }
    }

    fn counted(&self) -> BTreeMap<(String, Status), u64> {
        let of = |(kind, runs): (&String, &BTreeMap<Status, u64>)| {
            let of = |(status, count): (&Status, &u64)| ((kind.clone(), *status), *count);
            runs.iter().map(of).collect::<Vec<_>>()
        };
        self.runs.iter().flat_map(of).collect()
    }

    fn take(&mut self, now: Mono, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Time => {}
            Event::Ended { run, started, ended, outcome } => {
                if let Some((run, effects)) = self.schedule.ended(now, run) {
                    out.extend(effects.into_iter().map(|effect| self.scheduled(effect)));
                    self.lateness.add(started.saturating_sub(run.due));
                    let times = Times { due: run.due, started, ended };
                    let spec::Schedule { interval, timeout, .. } = run.check.spec.schedule;
                    let outcome = judge(*outcome, &times, interval, timeout, &self.stalls);
                    self.finish(now, Finished { run, started, ended, outcome });
                }
            }
            Event::Answered { round, place, answered } => {
                self.health.answer(now, round, place, answered);
            }
            Event::Gathered { id, found } => {
                if let Some(gathered) = self.gatherings.ended(id, *found) {
                    let evidence = self.evidence(now, gathered);
                    self.spool.push_evidence(evidence);
                }
            }
            Event::Opened { attempt, answer } => self.uplink.opened(now, attempt, answer),
            Event::Reported { attempt, answer } => {
                let effects = self.uplink.reported(now, attempt, answer, &mut self.spool);
                out.extend(effects.into_iter().map(linked));
            }
            Event::Ordered { stream, order } => self.ordered(now, stream, order, out),
            Event::Silent { stream } => self.uplink.silent(now, stream),
            Event::Stored { done } => {
                self.spool.stored(now, done);
                // At the end there is no time to wait for a better disk.
                self.hopeless |= self.stopping && !done;
            }
            Event::Fetched { records } => self.spool.fetched(now, records),
            Event::Stop => self.stop(now, out),
        }
    }

    /// What is due by time alone, or by what an event has changed.
    fn advance(&mut self, now: Mono, out: &mut Vec<Effect>) {
        let due = self.schedule.time(now);
        out.extend(due.into_iter().map(|effect| self.scheduled(effect)));
        out.extend(self.health.time(now).map(Effect::Ask));
        // A look at each at every event would cost more, in an outage, than the runs.
        let known = self.health.known();
        if known != self.held_since {
            self.held_since = known;
            for held in std::mem::take(&mut self.held) {
                self.finish(now, held);
            }
        }
        let running = u32::try_from(self.schedule.checks()).unwrap_or(u32::MAX);
        let status = uplink::Status { health: self.health.health(), running };
        let effects = self.uplink.time(now, &mut self.spool, &status);
        out.extend(effects.into_iter().map(linked));
    }

    fn ordered(&mut self, now: Mono, stream: u64, order: Order, out: &mut Vec<Effect>) {
        let (task, effects) = self.uplink.order(now, stream, order, &mut self.spool);
        out.extend(effects.into_iter().map(linked));
        if self.stopping {
            return;
        }
        let effects = match task {
            Some(Task::Assign(assignment)) => {
                self.health.configure(now, &assignment.references);
                self.schedule.assign(now, assignment.checks)
            }
            Some(Task::Confirm(check, nonce)) => self.schedule.confirm(now, &check, nonce),
            None => Vec::new(),
        };
        out.extend(effects.into_iter().map(|effect| self.scheduled(effect)));
    }

    /// A run's outcome on its way to becoming an observation. A failure that would be a vote waits
    /// until the references were asked since it began: it could be the probe's own.
    fn finish(&mut self, now: Mono, finished: Finished) {
        let spec = &finished.run.check.spec;
        if matches!(finished.outcome.status, Status::Down | Status::Degraded) {
            let new = State::default();
            let state = self.beliefs.get(&spec.id).map_or(&new, |belief| &belief.state);
            if !self.health.known_since(state.failing_since(finished.started)) {
                self.health.doubt(now);
                if state.would_be_sure(&finished.outcome, spec.schedule.attempts) {
                    self.held.push(finished);
                    return;
                }
            }
        }
        self.observe(now, finished);
    }

    fn observe(&mut self, now: Mono, finished: Finished) {
        let Finished { run, started, ended, outcome } = finished;
        let spec = &run.check.spec;
        if let Some(wait) = asks_to_wait(&outcome) {
            // A check's own pace stays, or nobody would see in time that the target has gone.
            let until = ended.saturating_add(wait).min(started + spec.schedule.interval);
            self.schedule.leave_alone(&spec.id, until);
        }
        let belief = match self.beliefs.get_mut(&spec.id) {
            Some(belief) => belief,
            None => self.beliefs.entry(spec.id.clone()).or_default(),
        };
        let outcome = self.health.judge(outcome, spec.family);
        let mut outcome = match &spec.rule {
            rule @ spec::Rule::Average { .. } => {
                let average = belief.average.get_or_insert_default();
                average.step(ended, spec.schedule.interval, rule, outcome)
            }
            spec::Rule::Consecutive(_) => outcome,
        };
        let place = outcome.place.take(); // It is told to nobody.
        let meaning = belief.state.step(started, &outcome, spec.schedule.attempts);
        self.schedule.judged(now, &spec.id, meaning.next);
        let (since, memory) = (meaning.failing_since, &mut belief.evidence);
        self.gatherings.judged(now, &run.check, (&outcome, place), since, memory);
        self.count(&spec.kind, outcome.status);
        self.seq += 1;
        let anchor = self.uplink.anchor();
        let (at, clock) = anchor.moment(ended);
        let observation = Observation {
            check: spec.id.clone(),
            rev: run.check.rev,
            boot: self.boot,
            seq: self.seq,
            started: anchor.moment(started).0,
            at,
            clock,
            trigger: run.trigger,
            firmness: meaning.firmness,
            failing_since: meaning.failing_since.map(|since| anchor.moment(since).0),
            outcome,
        };
        self.spool.push(meaning.weight, observation);
    }

    fn count(&mut self, kind: &str, status: Status) {
        let runs = match self.runs.get_mut(kind) {
            Some(runs) => runs,
            None => self.runs.entry(kind.to_owned()).or_default(),
        };
        *runs.entry(status).or_default() += 1;
    }

    fn evidence(&self, now: Mono, gathered: Gathered) -> Evidence {
        let Gathered { check, number, failing_since, found } = gathered;
        let anchor = self.uplink.anchor();
        Evidence {
            check: check.spec.id.clone(),
            rev: check.rev,
            boot: self.boot,
            number,
            failing_since: anchor.moment(failing_since).0,
            at: anchor.moment(now).0,
            found,
        }
    }

    fn stop(&mut self, now: Mono, out: &mut Vec<Effect>) {
        for mut held in std::mem::take(&mut self.held) {
            let why = "the probe stopped before it knew whether it was fit";
            held.outcome = withheld(held.outcome, Cause::ProbeUnfit, why);
            self.observe(now, held);
        }
        self.stopping = true;
        let effects = self.schedule.stop();
        out.extend(effects.into_iter().map(|effect| self.scheduled(effect)));
        self.uplink.stop(&mut self.spool);
        out.push(Effect::Link(uplink::Effect::Hush));
    }

    fn scheduled(&mut self, effect: schedule::Effect) -> Effect {
        match effect {
            schedule::Effect::Start(run) => Effect::Run(run),
            schedule::Effect::Cancel(run) => Effect::Cancel(run),
            schedule::Effect::Forget(check) => {
                self.beliefs.remove(&check);
                self.gatherings.forget(&check);
                self.held.retain(|held| held.run.check.spec.id != check);
                Effect::Forget(check)
            }
        }
    }
}

/// For how long the target asks to be left alone.
fn asks_to_wait(outcome: &Outcome) -> Option<Duration> {
    Duration::try_from_secs_f64(*outcome.values.get(RETRY_AFTER)?).ok()
}

fn linked(effect: uplink::Effect) -> Effect {
    match effect {
        uplink::Effect::Disk(op) => Effect::Disk(op),
        effect => Effect::Link(effect),
    }
}

#[cfg(test)]
mod tests;
