//! A probe's life against one real replica, through the listener and through the gate.

mod others;

use std::time::Duration;

use crosscheck_core::{Command, Reply};
use crosscheck_model::config::Site;
use crosscheck_model::wire::{
    Health, Hello, Order, Receipt, Refusal, Report, WIRE_VERSION, Welcome,
};
use crosscheck_model::{Config, ProbeId, SiteId, Timestamp};
use futures_util::StreamExt;
use tokio::net::TcpListener;

use super::*;
use crate::replica::alone;

/// A test that gets here has hung.
const LIMIT: Duration = Duration::from_secs(60);

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("an end in time")
}

struct Stage {
    gate: ProbeGate,
    base: String,
    _directory: tempfile::TempDir,
}

/// A cluster of one with one site, and its probes' listener.
async fn stage() -> Stage {
    let directory = tempfile::tempdir().expect("a directory");
    let replica = alone(directory.path()).await;
    let site = Site { region: "north".into(), carrier: "one".into() };
    let config = Config { sites: [(SiteId::new("a"), site)].into(), ..Config::default() };
    let reply = within(replica.submit(Command::Configure(Box::new(config)))).await;
    assert!(matches!(reply, Ok(Reply::Configured(_))), "{reply:?}");
    let gate = ProbeGate::new(replica);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let routes = routes(gate.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Stage { gate, base, _directory: directory }
}

fn hello(site: &str) -> Hello {
    Hello {
        wire: WIRE_VERSION,
        probe: ProbeId::new("p"),
        site: SiteId::new(site),
        boot: 1,
        version: "0.1.0".into(),
    }
}

fn report(epoch: u64, seq: u64, echo: Timestamp) -> Report {
    Report {
        probe: ProbeId::new("p"),
        epoch,
        seq,
        echo,
        health: Health::UNTESTED,
        observations: Vec::new(),
        evidence: Vec::new(),
        spooled: 0,
        dropped: 0,
        running: 0,
    }
}

impl Stage {
    async fn post(&self, path: &str, body: Vec<u8>, encoding: &str) -> (u16, String) {
        let client = client();
        let request = client
            .post(format!("{}{path}", self.base))
            .header("content-encoding", encoding)
            .body(body);
        let response = within(request.send()).await.expect("answers");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    async fn packed(&self, path: &str, message: &impl serde::Serialize) -> (u16, String) {
        let json = serde_json::to_vec(message).expect("JSON");
        self.post(path, zstd::bulk::compress(&json, 3).expect("packs"), "zstd").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_over_http() {
    let stage = stage().await;
    let (status, body) = stage.packed("/probe/v1/session", &hello("a")).await;
    assert_eq!(status, 200, "{body}");
    let welcome: Welcome = serde_json::from_str(&body).expect("a welcome");
    let (status, body) =
        stage.packed("/probe/v1/report", &report(welcome.epoch, 1, welcome.now)).await;
    assert_eq!(status, 200, "{body}");
    let receipt: Receipt = serde_json::from_str(&body).expect("a receipt");
    assert_eq!(receipt.seq, 1);
    let client = client();
    let url = format!("{}/probe/v1/orders?probe=p&epoch={}", stage.base, welcome.epoch);
    let response = within(client.get(url).send()).await;
    let mut pieces = response.expect("answers").bytes_stream();
    let mut text = String::new();
    while text.lines().count() < 2 || !text.ends_with('\n') {
        let piece = within(pieces.next()).await.expect("more").expect("whole");
        text.push_str(std::str::from_utf8(&piece).expect("text"));
    }
    let orders: Vec<Order> =
        text.lines().map(|line| serde_json::from_str(line).expect("an order")).collect();
    assert!(matches!(orders[0], Order::Heartbeat { now } if now >= welcome.now), "{orders:?}");
    assert!(matches!(orders[1], Order::Assignment(_)), "{orders:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_says_why() {
    let stage = stage().await;
    let other_wire = Hello { wire: 99, ..hello("a") };
    for (path, body, status, refusal) in [
        (
            "/probe/v1/session",
            serde_json::to_value(hello("b")),
            422,
            Refusal::UnknownSite("b".into()),
        ),
        (
            "/probe/v1/session",
            serde_json::to_value(other_wire),
            426,
            Refusal::Version { wanted: WIRE_VERSION },
        ),
        (
            "/probe/v1/report",
            serde_json::to_value(report(77, 1, Timestamp::ZERO)),
            409,
            Refusal::UnknownSession,
        ),
    ] {
        let (found, text) = stage.packed(path, &body.expect("JSON")).await;
        assert_eq!(found, status, "{text}");
        assert_eq!(serde_json::from_str::<Refusal>(&text).expect("a refusal"), refusal);
    }
    let bomb = zstd::bulk::compress(&vec![b' '; 20 * 1024 * 1024], 3).expect("packs");
    assert!(bomb.len() < 10_000);
    assert_eq!(stage.post("/probe/v1/report", bomb, "zstd").await.0, 413);
    assert_eq!(stage.post("/probe/v1/report", b"{}".to_vec(), "br").await.0, 415);
    assert_eq!(stage.post("/probe/v1/report", b"{}".to_vec(), "identity").await.0, 400);
    assert_eq!(stage.post("/probe/v1/report", b"no zstd".to_vec(), "zstd").await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_session_ends_the_orders_of_the_old_one() {
    let stage = stage().await;
    let probe = ProbeId::new("p");
    let old = within(stage.gate.open(hello("a"))).await.expect("opened");
    let mut orders = stage.gate.orders(probe.clone(), old.epoch);
    assert!(matches!(within(orders.next()).await, Some(Order::Heartbeat { .. })));
    assert!(matches!(within(orders.next()).await, Some(Order::Assignment(_))));
    let new = within(stage.gate.open(hello("a"))).await.expect("opened");
    assert!(new.epoch > old.epoch);
    let rest: Vec<Order> = within(orders.collect()).await;
    assert_eq!(rest.last(), Some(&Order::Renew), "{rest:?}");
    let again: Vec<Order> = within(stage.gate.orders(probe, old.epoch).collect()).await;
    assert_eq!(again, [Order::Renew]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_assignment_reaches_the_stream() {
    let stage = stage().await;
    let welcome = within(stage.gate.open(hello("a"))).await.expect("opened");
    let mut orders = stage.gate.orders(ProbeId::new("p"), welcome.epoch);
    within(orders.next()).await.expect("a heartbeat");
    within(orders.next()).await.expect("nothing to run yet");
    let mut config = stage.gate.replica.read(|state| state.config.clone());
    config.checks.push(check());
    within(stage.gate.replica.submit(Command::Configure(Box::new(config))))
        .await
        .expect("configured");
    let assignment = loop {
        match within(orders.next()).await.expect("more") {
            Order::Assignment(assignment) => break assignment,
            other => assert!(matches!(other, Order::Heartbeat { .. }), "{other:?}"),
        }
    };
    assert_eq!(assignment.checks.len(), 1);
}

pub(crate) fn check() -> crosscheck_model::CheckSpec {
    use crosscheck_model::spec::{Rule, Schedule, SiteChoice, Source};
    use crosscheck_model::{Family, Severity, SiteQuorum};
    let second = Duration::from_secs(1);
    crosscheck_model::CheckSpec {
        id: "shop".into(),
        name: "shop".into(),
        customer: None,
        kind: "tcp".into(),
        settings: "{}".into(),
        target: "192.0.2.1:80".into(),
        source: Source::Probes,
        family: Family::V4,
        schedule: Schedule {
            interval: 60 * second,
            retry_interval: 60 * second,
            timeout: 10 * second,
            attempts: 2,
            attempt_gap: 3 * second,
        },
        rule: Rule::Consecutive(1),
        recovery_hold: 60 * second,
        severity: Severity::High,
        sites: SiteChoice::All,
        quorum: SiteQuorum::Single,
        runbook: None,
        depends_on: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_does_not_listen_is_dropped() {
    let stage = stage().await;
    let welcome = within(stage.gate.open(hello("a"))).await.expect("opened");
    let (sender, mut receiver) = mpsc::channel(1);
    let feed = orders::feed(stage.gate.replica.clone(), ProbeId::new("p"), welcome.epoch, sender);
    // The heartbeat fits, the assignment does not, and nobody waits for it.
    within(feed).await;
    assert!(matches!(receiver.recv().await, Some(Order::Heartbeat { .. })));
    assert!(receiver.recv().await.is_none());
}

/// A client that needs no certificates.
fn client() -> reqwest::Client {
    // An error means that another test was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}
