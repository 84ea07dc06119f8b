//! A real probe, with real checks and the real link, against a scripted coordinator.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use crosscheck_model::config::References;
use crosscheck_model::observation::{Clock, Firmness, Trigger};
use crosscheck_model::spec::{Rule, Schedule, SiteChoice, Source};
use crosscheck_model::wire::{
    Assigned, Assignment, Hello, Order, Receipt, Refusal, Report, Welcome,
};
use crosscheck_model::{
    Cause, CheckSpec, Family, Observation, Severity, SiteQuorum, Status, Timestamp,
};
use crosscheck_probe::link::HttpLink;
use crosscheck_probe::trial::DEATHS;
use crosscheck_probe::{Config, metrics, start};
use futures_util::stream;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

mod session {
    mod memory;
}

/// Only so that a failing test ends; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
enum Got {
    Hello(Hello),
    Listening(u64, UnboundedSender<Order>),
    Report(Report),
}

#[derive(Clone)]
struct Coordinator {
    got: UnboundedSender<Got>,
    refusals: Arc<Mutex<VecDeque<Refusal>>>,
    epoch: Arc<Mutex<u64>>,
}

#[derive(Deserialize)]
struct Who {
    probe: String,
    epoch: u64,
}

fn unpacked<T: serde::de::DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> T {
    assert_eq!(headers["content-encoding"], "zstd");
    assert_eq!(headers["content-type"], "application/json");
    let json = zstd::stream::decode_all(&body[..]).expect("zstd");
    serde_json::from_slice(&json).expect("a message")
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_318_847_000)
}

async fn session(State(it): State<Coordinator>, headers: HeaderMap, body: Bytes) -> Response {
    let hello = unpacked(&headers, &body);
    let _ = it.got.send(Got::Hello(hello));
    let mut epoch = it.epoch.lock().expect("not poisoned");
    *epoch += 1;
    axum::Json(Welcome { epoch: *epoch, now: now() }).into_response()
}

async fn report(State(it): State<Coordinator>, headers: HeaderMap, body: Bytes) -> Response {
    let report: Report = unpacked(&headers, &body);
    let seq = report.seq;
    if let Some(refusal) = it.refusals.lock().expect("not poisoned").pop_front() {
        return (StatusCode::CONFLICT, axum::Json(refusal)).into_response();
    }
    let _ = it.got.send(Got::Report(report));
    axum::Json(Receipt { seq, now: now() }).into_response()
}

async fn orders(State(it): State<Coordinator>, Query(who): Query<Who>) -> Response {
    assert_eq!(who.probe, "p 1");
    let (orders, inbox) = mpsc::unbounded_channel::<Order>();
    let _ = it.got.send(Got::Listening(who.epoch, orders));
    let lines = stream::unfold(inbox, |mut inbox| async {
        let order = inbox.recv().await?;
        let line = serde_json::to_string(&order).expect("JSON") + "\n";
        Some((Ok::<_, std::io::Error>(line), inbox))
    });
    Body::from_stream(lines).into_response()
}

/// What the coordinator sees, as it comes.
struct Script {
    got: UnboundedReceiver<Got>,
    refusals: Arc<Mutex<VecDeque<Refusal>>>,
    seen: VecDeque<Observation>,
}

impl Script {
    async fn next(&mut self) -> Got {
        tokio::time::timeout(PATIENCE, self.got.recv()).await.expect("in time").expect("open")
    }

    async fn hello(&mut self) -> Hello {
        loop {
            if let Got::Hello(hello) = self.next().await {
                return hello;
            }
        }
    }

    async fn listening(&mut self) -> (u64, UnboundedSender<Order>) {
        loop {
            if let Got::Listening(epoch, orders) = self.next().await {
                return (epoch, orders);
            }
        }
    }

    async fn observation(&mut self) -> Observation {
        loop {
            if let Some(observation) = self.seen.pop_front() {
                return observation;
            }
            if let Got::Report(report) = self.next().await {
                self.seen.extend(report.observations);
            }
        }
    }
}

