//! The Raft listener's routes. Only nodes of the cluster get in.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use crosscheck_core::level;
use openraft::{Raft, Snapshot};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Answer, Asked, NODE_HEADER, SnapshotMessage};
use crate::raft::machine::Machine;
use crate::raft::wire::{FormatError, Types, pack, unpack};

/// The most that an append may carry: 16 entries (see `node.rs`) of at most 9 MB.
const APPEND_LIMIT_BYTES: usize = 256 * 1024 * 1024;
/// The largest state that can be sent whole.
const SNAPSHOT_LIMIT_BYTES: usize = 1024 * 1024 * 1024;

struct Serving<A> {
    raft: Raft<Types, Machine>,
    asked: A,
    id: u64,
}

/// The routes of node `id`.
pub(in crate::raft) fn routes<A: Asked>(raft: Raft<Types, Machine>, asked: A, id: u64) -> Router {
    let serving = Arc::new(Serving { raft, asked, id });
    Router::new()
        .route("/raft/v1/append", post(append::<A>))
        .route("/raft/v1/vote", post(vote::<A>))
        .route("/raft/v1/pre-vote", post(pre_vote::<A>))
        .route("/raft/v1/transfer", post(transfer::<A>))
        .route("/raft/v1/submit", post(submit::<A>))
        .route("/raft/v1/history", post(history::<A>))
        .route("/raft/v1/clock", post(clock::<A>))
        .route("/raft/v1/change", post(change::<A>))
        .route("/raft/v1/belongs", post(belongs::<A>))
        .route("/raft/v1/key", post(key::<A>))
        .route("/raft/v1/report", post(report::<A>))
        .layer(DefaultBodyLimit::max(APPEND_LIMIT_BYTES))
        .merge(
            Router::new()
                .route("/raft/v1/snapshot", post(snapshot::<A>))
                .layer(DefaultBodyLimit::max(SNAPSHOT_LIMIT_BYTES)),
        )
        .layer(middleware::from_fn_with_state(serving.clone(), guard::<A>))
        .with_state(serving)
}

/// Lets in who means this node, and signs the answer with the node's id.
async fn guard<A: Asked>(
    State(serving): State<Arc<Serving<A>>>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(status) = serving.admit(request.headers()) {
        return status.into_response();
    }
    let mut response = next.run(request).await;
    response.headers_mut().insert(NODE_HEADER, serving.id.into());
    response
}

impl<A> Serving<A> {
    fn admit(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let meant = headers.get(NODE_HEADER).and_then(|id| id.to_str().ok()?.parse().ok());
        if meant == Some(self.id) { Ok(()) } else { Err(StatusCode::MISDIRECTED_REQUEST) }
    }
}

impl<A: Asked> Serving<A> {
    fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, StatusCode> {
        unpack(self.asked.known(), body).map_err(|error| match error {
            FormatError::Newer(newer) => {
                tracing::warn!(%newer, "another coordinator asks for what this one does not know");
                StatusCode::UPGRADE_REQUIRED
            }
            _ => StatusCode::BAD_REQUEST,
        })
    }
}

type Serve<A> = State<Arc<Serving<A>>>;

async fn append<A: Asked>(State(serving): Serve<A>, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    reply(serving.raft.append_entries(serving.parse(&body)?).await)
}

async fn vote<A: Asked>(State(serving): Serve<A>, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    reply(serving.raft.vote(serving.parse(&body)?).await)
}

async fn pre_vote<A: Asked>(State(serving): Serve<A>, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    reply(serving.raft.pre_vote(serving.parse(&body)?).await)
}

async fn snapshot<A: Asked>(State(serving): Serve<A>, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    let message: SnapshotMessage = serving.parse(&body)?;
    let snapshot = Snapshot { meta: message.meta, snapshot: message.content.0 };
    reply(serving.raft.install_full_snapshot(message.vote, snapshot).await)
}

async fn transfer<A: Asked>(State(serving): Serve<A>, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    reply(serving.raft.handle_transfer_leader(serving.parse(&body)?).await)
}

async fn submit<A: Asked>(State(serving): Serve<A>, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    encode(&serving.asked.submit(serving.parse(&body)?).await)
}

async fn history<A: Asked>(State(serving): Serve<A>, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    encode(&Answer(serving.asked.page(serving.parse(&body)?).await))
}

async fn clock<A: Asked>(State(serving): Serve<A>) -> Result<Vec<u8>, StatusCode> {
    encode(&serving.asked.wall())
}

async fn change<A: Asked>(State(serving): Serve<A>, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    encode(&serving.asked.change(serving.parse(&body)?).await)
}

async fn belongs<A: Asked>(State(serving): Serve<A>, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    encode(&Answer(serving.asked.belongs(serving.parse(&body)?)))
}

async fn key<A: Asked>(State(serving): Serve<A>, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    encode(&Answer(serving.asked.key(serving.parse(&body)?)))
}

/// As JSON, to which fields can be added: programs of different releases must tell each other
/// what they are.
async fn report<A: Asked>(State(serving): Serve<A>) -> Result<Vec<u8>, StatusCode> {
    let own = serde_json::to_string(&serving.asked.report());
    encode(&own.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?)
}

/// An error here is the node's own end: the other side hears that nobody is there.
fn reply<T: Serialize, E: std::fmt::Display>(result: Result<T, E>) -> Result<Vec<u8>, StatusCode> {
    match result {
        Ok(answer) => encode(&answer),
        Err(error) => {
            tracing::warn!(%error, "a Raft request failed");
            Err(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

fn encode<T: Serialize>(answer: &T) -> Result<Vec<u8>, StatusCode> {
    pack(level::FIRST, answer).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
