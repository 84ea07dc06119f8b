//! A whole probe against a small world: targets, references, one coordinator, a disk.

use std::collections::{BTreeMap, BTreeSet};

use crosscheck_model::Timestamp;
use crosscheck_model::config::References;
use crosscheck_model::observation::{Clock, Firmness, Trigger};
use crosscheck_model::wire::{Assigned, Assignment, Receipt, Report, Welcome};

use super::*;
use crate::sample::assigned;
use crate::spool::DiskOp;
use crate::state::Weight;
use crate::store::{MemoryStore, Store};

const S: Duration = Duration::from_secs(1);
const TRIP: Duration = Duration::from_millis(20);

type Target = Box<dyn FnMut(&Run, Mono) -> (Duration, Outcome)>;

/// What surrounds the probe.
struct World {
    now: Mono,
    probe: Probe,
    store: MemoryStore,
    pending: BTreeMap<(Mono, u64), Event>,
    count: u64,
    target: Target,
    assignment: Assignment,
    cut: std::ops::Range<Mono>,
    unfit: std::ops::Range<Mono>,
    stream: Option<u64>,
    due: BTreeMap<u64, Mono>,
    /// How late each run began and when it ended, in the order of ends.
    ended: Vec<(Duration, Mono)>,
    reports: Vec<(Mono, Report)>,
    /// What was looked into, and when.
    gathered: Vec<(Mono, CheckId)>,
    /// How long that takes.
    gathering: Duration,
    halted: bool,
}

/// Where the run that became observation number `seq` stands among the ends.
fn place(seq: u64) -> usize {
    usize::try_from(seq - 1).expect("small")
}

fn log_time(now: Mono) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000).plus(now)
}

/// Whether two moments are equal but for what a newer word of the leader corrects.
fn same(one: Option<Timestamp>, other: Timestamp) -> bool {
    one.is_some_and(|one| one.since(other).max(other.since(one)) <= TRIP)
}

fn setup(boot: u64, kept: Vec<(u64, Weight)>) -> Setup {
    Setup {
        probe: "p".into(),
        site: "s".into(),
        boot,
        version: String::new(),
        coordinators: 2,
        concurrency: 500,
        spool: 100_000,
        seed: 3,
        wall: Timestamp::ZERO,
        kept,
    }
}

fn references() -> References {
    References {
        v4: vec!["a:1".into(), "b:1".into(), "c:1".into()],
        must_fail: Some("x:1".into()),
        ..References::default()
    }
}

fn up() -> Outcome {
    Outcome::new(Status::Up, None, "")
}

fn down() -> Outcome {
    Outcome::new(Status::Down, Some(Cause::Refused), "port closed")
}

impl World {
    fn new(
        checks: Vec<Assigned>,
        references: References,
        target: impl FnMut(&Run, Mono) -> (Duration, Outcome) + 'static,
    ) -> Self {
        Self {
            now: Mono::ZERO,
            probe: Probe::new(setup(1, Vec::new())),
            store: MemoryStore::default(),
            pending: BTreeMap::new(),
            count: 0,
            target: Box::new(target),
            assignment: Assignment { revision: 1, checks, references },
            cut: Mono::ZERO..Mono::ZERO,
            unfit: Mono::ZERO..Mono::ZERO,
            stream: None,
            due: BTreeMap::new(),
            ended: Vec::new(),
            reports: Vec::new(),
            gathered: Vec::new(),
            gathering: 5 * S,
            halted: false,
        }
    }

    fn later(&mut self, after: Duration, event: Event) {
        self.count += 1;
        self.pending.insert((self.now + after, self.count), event);
    }

    fn step(&mut self, event: Event) {
        if let Event::Ended { run, started, ended, .. } = &event {
            self.ended.push((*started - self.due[run], *ended));
        }
        for effect in self.probe.step(self.now, event) {
            self.act(effect);
        }
    }

