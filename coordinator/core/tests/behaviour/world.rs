//! A small world around the state machine: targets that are up or down, probes in sites that
//! reach them or not, messages that are lost, late or doubled, leaders that change, and a mail
//! sink. Everything follows from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_core::command::{Applied, Window};
use crosscheck_core::outbox::{Edge, Key, SendResult};
use crosscheck_core::{Command, Effect, Reply, State, apply};
use crosscheck_model::config::{Channel, Contact, Route, Site};
use crosscheck_model::observation::{Clock, Firmness, Trigger};
use crosscheck_model::spec::{Rule, Schedule, SiteChoice, Source};
use crosscheck_model::wire::{Fitness, Health, Hello, Report, WIRE_VERSION};
use crosscheck_model::{
    Cause, CheckId, CheckSpec, Config, ContactId, Family, IncidentId, Observation, Outcome,
    ProbeId, Severity, SiteId, SiteQuorum, Status, Timestamp,
};

pub(crate) const INTERVAL: Duration = Duration::from_secs(30);
pub(crate) const RETRY_GAP: Duration = Duration::from_secs(3);
pub(crate) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// SplitMix64: all randomness of a world.
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

/// What may go wrong.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// Chance in a thousand, per message, of being doubled.
    pub(crate) doubled: u64,
    /// The most seconds that a message may be late.
    pub(crate) late_secs: u64,
    /// Chance in a thousand, per second, that the leader changes.
    pub(crate) leader: u64,
    /// Chance in a thousand, per send, of each kind of trouble.
    pub(crate) mail: u64,
    /// Chance in a thousand, per attempt, that it fails though the target is well.
    pub(crate) noise: u64,
}

impl Faults {
    pub(crate) const NONE: Self = Self { doubled: 0, late_secs: 0, leader: 0, mail: 0, noise: 0 };
}

/// What a probe does with the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Honesty {
    Honest,
    SaysUp,
    SaysDown,
    SaysAnything,
}

struct Running {
    due: Timestamp,
    attempt: u32,
    trigger: Trigger,
}

pub(crate) struct Probe {
    pub(crate) id: ProbeId,
    pub(crate) site: SiteId,
    pub(crate) carrier: String,
    epoch: u64,
    boot: u64,
    seq: u64,
    report_seq: u64,
    /// When its newest report arrives.
    arrives: Timestamp,
    heard: Timestamp,
    said_at: Timestamp,
    pub(crate) honesty: Honesty,
    /// Reaches the coordinators; is reached by them.
    pub(crate) out: bool,
    pub(crate) back: bool,
    /// Reaches the targets.
    pub(crate) targets: bool,
    /// Heard, and runs nothing.
    pub(crate) idle: bool,
    /// And says so.
    pub(crate) says_none: bool,
    /// Runs, and tells of no result.
    pub(crate) mute: bool,
    /// Does not reach its references.
    pub(crate) unfit: bool,
    runs: BTreeMap<CheckId, Running>,
    failing: BTreeMap<CheckId, Timestamp>,
    pub(crate) spool: Vec<Observation>,
}

/// A notification in a mail that the sink has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) key: Key,
    /// The key of the one whose mail it is.
    pub(crate) message: Key,
    pub(crate) at: Timestamp,
    pub(crate) edge: Edge,
    pub(crate) check: Option<CheckId>,
    pub(crate) notice: crosscheck_core::outbox::Notice,
}

struct Sending {
    key: Key,
    attempt: u32,
    ends: Timestamp,
    node_term: u64,
    fate: u64,
}

pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) random: Random,
    pub(crate) now: Timestamp,
    pub(crate) faults: Faults,
    pub(crate) probes: Vec<Probe>,
    /// The truth about each target.
    pub(crate) down: BTreeSet<CheckId>,
    /// Targets that answer late.
    pub(crate) slow: BTreeSet<CheckId>,
    /// .. from this carrier only, if any.
    pub(crate) slow_at: Option<String>,
    /// Contacts whose addresses no channel takes.
    pub(crate) refusing: BTreeSet<ContactId>,
    pub(crate) log: Vec<(Timestamp, Command)>,
    pub(crate) effects: Vec<(Timestamp, Effect)>,
    pub(crate) mails: Vec<Mail>,
    pub(crate) claims: BTreeSet<(Key, u32)>,
    pub(crate) ambiguous: BTreeMap<Key, u32>,
    /// Channels that put off everything.
    pub(crate) dead_channels: BTreeSet<String>,
    in_flight: Vec<(Timestamp, Report)>,
    sending: Vec<Sending>,
    term: u64,
    leaderless_until: Timestamp,
}

