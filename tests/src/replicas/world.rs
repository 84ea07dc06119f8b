//! The world of a seed: turns of all seats, what they tell, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_coordinator::raft::unpack;
use crosscheck_coordinator::replica::Ending;
use crosscheck_core::incident::{Incident, Subject};
use crosscheck_core::outbox::Progress;
use crosscheck_core::{Command, Effect, Reply, level};
use crosscheck_model::CheckId;
use tempfile::TempDir;

use super::checker::i15_kept::Promises;
use super::checker::{self, Checker};
use super::clock::START;
use super::fault::Step;
use super::ground::{Life, Shared, Word};
use super::members::Membership;
use super::nemesis::Agenda;
use super::network::Content;
use super::plan::Plan;
use super::probes::Host;
use super::same_state::Ahead;
use super::seat::{Seat, TURN, base};
use super::truth::Truth;
use super::witness::{Committed, Request, Witness};
use super::{History, TAIL};
use crate::cluster::record::Identity;
use crate::crash;
use crate::seeds::{Outcome, Violation};

/// A seed takes at least so long; what waits for a retry then may take longer.
const WHOLE: Duration = Duration::from_secs(10 * 60);
/// After a retry that is waited for, all is settled within this time.
const AFTERMATH: Duration = Duration::from_secs(120);
/// A follower hears with the next message that an entry is committed, and has applied it by then.
const PASSED_ON: Duration = Duration::from_secs(3);
/// Nothing waits longer than this after everything has healed.
const LIVENESS: Duration = Duration::from_secs(20 * 60);
/// Between two comparisons of states.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A check's incident was opened or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EdgeSeen {
    pub(super) check: CheckId,
    pub(super) is_open: bool,
    /// The world's time.
    pub(super) at: Duration,
}

