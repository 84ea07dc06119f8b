//! Between probes and coordinators: requests with their answers, and streams of orders. Messages
//! take their time, get lost, come twice, or do not get through one way.

use std::time::Duration;

use crosscheck_core::{Command, Effect};
use crosscheck_model::wire::{HEARTBEAT_SECONDS, Order, Receipt, Refusal, Report, Welcome};
use crosscheck_probe::probe::Event;
use crosscheck_probe::uplink::{self, Failure, OPEN_TIMEOUT, REPORT_TIMEOUT};

use super::log::Origin;
use super::world::World;

/// How long a coordinator looks for a leader before it says that there is none.
const LEADERLESS: Duration = Duration::from_secs(2);
/// Messages of a troubled link that get lost, in thousandths.
const LOSS: u64 = 150;

/// A stream of orders that a coordinator feeds.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    host: usize,
    life: u64,
    id: u64,
    node: usize,
    epoch: u64,
    /// Orders keep their order.
    last: Duration,
    /// A message got lost, and nothing after it gets through.
    stalled: bool,
}

#[derive(Debug, Default)]
pub(super) struct Network {
    streams: Vec<Stream>,
}

impl Network {
    pub(super) fn forget_streams(&mut self, host: usize) {
        self.streams.retain(|stream| stream.host != host);
    }
}

impl World {
    /// Carries out what the uplink wants.
    pub(super) fn talk(&mut self, host: usize, effect: uplink::Effect) {
        match effect {
            uplink::Effect::Open { attempt, coordinator, hello } => {
                let late = Err(Failure::Unreachable("no answer in time".to_owned()));
                self.tell_host_after(OPEN_TIMEOUT, host, Event::Opened { attempt, answer: late });
                let life = self.hosts[host].process.life();
                self.send_out(host, coordinator, move |world| {
                    let origin = Origin::Open { host, life, attempt, node: coordinator };
                    world.submit(coordinator, Command::Open(hello), origin);
                });
            }
            uplink::Effect::Report { attempt, coordinator, report } => {
                let late = Err(Failure::Unreachable("no answer in time".to_owned()));
                let event = Event::Reported { attempt, answer: late };
                self.tell_host_after(2 * REPORT_TIMEOUT, host, event);
                let life = self.hosts[host].process.life();
                self.repeat_later(host, &report);
                self.send_out(host, coordinator, move |world| {
                    world.take_report(coordinator, Report::clone(&report), (host, life, attempt));
                });
            }
            uplink::Effect::Listen { stream, coordinator, epoch } => {
                self.network.forget_streams(host);
                let life = self.hosts[host].process.life();
                self.send_out(host, coordinator, move |world| {
                    world.begin_stream(host, life, stream, coordinator, epoch);
                });
            }
            uplink::Effect::Hush => self.network.forget_streams(host),
            uplink::Effect::Disk(_) => {}
        }
    }

    fn latency(&mut self, host: usize) -> Duration {
        if self.hosts[host].trouble.delay {
            return self.random.millis(20, 8000);
        }
        if self.hosts[host].trouble.drip {
            let gap = self.random.millis(300, 2500);
            let line = &mut self.hosts[host].line_free;
            *line = (*line).max(self.now) + gap;
            return *line - self.now;
        }
        self.random.millis(10, 120)
    }

    fn gets_lost(&mut self, host: usize, cut: bool, node: usize) -> bool {
        let trouble = self.hosts[host].trouble;
        if trouble.loss && self.random.chance(LOSS) {
            return true;
        }
        cut || trouble.clogged || trouble.cut_node == Some(node)
    }

    /// A request on its way to a coordinator.
    fn send_out(&mut self, host: usize, node: usize, arrive: impl FnOnce(&mut Self) + 'static) {
        if self.gets_lost(host, self.hosts[host].trouble.cut_out, node) {
            return;
        }
        let delay = self.latency(host);
        self.after(delay, "request", move |world| {
            if world.nodes[node].up && world.nodes[node].paused_until <= world.now {
                arrive(world);
            }
        });
    }

    /// An answer on its way to a probe.
    fn send_back(&mut self, host: usize, life: u64, node: usize, event: Event) {
        if self.gets_lost(host, self.hosts[host].trouble.cut_back, node) {
            return;
        }
        let delay = self.latency(host);
        if self.hosts[host].trouble.duplicate && self.random.chance(200) {
            let (again, event) = (delay + self.random.millis(0, 3000), event.clone());
            self.after(again, "answer", move |world| world.tell_host(host, life, event));
        }
        self.after(delay, "answer", move |world| world.tell_host(host, life, event));
    }

    pub(super) fn answer_open(
        &mut self,
        (host, life, attempt): (usize, u64, u64),
        node: usize,
        answer: Result<Welcome, Refusal>,
    ) {
        let answer = answer.map_err(Failure::Refused);
        self.send_back(host, life, node, Event::Opened { attempt, answer });
    }

