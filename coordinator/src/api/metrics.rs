//! `/metrics`, for those who may see all of the installation.

use axum::extract::State as Shared;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use crosscheck_probe::exposition::CONTENT_TYPE;

use super::Api;
use super::answer::ApiError;
use crate::metrics;

/// `GET /metrics`.
pub(super) async fn show(Shared(api): Shared<Api>) -> Result<Response, ApiError> {
    let replica = api.reader.replica().ok_or_else(|| {
        ApiError::unavailable("there is no cluster behind this", "ask a coordinator")
    })?;
    // The state is looked at as a whole.
    let figures = tokio::task::spawn_blocking(move || replica.figures()).await;
    let figures = figures.map_err(|_| ApiError::internal())?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics::text(&figures)).into_response())
}
