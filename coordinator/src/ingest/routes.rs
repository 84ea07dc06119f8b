//! The probes' listener: `crosscheck_model::wire` over HTTP.

use std::convert::Infallible;
use std::io::Read;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Extension, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use crosscheck_model::ProbeId;
use crosscheck_model::wire::{Hello, REPORT_LIMIT, Refusal, Report, Welcome};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ProbeGate;
use crate::access::Peer;

/// The largest request as it arrives: a full report compresses to a tenth of this.
const BODY_LIMIT_BYTES: usize = 4 * 1024 * 1024;
/// The largest request unpacked: [`REPORT_LIMIT`] observations with full excerpts, which JSON may
/// stretch, and a bound for what a small bomb can blow up to.
const UNPACKED_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

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
        Err(status) => status.into_response(),
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
/// a session's number is no secret.
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
        Ok(report) if report.observations.len() > REPORT_LIMIT => {
            (StatusCode::PAYLOAD_TOO_LARGE, "too many observations in one report").into_response()
        }
        Ok(report) => match speaks_for(&gate, &who, &report.probe) {
            Ok(()) => answer(gate.report(report).await),
            Err(refusal) => refused(refusal),
        },
        Err(error) => error.into_response(),
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
    let lines = gate.orders(probe, wanted.epoch).filter_map(|order| async move {
        // Every order can be written as JSON; one that could not would be passed over.
        let mut line = serde_json::to_vec(&order).ok()?;
        line.push(b'\n');
        Some(Ok::<_, Infallible>(Bytes::from(line)))
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

type BadBody = (StatusCode, String);

/// Unpacks and parses away from the runtime's threads: a full report is work for milliseconds.
async fn unpack<T: DeserializeOwned + Send + 'static>(
    headers: &HeaderMap,
    body: Bytes,
) -> Result<T, BadBody> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes().to_vec());
    let parsed = tokio::task::spawn_blocking(move || match encoding.as_deref() {
        None | Some(b"identity") => parse(&body),
        Some(b"zstd") => parse(&decompress(&body)?),
        Some(_) => {
            Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "only zstd or no encoding is read".into()))
        }
    });
    parsed.await.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, BadBody> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn decompress(body: &[u8]) -> Result<Vec<u8>, BadBody> {
    let bad = |error: std::io::Error| (StatusCode::BAD_REQUEST, error.to_string());
    let mut unpacked = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(bad)?;
    decoder.take(UNPACKED_LIMIT_BYTES + 1).read_to_end(&mut unpacked).map_err(bad)?;
    if unpacked.len() as u64 > UNPACKED_LIMIT_BYTES {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, "the body unpacks to too much".into()));
    }
    Ok(unpacked)
}
