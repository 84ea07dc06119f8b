//! The lines between probes and coordinators: requests with their answers, and streams of orders.
//! What is asked for is answered by the production gate of the coordinator that it comes to, within
//! its process: when that dies or stands still, so does the answer.

use std::sync::Arc;
use std::time::Duration;

use crosscheck_model::wire::{Order, Receipt, Refusal, Report, Welcome};
use crosscheck_model::{Observation, ProbeId};
use crosscheck_probe::probe::Event;
use crosscheck_probe::uplink::{Effect, Failure, OPEN_TIMEOUT, REPORT_TIMEOUT};
use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable};

use super::ground::Word;
use super::seat::Job;
use super::world::World;
use crate::cluster::record::Identity;

/// How long a message takes, in milliseconds; at least as long as a turn.
const TAKES_MS: (u64, u64) = (10, 60);

/// A probe's process: its machine, and its life there.
pub(super) type Caller = (usize, u64);

/// What a coordinator says to a probe.
#[derive(Debug)]
pub(super) enum Said {
    Opened(u64, Result<Welcome, Refusal>),
    Reported(u64, Arc<Report>, Result<Receipt, Refusal>),
    /// It will send orders over this stream.
    Listens(u64),
    Ordered(u64, Order),
    /// This stream has ended.
    Ended(u64),
}

/// What is asked on a line; each has a number of its own, which the probe gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Open(u64),
    Report(u64),
    Orders(u64),
}

impl Asked {
    /// What the probe is told when nothing comes of it.
    fn failed(self, why: &str) -> Event {
        let failure = Failure::Unreachable(why.to_owned());
        match self {
            Self::Open(attempt) => Event::Opened { attempt, answer: Err(failure) },
            Self::Report(attempt) => Event::Reported { attempt, answer: Err(failure) },
            Self::Orders(stream) => Event::Silent { stream },
        }
    }
}

/// A connection that waits for something.
#[derive(Debug)]
struct Line {
    asked: Asked,
    seat: usize,
    /// The life of the coordinator's process that it is connected to, and ends with.
    life: Option<u64>,
    /// Ends the work for it.
    handle: AbortHandle,
    /// The coordinator has begun to answer.
    is_heard: bool,
    /// A message got lost, and nothing after it gets through.
    is_stalled: bool,
    /// When the last message arrives: none overtakes another.
    last: Duration,
}

impl Drop for Line {
    /// Nobody is told orders who has hung up. What was asked for may be done all the same: it was
    /// on its way already.
    fn drop(&mut self) {
        if matches!(self.asked, Asked::Orders(_)) {
            self.handle.abort();
        }
    }
}

/// A probe's way to coordinators.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Vec<Line>,
    /// Nothing gets to a coordinator.
    pub(super) is_cut: bool,
    /// Nothing comes from one.
    pub(super) is_deaf: bool,
}

impl Lines {
    fn find(&mut self, asked: Asked) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.asked == asked)
    }

    fn end(&mut self, asked: Asked) {
        self.lines.retain(|line| line.asked != asked);
    }

    /// Hangs up where it listens to orders.
    fn hush(&mut self) {
        self.lines.retain(|line| !matches!(line.asked, Asked::Orders(_)));
    }

    /// The process is gone, and its connections with it.
    pub(super) fn hang_up(&mut self) {
        self.lines.clear();
    }
}

/// What makes each of these observations of a probe unique.
pub(super) fn identities<'a>(
    probe: &ProbeId,
    observations: impl Iterator<Item = &'a Observation>,
) -> impl Iterator<Item = Identity> {
    let name = probe.to_string();
    observations.map(move |seen| (name.clone(), seen.boot, seen.seq))
}

impl World {
    /// Carries out what a probe's uplink wants.
    pub(super) fn talk(&mut self, index: usize, effect: Effect) {
        let caller = (index, self.hosts[index].process.life());
        let ground = self.ground.clone();
        let say = move |said| ground.lock().words.push(Word::ToProbe(caller, said));
        match effect {
            Effect::Open { attempt, coordinator, hello } => {
                let job: Job = Box::new(move |member| {
                    let gate = member.gate();
                    Box::pin(async move { say(Said::Opened(attempt, gate.open(hello).await)) })
                });
                self.call(caller, coordinator, Asked::Open(attempt), OPEN_TIMEOUT, job);
            }
            Effect::Report { attempt, coordinator, report } => {
                let job: Job = Box::new(move |member| {
                    let gate = member.gate();
                    Box::pin(async move {
                        let answer = gate.report(Report::clone(&report)).await;
                        say(Said::Reported(attempt, report, answer));
                    })
                });
                // As in production twice as long as the state machine waits: a late receipt is still
                // worth having.
                self.call(caller, coordinator, Asked::Report(attempt), 2 * REPORT_TIMEOUT, job);
            }
            Effect::Listen { stream, coordinator, epoch } => {
                self.hosts[index].lines.hush();
                let probe = self.hosts[index].id.clone();
                let job: Job = Box::new(move |member| {
                    let mut orders = member.gate().orders(probe, epoch);
                    Box::pin(async move {
                        say(Said::Listens(stream));
                        while let Some(order) = orders.next().await {
                            say(Said::Ordered(stream, order));
                        }
                        say(Said::Ended(stream));
                    })
                });
                self.call(caller, coordinator, Asked::Orders(stream), OPEN_TIMEOUT, job);
            }
            Effect::Hush => self.hosts[index].lines.hush(),
            Effect::Disk(_) => {}
        }
    }

