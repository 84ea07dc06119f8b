//! The machines that probes run on. The probe itself is the production state machine, as in tier 1;
//! this is its shell: its runs find the truth, its references answer, and its disk stays when its
//! process dies.

use std::collections::BTreeSet;
use std::time::Duration;

use crosscheck_model::{Cause, Outcome, ProbeId, SiteId, Status};
use crosscheck_probe::health::{Reference, Round};
use crosscheck_probe::probe::{Effect, Event};
use crosscheck_probe::schedule::Run;
use crosscheck_probe::spool::DiskOp;

use super::coverage::{EDITED, run_name};
use super::lines::{Lines, identities};
use super::plan::SITES;
use super::world::World;
use crate::cluster::record::Identity;
use crate::sim::process::{Given, Process};
use crate::sim::random::Random;

/// The first start of a process; the others follow, this far apart.
const FIRST: (Duration, Duration) = (Duration::from_secs(8), Duration::from_millis(130));
/// Of the configuration that a world begins with.
const FIRST_REVISION: u64 = 1;
/// More than are seen in a world.
const SPOOL: usize = 10_000;
/// How long a disk takes.
const DISK: Duration = Duration::from_millis(5);
/// From the end of a process that was asked to end to the start of the next.
const RESTART: Duration = Duration::from_secs(1);
/// How far wall clocks are ahead, in milliseconds: nothing that is said may depend on them.
const SKEWS: [i64; 5] = [0, 3_600_000, -3_600_000, 31_536_000_000, -31_536_000_000];

pub(super) struct Host {
    pub(super) id: ProbeId,
    site: SiteId,
    skew: i64,
    pub(super) process: Process,
    /// The seats of the coordinators that it is told of, in the order in which it turns to them.
    pub(super) coordinators: Vec<usize>,
    pub(super) lines: Lines,
    /// What coordinators have told to be taken.
    pub(super) acknowledged: BTreeSet<Identity>,
    /// What came to its disk.
    pub(super) kept: BTreeSet<Identity>,
    pub(super) random: Random,
}

impl Host {
    pub(super) fn all(seed: u64) -> Vec<Self> {
        let host = |index: usize| Self {
            id: ProbeId::new(format!("p{index}")),
            site: SiteId::new(format!("s{index}")),
            skew: SKEWS[index % SKEWS.len()],
            process: Process::new(1000 * (index as u64 + 1), Random::new(seed, 100 + index as u64)),
            coordinators: Vec::new(),
            lines: Lines::default(),
            acknowledged: BTreeSet::new(),
            kept: BTreeSet::new(),
            random: Random::new(seed, 200 + index as u64),
        };
        (0..SITES.len()).map(host).collect()
    }
}

impl World {
    pub(super) fn begin_probes(&mut self) {
        for index in 0..self.hosts.len() {
            let (first, gap) = FIRST;
            let gaps = u32::try_from(index).unwrap_or(u32::MAX);
            self.after(first + gap * gaps, move |world| world.start_host(index));
        }
    }

    /// Starts a process that has not been started meanwhile, with the coordinators of the day.
    pub(super) fn start_host(&mut self, index: usize) {
        if self.hosts[index].process.runs() {
            return;
        }
        let wall = self.true_time().as_millis();
        let coordinators = self.coordinators_for(index);
        let now = self.now;
        let host = &mut self.hosts[index];
        let given = Given {
            probe: host.id.clone(),
            site: host.site.clone(),
            coordinators: coordinators.len(),
            spool: SPOOL,
            wall: crosscheck_model::Timestamp::from_millis(wall.saturating_add_signed(host.skew)),
        };
        host.coordinators = coordinators;
        host.process.start(now, given);
        self.step_host(index, Event::Time);
    }

    /// All that belong, each probe's own first, so that not all turn to the same one.
    fn coordinators_for(&self, index: usize) -> Vec<usize> {
        let belonging = self.seats.iter().filter(|seat| seat.belongs());
        let mut seats: Vec<usize> = belonging.map(|seat| seat.index).collect();
        let own = index % seats.len().max(1);
        seats.rotate_left(own);
        seats
    }

    /// Whoever runs a probe tells it of the coordinators that there are now, one after the other: it
    /// ends well and starts again.
    pub(super) fn tell_probes_of_members(&mut self) {
        for index in 0..self.hosts.len() {
            let wait = self.hosts[index].random.secs(2, 40);
            self.after(wait, move |world| {
                let host = &world.hosts[index];
                if host.process.runs() && host.coordinators != world.coordinators_for(index) {
                    world.tell(format!("probe {index} is told of other coordinators"));
                    world.step_host(index, Event::Stop);
                }
            });
        }
    }