pub(crate) fn schedule() -> Schedule {
    Schedule {
        interval: INTERVAL,
        retry_interval: INTERVAL,
        timeout: Duration::from_secs(5),
        attempts: 2,
        attempt_gap: RETRY_GAP,
    }
}

pub(crate) fn spec(name: &str) -> CheckSpec {
    CheckSpec {
        id: CheckId::new(name),
        name: name.to_owned(),
        customer: None,
        kind: "tcp".to_owned(),
        settings: "{}".to_owned(),
        target: format!("{name}.example.com:80"),
        source: Source::Probes,
        family: Family::V4,
        schedule: schedule(),
        rule: Rule::Consecutive(1),
        severity: Severity::High,
        recovery_hold: Duration::from_secs(60),
        sites: SiteChoice::All,
        quorum: SiteQuorum::Diverse,
        runbook: None,
        depends_on: Vec::new(),
    }
}

/// A world in which every check has turned up.
pub(crate) fn steady(carriers: &str, checks: usize) -> World {
    steady_in(config(carriers, checks))
}

/// The same with a configuration of its own.
pub(crate) fn steady_in(config: Config) -> World {
    let checks = config.checks.len();
    let mut world = World::new(7, config, Faults::NONE);
    world.seconds(90);
    for check in 0..checks {
        assert_eq!(world.verdict(check), Status::Up);
    }
    world
}

/// So many checks, of which `li` is told by mail; there is a telephone, too, and `ops` operate.
pub(crate) fn by_mail(checks: usize) -> Config {
    let mut config = config("AABBC", checks);
    let phone = Channel { kind: "phone".to_owned(), settings: "{}".to_owned() };
    config.channels.insert("phone".to_owned(), phone);
    config.routes = vec![Route {
        severities: vec![],
        checks: vec![],
        customer: None,
        to: vec![ContactId::new("li")],
        channels: vec!["mail".to_owned()],
    }];
    config
}

/// One probe a carrier letter, each in a site and a region of its own.
pub(crate) fn config(carriers: &str, checks: usize) -> Config {
    let sites = carriers
        .chars()
        .enumerate()
        .map(|(index, carrier)| {
            let site = Site { region: format!("r{index}"), carrier: carrier.to_string() };
            (SiteId::new(format!("s{index}")), site)
        })
        .collect();
    let contact =
        |address: &str| Contact { mail: vec![address.to_owned()], phone: None, apart: false };
    Config {
        sites,
        checks: (0..checks).map(|index| spec(&format!("check {index}"))).collect(),
        contacts: BTreeMap::from([
            (ContactId::new("ops"), contact("ops@example.com")),
            (ContactId::new("li"), contact("li@example.com")),
        ]),
        channels: BTreeMap::from([(
            "mail".to_owned(),
            Channel { kind: "mail".to_owned(), settings: "{}".to_owned() },
        )]),
        routes: vec![Route {
            severities: vec![],
            checks: vec![],
            customer: None,
            to: vec![ContactId::new("li"), ContactId::new("ops")],
            channels: vec!["mail".to_owned()],
        }],
        operators: vec![ContactId::new("ops")],
        ..Config::default()
    }
}

impl Probe {
    fn new(id: ProbeId, site: SiteId, carrier: String, boot: u64) -> Self {
        Self {
            id,
            site,
            carrier,
            epoch: 0,
            boot,
            seq: 0,
            report_seq: 0,
            arrives: Timestamp::ZERO,
            heard: Timestamp::ZERO,
            said_at: Timestamp::ZERO,
            honesty: Honesty::Honest,
            out: true,
            back: true,
            targets: true,
            idle: false,
            says_none: false,
            mute: false,
            unfit: false,
            runs: BTreeMap::new(),
            failing: BTreeMap::new(),
            spool: Vec::new(),
        }
    }

    fn running(&self) -> u32 {
        let all = u32::try_from(self.runs.len()).unwrap_or(u32::MAX);
        if self.says_none { 0 } else { all }
    }

    fn health(&self) -> Health {
        if !self.unfit {
            return Health::UNTESTED;
        }
        let unfit = Fitness::Unfit("its references do not answer".to_owned());
        Health { v4: unfit.clone(), v6: unfit, names: Fitness::Untested }
    }
}