    /// A call on its way to a coordinator. It has failed when nothing is heard for so long.
    fn call(
        &mut self,
        caller: Caller,
        coordinator: usize,
        asked: Asked,
        patience: Duration,
        job: Job,
    ) {
        let now = self.now;
        let host = &mut self.hosts[caller.0];
        let Some(seat) = host.coordinators.get(coordinator).copied() else { return };
        let (handle, registration) = AbortHandle::new_pair();
        let (life, is_heard, is_stalled, last) = (None, false, false, now);
        host.lines.lines.push(Line { asked, seat, life, handle, is_heard, is_stalled, last });
        let what = format!("probe {} asks seat {seat}: {asked:?}", caller.0);
        self.ground.lock().trace.mix(now, &what);
        self.after(patience, move |world| {
            if world.line(caller, asked).is_some_and(|line| !line.is_heard) {
                world.hear(caller, asked, Some(asked.failed("no answer in time")));
            }
        });
        let takes = self.message_takes(caller.0);
        if self.hosts[caller.0].lines.is_cut {
            return;
        }
        let job: Job = Box::new(move |member| {
            let work = Abortable::new(job(member), registration);
            // What is not wanted any more has no answer.
            Box::pin(async move {
                let _ = work.await;
            })
        });
        self.after(takes, move |world| world.connect(caller, asked, seat, job));
    }

    fn connect(&mut self, caller: Caller, asked: Asked, seat: usize, job: Job) {
        let place = &mut self.seats[seat];
        if place.running.is_none() || place.removed {
            return self.send_back(caller, asked, Some(asked.failed("nobody listens")));
        }
        let life = place.life;
        place.give(job);
        if let Some(line) = self.line(caller, asked) {
            line.life = Some(life);
        }
    }

    /// Connections to processes that are gone have ended.
    pub(super) fn end_dead_lines(&mut self) {
        for index in 0..self.hosts.len() {
            let caller = (index, self.hosts[index].process.life());
            let mut ended = Vec::new();
            for line in &mut self.hosts[index].lines.lines {
                if line.life.is_some_and(|life| life != self.seats[line.seat].life) {
                    line.life = None;
                    ended.push(line.asked);
                }
            }
            for asked in ended {
                self.send_back(caller, asked, Some(asked.failed("the connection has ended")));
            }
        }
    }

    /// A coordinator has said something to a probe.
    pub(super) fn said(&mut self, caller: Caller, said: Said) {
        let (asked, event) = match said {
            Said::Opened(attempt, answer) => {
                let answer = answer.map_err(Failure::Refused);
                (Asked::Open(attempt), Some(Event::Opened { attempt, answer }))
            }
            Said::Reported(attempt, report, answer) => {
                if answer.is_ok() {
                    let host = &mut self.hosts[caller.0];
                    let taken = identities(&report.probe, report.observations.iter());
                    host.acknowledged.extend(taken);
                }
                let answer = answer.map_err(Failure::Refused);
                (Asked::Report(attempt), Some(Event::Reported { attempt, answer }))
            }
            Said::Listens(stream) => (Asked::Orders(stream), None),
            Said::Ordered(stream, order) => {
                (Asked::Orders(stream), Some(Event::Ordered { stream, order }))
            }
            Said::Ended(stream) => (Asked::Orders(stream), Some(Event::Silent { stream })),
        };
        self.send_back(caller, asked, event);
    }

    /// Something is on its way to a probe that waits for it.
    fn send_back(&mut self, caller: Caller, asked: Asked, event: Option<Event>) {
        let now = self.now;
        let at = now + self.message_takes(caller.0);
        let is_deaf = self.hosts[caller.0].lines.is_deaf;
        let Some(line) = self.line(caller, asked) else { return };
        line.is_stalled |= is_deaf;
        if line.is_stalled {
            return;
        }
        line.last = at.max(line.last);
        let wait = line.last - now;
        self.after(wait, move |world| world.hear(caller, asked, event));
    }

    /// A probe hears something that it waits for.
    fn hear(&mut self, caller: Caller, asked: Asked, event: Option<Event>) {
        let Some(line) = self.line(caller, asked) else { return };
        line.is_heard = true;
        let (index, life) = caller;
        let Some(event) = event else { return };
        if !matches!(event, Event::Ordered { .. }) {
            self.hosts[index].lines.end(asked);
        }
        self.tell_host(index, life, event);
    }

    fn line(&mut self, (index, life): Caller, asked: Asked) -> Option<&mut Line> {
        let host = &mut self.hosts[index];
        if host.process.life() == life { host.lines.find(asked) } else { None }
    }

    fn message_takes(&mut self, index: usize) -> Duration {
        let (least, most) = TAKES_MS;
        self.hosts[index].random.millis(least, most)
    }
}