    fn run_until(&mut self, end: Mono) {
        while !self.halted {
            let wake = self.probe.wake(self.now).max(self.now);
            let next = self.pending.keys().next().map_or(Mono::MAX, |(at, _)| *at);
            if wake.min(next) > end {
                break;
            }
            if next <= wake {
                let ((at, _), event) = self.pending.pop_first().expect("one is next");
                self.now = self.now.max(at);
                self.heartbeat(&event);
                self.step(event);
            } else {
                self.now = wake;
                self.step(Event::Time);
            }
        }
        self.now = end;
    }

    /// A stream's heartbeat brings the next one, unless the line is cut.
    fn heartbeat(&mut self, event: &Event) {
        if let Event::Ordered { stream, order: Order::Heartbeat { .. } } = event
            && Some(*stream) == self.stream
            && !self.cut.contains(&self.now)
        {
            let now = log_time(self.now + 4 * S - TRIP);
            self.later(4 * S, Event::Ordered { stream: *stream, order: Order::Heartbeat { now } });
        }
    }

    fn act(&mut self, effect: Effect) {
        let cut = self.cut.contains(&self.now);
        match effect {
            Effect::Run(run) => {
                let (length, outcome) = (self.target)(&run, self.now);
                let outcome = Box::new(outcome);
                let (started, ended) = (self.now, self.now + length);
                self.due.insert(run.id, run.due);
                self.later(length, Event::Ended { run: run.id, started, ended, outcome });
            }
            Effect::Ask(round) => {
                let works = !self.unfit.contains(&self.now);
                for (place, reference) in round.references.iter().enumerate() {
                    let fails = matches!(reference, crate::health::Reference::MustFail { .. });
                    let (round, answered) = (round.id, (works && !fails).into());
                    self.later(TRIP, Event::Answered { round, place, answered });
                }
            }
            Effect::Link(uplink::Effect::Open { attempt, .. }) if !cut => {
                let answer = Ok(Welcome { epoch: attempt, now: log_time(self.now) });
                self.later(TRIP, Event::Opened { attempt, answer });
            }
            Effect::Link(uplink::Effect::Report { attempt, report, .. }) if !cut => {
                let answer = Ok(Receipt { seq: report.seq, now: log_time(self.now) });
                self.reports.push((self.now, (*report).clone()));
                self.later(TRIP, Event::Reported { attempt, answer });
            }
            Effect::Link(uplink::Effect::Listen { stream, .. }) if !cut => {
                self.stream = Some(stream);
                let order = Order::Assignment(Box::new(self.assignment.clone()));
                self.later(TRIP, Event::Ordered { stream, order });
                let now = log_time(self.now);
                self.later(TRIP, Event::Ordered { stream, order: Order::Heartbeat { now } });
            }
            Effect::Gather(gathering) => {
                self.gathered.push((self.now, gathering.check.spec.id.clone()));
                let (id, found) = (gathering.id, Box::default());
                self.later(self.gathering, Event::Gathered { id, found });
            }
            Effect::Disk(DiskOp::Append(records)) => {
                self.store.append(&records).expect("memory");
                self.later(TRIP, Event::Stored { done: true });
            }
            Effect::Disk(DiskOp::Remove(ids)) => self.store.remove(&ids).expect("memory"),
            Effect::Disk(DiskOp::Fetch(ids)) => {
                let records = self.store.fetch(&ids).expect("memory");
                self.later(TRIP, Event::Fetched { records: Some(records) });
            }
            Effect::Halt => self.halted = true,
            _ => {}
        }
    }

    fn observations(&self) -> impl Iterator<Item = &Observation> {
        self.reports.iter().flat_map(|(_, report)| &report.observations)
    }
}

