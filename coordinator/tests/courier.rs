//! From a failing run to a delivered alarm: one real replica, and a mail box that the test plays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_coordinator::courier::{Carrier, Errand};
use crosscheck_coordinator::fatal::Fatal;
use crosscheck_coordinator::leader::SystemClock;
use crosscheck_coordinator::member::Member;
use crosscheck_coordinator::replica::{Profile, Replica, ReplicaConfig, SNAPSHOT_EVERY};
use crosscheck_coordinator::surroundings::Surroundings;
use crosscheck_core::outbox::{Edge, Progress, SendResult};
use crosscheck_core::{Command, Reply};
use crosscheck_model::config::{Channel, Contact, Route, Site};
use crosscheck_model::observation::{Clock, Firmness, Trigger};
use crosscheck_model::spec::{Rule, Schedule, SiteChoice, Source};
use crosscheck_model::wire::{Health, Hello, Report, WIRE_VERSION, Welcome};
use crosscheck_model::{
    Cause, CheckId, CheckSpec, Config, ContactId, Family, Observation, Outcome, ProbeId, Severity,
    SiteId, SiteQuorum, Status,
};
use tokio::sync::{mpsc, oneshot};

/// A test that gets here has hung.
const LIMIT: Duration = Duration::from_secs(60);

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("an end in time")
}

fn check() -> CheckSpec {
    const MINUTE: Duration = Duration::from_secs(60);
    CheckSpec {
        id: CheckId::new("shop"),
        name: "shop".into(),
        customer: None,
        kind: "http".into(),
        settings: "{}".into(),
        target: "https://shop.example.com/".into(),
        source: Source::Probes,
        family: Family::V4,
        schedule: Schedule {
            interval: MINUTE,
            retry_interval: MINUTE,
            timeout: Duration::from_secs(10),
            attempts: 2,
            attempt_gap: Duration::from_secs(3),
        },
        rule: Rule::Consecutive(1),
        severity: Severity::Disaster,
        recovery_hold: MINUTE,
        sites: SiteChoice::All,
        quorum: SiteQuorum::Single,
        runbook: None,
        depends_on: Vec::new(),
    }
}

fn config() -> Config {
    let site = Site { region: "north".into(), carrier: "one".into() };
    let ops = ContactId::new("ops");
    let route = Route {
        severities: Vec::new(),
        checks: Vec::new(),
        customer: None,
        to: vec![ops.clone()],
        channels: vec!["mail".into()],
    };
    Config {
        sites: [(SiteId::new("a"), site)].into(),
        checks: vec![check()],
        contacts: [(
            ops,
            Contact { mail: vec!["ops@example.com".into()], phone: None, apart: false },
        )]
        .into(),
        channels: [("mail".into(), Channel { kind: "mail".into(), settings: "{}".into() })].into(),
        routes: vec![route],
        ..Config::default()
    }
}

async fn ask(replica: &Replica, command: Command) -> Reply {
    within(replica.submit(command)).await.expect("a reply")
}

/// The probe's word that the shop is down.
async fn report_failure(replica: &Replica) {
    let probe = ProbeId::new("p");
    let hello = Hello {
        wire: WIRE_VERSION,
        probe: probe.clone(),
        site: SiteId::new("a"),
        boot: 1,
        version: "0.1.0".into(),
    };
    let reply = ask(replica, Command::Open(hello)).await;
    let Reply::Opened(Ok(Welcome { epoch, now })) = reply else { panic!("{reply:?}") };
    let rev = replica.read(|state| state.checks[&CheckId::new("shop")].rev);
    let observation = Observation {
        check: CheckId::new("shop"),
        rev,
        boot: 1,
        seq: 1,
        started: now,
        at: now,
        clock: Clock::Leader,
        trigger: Trigger::Schedule,
        firmness: Firmness::Hard,
        failing_since: Some(now),
        outcome: Outcome::new(Status::Down, Some(Cause::Refused), "connection refused"),
    };
    let report = Report {
        probe,
        epoch,
        seq: 1,
        echo: now,
        health: Health::UNTESTED,
        observations: vec![observation],
        evidence: Vec::new(),
        spooled: 0,
        dropped: 0,
        running: 0,
    };
    let reply = ask(replica, Command::Batch(vec![report])).await;
    assert!(matches!(&reply, Reply::Batch(receipts) if receipts[0].is_ok()), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_run_becomes_one_delivered_alarm() {
    let directory = tempfile::tempdir().expect("a directory");
    let (begin, mut begun) = mpsc::channel::<(Errand, oneshot::Sender<SendResult>)>(8);
    let carry: Carrier = Arc::new(move |errand| {
        let begin = begin.clone();
        Box::pin(async move {
            let (end, ended) = oneshot::channel();
            begin.send((errand, end)).await.expect("the test listens");
            ended.await.expect("the test answers")
        })
    });
    let settings = ReplicaConfig {
        id: 1,
        url: "http://127.0.0.1:1".to_owned(),
        acquaintances: BTreeMap::new(),
        data: directory.path().to_owned(),
        profile: Profile::Lan,
        credentials: None,
        snapshot_every: SNAPSHOT_EVERY,
        clock: Arc::new(SystemClock::start()),
        fatal: Fatal::new(|reason| panic!("{reason}")),
        surroundings: Surroundings::default(),
        program: crosscheck_coordinator::cluster::Program::this(),
    };
    let member = Member::start(settings, carry).await.expect("starts");
    let replica = member.replica().clone();
    replica.form().await.expect("forms a cluster of one");

    within(member.configure(config())).await.expect("a revision");
    report_failure(&replica).await;
    let (errand, end) = within(begun.recv()).await.expect("an alarm");
    let term = replica.leadership().borrow().term;
    assert_eq!(errand.owed.notice.edge, Edge::Alarm(Status::Down));
    assert_eq!(errand.owed.contact, ContactId::new("ops"));
    assert_eq!(errand.contact.expect("configured").mail, ["ops@example.com"]);
    let Progress::Claimed { term: claimed, node: 1, .. } = errand.owed.progress else {
        panic!("sent without a claim: {:?}", errand.owed)
    };
    assert_eq!(claimed, term);

    let mut effects = replica.subscribe();
    end.send(SendResult::Delivered).expect("the courier waits");
    let progress = || replica.read(|state| state.outbox[&errand.owed.key].progress);
    while !matches!(progress(), Progress::Delivered { .. }) {
        within(effects.recv()).await.expect("the settling is applied");
    }
    within(member.stop()).await;
    assert!(begun.recv().await.is_none(), "no second alarm");
}
