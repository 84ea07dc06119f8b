//! The machines that probes run on: process, disk, and what a run finds. The probe itself is the
//! production state machine; this is its shell.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_model::observation::RETRY_AFTER;
use crosscheck_model::wire::Report;
use crosscheck_model::{Cause, CheckSpec, Family, Outcome, ProbeId, SiteId, Status};
use crosscheck_probe::health::{Reference, Round};
use crosscheck_probe::probe::{Effect, Event};
use crosscheck_probe::schedule::Run;
use crosscheck_probe::spool::DiskOp;

use super::fault::Fault;
use super::plan::{Plan, RESOLVERS};
use super::process::{Given, Process};
use super::random::Random;
use super::target::{Mode, hang, look, outcome};
use super::world::World;

/// What a lying probe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    Up,
    Down,
    Anything,
    /// What it found first.
    Stale,
}

/// What is wrong with a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) cut_out: bool,
    pub(super) cut_back: bool,
    pub(super) cut_targets: bool,
    /// Cut from this coordinator only.
    pub(super) cut_node: Option<usize>,
    pub(super) delay: bool,
    pub(super) loss: bool,
    pub(super) duplicate: bool,
    pub(super) clogged: bool,
    pub(super) drip: bool,
    pub(super) replay: bool,
    pub(super) resolver: bool,
    pub(super) v6: bool,
    pub(super) references: bool,
    pub(super) portal: bool,
    pub(super) disk: bool,
    pub(super) paused: bool,
    /// Its process dies again and again.
    pub(super) crashes: bool,
    /// None of its runs ends.
    pub(super) stuck: bool,
    pub(super) lie: Option<Lie>,
}

pub(super) struct Host {
    pub(super) id: ProbeId,
    pub(super) site: SiteId,
    pub(super) carrier: char,
    pub(super) region: char,
    pub(super) process: Process,
    pub(super) trouble: Trouble,
    /// When its trouble, or its process, changed last.
    pub(super) changed: Duration,
    /// When it began to lie as it does.
    pub(super) lied_since: Duration,
    /// What a stale liar found first, by check.
    pub(super) found_first: BTreeMap<usize, (Outcome, Duration)>,
    /// Added to its wall clock, in milliseconds.
    pub(super) wall_jump: i64,
    /// Until then its line is taken by the messages before.
    pub(super) line_free: Duration,
    /// The newest report that it sent.
    pub(super) reported: Option<Report>,
    paused_until: Duration,
    /// The checks whose targets asked this process to be left alone: of which revision, until when.
    pub(super) left_alone: BTreeMap<usize, (u64, Duration)>,
    random: Random,
}

impl Host {
    pub(super) fn all(plan: &Plan) -> Vec<Self> {
        let seed = |index: usize| Random::new(plan.seed, 100 + index as u64);
        let places = plan.carriers.chars().zip(plan.regions.chars());
        let host = |(index, (carrier, region)): (usize, (char, char))| Self {
            id: ProbeId::new(format!("p{index}")),
            site: SiteId::new(format!("s{index}")),
            carrier,
            region,
            process: Process::new(1000 * (index as u64 + 1), seed(index)),
            trouble: Trouble::default(),
            changed: Duration::ZERO,
            lied_since: Duration::ZERO,
            found_first: BTreeMap::new(),
            wall_jump: 0,
            line_free: Duration::ZERO,
            reported: None,
            paused_until: Duration::ZERO,
            left_alone: BTreeMap::new(),
            random: Random::new(plan.seed, 200 + index as u64),
        };
        places.enumerate().map(host).collect()
    }

    /// Nothing is wrong with it, and its process runs.
    pub(super) fn is_well(&self) -> bool {
        self.trouble == Trouble::default() && self.process.runs()
    }
}

