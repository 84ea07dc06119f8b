//! `GET /api/v1/backup`: the whole installation in one stream of bytes.

use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::answer::ApiError;

/// The route. Whoever reads it knows by the last frame that nothing is missing.
pub(super) async fn download(Shared(api): Shared<Api>) -> Result<Response, ApiError> {
    let hint = "ask another coordinator, or try again in a while";
    let replica = api.reader.replica();
    let replica = replica.ok_or_else(|| ApiError::unavailable("there is no cluster", hint))?;
    let bytes = replica.backup().await;
    let bytes = bytes.map_err(|error| ApiError::unavailable(error.to_string(), hint))?;
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, Body::from_stream(bytes)).into_response())
}