async fn coordinator() -> (String, Script) {
    let (sender, got) = mpsc::unbounded_channel();
    let refusals: Arc<Mutex<VecDeque<Refusal>>> = Arc::default();
    let state = Coordinator { got: sender, refusals: Arc::clone(&refusals), epoch: Arc::default() };
    let router = Router::new()
        .route("/probe/v1/session", post(session))
        .route("/probe/v1/report", post(report))
        .route("/probe/v1/orders", get(orders))
        .with_state(state);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), Script { got, refusals, seen: VecDeque::new() })
}

/// A TCP check of that address, too seldom to run by itself in this test.
fn check(address: &str) -> Assigned {
    let hour = Duration::from_secs(3600);
    let schedule = Schedule {
        interval: hour,
        retry_interval: hour,
        timeout: Duration::from_secs(10),
        attempts: 2,
        attempt_gap: Duration::from_millis(10),
    };
    let spec = CheckSpec {
        id: "port".into(),
        name: "port".to_owned(),
        customer: None,
        kind: "tcp".to_owned(),
        settings: serde_json::json!({ "address": address }).to_string(),
        target: address.to_owned(),
        source: Source::Probes,
        family: Family::V4,
        schedule,
        rule: Rule::Consecutive(1),
        recovery_hold: Duration::from_secs(60),
        severity: Severity::High,
        sites: SiteChoice::All,
        quorum: SiteQuorum::Diverse,
        runbook: None,
        depends_on: Vec::new(),
    };
    Assigned { rev: 9, spec }
}

#[tokio::test]
async fn session_orders_reports_and_renewal() {
    let (url, mut script) = coordinator().await;
    // The first coordinator of the list is dead: nothing listens on port 1 of loopback.
    let urls = ["http://127.0.0.1:1/", &url].map(|url| url.parse().expect("a URL")).to_vec();
    let link = HttpLink::new(urls, None).expect("a link");
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = Config::new("p 1", "here");
    config.internal = true;
    config.data = Some(directory.path().to_owned());
    let probe = start(&config, link).expect("starts");

    let hello = script.hello().await;
    assert_eq!((hello.probe.as_str(), hello.site.as_str()), ("p 1", "here"));
    let (epoch, orders) = script.listening().await;
    assert_eq!(epoch, 1);

    let target = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = target.local_addr().expect("bound").to_string();
    // Each is asked to confirm once: more often than in a round, a target is not asked.
    let named = |name: &str| {
        let mut check = check(&address);
        check.spec.id = name.into();
        check
    };
    let checks = ["well", "gone", "still gone"].map(named).to_vec();
    let assignment = Assignment { revision: 1, checks, references: References::default() };
    let confirm = |check: &str, nonce| Order::Confirm { check: check.into(), nonce };
    orders.send(Order::Heartbeat { now: now() }).expect("listens");
    orders.send(Order::Assignment(Box::new(assignment))).expect("listens");
    orders.send(confirm("well", 1)).expect("listens");
    let first = script.observation().await;
    assert_eq!((first.outcome.status, first.trigger), (Status::Up, Trigger::Confirm));
    assert_eq!((first.rev, first.boot, first.clock), (9, hello.boot, Clock::Leader));
    assert!(first.at >= now() && first.at >= first.started);

    drop(target);
    orders.send(confirm("gone", 2)).expect("listens");
    let [soft, hard] = [script.observation().await, script.observation().await];
    assert_eq!((soft.outcome.status, soft.firmness), (Status::Down, Firmness::Soft));
    assert_eq!((hard.firmness, hard.trigger), (Firmness::Hard, Trigger::Retry));
    assert_eq!(hard.outcome.cause, Some(Cause::Refused));
    assert!(first.seq < soft.seq && soft.seq < hard.seq);

    // The session is forgotten: a new one is opened, and what was refused is reported in it.
    script.refusals.lock().expect("not poisoned").push_back(Refusal::UnknownSession);
    orders.send(confirm("still gone", 3)).expect("listens");
    assert_eq!(script.hello().await.boot, hello.boot);
    let again = script.observation().await;
    assert_eq!((again.outcome.status, again.trigger), (Status::Down, Trigger::Confirm));
    assert_eq!(script.observation().await.trigger, Trigger::Retry);

    let figures = probe.remote().figures().await.expect("at work");
    let text = metrics::text(&figures, probe.remote().held());
    assert!(text.contains("crosscheck_probe_runs_total{kind=\"tcp\",status=\"down\"} 4"), "{text}");
    tokio::time::timeout(PATIENCE, probe.stop()).await.expect("stops");
}