pub(super) struct World {
    pub(super) now: Duration,
    pub(super) plan: Plan,
    pub(super) ground: Shared,
    pub(super) seats: Vec<Seat>,
    pub(super) hosts: Vec<Host>,
    pub(super) truth: Truth,
    pub(super) witness: Witness,
    pub(super) promises: Promises,
    pub(super) members: Membership,
    /// What probes were told to be taken, long enough ago that every member must have it.
    pub(super) acknowledged: BTreeSet<Identity>,
    pub(super) agenda: Agenda,
    checkers: Vec<Box<dyn Checker>>,
    pub(super) ahead: Ahead,
    open: BTreeSet<CheckId>,
    edges: Vec<EdgeSeen>,
    pub(super) compared: u64,
    pub(super) healing: bool,
    violation: Option<Violation>,
    pub(super) folder: TempDir,
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        let kills = if plan.has(super::fault::Fault::KilledWhileSending) { 60 } else { 0 };
        let folder = crash::folder().expect("room for data directories");
        let seats =
            (0..plan.founders).map(|index| Seat::new(index, index as u64 + 1, folder.path()));
        let mut world = Self {
            now: Duration::ZERO,
            ground: Shared::new(plan.seed, kills),
            seats: seats.collect(),
            hosts: Host::all(plan.seed),
            truth: Truth::of(plan.seed, super::plan::CHECKS, plan.safety),
            witness: Witness::default(),
            promises: Promises::default(),
            members: Membership::new(plan.founders as u64),
            acknowledged: BTreeSet::new(),
            agenda: Agenda::default(),
            checkers: checker::all(),
            ahead: Ahead::default(),
            open: BTreeSet::new(),
            edges: Vec::new(),
            compared: 0,
            healing: false,
            violation: None,
            folder,
            plan,
        };
        world.found();
        world.begin_probes();
        world.begin_nemesis();
        world
    }

    /// The founders start, and one of them forms the cluster.
    fn found(&mut self) {
        (0..self.seats.len()).for_each(|seat| self.start(seat));
        let members: BTreeMap<u64, String> =
            self.seats.iter().map(|seat| (seat.node, base(seat.index))).collect();
        self.seats[0].give(Box::new(move |member| {
            let replica = member.replica().clone();
            Box::pin(async move {
                replica.form_of(&members).await.expect("forms the cluster");
            })
        }));
        self.after(Duration::from_secs(5), |world| {
            let config = world.plan.config.clone();
            world.configure(config);
        });
    }

    /// Runs the safety phase, heals everything, and runs the liveness phase.
    pub(super) fn run(&mut self) {
        self.run_until(self.plan.safety);
        if self.violation.is_some() {
            return;
        }
        self.heal();
        self.run_until(WHOLE);
        let end = self.plan.safety + LIVENESS;
        while self.violation.is_none() && self.now < end && self.latest_retry().is_some() {
            self.run_until(self.now + Duration::from_secs(5));
        }
        if self.now > WHOLE {
            self.run_until(self.now + AFTERMATH);
        }
        let acknowledged = self.hosts.iter().flat_map(|host| &host.acknowledged);
        self.acknowledged = acknowledged.cloned().collect();
        self.run_until(self.now + PASSED_ON);
        if self.violation.is_none() {
            self.settle_histories();
            self.check(|checker, world| checker.end(world));
        }
        for checker in &self.checkers {
            let tested = checker.tested(self);
            self.ground.lock().coverage.tested(checker.name(), tested);
        }
    }

    /// Whether an attempt is still to be repeated.
    fn latest_retry(&self) -> Option<()> {
        let waits = |progress: &Progress| !progress.is_settled();
        self.witness.state.outbox.values().any(|owed| waits(&owed.progress)).then_some(())
    }

    fn run_until(&mut self, end: Duration) {
        while self.violation.is_none() && self.now < end {
            self.turn();
        }
    }

    fn turn(&mut self) {
        while let Some(act) = self.agenda.due(self.now) {
            act(self);
        }
        let letters = self.ground.lock().network.arrived(self.now);
        for letter in letters {
            let (kind, length) = match &letter.content {
                Content::Question(question) => (question.path.as_str(), question.body.len()),
                Content::Answer(_, Ok(body)) => ("answer", body.len()),
                Content::Answer(_, Err(_)) => ("no answer", 0),
            };
            let what = format!("{} to {}: {kind} of {length}", letter.from.seat, letter.to);
            self.ground.lock().trace.mix(self.now, &what);
            if let Some(seat) = self.seats.get_mut(letter.to) {
                if let Content::Question(question) = &letter.content {
                    self.promises.delivered(seat.index, question);
                }
                seat.receive(letter);
            }
        }
        for index in 0..self.seats.len() {
            let ground = self.ground.clone();
            self.seats[index].turn(&ground, self.now);
        }
        self.now += TURN;
        self.ground.lock().now = self.now;
        self.listen();
        self.check(|checker, world| checker.turn(world));
        self.end_dead_lines();
        if self.now.as_millis().is_multiple_of(LOOK_EVERY.as_millis()) {
            self.compare_states();
        }
    }

    /// What the processes have told meanwhile.
    fn listen(&mut self) {
        let words = std::mem::take(&mut self.ground.lock().words);
        for word in words {
            if self.violation.is_some() {
                return;
            }
            match word {
                Word::Appends(who, body) => self.read_append(who, &body),
                Word::Votes(who, body) => self.promises.votes(who.seat, &body),
                Word::Answered(who, path, asked, answer) => {
                    self.promises.answered(who.seat, &path, &asked, &answer);
                    self.perhaps_die_of_answering(who, &path);
                }
                Word::ToProbe(caller, said) => self.said(caller, said),
                Word::Enrolled(number) => self.enrolled(number),
                Word::Removed(node, done) => self.expelled(node, done),
                Word::Fatal(who, reason) => self.fatal(who, &reason),
                Word::Ended(who, ending) => self.ended(who, &ending),
                Word::Killed(who, step) => {
                    if self.is_alive(who) {
                        self.tell(format!("seat {} dies at {step:?}", who.seat));
                        let time = self.chance(|random| random.secs(2, 40));
                        self.crash(who.seat, time);
                    }
                }
            }
        }
        let attempts = std::mem::take(&mut self.ground.lock().sink.attempts);
        for attempt in attempts {
            self.check(|checker, world| checker.send(world, &attempt));
        }
    }

    pub(super) fn is_alive(&self, who: Life) -> bool {
        let seat = &self.seats[who.seat];
        seat.running.is_some() && seat.life == who.life
    }

    fn read_append(&mut self, who: Life, body: &[u8]) {
        let Ok(request) = unpack::<Request>(level::NEWEST, body) else {
            return self.fail("I16 Raft safety", "an append that nobody can read".to_owned());
        };
        let new = match self.witness.observe(&request) {
            Ok(new) => new,
            Err(what) => return self.fail("I16 Raft safety", what),
        };
        for stamped in new {
            let step = match stamped.command {
                Command::Claim { .. } => Step::ClaimProposed,
                Command::Settle { .. } => Step::SettleProposed,
                _ => continue,
            };
            self.ground.lock().perhaps_kill(who, step);
        }
        let chain = match self.witness.commit(&request) {
            Ok(chain) => chain,
            Err(what) => return self.fail("I16 Raft safety", what),
        };
        for place in chain {
            let entry = self.witness.carry_out(place, request.vote.leader_id.term);
            self.catch_up_with_states(place.0);
            if let Some(entry) = entry {
                self.committed(&entry);
            }
        }
    }

    fn committed(&mut self, entry: &Committed) {
        let what = format!("entry {:?} at {}", entry.place, entry.stamped.at);
        self.ground.lock().trace.mix(self.now, &what);
        self.check(|checker, world| checker.entry(world, entry));
        for effect in &entry.applied.effects {
            if let Effect::Incident(id) = effect {
                self.tell_incident(*id);
            }
        }
        let (step, node) = match (&entry.stamped.command, &entry.applied.reply) {
            (Command::Claim { node, .. }, Reply::Claimed(_)) => (Step::ClaimCommitted, Some(*node)),
            (Command::Settle { .. }, _) => (Step::SettleCommitted, self.leader()),
            (Command::Lead { node, term, .. }, _) => {
                return self.tell(format!("coordinator {node} leads in term {term}"));
            }
            _ => return,
        };
        let sender =
            self.seats.iter().find(|seat| Some(seat.node) == node && seat.running.is_some());
        if let Some(who) = sender.map(Seat::me) {
            self.ground.lock().perhaps_kill(who, step);
        }
    }

    fn tell_incident(&mut self, id: crosscheck_model::IncidentId) {
        let Some(incident) = self.witness.state.incidents.get(&id) else { return };
        let is_open = incident.resolved_at.is_none();
        let word = if is_open { "open" } else { "over" };
        let subject = incident.subject.clone();
        let text =
            format!("incident {id} {subject:?} {word}: {} [{}]", incident.summary, incident.status);
        self.tell(text);
        let Subject::Check(check) = subject else { return };
        let changed =
            if is_open { self.open.insert(check.clone()) } else { self.open.remove(&check) };
        if changed {
            self.edges.push(EdgeSeen { check, is_open, at: self.now });
        }
    }

    fn fatal(&mut self, who: Life, reason: &str) {
        if self.is_alive(who) {
            self.fail("I15 kept", format!("seat {} stops: {reason}", who.seat));
        }
    }

    fn ended(&mut self, who: Life, ending: &Ending) {
        if !self.is_alive(who) {
            return;
        }
        self.tell(format!("seat {} must stop: {ending:?}", who.seat));
        let removed = matches!(ending, Ending::Removed(_));
        if !removed || self.seats[who.seat].belongs() && !self.members.is_leaving(who.seat) {
            return self.fail("liveness", format!("seat {} ends: {ending:?}", who.seat));
        }
        self.seats[who.seat].removed = true;
        self.seats[who.seat].kill();
    }

    /// The leader's number, as most members see it.
    pub(super) fn leader(&self) -> Option<u64> {
        let leads = |seat: &&Seat| {
            let running = seat.running.as_ref();
            running.is_some_and(|r| r.member.replica().leadership().borrow().is_leader)
        };
        let leading = self.seats.iter().filter(|seat| seat.works()).filter(leads);
        let term = |seat: &&Seat| {
            let running = seat.running.as_ref();
            running.map(|r| r.member.replica().leadership().borrow().term)
        };
        leading.max_by_key(term).map(|seat| seat.node)
    }

    fn settle_histories(&mut self) {
        for seat in &self.seats {
            let Some(running) = &seat.running else { continue };
            let replica = running.member.replica().clone();
            let flushed = running.runtime.block_on(async { replica.history().flush().await });
            if let Err(error) = flushed {
                return self.fail("I15 kept", format!("a history cannot be written: {error}"));
            }
        }
    }

    pub(super) fn fail(&mut self, invariant: &'static str, what: String) {
        if self.violation.is_none() {
            self.tell(format!("VIOLATION of {invariant}: {what}"));
            self.violation = Some(Violation { invariant, what });
        }
    }

    /// Puts something to every checker.
    fn check(&mut self, mut ask: impl FnMut(&mut dyn Checker, &Self) -> Result<(), String>) {
        let mut checkers = std::mem::take(&mut self.checkers);
        for checker in &mut checkers {
            if let Err(what) = ask(checker.as_mut(), self) {
                self.fail(checker.name(), what);
            }
        }
        self.checkers = checkers;
    }

    pub(super) fn tell(&mut self, text: String) {
        self.ground.lock().tell(text);
    }

    /// What a perfect clock would show.
    pub(super) fn true_time(&self) -> crosscheck_model::Timestamp {
        START.plus(self.now)
    }

    pub(super) fn history(self, seed: u64) -> History {
        let is_of_follower =
            |incident: &&Incident| matches!(incident.subject, Subject::Follower(_));
        let unfollowed = self.witness.state.incidents.values().filter(is_of_follower).count();
        let ground = self.ground.lock();
        let outcome = Outcome {
            seed,
            tail: ground.trace.tail(TAIL),
            coverage: ground.coverage.clone(),
            runs: self.hosts.iter().map(|host| host.acknowledged.len() as u64).sum(),
            entries: self.witness.entries,
            mails: ground.sink.mails.len() as u64,
            simulated: self.now,
            violation: self.violation.clone(),
        };
        History { outcome, hash: ground.trace.hash(), edges: self.edges.clone(), unfollowed }
    }
}
