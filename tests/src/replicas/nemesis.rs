//! What goes wrong and when, until everything heals.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::fault::Fault;
use super::ground::Life;
use super::seat::Seat;
use super::world::World;
use crate::sim::random::Random;

/// Between two faults.
const PAUSE_SECONDS: (u64, u64) = (8, 30);
/// The first fault.
const CALM: Duration = Duration::from_secs(15);
/// A day, in milliseconds.
const DAY_MS: i64 = 86_400_000;
/// A log shorter than this has no middle worth a damage.
const LEAST_ENTRIES: i64 = 8;

type Act = Box<dyn FnOnce(&mut World)>;

/// What happens when; at the same moment, in the order of arranging.
#[derive(Default)]
pub(super) struct Agenda {
    acts: BTreeMap<(Duration, u64), Act>,
    order: u64,
}

impl Agenda {
    pub(super) fn due(&mut self, now: Duration) -> Option<Act> {
        let (at, _) = *self.acts.first_key_value()?.0;
        if at > now { None } else { self.acts.pop_first().map(|(_, act)| act) }
    }
}

impl World {
    pub(super) fn after(&mut self, delay: Duration, act: impl FnOnce(&mut Self) + 'static) {
        self.agenda.order += 1;
        self.agenda.acts.insert((self.now + delay, self.agenda.order), Box::new(act));
    }

