//! Two probes that have joined, by their certificates: neither speaks for the other.

use axum::body::Body;
use axum::extract::Extension;
use axum::http::{Request, StatusCode, header};
use crosscheck_core::token::Grant;
use crosscheck_model::join::Fingerprint;
use crosscheck_model::observation::{Clock, Firmness, Trigger};
use crosscheck_model::{CheckId, Observation, Outcome, Status};
use serde::Serialize;
use tower::ServiceExt;

use super::*;
use crate::access::{Peer, only_probes};

const SHOP: &str = "shop";

/// A probe as its certificate names it.
#[derive(Clone)]
struct Known {
    name: &'static str,
    key: Fingerprint,
    epoch: u64,
}

impl Known {
    /// Joins by a token, and opens a session with its own certificate.
    async fn join(gate: &ProbeGate, name: &'static str, number: u8) -> Self {
        let (token, key) = (Fingerprint([number; 32]), Fingerprint([number + 100; 32]));
        let grant = Grant::Probe { site: SiteId::new(name), name: None };
        let by = "li".to_owned();
        let issue = Command::IssueJoinToken { token, grant, lifetime: Duration::from_secs(60), by };
        assert_eq!(within(gate.replica.submit(issue)).await, Ok(Reply::Done));
        let (probe, site) = (ProbeId::new(name), SiteId::new(name));
        let enrol = Command::Enrol { token, probe, site, key };
        let enrolled = within(gate.replica.submit(enrol)).await;
        assert!(matches!(enrolled, Ok(Reply::Certified(Ok(_)))), "{enrolled:?}");
        let mut probe = Self { name, key, epoch: 0 };
        let (status, body) = probe.post(gate, "session", &probe.hello()).await;
        assert_eq!(status, StatusCode::OK);
        let welcome: Welcome = serde_json::from_slice(&body).expect("a welcome");
        probe.epoch = welcome.epoch;
        probe
    }

    fn hello(&self) -> Hello {
        let (probe, site) = (ProbeId::new(self.name), SiteId::new(self.name));
        Hello { wire: WIRE_VERSION, probe, site, boot: 1, version: "0.1.0".into() }
    }

    /// A report in this probe's session: the shop is down.
    fn report(&self, gate: &ProbeGate) -> Report {
        let (now, shop) = (gate.replica.applied().1, CheckId::new(SHOP));
        let rev = gate.replica.read(|state| state.checks.get(&shop).expect("configured").rev);
        let observation = Observation {
            check: shop,
            rev,
            boot: 1,
            seq: 1,
            started: now,
            at: now,
            clock: Clock::Leader,
            trigger: Trigger::Schedule,
            firmness: Firmness::Hard,
            failing_since: Some(now),
            outcome: Outcome::new(Status::Down, None, "a lie"),
        };
        Report {
            probe: ProbeId::new(self.name),
            observations: vec![observation],
            ..report(self.epoch, 1, now)
        }
    }

    async fn post(
        &self,
        gate: &ProbeGate,
        path: &str,
        body: &impl Serialize,
    ) -> (StatusCode, Vec<u8>) {
        let body = serde_json::to_vec(body).expect("JSON");
        let request = Request::post(format!("/probe/v1/{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body));
        self.ask(gate, request.expect("a request")).await
    }

    /// What the production routes answer to whoever has this probe's certificate.
    async fn ask(&self, gate: &ProbeGate, request: Request<Body>) -> (StatusCode, Vec<u8>) {
        let (probe, site) = (ProbeId::new(self.name), SiteId::new(self.name));
        let peer = Peer::Probe { probe, site, key: self.key };
        let routes = only_probes(routes(gate.clone())).layer(Extension(peer));
        let answer = within(routes.oneshot(request)).await.expect("routes answer");
        let status = answer.status();
        // The first line of a stream of orders tells enough.
        let mut parts = answer.into_body().into_data_stream();
        let part = within(parts.next()).await;
        (status, part.and_then(Result::ok).map(|part| part.to_vec()).unwrap_or_default())
    }

    async fn orders(&self, gate: &ProbeGate, of: &Self) -> (StatusCode, Vec<u8>) {
        let path = format!("/probe/v1/orders?probe={}&epoch={}", of.name, of.epoch);
        self.ask(gate, Request::get(path).body(Body::empty()).expect("a request")).await
    }
}

/// Two sites with a probe each, and a check that both run.
async fn two() -> (Stage, Known, Known) {
    let stage = stage().await;
    let site = |carrier: &str| Site { region: "north".into(), carrier: carrier.into() };
    let sites = [(SiteId::new("a1"), site("one")), (SiteId::new("b1"), site("two"))].into();
    let config = Config { sites, checks: vec![check()], ..Config::default() };
    let configure = Command::Configure(Box::new(config));
    let reply = within(stage.gate.replica.submit(configure)).await;
    assert!(matches!(reply, Ok(Reply::Configured(_))), "{reply:?}");
    let first = Known::join(&stage.gate, "a1", 1).await;
    let second = Known::join(&stage.gate, "b1", 2).await;
    (stage, first, second)
}

/// The probes whose votes count, and what they say.
fn votes(gate: &ProbeGate) -> Vec<(String, Status)> {
    gate.replica.read(|state| {
        let check = state.checks.get(&CheckId::new(SHOP)).expect("configured");
        check.votes.iter().map(|(id, vote)| (id.as_str().to_owned(), vote.status)).collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_gets_its_own_orders_and_no_others() {
    let (Stage { gate, .. }, first, second) = two().await;
    let (status, orders) = first.orders(&gate, &first).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!orders.is_empty());
    // It even knows the other's session.
    assert_eq!(first.orders(&gate, &second).await.0, StatusCode::FORBIDDEN);
    assert_eq!(second.orders(&gate, &first).await.0, StatusCode::FORBIDDEN);
    let (status, _) = first.post(&gate, "session", &second.hello()).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "nor does it take the other's place");
    let elsewhere = Hello { site: SiteId::new("b1"), ..first.hello() };
    let (status, _) = first.post(&gate, "session", &elsewhere).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "nor does it stand where it does not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_writes_its_own_votes_and_no_others() {
    let (Stage { gate, .. }, first, second) = two().await;
    let (status, _) = first.post(&gate, "report", &second.report(&gate)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    // Its own name in the other's session is no way round.
    let mixed = Report { epoch: second.epoch, ..first.report(&gate) };
    let (status, _) = first.post(&gate, "report", &mixed).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(votes(&gate), []);
    let (status, _) = first.post(&gate, "report", &first.report(&gate)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(votes(&gate), [("a1".to_owned(), Status::Down)]);
    // A key that was not the one that joined, though the authority has signed for it.
    let forged = Known { key: Fingerprint([9; 32]), ..second };
    let (status, _) = forged.post(&gate, "report", &forged.report(&gate)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(votes(&gate).len(), 1);
}
