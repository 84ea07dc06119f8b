//! A coordinator that assigns what it is told to, takes every report, and thinks nothing of it.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use crosscheck_model::config::References;
use crosscheck_model::wire::{Assigned, Assignment, Order, Receipt, Report, Welcome};
use crosscheck_model::{Status, Timestamp};
use futures_util::stream;
use tokio::net::TcpListener;

/// Between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(4);

/// The largest report; none is cut off.
const BODY_LIMIT_BYTES: usize = 64 << 20;

/// Checks whose names begin so have their durations kept.
pub(crate) const TIMED: &str = "timed";

/// What has come in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// Observations that are Up.
    pub(crate) up: u64,
    /// Others.
    pub(crate) others: u64,
    /// One of them, in words.
    pub(crate) trouble: Option<String>,
    /// How long runs of the [`TIMED`] checks took.
    pub(crate) took: Vec<Duration>,
}

/// The coordinator; it ends with the runtime.
pub(crate) struct Sink {
    /// Its port.
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    assignment: Bytes,
    heard: Mutex<Heard>,
}

impl Sink {
    /// Listens, and will assign these checks.
    ///
    /// # Panics
    /// It cannot listen.
    pub(crate) async fn start(checks: Vec<Assigned>) -> Self {
        let assignment = Assignment { revision: 1, checks, references: References::default() };
        let order = Order::Assignment(Box::new(assignment));
        let shared = Arc::new(Shared { assignment: line(&order), heard: Mutex::default() });
        let routes = Router::new()
            .route("/probe/v1/session", post(session))
            .route("/probe/v1/report", post(report))
            .route("/probe/v1/orders", get(orders))
            .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { port, shared }
    }

    /// What has come in so far.
    pub(crate) fn heard(&self) -> Heard {
        self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the durations.
    pub(crate) fn forget(&self) {
        self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner).took.clear();
    }
}

async fn session() -> Json<Welcome> {
    Json(Welcome { epoch: 1, now: Timestamp::from_millis(1) })
}

async fn report(State(shared): State<Arc<Shared>>, body: Bytes) -> Json<Receipt> {
    let json = zstd::decode_all(&body[..]).expect("a probe compresses");
    let report: Report = serde_json::from_slice(&json).expect("a probe reports");
    let mut heard = shared.heard.lock().unwrap_or_else(PoisonError::into_inner);
    for observation in report.observations {
        let outcome = observation.outcome;
        if outcome.status == Status::Up {
            heard.up += 1;
        } else {
            heard.others += 1;
            heard.trouble = Some(format!("{}: {}", observation.check, outcome.detail));
        }
        if observation.check.as_str().starts_with(TIMED) {
            heard.took.push(outcome.duration);
        }
    }
    Json(Receipt { seq: report.seq, now: Timestamp::from_millis(1) })
}

/// The assignment, and then a sign of life now and then.
async fn orders(State(shared): State<Arc<Shared>>) -> Body {
    let lines = stream::unfold(None, move |beat: Option<u64>| {
        let first = shared.assignment.clone();
        async move {
            let Some(beat) = beat else { return Some((Ok::<_, Infallible>(first), Some(1))) };
            tokio::time::sleep(HEARTBEAT).await;
            let order = Order::Heartbeat { now: Timestamp::from_millis(beat) };
            Some((Ok(line(&order)), Some(beat + 1)))
        }
    });
    Body::from_stream(lines)
}

fn line(order: &Order) -> Bytes {
    let mut line = serde_json::to_vec(order).expect("an order is JSON");
    line.push(b'\n');
    line.into()
}
