//! The shell around the production dispatcher, as `courier` is it in production: claims and
//! results go to the log, sends to the sink.

use std::time::Duration;

use crosscheck_coordinator::dispatch::{Due, Effect, Event};
use crosscheck_core::outbox::Key;
use crosscheck_core::{Command, Reply};

use super::fault::Fault;
use super::log::Origin;
use super::world::World;

impl World {
    pub(super) fn look_at_outbox(&mut self, node: usize) {
        let due: Vec<Due> = self.state().due().into_iter().map(Due::from).collect();
        if !due.is_empty() {
            self.dispatch(node, Event::Due(due));
        }
    }

    pub(super) fn dispatch_if_alive(&mut self, node: usize, life: u64, event: Event) {
        if self.nodes[node].up && self.nodes[node].life == life {
            if let Some(wait) = self.stands_still(node) {
                let act = move |world: &mut Self| world.dispatch_if_alive(node, life, event);
                return self.after(wait, "resume", act);
            }
            let look = matches!(event, Event::Settled(_));
            self.dispatch(node, event);
            if look && self.log.is_leader(node) {
                self.look_at_outbox(node);
            }
        }
    }

    pub(super) fn dispatch(&mut self, node: usize, event: Event) {
        let effects = self.nodes[node].dispatcher.step(self.now, event);
        let life = self.nodes[node].life;
        for effect in effects {
            match effect {
                Effect::Claim { key, term } => {
                    let command = Command::Claim { key, term, node: node as u64 + 1 };
                    self.submit(node, command, Origin::Claim { node, life, key, term });
                    self.perhaps_kill(node, life);
                }
                Effect::Send { key } => self.send(node, key),
                Effect::Settle { key, attempt, result } => {
                    let command = Command::Settle { key, attempt, result };
                    self.submit(node, command, Origin::Settle { node, life, key });
                    self.perhaps_kill(node, life);
                }
                Effect::Release { key, attempt } => {
                    let command = Command::Release { key, attempt };
                    self.submit(node, command, Origin::Settle { node, life, key });
                }
                Effect::Forget { .. } => {}
                Effect::Wake(at) => {
                    let delay = at.saturating_sub(self.now);
                    self.after(delay, "courier", move |world| {
                        world.dispatch_if_alive(node, life, Event::Woken);
                    });
                }
            }
        }
    }

    /// A claim is applied: whether the node still leads is asked of a majority, which takes time.
    pub(super) fn claimed(&mut self, node: usize, life: u64, key: Key, term: u64, reply: &Reply) {
        let Reply::Claimed(attempt) = *reply else {
            return self.dispatch_if_alive(node, life, Event::NotClaimed(key));
        };
        self.perhaps_kill(node, life);
        let delay = self.random.millis(5, 100);
        self.ask_majority(delay, node, life, key, (term, attempt));
    }

    /// Who stands still meanwhile has no answer yet.
    fn ask_majority(
        &mut self,
        delay: Duration,
        node: usize,
        life: u64,
        key: Key,
        (term, attempt): (u64, u32),
    ) {
        self.after(delay, "still leads", move |world| {
            if let Some(wait) = world.stands_still(node) {
                return world.ask_majority(wait, node, life, key, (term, attempt));
            }
            let leads = world.log.leads(node, term) && !world.nodes[node].isolated;
            let unsent = Event::Unsent(key, attempt);
            let event = if leads { Event::Claimed(key, attempt) } else { unsent };
            world.dispatch_if_alive(node, life, event);
        });
    }

    fn stands_still(&self, node: usize) -> Option<Duration> {
        let wait = self.nodes[node].paused_until.saturating_sub(self.now);
        (!wait.is_zero()).then_some(wait)
    }

    /// At each step on the way of a notification its node may die.
    pub(super) fn perhaps_kill(&mut self, node: usize, life: u64) {
        let armed = self.plan.has(Fault::KilledWhileSending) && !self.healing;
        if !armed || !self.random.chance(15) {
            return;
        }
        let (delay, down) = (self.random.millis(0, 200), self.random.secs(2, 90));
        self.after(delay, "kill", move |world| {
            if world.nodes[node].life == life && !world.healing {
                world.coverage.fault(Fault::KilledWhileSending);
                world.kill_node(node, down);
            }
        });
    }
}