#[test]
fn an_outage_is_told_at_once_and_voted_on_after_the_attempts() {
    let mut world = World::new(vec![assigned("c", 60, 30)], references(), |_, now| {
        (S / 2, if now > 100 * S { down() } else { up() })
    });
    world.run_until(200 * S);
    let failing: Vec<_> = world
        .observations()
        .filter(|found| found.outcome.status == Status::Down)
        .cloned()
        .collect();
    let first = &failing[0];
    assert_eq!((first.firmness, first.trigger), (Firmness::Soft, Trigger::Schedule));
    assert!(same(first.failing_since, first.started));
    let sure = &failing[1];
    assert_eq!((sure.firmness, sure.trigger), (Firmness::Hard, Trigger::Retry));
    assert!(same(sure.failing_since, first.started));
    assert!(same(Some(sure.started), first.at.plus(3 * S)));
    assert!(same(Some(failing[2].started), first.started.plus(30 * S)), "the retry interval");
    assert!(failing.iter().all(|found| found.clock == Clock::Leader));
    let reported = world.reports.iter().find(|(_, report)| report.observations.contains(first));
    let delay = log_time(reported.expect("reported").0).since(first.at);
    assert!(delay <= 2 * TRIP, "a soft failure does not wait: {delay:?}");
}

#[test]
fn a_target_that_asks_for_it_is_left_alone_for_at_most_an_interval() {
    let day = 86_400.0;
    // What it asks for, and how often it is looked at in an hour: failing checks, each 20 s.
    for (wait, looks) in
        [(None, 175..=185), (Some(10.0), 175..=185), (Some(40.0), 85..=92), (Some(day), 58..=62)]
    {
        let mut world = World::new(vec![assigned("c", 60, 20)], references(), move |_, _| {
            let cause = Some(Cause::Throttled);
            let mut outcome = Outcome::new(Status::Degraded, cause, "status 429");
            outcome.values.extend(wait.map(|wait| (RETRY_AFTER.to_owned(), wait)));
            (S / 2, outcome)
        });
        world.run_until(3600 * S);
        let started: Vec<Timestamp> = world.observations().map(|found| found.started).collect();
        assert!(looks.contains(&started.len()), "{wait:?}: {}", started.len());
    }
}

#[test]
fn evidence_is_gathered_once_an_episode_and_delays_nothing() {
    let outages = [62 * S..180 * S, 300 * S..420 * S];
    let during = outages.clone();
    let mut world =
        World::new(vec![assigned("c", 60, 30)], References::default(), move |_, now| {
            let fails = during.iter().any(|outage| outage.contains(&now));
            (S / 10, if fails { down() } else { up() })
        });
    // Far longer than the second attempt takes.
    world.gathering = 6 * S;
    world.run_until(600 * S);
    let failing: Vec<Observation> = world
        .observations()
        .filter(|found| found.outcome.status == Status::Down)
        .cloned()
        .collect();
    let firsts: Vec<&Observation> =
        failing.iter().filter(|found| found.firmness == Firmness::Soft).collect();
    assert_eq!((firsts.len(), world.gathered.len()), (2, 2), "{:?}", world.gathered);
    let sure: Vec<_> = failing.iter().filter(|found| found.trigger == Trigger::Retry).collect();
    for (first, sure) in firsts.iter().zip(sure) {
        assert!(same(Some(sure.started), first.at.plus(3 * S)), "the second attempt is on time");
    }
    let told: Vec<(Mono, Evidence)> = world
        .reports
        .iter()
        .flat_map(|(at, report)| report.evidence.iter().map(|evidence| (*at, evidence.clone())))
        .collect();
    assert_eq!(told.len(), 2, "each is told once");
    for ((at, evidence), first) in told.iter().zip(&firsts) {
        assert_eq!((&evidence.check, evidence.rev, evidence.boot), (&first.check, 1, 1));
        assert!(same(Some(evidence.failing_since), first.started), "{evidence:?}");
        assert!(log_time(*at).since(evidence.at) <= 2 * TRIP, "it does not wait");
    }
}

