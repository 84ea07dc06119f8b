//! `/healthz` and `/readyz`: whether the process lives, and whether it can be relied on.

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use crosscheck_model::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;

/// How this coordinator is.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Health {
    /// `ok`, or what is missing.
    status: &'static str,
    /// This coordinator.
    node: u64,
    /// The leader it knows.
    leader: Option<u64>,
    /// The log time of its state.
    #[schemars(with = "String")]
    as_of: Timestamp,
}

/// `GET /healthz`: restarting it would not help.
pub(super) async fn alive(Shared(api): Shared<Api>) -> Response {
    answer(&api, StatusCode::OK, "ok")
}

/// `GET /readyz`: it votes, hears a quorum and a leader, and has caught up, so what it shows is
/// fresh and what it is told is kept.
pub(super) async fn ready(Shared(api): Shared<Api>) -> Response {
    match api.reader.unready() {
        Some(what) => answer(&api, StatusCode::SERVICE_UNAVAILABLE, what),
        None => answer(&api, StatusCode::OK, "ok"),
    }
}

fn answer(api: &Api, code: StatusCode, status: &'static str) -> Response {
    let freshness = api.reader.freshness();
    let (node, leader, as_of) = (freshness.node, freshness.leader, freshness.as_of);
    let fresh = [(header::CACHE_CONTROL, "no-store")];
    (code, fresh, Json(Health { status, node, leader, as_of })).into_response()
}
