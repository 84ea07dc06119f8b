//! `/api/v1/cluster`: who belongs to the cluster, and one change of it at a time.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State as Shared};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::answer::{ApiError, Told};
use crate::cluster::join::{IssueError, issue};
use crate::cluster::report::ClusterReport;
use crate::cluster::{Change, Changed};
use crate::operator::Caller;
use crate::replica::Replica;

/// A token is wanted.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantToken {
    /// How long it is good for.
    pub(crate) lifetime_seconds: u64,
}

/// A machine may join by it, once. Shown here only.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Token {
    /// What to hand to `crosscheck cluster join`.
    pub(crate) token: String,
}

/// It is done.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Changes {
    /// The coordinator that was asked about.
    pub(crate) node: u64,
}

/// `GET /api/v1/cluster`.
pub(super) async fn show(Shared(api): Shared<Api>) -> Result<Json<ClusterReport>, ApiError> {
    Ok(Json(replica(&api)?.report().await))
}

/// `POST /api/v1/cluster/tokens`.
pub(super) async fn token(
    Shared(api): Shared<Api>,
    caller: Caller,
    Told(told): Told<WantToken>,
) -> Result<Json<Token>, ApiError> {
    let lifetime = Duration::from_secs(told.lifetime_seconds);
    match issue(&replica(&api)?, lifetime, &caller).await {
        Ok(token) => Ok(Json(Token { token })),
        Err(IssueError::Rejected(reason)) => {
            Err(ApiError::bad(reason, "choose another `lifetime_seconds`"))
        }
        Err(IssueError::Submit(error)) => {
            Err(ApiError::unavailable(error.to_string(), "try again in a few seconds"))
        }
    }
}

/// `POST /api/v1/cluster/members/{node}/remove`.
pub(super) async fn remove(
    Shared(api): Shared<Api>,
    Path(node): Path<u64>,
    caller: Caller,
) -> Result<Json<Changes>, ApiError> {
    change(&api, node, Change::Remove { node, by: caller.actor }).await
}

/// `POST /api/v1/cluster/members/{node}/transfer`.
pub(super) async fn transfer(
    Shared(api): Shared<Api>,
    Path(node): Path<u64>,
    caller: Caller,
) -> Result<Json<Changes>, ApiError> {
    change(&api, node, Change::Transfer { node, by: caller.actor }).await
}

async fn change(api: &Api, node: u64, change: Change) -> Result<Json<Changes>, ApiError> {
    match replica(api)?.change(change).await {
        Changed::Done | Changed::Learning { .. } => Ok(Json(Changes { node })),
        Changed::Refused(reason) | Changed::Removed(reason) => {
            let hint = "GET /api/v1/cluster (`crosscheck cluster status`) shows how things are";
            Err(ApiError::refused(reason, hint))
        }
        Changed::NotLeader(_) => {
            let hint = "try again in a few seconds, or ask another coordinator";
            Err(ApiError::unavailable("there is no leader at present", hint))
        }
        Changed::Unknown(reason) => {
            let hint =
                "it may have been done: look (`crosscheck cluster status`) before trying again";
            Err(ApiError::unavailable(reason, hint))
        }
    }
}

fn replica(api: &Api) -> Result<Replica, ApiError> {
    api.reader.replica().ok_or_else(|| ApiError::missing("cluster", "", "ask a coordinator"))
}