impl World {
    pub(super) fn start_host(&mut self, index: usize) {
        let skews = [0, 3_600_000, -3_600_000, 31_536_000_000, -31_536_000_000];
        let shift =
            if index.is_multiple_of(2) { self.plan.wall_shift } else { -self.plan.wall_shift };
        let skew: i64 = skews[index % skews.len()] + self.hosts[index].wall_jump + shift;
        let wall = self.plan.start.as_millis().saturating_add_signed(skew)
            + u64::try_from(self.now.as_millis()).unwrap_or(0);
        let (now, spool) = (self.now, self.plan.spool);
        let host = &mut self.hosts[index];
        host.changed = now;
        host.left_alone.clear();
        let given = Given {
            probe: host.id.clone(),
            site: host.site.clone(),
            coordinators: 3,
            spool,
            wall: crosscheck_model::Timestamp::from_millis(wall),
        };
        host.process.start(now, given);
        self.step_host(index, Event::Time);
    }

    /// The process ends at once.
    pub(super) fn kill_host(&mut self, index: usize, with_disk: bool) {
        self.note_losses(index);
        let now = self.now;
        let host = &mut self.hosts[index];
        host.process.kill(with_disk);
        host.changed = now;
        self.network.forget_streams(index);
    }

    /// Whether its spool was full, ever since its start.
    pub(super) fn note_losses(&mut self, index: usize) {
        let figures = self.hosts[index].process.figures(self.now);
        if figures.is_some_and(|figures| figures.dropped > 0) {
            self.coverage.fault(Fault::SpoolFull);
        }
    }

    /// Something happens to the process that was alive when it was arranged.
    pub(super) fn tell_host(&mut self, index: usize, life: u64, event: Event) {
        if self.hosts[index].process.life() != life {
            return;
        }
        let paused_until = self.hosts[index].paused_until;
        if self.now < paused_until {
            let wait = paused_until - self.now;
            self.after(wait, "resume", move |world| world.tell_host(index, life, event));
            return;
        }
        self.step_host(index, event);
    }

    pub(super) fn tell_host_after(&mut self, delay: Duration, index: usize, event: Event) {
        let life = self.hosts[index].process.life();
        self.after(delay, "host", move |world| world.tell_host(index, life, event));
    }

    pub(super) fn pause_host(&mut self, index: usize, time: Duration) {
        let host = &mut self.hosts[index];
        host.paused_until = self.now + time;
        host.changed = self.now;
    }

    fn step_host(&mut self, index: usize, event: Event) {
        let now = self.now;
        for effect in self.hosts[index].process.step(now, event) {
            self.carry_out(index, effect);
        }
        let process = &mut self.hosts[index].process;
        let Some(wake) = process.alarm(now) else { return };
        let life = process.life();
        self.after(wake - now, "wake", move |world| {
            if world.hosts[index].process.wakes(life, wake) {
                world.tell_host(index, life, Event::Time);
            }
        });
    }

    fn carry_out(&mut self, index: usize, effect: Effect) {
        match effect {
            Effect::Run(run) => self.run_check(index, &run),
            Effect::Cancel(run) => self.hosts[index].process.run_cancelled(run),
            Effect::Forget(_) => {}
            Effect::Gather(gathering) => self.look_into(index, gathering.id),
            Effect::Ask(round) => self.ask(index, &round),
            Effect::Link(effect) => self.talk(index, effect),
            Effect::Disk(op) => self.use_disk(index, op),
            Effect::Halt => {
                self.kill_host(index, false);
                let pause = self.random.secs(1, 30);
                self.after(pause, "start", move |world| world.start_host(index));
            }
        }
    }

    /// Evidence takes its time, and is told or lost as everything else; what stands in it decides
    /// nothing.
    fn look_into(&mut self, index: usize, id: u64) {
        let took = Duration::from_millis(50 + id * 977 % 7_000);
        self.tell_host_after(took, index, Event::Gathered { id, found: Box::default() });
    }

    fn run_check(&mut self, index: usize, run: &Run) {
        let spec = &run.check.spec;
        let Some(check) = self.check_index(&spec.id) else { return };
        self.counts.runs += 1;
        self.check(|checker, view| checker.run(view, index, &run.check));
        let host = &mut self.hosts[index];
        host.process.run_begins(run.id);
        if host.trouble.stuck {
            return;
        }
        let (outcome, took) = self.find(index, check, spec);
        let ends = self.now + took;
        let pace = self.now + spec.schedule.interval;
        let host = &mut self.hosts[index];
        if let Some(wait) = outcome.values.get(RETRY_AFTER) {
            let until = (ends + Duration::from_secs_f64(*wait)).min(pace);
            host.left_alone.insert(check, (run.check.rev, until));
        }
        let (run, life, started) = (run.id, host.process.life(), host.process.mono(self.now));
        self.after(took, "ran", move |world| {
            let host = &mut world.hosts[index];
            if host.process.run_ends(life, run) {
                // A process that stood still notices the end late.
                let ended = host.process.mono(world.now.max(host.paused_until));
                let outcome = Box::new(outcome);
                world.tell_host(index, life, Event::Ended { run, started, ended, outcome });
            }
        });
    }