    pub(super) fn chance<T>(&mut self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.ground.lock().random)
    }

    pub(super) fn begin_nemesis(&mut self) {
        if !self.plan.faults.is_empty() {
            self.after(CALM, Self::next_fault);
        }
        if let Some((from, to)) = self.plan.lost {
            self.after(from, move |world| world.lose_follower(to - from));
        }
        if self.plan.has(Fault::ClockOff) {
            // One of three, or one of five: a minority.
            let seat = self.chance(|random| random.below(3));
            let days = self.chance(|random| random.pick(&[-DAY_MS, DAY_MS]));
            self.seats[seat].ahead_ms.store(days, Ordering::Relaxed);
            self.ground.lock().coverage.fault(Fault::ClockOff);
        }
    }

    /// One that does not lead dies, and is away for long.
    fn lose_follower(&mut self, time: Duration) {
        let leader = self.leader();
        let other = self.seats.iter().find(|seat| leader.is_some_and(|it| it != seat.node));
        if let Some(seat) = other.map(|seat| seat.index) {
            self.crash_by(Fault::Crash, seat, time);
        }
    }

    fn next_fault(&mut self) {
        if self.healing {
            return;
        }
        let faults: Vec<Fault> = self.plan.faults.iter().copied().collect();
        let fault = self.chance(|random| random.pick(&faults));
        self.strike(fault);
        let (from, to) = match faults.len() {
            // Leaders that die must not be all that there is to see.
            1 => (40, 70),
            _ => PAUSE_SECONDS,
        };
        let pause = self.chance(|random| random.secs(from, to));
        self.after(pause, Self::next_fault);
    }

    fn strike(&mut self, fault: Fault) {
        let time = self.chance(|random| random.secs(2, 45));
        let any = self.chance(|random| random.below(64)) % self.seats.len();
        match fault {
            Fault::Crash => self.crash_by(fault, any, time),
            Fault::LeaderCrash => {
                if let Some(seat) = self.leading_seat() {
                    self.crash_by(fault, seat, time.min(Duration::from_secs(20)));
                }
            }
            Fault::AllCrash => {
                (0..self.seats.len()).for_each(|seat| self.crash_by(fault, seat, time));
            }
            Fault::Pause => self.pause(fault, any),
            Fault::LeaderPause => {
                if let Some(seat) = self.leading_seat() {
                    self.pause(fault, seat);
                }
            }
            Fault::OneWayCut | Fault::Isolation | Fault::Partition => self.cut(fault, any, time),
            Fault::Swizzle => self.swizzle(),
            Fault::Loss => self.for_a_while(time, |world| world.ground.lock().network.loss = 100),
            Fault::Delay => self.for_a_while(time, |world| world.ground.lock().network.slow = 150),
            Fault::Duplicate => {
                self.for_a_while(time, |world| world.ground.lock().network.duplicates = 150);
            }
            Fault::SlowDisk => {
                self.count(fault);
                self.ground.lock().slow = vec![any];
                self.after(time, |world| world.ground.lock().slow.clear());
            }
            Fault::MailRetry
            | Fault::MailRefused
            | Fault::MailHang
            | Fault::MailAmbiguous
            | Fault::MailBroken => {
                self.ground.lock().sink.trouble = Some(fault);
                self.after(time * 2, |world| world.ground.lock().sink.trouble = None);
            }
            Fault::MemberAdded => {
                if self.members.is_idle() {
                    self.let_in();
                }
            }
            Fault::MemberRemoved => self.take_out_any(any),
            Fault::LogDamaged => self.damage(any),
            Fault::Edit => self.edit(),
            Fault::ProbeCrash => self.crash_probe(time),
            Fault::ProbeCut => self.cut_probe(time),
            // By themselves, or from the beginning.
            Fault::SnapshotInstalled | Fault::KilledWhileSending | Fault::ClockOff => {}
        }
    }

    fn count(&mut self, fault: Fault) {
        self.ground.lock().coverage.fault(fault);
    }

    fn leading_seat(&self) -> Option<usize> {
        let leader = self.leader()?;
        self.seats.iter().find(|seat| seat.node == leader).map(|seat| seat.index)
    }

    fn crash_by(&mut self, fault: Fault, seat: usize, time: Duration) {
        if self.seats[seat].running.is_some() {
            self.count(fault);
            self.tell(format!("{fault:?} of seat {seat} for {} s", time.as_secs()));
            self.crash(seat, time);
        }
    }

    /// The process dies, and starts again after a while.
    pub(super) fn crash(&mut self, seat: usize, time: Duration) {
        self.seats[seat].kill();
        let life = self.seats[seat].life;
        self.after(time, move |world| {
            if world.seats[seat].life == life && world.seats[seat].running.is_none() {
                world.start(seat);
            }
        });
    }

    /// Just after it has promised something to another, a process may die: what it has promised must
    /// be on its disk.
    pub(super) fn perhaps_die_of_answering(&mut self, who: Life, path: &str) {
        let per_thousand = match path {
            "vote" => 150,
            "append" => 2,
            _ => 0,
        };
        let armed = self.plan.has(Fault::Crash) && !self.healing && self.is_alive(who);
        if armed && self.chance(|random| random.chance(per_thousand)) {
            let time = self.chance(|random| random.secs(2, 20));
            self.tell(format!("seat {} has just answered to {path}", who.seat));
            self.crash_by(Fault::Crash, who.seat, time);
        }
    }

    /// Starts a seat's process, unless it has no place in the cluster any more.
    pub(super) fn start(&mut self, seat: usize) {
        if self.seats[seat].removed || self.seats[seat].damaged {
            return;
        }
        if let Err(what) = self.promises.hold(&self.seats[seat]) {
            return self.fail("I15 kept", what);
        }
        let acquaintances = self.acquaintances(seat);
        let (ground, every) = (self.ground.clone(), self.plan.snapshot_every);
        let is_first = self.seats[seat].life == 0 && seat < self.plan.founders;
        match self.seats[seat].start(&ground, acquaintances, every) {
            Ok(()) if is_first => {}
            Ok(()) => {
                self.tell(format!("seat {seat} starts"));
                self.seats[seat].give(Box::new(|member| {
                    let replica = member.replica().clone();
                    Box::pin(async move { replica.ask_for_admission() })
                }));
            }
            Err(reason) => self.fail("I15 kept", format!("seat {seat} does not start: {reason}")),
        }
    }

    fn pause(&mut self, fault: Fault, seat: usize) {
        if !self.seats[seat].works() {
            return;
        }
        let time = self.chance(|random| match random.below(3) {
            0 => random.secs(1, 5),
            1 => random.secs(5, 30),
            _ => random.secs(30, 300),
        });
        self.count(fault);
        self.tell(format!("{fault:?} of seat {seat} for {} s", time.as_secs()));
        self.seats[seat].paused = true;
        let life = self.seats[seat].life;
        self.after(time, move |world| {
            if world.seats[seat].life == life && world.seats[seat].paused {
                world.seats[seat].paused = false;
                world.tell(format!("seat {seat} goes on"));
            }
        });
    }

    fn for_a_while(&mut self, time: Duration, begin: impl FnOnce(&mut Self)) {
        begin(self);
        self.after(time, |world| {
            let network = &mut world.ground.lock().network;
            (network.loss, network.slow, network.duplicates) = (0, 0, 0);
        });
    }

    fn cut(&mut self, fault: Fault, seat: usize, time: Duration) {
        let seats: Vec<usize> = (0..self.seats.len()).collect();
        let sides = self.chance(|random| random.next());
        let other = self.chance(|random| random.below(64)) % seats.len();
        let apart = |from: usize, to: usize| match fault {
            Fault::OneWayCut => (from, to) == (seat, other),
            Fault::Isolation => from == seat || to == seat,
            _ => (sides >> from ^ sides >> to) & 1 == 1,
        };
        let pairs = seats.iter().flat_map(|from| seats.iter().map(move |to| (*from, *to)));
        let cuts: Vec<(usize, usize)> =
            pairs.filter(|(from, to)| from != to && apart(*from, *to)).collect();
        self.count(fault);
        self.tell(format!("{fault:?}: {cuts:?} for {} s", time.as_secs()));
        self.ground.lock().network.cuts.extend(cuts.iter().copied());
        self.after(time, move |world| {
            world.tell(format!("no {fault:?} any more"));
            let mut ground = world.ground.lock();
            cuts.iter().for_each(|link| {
                ground.network.cuts.remove(link);
            });
        });
    }

    fn swizzle(&mut self) {
        self.count(Fault::Swizzle);
        let count = self.seats.len();
        for from in 0..count {
            for to in (0..count).filter(|to| *to != from) {
                if self.chance(|random| random.chance(600)) {
                    let (begins, lasts) =
                        self.chance(|random| (random.secs(0, 5), random.secs(1, 12)));
                    self.after(begins, move |world| {
                        let until = world.now + lasts;
                        if !world.healing {
                            world.ground.lock().network.clogged.insert((from, to), until);
                        }
                    });
                }
            }
        }
    }

    fn take_out_any(&mut self, any: usize) {
        let belonging = self.seats.iter().filter(|seat| seat.belongs()).count();
        let fit = self.seats[any].belongs() && belonging > 3;
        if fit && self.members.is_idle() {
            self.take_out(any);
        }
    }

    fn edit(&mut self) {
        let mut config = self.plan.config.clone();
        let (check, hold, timeout) = self.chance(|random| {
            (random.below(super::plan::CHECKS), random.secs(30, 60), random.secs(5, 7))
        });
        config.checks[check].recovery_hold = hold;
        // What a run asks has changed, so votes of before do not count.
        config.checks[check].schedule.timeout = timeout;
        self.count(Fault::Edit);
        self.configure(config);
    }

    fn crash_probe(&mut self, time: Duration) {
        let index = self.any_probe();
        if self.hosts[index].process.runs() {
            self.count(Fault::ProbeCrash);
            self.tell(format!("probe {index} dies for {} s", time.as_secs()));
            self.kill_host(index);
            self.after(time, move |world| world.start_host(index));
        }
    }

    fn any_probe(&mut self) -> usize {
        let count = self.hosts.len();
        self.chance(|random| random.below(count))
    }

    fn cut_probe(&mut self, time: Duration) {
        let index = self.any_probe();
        let ways = [(true, true), (true, true), (true, false), (false, true)];
        let (is_cut, is_deaf) = self.chance(|random| random.pick(&ways));
        self.count(Fault::ProbeCut);
        let what = match (is_cut, is_deaf) {
            (true, true) => "is cut off",
            (true, false) => "is not heard",
            _ => "hears nobody",
        };
        self.tell(format!("probe {index} {what} for {} s", time.as_secs()));
        let lines = &mut self.hosts[index].lines;
        (lines.is_cut, lines.is_deaf) = (is_cut, is_deaf);
        self.after(time, move |world| world.join_probe(index));
    }

    /// Nothing is in a probe's way any more.
    fn join_probe(&mut self, index: usize) {
        let lines = &mut self.hosts[index].lines;
        (lines.is_cut, lines.is_deaf) = (false, false);
    }

    /// A record in the middle of a log is damaged: the node must not start, and be replaced.
    fn damage(&mut self, seat: usize) {
        let healthy = self.seats.iter().filter(|seat| seat.works() && seat.belongs()).count();
        let is_fit = self.seats[seat].works() && self.seats[seat].belongs();
        let replaced_before = self.seats.iter().any(|seat| seat.damaged);
        if !is_fit || replaced_before || healthy < 3 || !self.members.is_idle() {
            return;
        }
        self.seats[seat].kill();
        if !spoil(&self.seats[seat]) {
            return self.crash(seat, Duration::from_secs(1));
        }
        self.count(Fault::LogDamaged);
        self.tell(format!("the log of seat {seat} is damaged"));
        let ground = self.ground.clone();
        let (acquaintances, every) = (self.acquaintances(seat), self.plan.snapshot_every);
        if self.seats[seat].start(&ground, acquaintances, every).is_ok() {
            let what = format!("seat {seat} starts with a damaged log");
            return self.fail("I15 kept", what);
        }
        self.seats[seat].damaged = true;
        self.take_out(seat);
        self.let_in();
    }

    /// Everything is well from now on.
    pub(super) fn heal(&mut self) {
        self.tell("all heals".to_owned());
        self.healing = true;
        {
            let mut ground = self.ground.lock();
            ground.healing = true;
            ground.network.heal();
            ground.slow.clear();
            ground.sink.trouble = None;
        }
        for seat in 0..self.seats.len() {
            self.seats[seat].ahead_ms.store(0, Ordering::Relaxed);
            self.seats[seat].paused = false;
            if self.seats[seat].removed && self.seats[seat].running.is_some() {
                self.seats[seat].kill();
            } else if self.seats[seat].running.is_none() {
                self.start(seat);
            }
        }
        for index in 0..self.hosts.len() {
            self.join_probe(index);
            self.start_host(index);
        }
    }
}

/// Changes a byte of an entry in the middle of the log; whether there is one.
fn spoil(seat: &Seat) -> bool {
    let spoilt = || -> rusqlite::Result<bool> {
        let db = Connection::open(seat.data.join("log.db"))?;
        let (first, last): (Option<i64>, Option<i64>) =
            db.query_row("SELECT MIN(idx), MAX(idx) FROM entry", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let (Some(first), Some(last)) = (first, last) else { return Ok(false) };
        if last - first < LEAST_ENTRIES {
            return Ok(false);
        }
        let middle = i64::midpoint(first, last);
        let sql = "SELECT record FROM entry WHERE idx = ?1";
        let mut record: Vec<u8> = db.query_row(sql, [middle], |row| row.get(0))?;
        let at = record.len() / 2;
        record[at] ^= 0x10;
        db.execute("UPDATE entry SET record = ?1 WHERE idx = ?2", params![record, middle])?;
        Ok(true)
    };
    spoilt().expect("the log's file can be changed")
}