#[test]
fn evidence_waits_while_no_coordinator_answers() {
    let mut world = World::new(vec![assigned("c", 60, 30)], References::default(), |_, now| {
        (S / 10, if now > 62 * S { down() } else { up() })
    });
    world.cut = 61 * S..400 * S;
    world.run_until(500 * S);
    let told: Vec<&Evidence> =
        world.reports.iter().flat_map(|(_, report)| &report.evidence).collect();
    assert_eq!((world.gathered.len(), told.len()), (1, 1));
    assert!(told[0].at < log_time(200 * S), "with its true time: {}", told[0].at);
}

#[test]
fn an_outage_of_everything_is_looked_into_a_few_at_a_time() {
    let checks = (0..100).map(|n| assigned(&format!("c{n}"), 10, 10)).collect();
    let mut world = World::new(checks, References::default(), |_, now| {
        (S / 10, if now > 30 * S { down() } else { up() })
    });
    world.run_until(130 * S);
    let all = world.gathered.len();
    assert!((40..=60).contains(&all), "a burst and one every two seconds: {all}");
    let mut checks: Vec<_> = world.gathered.iter().map(|(_, check)| check.clone()).collect();
    checks.sort();
    checks.dedup();
    assert_eq!(checks.len(), all, "none twice");
}

#[test]
fn a_probe_that_is_cut_off_from_the_world_never_votes() {
    for attempts in [1, 2] {
        let mut check = assigned("c", 10, 10);
        check.spec.schedule.attempts = attempts;
        let mut world = World::new(vec![check], references(), |_, now| {
            (S / 10, if (62 * S..180 * S).contains(&now) { down() } else { up() })
        });
        // Just after a round of the references, so that the next one by itself comes late.
        world.unfit = 62 * S..180 * S;
        world.run_until(300 * S);
        let votes: Vec<_> = world
            .observations()
            .filter(|found| found.firmness == Firmness::Hard)
            .map(|found| (found.outcome.status, found.outcome.cause))
            .collect();
        assert!(votes.iter().all(|(status, _)| *status != Status::Down), "{attempts}: {votes:?}");
        let unfit = votes.iter().filter(|(_, cause)| *cause == Some(Cause::ProbeUnfit)).count();
        assert!(unfit >= 10, "{attempts}: {votes:?}");
        assert_eq!(votes.last(), Some(&(Status::Up, None)), "and votes again afterwards");
        let unfit_reports =
            world.reports.iter().filter(|(_, report)| !report.health.v4.may_vote()).count();
        assert!(unfit_reports > 20);
    }
}

#[test]
fn after_a_cut_everything_is_delivered_with_its_true_time_and_live_first() {
    let checks = (0..200).map(|n| assigned(&format!("c{n}"), 1, 1)).collect();
    let mut world = World::new(checks, References::default(), |_, _| (S / 10, up()));
    world.cut = 60 * S..360 * S;
    world.run_until(600 * S);
    let mut delivered: BTreeMap<u64, &Observation> = BTreeMap::new();
    for (_, report) in &world.reports {
        let seqs: Vec<_> = report.observations.iter().map(|found| found.seq).collect();
        assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "oldest first");
        delivered.extend(report.observations.iter().map(|found| (found.seq, found)));
    }
    let last = *delivered.keys().next_back().expect("some");
    assert!(last > 200 * 500, "{last}");
    assert_eq!(delivered.len() as u64, last, "none is missing");
    for (seq, found) in &delivered {
        let truth = log_time(world.ended[place(*seq)].1);
        let before = truth.since(found.at);
        assert!(found.at <= truth && before <= 2 * TRIP, "{seq}: {} {truth}", found.at);
        assert_eq!(found.clock, Clock::Leader);
    }
    assert_eq!(world.probe.figures(world.now).dropped, 0);
    // While the backlog is delivered, what is new is delivered within a second.
    let healed = world.cut.end + 30 * S;
    let mut during_backlog = 0;
    for (at, report) in world.reports.iter().filter(|(at, _)| *at > healed) {
        for found in &report.observations {
            if found.started > log_time(healed) {
                during_backlog += u64::from(report.spooled > 0);
                assert!(log_time(*at).since(found.at) < S, "{at:?} {found:?}");
            }
        }
    }
    assert!(during_backlog > 1000, "{during_backlog}");
}

