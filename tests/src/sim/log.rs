//! The replicated log, as the state machine sees it: a leader stamps commands and commits them in
//! order; when it is lost, some of what it had proposed commits and the rest never does.

use std::collections::VecDeque;
use std::time::Duration;

use crosscheck_coordinator::dispatch::Event;
use crosscheck_coordinator::leader::{Clock, LogTime, agreed};
use crosscheck_coordinator::{drills, windows};
use crosscheck_core::command::{Applied, Stamped};
use crosscheck_core::flapping::STABLE;
use crosscheck_core::outbox::{Key, Progress};
use crosscheck_core::state::CheckState;
use crosscheck_core::{Command, Effect, Reply, State, apply, snapshot};
use crosscheck_model::wire::Refusal;
use crosscheck_model::{Status, Timestamp};

use super::checker::{Entry, count_episode, count_rows};
use super::fault::Fault;
use super::network_reports::Asker;
use super::world::World;

/// How far ahead windows are expanded, as the leader does.
const WINDOWS_AHEAD: Duration = Duration::from_secs(8 * 24 * 60 * 60);
/// Entries between snapshots.
const SNAPSHOT_EVERY: usize = 1500;

/// Who proposed a command, and waits for what comes of it.
#[derive(Debug)]
pub(super) enum Origin {
    Nobody,
    Lead { term: u64 },
    Open { host: usize, life: u64, attempt: u64, node: usize },
    Batch { node: usize, life: u64, askers: Vec<Asker> },
    Claim { node: usize, life: u64, key: Key, term: u64 },
    Settle { node: usize, life: u64, key: Key },
}

#[derive(Debug)]
struct Proposal {
    stamped: Stamped,
    origin: Origin,
    due: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Leader {
    node: usize,
    term: u64,
    time: LogTime,
    /// Its taking over is committed.
    open: bool,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) state: State,
    leader: Option<Leader>,
    /// When the present leader took over.
    pub(super) led_since: Duration,
    pub(super) term: u64,
    proposals: VecDeque<Proposal>,
    /// What the next leader will commit first.
    inherited: Vec<Stamped>,
    /// The newest snapshot, how many there were, and all entries since.
    pub(super) snapshot: Vec<u8>,
    pub(super) snapshots: u64,
    pub(super) tail: Vec<Stamped>,
    expanded: u64,
}

impl Log {
    pub(super) fn is_led(&self) -> bool {
        self.leader.is_some_and(|leader| leader.open)
    }

    pub(super) fn is_leader(&self, node: usize) -> bool {
        self.leader.is_some_and(|leader| leader.node == node)
    }

    /// Whether the node leads in that term, as a majority says.
    pub(super) fn leads(&self, node: usize, term: u64) -> bool {
        self.leader.is_some_and(|leader| leader.open && (leader.node, leader.term) == (node, term))
    }

    pub(super) fn leader(&self) -> Option<usize> {
        self.leader.filter(|leader| leader.open).map(|leader| leader.node)
    }

    /// When the last refused attempt is to be repeated.
    pub(super) fn latest_retry(&self) -> Option<Timestamp> {
        let retry = |progress: &Progress| match progress {
            Progress::Retry { at } => Some(*at),
            _ => None,
        };
        self.state.outbox.values().filter_map(|owed| retry(&owed.progress)).max()
    }

    /// When the last check that came and went will have been well for long enough.
    pub(super) fn latest_stability(&self) -> Option<Timestamp> {
        let flaps = |check: &&CheckState| {
            let open = check.incident.and_then(|id| self.state.incidents.get(&id));
            check.verdict.status == Status::Up && open.is_some_and(|incident| incident.flapping)
        };
        let checks = self.state.checks.values().filter(flaps);
        checks.map(|check| check.tally.since.plus(STABLE)).max()
    }

    /// When the last maintenance that is known ends, if one is still to end.
    pub(super) fn latest_window(&self) -> Option<Timestamp> {
        self.state.windows.iter().map(|window| window.to).filter(|to| *to > self.state.now).max()
    }
}

/// A node's clocks at one moment.
struct Clocks {
    wall: Timestamp,
    elapsed: Duration,
}

impl Clock for Clocks {
    fn wall(&self) -> Timestamp {
        self.wall
    }

    fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl World {
    pub(super) fn begin_log(&mut self) {
        self.log.snapshot = snapshot::encode(&self.log.state).expect("an empty state has bytes");
        self.elect();
        let config = Box::new(self.plan.config.clone());
        self.after(Duration::from_secs(1), "configure", move |world| {
            world.propose(Command::Configure(config), Origin::Nobody);
        });
    }

    fn clocks(&self, node: usize) -> Clocks {
        let shift = if node == 0 { self.plan.node_shift } else { 0 };
        let ahead = self.nodes[node].clock_ahead + shift;
        let wall = self.true_time().as_millis().saturating_add_signed(ahead);
        Clocks { wall: Timestamp::from_millis(wall), elapsed: self.now }
    }

    /// Puts a command into the leader's log; without a leader it is lost.
    pub(super) fn propose(&mut self, command: Command, origin: Origin) {
        let Some(leader) = self.log.leader else { return self.unsubmitted(origin) };
        let at = leader.time.stamp(&self.clocks(leader.node));
        let last = self.log.proposals.back().map_or(self.now, |proposal| proposal.due);
        let due = (self.now + self.random.millis(5, 60)).max(last);
        let stamped = Stamped { at, command };
        self.log.proposals.push_back(Proposal { stamped, origin, due });
        let term = leader.term;
        self.after(due - self.now, "commit", move |world| {
            if world.log.leader.is_some_and(|leader| leader.term == term)
                && let Some(Proposal { stamped, origin, .. }) = world.log.proposals.pop_front()
            {
                world.commit(stamped, origin);
            }
        });
    }

    fn commit(&mut self, stamped: Stamped, origin: Origin) {
        let before = matches!(stamped.command, Command::Configure(_))
            .then(|| Box::new(self.log.state.clone()));
        let applied = apply(&mut self.log.state, stamped.at, stamped.command.clone());
        self.counts.entries += 1;
        self.evidence.read(&stamped, &applied, &self.log.state);
        let entry = Entry { stamped: &stamped, applied: &applied, before: before.as_deref() };
        self.check(|checker, view| checker.entry(view, &entry));
        if stamped.command == Command::Tick {
            count_rows(&self.log.state, &mut self.coverage);
        }
        self.log.tail.push(stamped);
        if self.log.tail.len() >= SNAPSHOT_EVERY {
            self.replay_from_snapshot();
        }
        self.carry_out_effects(&applied);
        self.reply(origin, applied.reply);
    }

    fn carry_out_effects(&mut self, applied: &Applied) {
        for effect in &applied.effects {
            match effect {
                Effect::Confirm { .. } | Effect::Reassigned(_) => self.pass_on(effect),
                Effect::Owed => {
                    if let Some(node) = self.log.leader() {
                        self.look_at_outbox(node);
                    }
                }
                Effect::Incident(id) => self.tell_incident(*id),
                Effect::Record { .. }
                | Effect::Unasked { .. }
                | Effect::Attempted { .. }
                | Effect::Span { .. }
                | Effect::Audited(_) => {}
            }
        }
    }

    fn tell_incident(&mut self, id: crosscheck_model::IncidentId) {
        let Some(incident) = self.log.state.incidents.get(&id) else { return };
        count_episode(incident, &mut self.coverage);
        let what = if incident.resolved_at.is_some() { "over" } else { "open" };
        let text = format!(
            "incident {id} {:?} {what}: {} [{}]",
            incident.subject, incident.summary, incident.status
        );
        self.trace.decide(self.now, text);
    }

    fn reply(&mut self, origin: Origin, reply: Reply) {
        match (origin, reply) {
            (Origin::Lead { term }, _) => self.lead(term),
            (Origin::Open { host, life, attempt, node }, Reply::Opened(answer)) => {
                self.answer_open((host, life, attempt), node, answer);
            }
            (Origin::Batch { node, life, askers }, Reply::Batch(receipts)) => {
                self.batched(node, life, askers, receipts);
            }
            (Origin::Claim { node, life, key, term }, reply) => {
                self.claimed(node, life, key, term, &reply);
            }
            (Origin::Settle { node, life, key }, _) => {
                self.dispatch_if_alive(node, life, Event::Settled(key));
            }
            _ => {}
        }
    }

    /// A command is not known to be applied.
    pub(super) fn unsubmitted(&mut self, origin: Origin) {
        match origin {
            Origin::Nobody | Origin::Lead { .. } => {}
            Origin::Open { host, life, attempt, node } => {
                self.answer_open((host, life, attempt), node, Err(Refusal::Unavailable));
            }
            Origin::Batch { node, life, askers } => {
                self.batched(node, life, askers, Vec::new());
            }
            Origin::Claim { node, life, key, .. } => {
                self.dispatch_if_alive(node, life, Event::NotClaimed(key));
            }
            Origin::Settle { node, life, key } => {
                self.dispatch_if_alive(node, life, Event::NotSettled(key));
            }
        }
    }

    /// The leader is gone: of what it had under way, the first so many commit, the others never.
    pub(super) fn lose_leader(&mut self) {
        self.log.leader = None;
        let proposals = std::mem::take(&mut self.log.proposals);
        let kept = self.random.below(proposals.len() + 1);
        for (index, proposal) in proposals.into_iter().enumerate() {
            let inherited = index < kept && !matches!(proposal.origin, Origin::Lead { .. });
            self.coverage.fault(if inherited {
                Fault::ProposalInherited
            } else {
                Fault::ProposalLost
            });
            if inherited {
                self.log.inherited.push(proposal.stamped);
            }
            // Who asked hears nothing, and gives up after some seconds.
            let origin = proposal.origin;
            let patience = Duration::from_secs(5);
            self.after(patience, "unknown", move |world| world.unsubmitted(origin));
        }
        let election = self.random.millis(1000, 6500);
        self.after(election, "elect", Self::elect);
    }

    fn elect(&mut self) {
        if self.log.leader.is_some() {
            return;
        }
        let candidates = self.electable();
        if candidates.len() < 2 {
            self.after(Duration::from_secs(1), "elect", Self::elect);
            return;
        }
        let node = candidates[self.random.below(candidates.len())];
        for stamped in std::mem::take(&mut self.log.inherited) {
            self.commit(stamped, Origin::Nobody);
        }
        self.log.term += 1;
        let term = self.log.term;
        let clocks = self.clocks(node);
        if clocks.wall < self.log.state.now || self.nodes[node].clock_ahead != 0 {
            self.coverage.fault(Fault::ClockOffset);
        }
        let walls = candidates.iter().map(|other| self.clocks(*other).wall).collect();
        let reached = self.log.state.now.max(self.plan.start);
        let wall = agreed(walls, self.nodes.len(), reached).unwrap_or(clocks.wall);
        let time = LogTime::begin(reached, wall, &clocks);
        self.log.leader = Some(Leader { node, term, time, open: false });
        let command = Command::Lead { node: node as u64 + 1, term, cluster: "sim".to_owned() };
        self.propose(command, Origin::Lead { term });
    }

    /// The taking over is committed.
    fn lead(&mut self, term: u64) {
        let now = self.now;
        let Some(leader) = self.log.leader.as_mut().filter(|leader| leader.term == term) else {
            return;
        };
        leader.open = true;
        let node = leader.node;
        self.log.led_since = now;
        self.log.expanded = 0;
        self.tell(format!("coordinator {node} leads in term {term}"));
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            if self.nodes[other].up && !self.nodes[other].isolated {
                self.dispatch(other, Event::LostLeadership);
            }
        }
        self.dispatch(node, Event::Leads(term));
        self.look_at_outbox(node);
        self.tick(term);
    }

    fn tick(&mut self, term: u64) {
        if self.log.leader.is_none_or(|leader| leader.term != term) {
            return;
        }
        if self.log.expanded != self.log.state.revision {
            let state = &self.log.state;
            self.log.expanded = state.revision;
            let windows = windows::expand(&state.config.maintenance, state.now, WINDOWS_AHEAD);
            if windows != state.windows {
                let revision = state.revision;
                self.propose(Command::Windows { revision, windows }, Origin::Nobody);
            }
        }
        for drill in drills::due(&self.log.state) {
            self.propose(drill, Origin::Nobody);
        }
        self.propose(Command::Tick, Origin::Nobody);
        if let Some(node) = self.log.leader() {
            self.look_at_outbox(node);
        }
        self.after(Duration::from_secs(1), "tick", move |world| world.tick(term));
    }
}