impl World {
    pub(crate) fn new(seed: u64, config: Config, faults: Faults) -> Self {
        let probes = config
            .sites
            .iter()
            .enumerate()
            .map(|(index, (site, place))| {
                let id = ProbeId::new(format!("p{index}"));
                Probe::new(id, site.clone(), place.carrier.clone(), 1 + index as u64)
            })
            .collect();
        let mut world = Self {
            state: State::default(),
            random: Random(seed),
            now: START,
            faults,
            probes,
            down: BTreeSet::new(),
            slow: BTreeSet::new(),
            slow_at: None,
            refusing: BTreeSet::new(),
            log: Vec::new(),
            effects: Vec::new(),
            mails: Vec::new(),
            claims: BTreeSet::new(),
            ambiguous: BTreeMap::new(),
            dead_channels: BTreeSet::new(),
            in_flight: Vec::new(),
            sending: Vec::new(),
            term: 0,
            leaderless_until: Timestamp::ZERO,
        };
        world.elect();
        world.propose(Command::Configure(Box::new(config)));
        world
    }

    pub(crate) fn elect(&mut self) {
        self.term += 1;
        let term = self.term;
        self.propose(Command::Lead { node: term % 3, term, cluster: "test".to_owned() });
    }

    /// The leader falls, and another is elected after so many seconds.
    pub(crate) fn depose(&mut self, secs: u64) {
        self.leaderless_until = self.now.plus(Duration::from_secs(secs));
    }

    pub(crate) fn propose(&mut self, command: Command) -> Reply {
        self.log.push((self.now, command.clone()));
        let Applied { reply, effects } = apply(&mut self.state, self.now, command);
        for effect in effects {
            self.carry_out(&effect);
            self.effects.push((self.now, effect));
        }
        reply
    }

    /// A maintenance by the first rule of the configuration.
    pub(crate) fn maintain(&mut self, from: Timestamp, to: Timestamp) {
        let (revision, windows) = (self.state.revision, vec![Window { rule: 0, from, to }]);
        assert_eq!(self.propose(Command::Windows { revision, windows }), Reply::Done);
    }

    fn carry_out(&mut self, effect: &Effect) {
        let Effect::Confirm { check, probes, .. } = effect else { return };
        for probe in self.probes.iter_mut().filter(|p| p.back && probes.contains(&p.id)) {
            if let Some(run) = probe.runs.get_mut(check).filter(|run| run.attempt == 1) {
                run.due = self.now;
                run.trigger = Trigger::Confirm;
            }
        }
    }

    /// One second passes.
    pub(crate) fn second(&mut self) {
        self.now = self.now.plus(Duration::from_secs(1));
        if self.random.chance(self.faults.leader) {
            self.leaderless_until = self.now.plus(Duration::from_secs(1 + self.random.below(8)));
        }
        let led = self.now >= self.leaderless_until;
        if led && self.leaderless_until != Timestamp::ZERO {
            self.leaderless_until = Timestamp::ZERO;
            self.elect();
        }
        for index in 0..self.probes.len() {
            self.run_checks(index);
            if led {
                self.talk(index);
            }
        }
        if led {
            self.deliver_reports();
            self.propose(Command::Tick);
            self.send_mails();
        }
    }

    pub(crate) fn seconds(&mut self, count: u64) {
        (0..count).for_each(|_| self.second());
    }

    fn run_checks(&mut self, index: usize) {
        if self.probes[index].idle {
            return;
        }
        let specs = self.state.assignment(&self.probes[index].id).checks;
        let now = self.now;
        for assigned in specs {
            let id = assigned.spec.id.clone();
            let phase = self.random.below(INTERVAL.as_secs());
            let first = now.plus(Duration::from_secs(phase));
            let probe = &mut self.probes[index];
            let run = probe.runs.entry(id.clone()).or_insert(Running {
                due: first,
                attempt: 1,
                trigger: Trigger::Schedule,
            });
            if run.due > now {
                continue;
            }
            let (attempt, trigger) = (run.attempt, run.trigger);
            let fails = self.looks_down(index, &id);
            let hard = !fails || attempt >= 2;
            self.observe(index, &id, assigned.rev, fails, hard, trigger);
            let next = if hard { INTERVAL } else { RETRY_GAP };
            let probe = &mut self.probes[index];
            let (attempt, trigger) =
                if hard { (1, Trigger::Schedule) } else { (attempt + 1, Trigger::Retry) };
            probe.runs.insert(id, Running { due: now.plus(next), attempt, trigger });
        }
    }