    pub(super) fn answer_report(
        &mut self,
        (host, life, attempt): (usize, u64, u64),
        node: usize,
        answer: Result<Receipt, Refusal>,
    ) {
        let answer = answer.map_err(Failure::Refused);
        self.send_back(host, life, node, Event::Reported { attempt, answer });
    }

    /// A coordinator has a command for the leader, wherever it is.
    pub(super) fn submit(&mut self, node: usize, command: Command, origin: Origin) {
        let cut = !self.nodes[node].up || self.nodes[node].isolated;
        if cut || !self.log.is_led() {
            self.after(LEADERLESS, "no leader", move |world| world.unsubmitted(origin));
        } else {
            self.propose(command, origin);
        }
    }

    fn begin_stream(&mut self, host: usize, life: u64, id: u64, node: usize, epoch: u64) {
        if self.hosts[host].process.life() != life {
            return;
        }
        let last = self.now;
        let stream = Stream { host, life, id, node, epoch, last, stalled: false };
        if !self.knows(&stream) {
            let mut stream = stream;
            self.order(&mut stream, Order::Renew);
            self.end_stream(host, life, id, node);
            return;
        }
        self.network.streams.push(stream);
        self.beat(host, id);
        self.feed(host, |world, stream| {
            let assignment = world.state().assignment(&world.hosts[host].id);
            world.order(stream, Order::Assignment(Box::new(assignment)));
        });
    }

    /// Whether the session that the stream belongs to is the probe's present one.
    fn knows(&self, stream: &Stream) -> bool {
        let probe = &self.hosts[stream.host].id;
        self.state().probes.get(probe).is_some_and(|probe| probe.epoch == stream.epoch)
    }

    /// Tells the log time again and again while the stream lasts.
    fn beat(&mut self, host: usize, id: u64) {
        let Some(stream) = self.network.streams.iter().find(|s| s.host == host && s.id == id)
        else {
            return;
        };
        let (life, node) = (stream.life, stream.node);
        if !self.knows(stream) {
            self.feed(host, |world, stream| world.order(stream, Order::Renew));
            self.network.forget_streams(host);
            self.end_stream(host, life, id, node);
            return;
        }
        // A coordinator that is cut off says nothing: time must not be told that has stood still.
        if self.log.is_led() && !self.nodes[node].isolated {
            let now = self.state().now;
            self.feed(host, |world, stream| world.order(stream, Order::Heartbeat { now }));
        }
        let every = Duration::from_secs(HEARTBEAT_SECONDS);
        self.after(every, "beat", move |world| world.beat(host, id));
    }

    fn feed(&mut self, host: usize, act: impl FnOnce(&mut Self, &mut Stream)) {
        let Some(at) = self.network.streams.iter().position(|stream| stream.host == host) else {
            return;
        };
        let mut stream = self.network.streams[at].clone();
        act(self, &mut stream);
        self.network.streams[at] = stream;
    }

    fn order(&mut self, stream: &mut Stream, order: Order) {
        let (host, life, id) = (stream.host, stream.life, stream.id);
        stream.stalled |= self.gets_lost(host, self.hosts[host].trouble.cut_back, stream.node);
        if stream.stalled {
            return;
        }
        let at = (self.now + self.latency(host)).max(stream.last);
        stream.last = at;
        let event = Event::Ordered { stream: id, order };
        self.after(at - self.now, "order", move |world| world.tell_host(host, life, event));
    }

    fn end_stream(&mut self, host: usize, life: u64, id: u64, node: usize) {
        self.send_back(host, life, node, Event::Silent { stream: id });
    }

    /// Passes on what the state machine wants probes to know.
    pub(super) fn pass_on(&mut self, effect: &Effect) {
        for host in 0..self.hosts.len() {
            let id = &self.hosts[host].id;
            match effect {
                Effect::Reassigned(probes) if probes.contains(id) => {
                    let assignment = Box::new(self.state().assignment(id));
                    self.order_if_fed(host, Order::Assignment(assignment));
                }
                Effect::Confirm { check, probes, nonce } if probes.contains(id) => {
                    let order = Order::Confirm { check: check.clone(), nonce: *nonce };
                    self.order_if_fed(host, order);
                }
                _ => {}
            }
        }
    }

    fn order_if_fed(&mut self, host: usize, order: Order) {
        self.feed(host, |world, stream| {
            if !world.nodes[stream.node].isolated {
                world.order(stream, order);
            }
        });
    }

    /// A coordinator's process is gone, and with it what it fed.
    pub(super) fn drop_streams_of(&mut self, node: usize) {
        let (gone, kept) =
            std::mem::take(&mut self.network.streams).into_iter().partition(|s| s.node == node);
        self.network.streams = kept;
        let gone: Vec<Stream> = gone;
        for stream in gone {
            self.end_stream(stream.host, stream.life, stream.id, node);
        }
    }
}
