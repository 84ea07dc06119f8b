//! The probes' listener: `crosscheck_model::wire` over HTTP.

use std::convert::Infallible;
use std::io::Read;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use crosscheck_model::ProbeId;
use crosscheck_model::wire::{REPORT_LIMIT, Refusal, Report};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ProbeGate;
use crate::bearer::BearerKey;

/// The largest request as it arrives: a full report compresses to a tenth of this.
const BODY_LIMIT_BYTES: usize = 4 * 1024 * 1024;
/// The largest request unpacked: [`REPORT_LIMIT`] observations with full excerpts, which JSON may
/// stretch, and a bound for what a small bomb can blow up to.
const UNPACKED_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// The routes for probes that show `key`; without a key, only for a listener that nobody else
/// can reach.
pub fn routes(gate: ProbeGate, key: Option<&str>) -> Router {
    let key = Arc::new(key.map(BearerKey::new));
    Router::new()
        .route("/probe/v1/session", post(session))
        .route("/probe/v1/report", post(report))
        .route("/probe/v1/orders", get(orders))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(middleware::from_fn_with_state(key, guard))
        .with_state(gate)
}

async fn guard(
    State(key): State<Arc<Option<BearerKey>>>,
    request: Request,
    next: Next,
) -> Response {
    match &*key {
        Some(key) if !key.admits(request.headers()) => refused(Refusal::Forbidden),
        _ => next.run(request).await,
    }
}

async fn session(State(gate): State<ProbeGate>, headers: HeaderMap, body: Bytes) -> Response {
    match unpack(&headers, body).await {
        Ok(hello) => answer(gate.open(hello).await),
        Err(status) => status.into_response(),
    }
}

async fn report(State(gate): State<ProbeGate>, headers: HeaderMap, body: Bytes) -> Response {
    match unpack::<Report>(&headers, body).await {
        Ok(report) if report.observations.len() > REPORT_LIMIT => {
            (StatusCode::PAYLOAD_TOO_LARGE, "too many observations in one report").into_response()
        }
        Ok(report) => answer(gate.report(report).await),
        Err(error) => error.into_response(),
    }
}

#[derive(Deserialize)]
struct Who {
    probe: String,
    epoch: u64,
}

async fn orders(State(gate): State<ProbeGate>, Query(who): Query<Who>) -> Response {
    let lines = gate.orders(ProbeId::new(who.probe), who.epoch).filter_map(|order| async move {
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
