//! The coordinators as processes: up or not, cut off or not, and what dies with them.

use std::time::Duration;

use crosscheck_coordinator::dispatch::{Dispatcher, Event};

use super::fault::Fault;
use super::network_reports::Reports;
use super::world::World;

/// A day, in milliseconds.
pub(super) const DAY_MILLIS: i64 = 86_400_000;

/// A coordinator.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) up: bool,
    /// It reaches no other coordinator, and does not know.
    pub(super) isolated: bool,
    /// Its process stands still until then.
    pub(super) paused_until: Duration,
    /// Counts starts.
    pub(super) life: u64,
    /// Its clock is ahead of the true time, in milliseconds.
    pub(super) clock_ahead: i64,
    pub(super) dispatcher: Dispatcher,
    pub(super) reports: Reports,
}

impl Node {
    pub(super) fn all() -> Vec<Self> {
        (0..3).map(|_| Self { up: true, ..Self::default() }).collect()
    }
}

impl World {
    /// The process dies. What it was about to do is gone; what it proposed may commit or not.
    pub(super) fn kill_node(&mut self, node: usize, restart_after: Duration) {
        if !self.nodes[node].up {
            return;
        }
        self.tell(format!("coordinator {node} dies"));
        let now_life = self.nodes[node].life + 1;
        let clock_ahead = self.nodes[node].clock_ahead;
        self.nodes[node] = Node { life: now_life, clock_ahead, ..Node::default() };
        self.drop_streams_of(node);
        if self.log.is_leader(node) {
            self.lose_leader();
        }
        self.after(restart_after, "restart", move |world| world.restart_node(node));
    }

    fn restart_node(&mut self, node: usize) {
        self.nodes[node].up = true;
        if self.plan.has(Fault::ClockOffset) {
            self.nodes[node].clock_ahead = self.some_offset(node);
        }
        self.tell(format!("coordinator {node} is back"));
        self.replay_from_snapshot();
    }

    /// How far a coordinator's clock is off: some seconds; one of them, now and then, a day.
    fn some_offset(&mut self, node: usize) -> i64 {
        let seconds = self.random.below(10_000) as i64 - 5_000;
        let days = self.random.pick(&[0, 0, -DAY_MILLIS, DAY_MILLIS]);
        let untrue = self.plan.seed % self.nodes.len() as u64 == node as u64;
        if untrue { days + seconds } else { seconds }
    }

    /// The node is cut off from the other coordinators for a while.
    pub(super) fn isolate_node(&mut self, node: usize, time: Duration) {
        if !self.nodes[node].up {
            return;
        }
        self.tell(format!("coordinator {node} is cut off from the others"));
        self.nodes[node].isolated = true;
        let life = self.nodes[node].life;
        if self.log.is_leader(node) {
            // Nobody tells its dispatcher: it goes on believing.
            self.lose_leader();
        }
        self.after(time, "rejoin", move |world| {
            if world.nodes[node].life == life {
                world.nodes[node].isolated = false;
                world.tell(format!("coordinator {node} is with the others again"));
                if !world.log.is_leader(node) {
                    world.dispatch(node, Event::LostLeadership);
                }
            }
        });
    }

    /// The process stands still for a while: the others go on without it. When it goes on, it
    /// learns of that a little later.
    pub(super) fn pause_node(&mut self, node: usize, time: Duration) {
        if !self.nodes[node].up {
            return;
        }
        self.tell(format!("coordinator {node} stands still for {time:?}"));
        self.nodes[node].paused_until = self.now + time;
        let notices = time + self.random.millis(0, 2000);
        self.isolate_node(node, notices);
    }

    /// Who could lead.
    pub(super) fn electable(&self) -> Vec<usize> {
        let fit = |node: &usize| self.nodes[*node].up && !self.nodes[*node].isolated;
        (0..self.nodes.len()).filter(fit).collect()
    }
}
