//! The probes' listener: `crosscheck_model::wire` over HTTP.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Extension, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use crosscheck_model::ProbeId;
use crosscheck_model::wire::{Hello, Refusal, Report, Welcome};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::body::{self, Unreadable};
use super::{ProbeGate, fits};
use crate::access::Peer;

/// The largest request as it arrives: a full report compresses to a tenth of this.
const BODY_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Who asks: a peer, where the listener knows its peers; nobody in particular where only this
/// host can reach it.
type Who = Option<Extension<Peer>>;

/// The routes for probes. On a listener that tells no [`Peer`] anybody may speak for any probe
/// that has not joined: only for one that nobody else can reach.
pub fn routes(gate: ProbeGate) -> Router {
    Router::new()
        .route("/probe/v1/session", post(session))
        .route("/probe/v1/report", post(report))
        .route("/probe/v1/orders", get(orders))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(gate)
}

async fn session(
    State(gate): State<ProbeGate>,
    who: Who,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match unpack(&headers, body).await {
        Ok(hello) => answer(open(&gate, who, hello).await),
        Err(unreadable) => unreadable.into_response(),
    }
}

async fn open(gate: &ProbeGate, who: Who, hello: Hello) -> Result<Welcome, Refusal> {
    match who {
        None => gate.open(hello).await,
        Some(Extension(Peer::Probe { probe, site, key }))
            if probe == hello.probe && site == hello.site =>
        {
            gate.open_as(hello, key).await
        }
        Some(_) => Err(Refusal::Forbidden),
    }
}

/// Whether who asks may speak for the probe. A session that was taken from it says the same, but
/// a session's number, hard to guess as it is, proves nothing.
fn speaks_for(gate: &ProbeGate, who: &Who, named: &ProbeId) -> Result<(), Refusal> {
    match who {
        None => Ok(()),
        Some(Extension(Peer::Probe { probe, key, .. })) if probe == named => gate.admit(probe, key),
        Some(_) => Err(Refusal::Forbidden),
    }
}

async fn report(
    State(gate): State<ProbeGate>,
    who: Who,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match unpack::<Report>(&headers, body).await {
        Ok(report) if !fits(&report) => Unreadable::TooLarge.into_response(),
        Ok(report) => match speaks_for(&gate, &who, &report.probe) {
            Ok(()) => answer(gate.report(report).await),
            Err(refusal) => refused(refusal),
        },
        Err(unreadable) => unreadable.into_response(),
    }
}

#[derive(Deserialize)]
struct Wanted {
    probe: String,
    epoch: u64,
}

async fn orders(State(gate): State<ProbeGate>, who: Who, Query(wanted): Query<Wanted>) -> Response {
    let probe = ProbeId::new(wanted.probe);
    if let Err(refusal) = speaks_for(&gate, &who, &probe) {
        return refused(refusal);
    }
    let place = match gate.place_for(&probe) {
        Ok(place) => place,
        Err(refusal) => return refused(refusal),
    };
    let lines = gate.orders(probe, wanted.epoch).filter_map(move |order| {
        let _held_as_long_as_the_stream = &place;
        // Every order can be written as JSON; one that could not would be passed over.
        let line = serde_json::to_vec(&order).ok().map(|mut line| {
            line.push(b'\n');
            Ok::<_, Infallible>(Bytes::from(line))
        });
        std::future::ready(line)
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

fn answer<T: Serialize>(result: Result<T, Refusal>) -> Response {
    match result {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Response {
    let status = match refusal {
        Refusal::UnknownSession => StatusCode::CONFLICT,
        Refusal::UnknownSite(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Version { .. } => StatusCode::UPGRADE_REQUIRED,
        Refusal::Forbidden => StatusCode::FORBIDDEN,
        Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(refusal)).into_response()
}

/// Reads away from the runtime's threads: a full report is work for milliseconds.
async fn unpack<T: DeserializeOwned + Send + 'static>(
    headers: &HeaderMap,
    packed: Bytes,
) -> Result<T, Unreadable> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes().to_vec());
    let read = tokio::task::spawn_blocking(move || body::read(encoding.as_deref(), &packed));
    read.await.unwrap_or_else(|error| Err(Unreadable::Here(error.to_string())))
}

impl IntoResponse for Unreadable {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Here(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.to_string()).into_response()
    }
}