#[test]
fn an_overloaded_or_stopped_probe_says_unknown_never_down() {
    // Five runs at a time of 10 s each, for 100 checks every 20 s: hopeless.
    let checks = (0..100).map(|n| assigned(&format!("c{n}"), 20, 20)).collect();
    let mut world = World::new(checks, References::default(), |_, _| (9 * S, down()));
    world.probe = Probe::new(Setup { concurrency: 5, ..setup(1, Vec::new()) });
    world.run_until(300 * S);
    let bound = crate::judge::allowed_lateness(20 * S);
    assert!(world.probe.figures(world.now).missed.dropped > 100);
    let mut late_runs = 0;
    for found in world.observations() {
        let late = world.ended[place(found.seq)].0 > bound;
        late_runs += u64::from(late);
        assert_eq!(found.outcome.status == Status::Down, !late, "{found:?}");
        assert_eq!(found.outcome.cause == Some(Cause::ProbeLate), late);
    }
    assert!(late_runs > 10, "{late_runs} of {}", world.ended.len());

    // Standing still for a minute while runs are under way.
    let checks = (0..20).map(|n| assigned(&format!("c{n}"), 20, 20)).collect();
    let mut world = World::new(checks, References::default(), |_, now| {
        let pause = (99 * S..101 * S).contains(&now);
        (S * 2, if pause { down() } else { up() })
    });
    world.run_until(100 * S);
    world.now += 60 * S;
    world.run_until(200 * S);
    let found = |status| world.observations().filter(|o| o.outcome.status == status).count();
    assert_eq!(found(Status::Down), 0);
    assert!(found(Status::Unknown) > 0);
}

#[test]
fn a_confirmation_runs_at_once() {
    let mut world = World::new(vec![assigned("c", 600, 600)], references(), |_, _| (S, up()));
    world.run_until(50 * S);
    let stream = world.stream.expect("listens");
    for nonce in [1, 1, 2] {
        let order = Order::Confirm { check: "c".into(), nonce };
        world.step(Event::Ordered { stream, order });
    }
    world.run_until(60 * S);
    let confirmed: Vec<_> =
        world.observations().filter(|found| found.trigger == Trigger::Confirm).collect();
    assert_eq!(confirmed.len(), 1);
    assert!(same(Some(confirmed[0].at), log_time(51 * S).minus(TRIP)));
}

#[test]
fn a_stopped_probe_keeps_what_is_undelivered_for_its_next_life() {
    let mut world =
        World::new(vec![assigned("c", 1, 1)], References::default(), |_, _| (S / 10, up()));
    world.cut = 30 * S..1000 * S;
    world.run_until(100 * S);
    let before: BTreeSet<u64> = world.observations().map(|found| found.seq).collect();
    world.step(Event::Stop);
    world.run_until(101 * S);
    assert!(world.halted);
    let made = world.ended.len() as u64;
    let kept = world.store.load().expect("memory");
    assert_eq!(kept.len() as u64 + before.len() as u64, made);

    let mut next = World::new(Vec::new(), References::default(), |_, _| (S, up()));
    next.probe = Probe::new(setup(2, kept));
    next.store = world.store;
    next.run_until(20 * S);
    let after: BTreeSet<u64> = next
        .observations()
        .inspect(|found| assert_eq!(found.boot, 1))
        .map(|found| found.seq)
        .collect();
    assert_eq!(before.union(&after).copied().collect::<Vec<_>>(), (1..=made).collect::<Vec<_>>());
}