#[tokio::test]
async fn a_check_that_this_probe_cannot_run_has_no_opinion() {
    let (url, mut script) = coordinator().await;
    let link = HttpLink::new(vec![url.parse().expect("a URL")], None).expect("a link");
    let probe = start(&Config::new("p 1", "here"), link).expect("starts");
    let (_, orders) = script.listening().await;
    let mut unknown = check("127.0.0.1:1");
    unknown.spec.kind = "of the future".to_owned();
    let references = References::default();
    let assignment = Assignment { revision: 1, checks: vec![unknown], references };
    orders.send(Order::Assignment(Box::new(assignment))).expect("listens");
    orders.send(Order::Confirm { check: "port".into(), nonce: 1 }).expect("listens");
    let found = script.observation().await;
    assert_eq!((found.outcome.status, found.outcome.cause), (Status::Unknown, Some(Cause::Setup)));
    assert!(found.outcome.detail.contains("upgrade the probe"), "{}", found.outcome.detail);
    probe.stop().await;
}

/// The program, killed (SIGKILL) when it is dropped.
struct Process(Child);

impl Process {
    fn start(settings: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crosscheck-probe"));
        command.arg("--config").arg(settings).stderr(Stdio::null());
        Self(command.spawn().expect("starts"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_process_that_dies_with_a_new_check_holds_it_back_until_it_changes() {
    let (url, mut script) = coordinator().await;
    let directory = tempfile::tempdir().expect("a directory");
    let (settings, data) = (directory.path().join("probe.yaml"), directory.path().join("data"));
    let text = format!(
        "probe: p 1\nsite: here\ncoordinators: [\"{url}\"]\ndata: {}\ninternal: true\n",
        data.display()
    );
    std::fs::write(&settings, text).expect("written");
    let target = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let mut check = check(&target.local_addr().expect("bound").to_string());
    let order = |check: &Assigned, revision| {
        let (checks, references) = (vec![check.clone()], References::default());
        let assignment = Assignment { revision, checks, references };
        let confirm = Order::Confirm { check: check.spec.id.clone(), nonce: revision };
        [Order::Heartbeat { now: now() }, Order::Assignment(Box::new(assignment)), confirm]
    };
    for deaths in 0..=DEATHS {
        let _process = Process::start(&settings);
        let hello = script.hello().await;
        let (_, orders) = script.listening().await;
        order(&check, 1).into_iter().for_each(|order| orders.send(order).expect("listens"));
        let found = script.observation().await;
        assert_eq!(found.boot, hello.boot, "an observation of this life");
        if deaths < DEATHS {
            assert_eq!(found.outcome.status, Status::Up, "after {deaths} deaths");
            continue;
        }
        let outcome = &found.outcome;
        assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::Setup)));
        assert!(outcome.detail.contains("held back"), "{}", outcome.detail);
        assert!(outcome.detail.contains("died 3 times"), "{}", outcome.detail);

        check.rev += 1;
        check.spec.settings.push(' ');
        order(&check, 2).into_iter().for_each(|order| orders.send(order).expect("listens"));
        let found = script.observation().await;
        assert_eq!((found.rev, found.outcome.status), (check.rev, Status::Up));
    }
}
