//! How long a status page takes: a thousand checks with ninety days each, from the history on the
//! disk to HTML. The limit of the design is 50 ms.
//!
//! `cargo bench -p crosscheck-coordinator --bench page`

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use crosscheck_coordinator::fatal::Fatal;
use crosscheck_coordinator::history::History;
use crosscheck_coordinator::page::{self, Freshness, Reader, Readings};
use crosscheck_core::{Command, Effect, Reply, State, apply};
use crosscheck_model::config::Site;
use crosscheck_model::observation::{Clock, Firmness, Trigger};
use crosscheck_model::spec::{Rule, Schedule, SiteChoice, Source};
use crosscheck_model::wire::{Health, Hello, Report, WIRE_VERSION};
use crosscheck_model::{
    CheckSpec, Config, Family, Observation, Outcome, ProbeId, Severity, SiteId, SiteQuorum, Status,
    Timestamp,
};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::Request;
use tower::ServiceExt;

const CHECKS: usize = 1_000;
const DAYS: u64 = 90;
/// Outages of each check within the days: each is three spans.
const OUTAGES: u64 = 8;
const NOW: Timestamp = Timestamp::from_millis(1_795_341_733_000);
const DAY_MILLIS: u64 = 24 * 60 * 60 * 1_000;

struct Fixed {
    state: State,
    history: History,
}

impl Reader for Fixed {
    fn with_state(&self, look: &mut dyn FnMut(&State)) {
        look(&self.state);
    }

    fn readings(&self) -> &dyn Readings {
        &self.history
    }

    fn freshness(&self) -> Freshness {
        Freshness { as_of: NOW, minority: false, node: 1, leader: Some(1) }
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        futures_util::stream::pending().boxed()
    }
}

fn spec(number: usize) -> CheckSpec {
    let second = Duration::from_secs(1);
    CheckSpec {
        id: format!("check {number}").as_str().into(),
        name: format!("check {number}"),
        customer: None,
        kind: "tcp".into(),
        settings: "{}".into(),
        target: format!("host-{number}.example.com:443"),
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
        source: Source::Probes,
        sites: SiteChoice::All,
        quorum: SiteQuorum::Diverse,
        runbook: None,
        depends_on: Vec::new(),
    }
}

/// Five probes of three carriers, each of which says of each check that it is up.
fn state() -> State {
    let mut state = State::default();
    let places = ["alpha", "alpha", "beta", "beta", "gamma"].into_iter().enumerate();
    let sites = places.map(|(number, carrier)| {
        let site = Site { region: format!("r{number}"), carrier: carrier.to_owned() };
        (SiteId::new(format!("s{number}")), site)
    });
    let sites = sites.collect();
    let checks = (0..CHECKS).map(spec).collect();
    let config = Config { sites, checks, ..Config::default() };
    apply(&mut state, NOW, Command::Configure(Box::new(config)));
    for number in 0..5 {
        let probe = ProbeId::new(format!("p{number}"));
        let hello = Hello {
            wire: WIRE_VERSION,
            probe: probe.clone(),
            site: SiteId::new(format!("s{number}")),
            boot: 1,
            version: "0.1.0".into(),
        };
        let Reply::Opened(Ok(welcome)) = apply(&mut state, NOW, Command::Open(hello)).reply else {
            panic!("no session")
        };
        let seen = (0..CHECKS).map(|check| Observation {
            check: format!("check {check}").as_str().into(),
            rev: 1,
            boot: 1,
            seq: check as u64,
            started: NOW.minus(Duration::from_millis(50)),
            at: NOW,
            clock: Clock::Leader,
            trigger: Trigger::Schedule,
            firmness: Firmness::Hard,
            failing_since: None,
            outcome: Outcome::new(Status::Up, None, ""),
        });
        let report = Report {
            probe,
            epoch: welcome.epoch,
            seq: 1,
            echo: NOW,
            health: Health::UNTESTED,
            observations: seen.collect(),
            evidence: Vec::new(),
            spooled: 0,
            dropped: 0,
            running: 0,
        };
        apply(&mut state, NOW, Command::Batch(vec![report]));
    }
    state
}

/// Each check's verdicts over the days.
fn spans() -> Vec<Effect> {
    let begin = NOW.as_millis() - DAYS * DAY_MILLIS;
    let span = |check: usize, from: u64, status| Effect::Span {
        check: format!("check {check}").as_str().into(),
        from: Timestamp::from_millis(from),
        status: Some(status),
        maintenance: false,
    };
    let mut spans = Vec::new();
    for check in 0..CHECKS {
        spans.push(span(check, begin, Status::Up));
        for outage in 0..OUTAGES {
            let from = begin + (outage + 1) * (DAYS / OUTAGES) * DAY_MILLIS - check as u64 * 60_000;
            spans.push(span(check, from, Status::Degraded));
            spans.push(span(check, from + 60_000, Status::Down));
            spans.push(span(check, from + 600_000, Status::Up));
        }
    }
    spans
}

/// How often the page is asked for.
const ROUNDS: usize = 20;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let fatal = Fatal::new(|reason| panic!("{reason}"));
    let history = History::open(directory.path(), fatal).expect("a history");
    runtime.block_on(async {
        history.append(1, Arc::new(spans())).await.expect("kept");
        history.flush().await.expect("flushed");
    });
    let routes = page::routes(Arc::new(Fixed { state: state(), history }));
    let mut took: Vec<Duration> = (0..ROUNDS).map(|_| render(&runtime, &routes)).collect();
    took.sort_unstable();
    let millis = |index: usize| took[index].as_secs_f64() * 1_000.0;
    let figures = format!(
        "a page of {CHECKS} checks and {DAYS} days: fastest {:.1} ms, median {:.1} ms, slowest \
         {:.1} ms of {ROUNDS}",
        millis(0),
        millis(ROUNDS / 2),
        millis(ROUNDS - 1)
    );
    writeln!(std::io::stdout(), "{figures}").expect("somebody reads it");
}

/// Asks for the page once; how long that took.
fn render(runtime: &tokio::runtime::Runtime, routes: &axum::Router) -> Duration {
    let begun = Instant::now();
    let body = runtime.block_on(async {
        let request = Request::get("/").body(Body::empty()).expect("a request");
        let answer = routes.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a page")
    });
    let took = begun.elapsed();
    assert!(body.len() > CHECKS * 100, "every check is on it");
    took
}