    /// The process ends at once; its disk stays.
    pub(super) fn kill_host(&mut self, index: usize) {
        self.hosts[index].process.kill(false);
        self.hosts[index].lines.hang_up();
    }

    /// Something happens to the process that was alive when it was arranged.
    pub(super) fn tell_host(&mut self, index: usize, life: u64, event: Event) {
        if self.hosts[index].process.life() == life {
            self.step_host(index, event);
        }
    }

    pub(super) fn tell_host_after(&mut self, delay: Duration, index: usize, event: Event) {
        let life = self.hosts[index].process.life();
        self.after(delay, move |world| world.tell_host(index, life, event));
    }

    fn step_host(&mut self, index: usize, event: Event) {
        let now = self.now;
        for effect in self.hosts[index].process.step(now, event) {
            self.carry_out(index, effect);
        }
        let process = &mut self.hosts[index].process;
        if let Some(wake) = process.alarm(now) {
            let life = process.life();
            self.after(wake - now, move |world| {
                if world.hosts[index].process.wakes(life, wake) {
                    world.step_host(index, Event::Time);
                }
            });
        }
    }

    fn carry_out(&mut self, index: usize, effect: Effect) {
        match effect {
            Effect::Run(run) => self.run_check(index, &run),
            Effect::Cancel(run) => self.hosts[index].process.run_cancelled(run),
            Effect::Forget(_) => {}
            Effect::Gather(gathering) => {
                // What stands in evidence decides nothing.
                let took = self.hosts[index].random.millis(50, 7_000);
                let event = Event::Gathered { id: gathering.id, found: Box::default() };
                self.tell_host_after(took, index, event);
            }
            Effect::Ask(round) => self.ask(index, &round),
            Effect::Link(effect) => self.talk(index, effect),
            Effect::Disk(op) => self.use_disk(index, op),
            Effect::Halt => {
                self.kill_host(index);
                self.after(RESTART, move |world| world.start_host(index));
            }
        }
    }

    /// A run finds what is true when it begins.
    fn run_check(&mut self, index: usize, run: &Run) {
        let id = run.check.spec.id.as_str();
        let number = id.strip_prefix("check ").and_then(|number| number.parse().ok());
        let Some(check) = number else { return };
        let is_down = self.truth.is_down(check, self.now);
        let outcome = match is_down {
            true => Outcome::new(Status::Down, Some(Cause::Refused), "refused"),
            false => Outcome::new(Status::Up, None, ""),
        };
        self.note_run(index, run);
        let host = &mut self.hosts[index];
        let took = host.random.millis(5, 200);
        host.process.run_begins(run.id);
        let (run, life, started) = (run.id, host.process.life(), host.process.mono(self.now));
        self.after(took, move |world| {
            let process = &mut world.hosts[index].process;
            if process.run_ends(life, run) {
                let (ended, outcome) = (process.mono(world.now), Box::new(outcome));
                world.step_host(index, Event::Ended { run, started, ended, outcome });
            }
        });
    }

    fn note_run(&mut self, index: usize, run: &Run) {
        let (id, rev) = (&run.check.spec.id, run.check.rev);
        let what = format!("probe {index} runs {id} of {rev}: {:?}", run.trigger);
        let mut ground = self.ground.lock();
        ground.trace.mix(self.now, &what);
        ground.coverage.hit(&run_name(run.trigger));
        if rev > FIRST_REVISION {
            ground.coverage.hit(EDITED);
        }
    }

    /// The world is well: all answer but the one that must not.
    fn ask(&mut self, index: usize, round: &Round) {
        for (place, reference) in round.references.iter().enumerate() {
            let answered = !matches!(reference, Reference::MustFail { .. });
            let delay = self.hosts[index].random.millis(10, 400);
            let event = Event::Answered { round: round.id, place, answered: answered.into() };
            self.tell_host_after(delay, index, event);
        }
    }

    fn use_disk(&mut self, index: usize, op: DiskOp) {
        let host = &mut self.hosts[index];
        if let DiskOp::Append(records) = &op {
            let observations = records.iter().map(|record| &record.observation);
            host.kept.extend(identities(&host.id, observations));
        }
        if let Some(answer) = host.process.use_disk(op, false) {
            self.tell_host_after(DISK, index, answer);
        }
    }
}