    fn looks_down(&mut self, index: usize, check: &CheckId) -> bool {
        let noise = self.random.chance(self.faults.noise);
        let coin = self.random.chance(500);
        let probe = &self.probes[index];
        match probe.honesty {
            Honesty::Honest => self.down.contains(check) || !probe.targets || noise,
            Honesty::SaysUp => false,
            Honesty::SaysDown => true,
            Honesty::SaysAnything => coin,
        }
    }

    fn observe(
        &mut self,
        index: usize,
        check: &CheckId,
        rev: u64,
        fails: bool,
        hard: bool,
        trigger: Trigger,
    ) {
        let now = self.now;
        let probe = &mut self.probes[index];
        probe.seq += 1;
        if fails {
            probe.failing.entry(check.clone()).or_insert(now);
        } else {
            probe.failing.remove(check);
        }
        let outcome = if fails {
            Outcome::new(Status::Down, Some(Cause::Refused), "connection refused")
        } else if self.slow.contains(check)
            && self.slow_at.as_ref().is_none_or(|carrier| *carrier == probe.carrier)
        {
            Outcome::new(Status::Degraded, Some(Cause::Slow), "3 s, wanted 1 s")
        } else {
            Outcome::new(Status::Up, None, "")
        };
        probe.spool.push(Observation {
            check: check.clone(),
            rev,
            boot: probe.boot,
            seq: probe.seq,
            started: now,
            at: now,
            clock: Clock::Leader,
            trigger,
            firmness: if hard { Firmness::Hard } else { Firmness::Soft },
            failing_since: probe.failing.get(check).copied(),
            outcome,
        });
    }

    /// A probe hears the log time and says what it has to say.
    fn talk(&mut self, index: usize) {
        let probe = &mut self.probes[index];
        if probe.out && probe.back && probe.epoch == 0 {
            let hello = Hello {
                wire: WIRE_VERSION,
                probe: probe.id.clone(),
                site: probe.site.clone(),
                boot: probe.boot,
                version: "test".to_owned(),
            };
            if let Reply::Opened(Ok(welcome)) = self.propose(Command::Open(hello)) {
                self.probes[index].epoch = welcome.epoch;
                self.probes[index].report_seq = 0;
            }
        }
        let (now, state_now) = (self.now, self.state.now);
        let probe = &mut self.probes[index];
        if probe.back && now.as_millis() % 4000 < 1000 {
            probe.heard = state_now;
        }
        let due = !probe.spool.is_empty() || now.since(probe.said_at) >= Duration::from_secs(4);
        if !probe.out || probe.epoch == 0 || !due {
            return;
        }
        probe.said_at = now;
        probe.report_seq += 1;
        let report = Report {
            probe: probe.id.clone(),
            epoch: probe.epoch,
            seq: probe.report_seq,
            echo: probe.heard,
            health: probe.health(),
            observations: if probe.mute { Vec::new() } else { std::mem::take(&mut probe.spool) },
            evidence: Vec::new(),
            spooled: 0,
            dropped: 0,
            running: probe.running(),
        };
        let copies = 1 + u64::from(self.random.chance(self.faults.doubled));
        // A probe has one report under way and sends it until it is taken: copies come late, but
        // no report comes for the first time after the one that follows it.
        let before = self.probes[index].arrives;
        for copy in 0..copies {
            let late = self.random.below(self.faults.late_secs + 1);
            let at = self.now.plus(Duration::from_secs(late)).max(before);
            if copy == 0 {
                self.probes[index].arrives = at;
            }
            self.in_flight.push((at, report.clone()));
        }
    }

    fn deliver_reports(&mut self) {
        let now = self.now;
        let (ready, waiting) =
            std::mem::take(&mut self.in_flight).into_iter().partition(|(at, _)| *at <= now);
        self.in_flight = waiting;
        let reports: Vec<Report> = ready.into_iter().map(|(_, report)| report).collect();
        if !reports.is_empty() {
            self.propose(Command::Batch(reports));
        }
    }