    /// What a run from here finds now.
    fn find(&mut self, index: usize, check: usize, spec: &CheckSpec) -> (Outcome, Duration) {
        let (now, target, timeout) = (self.now, self.targets[check], spec.schedule.timeout);
        let noise = !self.is_one_domain() && self.plan.has(Fault::Noise) && !self.healing;
        let host = &mut self.hosts[index];
        let brief = host.random.millis(5, 200);
        let lie = match host.trouble.lie {
            Some(Lie::Anything) if host.random.chance(500) => Some(Lie::Up),
            Some(Lie::Anything) => Some(Lie::Down),
            lie => lie,
        };
        match lie {
            Some(Lie::Down) => return (outcome(Status::Down, Some(Cause::Refused)), brief),
            Some(Lie::Up | Lie::Anything) => return (outcome(Status::Up, None), brief),
            Some(Lie::Stale) => {
                let (carrier, random) = (host.carrier, &mut host.random);
                let first = || look(target, now, carrier, timeout, random);
                return host.found_first.entry(check).or_insert_with(first).clone();
            }
            None => {}
        }
        if host.trouble.portal {
            return (outcome(Status::Up, None), brief);
        }
        let trouble = host.trouble;
        if trouble.cut_targets || trouble.references || trouble.v6 && spec.family == Family::V6 {
            return hang(timeout);
        }
        if trouble.resolver && host.random.chance(500) {
            return (outcome(Status::Down, Some(Cause::DnsTimeout)), timeout / 2);
        }
        if noise && host.random.chance(5) {
            self.coverage.fault(Fault::Noise);
            return (outcome(Status::Down, Some(Cause::Reset)), brief);
        }
        look(target, now, host.carrier, timeout, &mut host.random)
    }

    fn ask(&mut self, index: usize, round: &Round) {
        let trouble = self.hosts[index].trouble;
        // All at once: which of several answers comes first decides nothing.
        let delay = self.hosts[index].random.millis(10, 400);
        let answer = |reference: &Reference| match reference {
            Reference::MustFail { .. } => trouble.portal,
            _ if trouble.portal => true,
            Reference::Connect { family: Family::V6, .. } => !trouble.references && !trouble.v6,
            Reference::Connect { .. } => !trouble.references,
            Reference::Name { resolver, .. } => {
                let is_lost = trouble.resolver && resolver.as_deref() == Some(RESOLVERS[0]);
                !trouble.references && !is_lost
            }
        };
        for (place, reference) in round.references.iter().enumerate() {
            let answered = answer(reference).into();
            let event = Event::Answered { round: round.id, place, answered };
            self.tell_host_after(delay, index, event);
        }
    }

    fn use_disk(&mut self, index: usize, op: DiskOp) {
        let host = &mut self.hosts[index];
        if let Some(answer) = host.process.use_disk(op, host.trouble.disk) {
            self.tell_host_after(Duration::from_millis(5), index, answer);
        }
    }

    pub(super) fn check_index(&self, id: &crosscheck_model::CheckId) -> Option<usize> {
        id.as_str().strip_prefix("check ")?.parse().ok()
    }

    /// Whether the target of this number fails for everyone, since when.
    pub(super) fn dead_since(&self, check: usize) -> Option<Duration> {
        let target = self.targets[check];
        target.mode.is_dead().then_some(target.since)
    }

    pub(super) fn set_target(&mut self, check: usize, mode: Mode) {
        let target = &mut self.targets[check];
        if target.mode != mode {
            (target.mode, target.since) = (mode, self.now);
            self.tell(format!("target {check} is {mode:?}"));
        }
    }
}
