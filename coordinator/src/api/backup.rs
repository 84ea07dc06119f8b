//! `GET /api/v1/backup`: the whole installation in one stream of bytes.

use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crosscheck_core::Command;

use super::Api;
use super::answer::ApiError;
use crate::operator::Caller;
use crate::replica::SubmitError;

/// The route. Whoever reads it knows by the last frame that nothing is missing.
///
/// Who takes it is on record before the first byte goes out. Without a leader nothing can be put on
/// record, and then of all times the data must be saved: it goes into this coordinator's own log.
pub(super) async fn download(
    Shared(api): Shared<Api>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let hint = "ask another coordinator, or try again in a while";
    let replica = api.reader.replica();
    let replica = replica.ok_or_else(|| ApiError::unavailable("there is no cluster", hint))?;
    match replica.submit(caller.act(&Command::BackUp { node: replica.id() })).await {
        Ok(_) => {}
        Err(SubmitError::NoLeader | SubmitError::Unknown) => tracing::warn!(
            actor = caller.actor.name,
            from = caller.actor.from,
            "a backup is taken that the audit trail may not tell of: the cluster has no leader"
        ),
        Err(error) => return Err(ApiError::unavailable(error.to_string(), hint)),
    }
    let bytes = replica.backup().await;
    let bytes = bytes.map_err(|error| ApiError::unavailable(error.to_string(), hint))?;
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, Body::from_stream(bytes)).into_response())
}