    /// The leader's courier, and a mail sink that misbehaves.
    fn send_mails(&mut self) {
        let now = self.now;
        let (done, going): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.sending).into_iter().partition(|s| s.ends <= now);
        self.sending = going;
        for sending in done {
            self.finish(sending);
        }
        let due: Vec<Key> = self.state.due().iter().map(|owed| owed.key).collect();
        for key in due {
            let (term, node) = (self.term, self.term % 3);
            // I11: a leader that does not know yet that it is deposed gets no claim.
            let deposed = self.propose(Command::Claim { key, term: term - 1, node: 9 });
            assert!(matches!(deposed, Reply::Rejected(_)), "{deposed:?}");
            let Reply::Claimed(attempt) = self.propose(Command::Claim { key, term, node }) else {
                continue;
            };
            self.claims.insert((key, attempt));
            let dead = self.dead_channels.contains(&self.state.outbox[&key].channel);
            let refused = self.refusing.contains(&self.state.outbox[&key].contact);
            let fate = match self.faults.mail {
                _ if dead => 0,
                _ if refused => 2 * self.faults.mail.max(1),
                0 => 999,
                _ => self.random.below(1000),
            };
            let ends = now.plus(Duration::from_secs(self.random.below(3)));
            self.sending.push(Sending { key, attempt, ends, node_term: term, fate });
        }
    }

    fn finish(&mut self, sending: Sending) {
        let Sending { key, attempt, fate, node_term, .. } = sending;
        // A deposed leader finishes what it has begun, but can commit nothing.
        let deposed = node_term != self.term;
        let trouble = fate / self.faults.mail.max(1);
        let result = match trouble {
            0 => SendResult::Retry("450 try later".to_owned()),
            1 => {
                self.take_mail(key);
                self.leave_open(key);
                SendResult::Ambiguous("connection lost after DATA".to_owned())
            }
            2 => SendResult::Refused("550 no such user".to_owned()),
            _ => {
                self.take_mail(key);
                if deposed {
                    self.leave_open(key);
                }
                SendResult::Delivered
            }
        };
        if !deposed {
            self.propose(Command::Settle { key, attempt, result });
        }
    }

    /// Nobody knows whether the message arrived.
    fn leave_open(&mut self, key: Key) {
        let Some(owed) = self.state.outbox.get(&key) else { return };
        for told in self.state.told_by(owed) {
            *self.ambiguous.entry(told.key).or_default() += 1;
        }
    }

    fn take_mail(&mut self, key: Key) {
        let Some(owed) = self.state.outbox.get(&key) else { return };
        for told in self.state.told_by(owed) {
            self.mails.push(Mail {
                key: told.key,
                message: key,
                at: self.now,
                edge: told.notice.edge,
                check: told.notice.check.clone(),
                notice: told.notice.clone(),
            });
        }
    }

    pub(crate) fn verdict(&self, check: usize) -> Status {
        self.state.checks[&CheckId::new(format!("check {check}"))].verdict.status
    }

    pub(crate) fn set_down(&mut self, check: usize, down: bool) {
        let id = CheckId::new(format!("check {check}"));
        if down {
            self.down.insert(id);
        } else {
            self.down.remove(&id);
        }
    }

    /// Another probe joins.
    /// The check fails and recovers until its incident stays open through the recoveries; it.
    pub(crate) fn come_and_go(&mut self, check: usize) -> IncidentId {
        for _ in 0..3 {
            self.set_down(check, true);
            self.seconds(60);
            self.set_down(check, false);
            self.seconds(150);
        }
        let id = CheckId::new(format!("check {check}"));
        let open = self.state.checks[&id].incident.expect("it comes and goes");
        assert!(self.state.incidents[&open].flapping && self.verdict(check) == Status::Up);
        open
    }

    pub(crate) fn add_probe(&mut self, id: ProbeId, site: SiteId, carrier: String) {
        let boot = self.random.next();
        self.probes.push(Probe::new(id, site, carrier, boot));
    }

    /// The probe's process starts anew.
    pub(crate) fn restart(&mut self, index: usize) {
        let boot = self.random.next();
        let probe = &mut self.probes[index];
        (probe.epoch, probe.boot, probe.seq, probe.heard) = (0, boot, 0, Timestamp::ZERO);
        probe.failing.clear();
        probe.runs.clear();
    }

    pub(crate) fn mails_of(&self, edge: fn(&Edge) -> bool) -> Vec<&Mail> {
        self.mails.iter().filter(|mail| edge(&mail.edge)).collect()
    }
}

pub(crate) fn is_down(edge: &Edge) -> bool {
    *edge == Edge::Alarm(Status::Down)
}

pub(crate) fn is_recovery(edge: &Edge) -> bool {
    *edge == Edge::Recovery
}
