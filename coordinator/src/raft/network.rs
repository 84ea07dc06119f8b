//! How coordinators reach each other: postcard over HTTPS behind a format level, each call bounded,
//! the peer confirmed.

#[cfg(test)]
mod golden;
mod routes;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use crosscheck_core::Reply;
use crosscheck_core::level::{self, Level};
use crosscheck_model::join::Fingerprint;
use http::StatusCode;
use openraft::alias::{SnapshotMetaOf, SnapshotOf, VoteOf};
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::impls::BasicNode;
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(super) use self::routes::routes;
use super::wire::{Blob, Types, pack, unpack};
use crate::access::{Credentials, Keyring};
use crate::cluster::report::Own;
use crate::cluster::{Change, Changed};
use crate::surroundings::{Lost, Question, Transport};

/// Names the node that a request is for, and the node that answers: after an address was given
/// to another machine, its log must not be taken for the old one's.
const NODE_HEADER: &str = "x-crosscheck-node";

/// What other nodes ask this one for, besides Raft itself.
pub(crate) trait Asked: Clone + Send + Sync + 'static {
    /// A command for the log; only a leader takes it.
    fn submit(&self, command: crosscheck_core::Command) -> impl Future<Output = Submitted> + Send;

    /// A page of the history; `None` when this node lacks it too.
    fn page(
        &self,
        want: crate::history::Want,
    ) -> impl Future<Output = Option<crate::history::Page>> + Send;

    /// The newest format level that this program knows.
    fn known(&self) -> Level;

    /// This node's wall clock.
    fn wall(&self) -> crosscheck_model::Timestamp;

    /// A change of the membership; only a leader makes it.
    fn change(&self, change: Change) -> impl Future<Output = Changed> + Send;

    /// Whether a node belongs to the cluster; `None` when this one has not heard of it yet.
    fn belongs(&self, node: u64) -> Option<bool>;

    /// The public key of a node that belongs to the cluster, as far as this one has heard.
    fn key(&self, node: u64) -> Option<Fingerprint>;

    /// How this node is.
    fn report(&self) -> Own;
}

/// What came of a command handed to another node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Submitted {
    /// It is committed and applied.
    Done(Reply),
    /// It is not in the log: that node does not lead. Who does, if it knows.
    NotLeader(Option<u64>),
    /// It may or may not be in the log.
    Unknown,
}

/// What a peer answered to a question that may have no answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer<T>(pub(crate) Option<T>);

/// A snapshot on its way.
#[derive(Serialize, Deserialize)]
struct SnapshotMessage {
    vote: VoteOf<Types>,
    meta: SnapshotMetaOf<Types>,
    content: Blob,
}

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The request was not taken: nothing happened there.
    #[error("{url} was not reached: {reason}")]
    NotTaken {
        /// Where it went.
        url: String,
        /// Why.
        reason: String,
    },
    /// The request may have been carried out.
    #[error("{url} gave no answer: {reason}")]
    Unanswered {
        /// Where it went.
        url: String,
        /// Why.
        reason: String,
    },
    /// The same, after all the time there was.
    #[error("{url} did not answer in time")]
    TimedOut {
        /// Where it went.
        url: String,
    },
}

/// What a node proves itself by to others, and recognises them by.
pub(crate) type Secured = (Arc<Credentials>, Arc<Keyring>);

/// A client for the other nodes of the cluster. Clones share its connections.
#[derive(Clone)]
pub(crate) struct Peers {
    /// One for each node: each accepts that node's name and key only.
    clients: Arc<Mutex<BTreeMap<u64, reqwest::Client>>>,
    secured: Option<Secured>,
    /// In place of HTTPS.
    transport: Option<Arc<dyn Transport>>,
    id: u64,
    append_limit: Duration,
}

impl Peers {
    /// A client of node `id`, by TLS, or within one process without it;
    /// `append_limit` bounds what carries entries, which openraft's own limit (one heartbeat) is
    /// too short for on a slow disk.
    pub(crate) fn new(
        id: u64,
        secured: Option<Secured>,
        transport: Option<Arc<dyn Transport>>,
        append_limit: Duration,
    ) -> Self {
        Self { clients: Arc::default(), secured, transport, id, append_limit }
    }

    /// The client for a node.
    fn client(&self, target: u64) -> Result<reqwest::Client, String> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&target) {
            return Ok(client.clone());
        }
        let client = self.make_client(target)?;
        clients.insert(target, client.clone());
        Ok(client)
    }

    fn make_client(&self, target: u64) -> Result<reqwest::Client, String> {
        // Someone else may have chosen the provider already: there is one in the program.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            // A heartbeat must not wait behind a snapshot in one connection.
            .http1_only();
        let builder = match &self.secured {
            Some((credentials, keyring)) => {
                let tls = credentials.client(target, keyring);
                let tls = tls.map_err(|error| error.to_string())?;
                builder.tls_backend_preconfigured(tls)
            }
            None => builder,
        };
        builder.build().map_err(|error| error.to_string())
    }

    /// Posts `question` to `path` of the node `target` at `base` and reads its answer.
    pub(crate) async fn call<A: DeserializeOwned>(
        &self,
        to: (u64, &str),
        path: &str,
        question: &impl Serialize,
        limit: Duration,
    ) -> Result<A, CallError> {
        self.call_at(level::FIRST, to, path, question, limit).await
    }

    /// The same, of a question that only programs that know `level` understand.
    pub(crate) async fn call_at<A: DeserializeOwned>(
        &self,
        level: Level,
        (target, base): (u64, &str),
        path: &str,
        question: &impl Serialize,
        limit: Duration,
    ) -> Result<A, CallError> {
        let url = format!("{}/raft/v1/{path}", base.trim_end_matches('/'));
        let not_taken = |reason: String| CallError::NotTaken { url: url.clone(), reason };
        let body = pack(level, question).map_err(|error| not_taken(error.to_string()))?;
        let answer = match &self.transport {
            None => self.post(target, &url, body, limit).await?,
            Some(transport) => {
                let (to, base, path) = (target, base.to_owned(), path.to_owned());
                let answer = transport.post(Question { to, base, path, body, limit }).await;
                answer.map(Bytes::from).map_err(|lost| match lost {
                    Lost::NotTaken(reason) => not_taken(reason),
                    Lost::TimedOut => CallError::TimedOut { url: url.clone() },
                })?
            }
        };
        unpack(level::NEWEST, &answer)
            .map_err(|error| CallError::Unanswered { url, reason: error.to_string() })
    }

    async fn post(
        &self,
        target: u64,
        url: &str,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Bytes, CallError> {
        let not_taken = |reason: String| CallError::NotTaken { url: url.to_owned(), reason };
        let client = self.client(target).map_err(not_taken)?;
        let request = client.post(url).timeout(limit).header(NODE_HEADER, target);
        let lost = |error: reqwest::Error| {
            let reason = causes(&error);
            match () {
                () if error.is_connect() => not_taken(reason),
                () if error.is_timeout() => CallError::TimedOut { url: url.to_owned() },
                () => CallError::Unanswered { url: url.to_owned(), reason },
            }
        };
        let response = request.body(body).send().await.map_err(lost)?;
        if !response.status().is_success() {
            let status = response.status();
            let hint = match status {
                StatusCode::UPGRADE_REQUIRED => ": its crosscheck does not know this: update it",
                _ => "",
            };
            return Err(not_taken(format!("it answered {status}{hint}")));
        }
        let who = response.headers().get(NODE_HEADER).and_then(|id| id.to_str().ok());
        if who.and_then(|id| id.parse().ok()) != Some(target) {
            return Err(not_taken(format!("it is not node {target} that answers there")));
        }
        response.bytes().await.map_err(lost)
    }
}

/// An error with all its causes: the outermost alone says only that a request failed.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

impl RaftNetworkFactory<Types> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Peer {
        Peer { peers: self.clone(), target, base: node.addr.clone() }
    }
}

/// One other node, as openraft sees it.
pub(crate) struct Peer {
    peers: Peers,
    target: u64,
    base: String,
}

impl Peer {
    async fn rpc<A: DeserializeOwned>(
        &self,
        action: RPCTypes,
        path: &str,
        question: &impl Serialize,
        limit: Duration,
    ) -> Result<A, RPCError<Types>> {
        let to = (self.target, self.base.as_str());
        self.peers.call(to, path, question, limit).await.map_err(|error| match error {
            CallError::NotTaken { .. } => RPCError::Unreachable(Unreachable::new(&error)),
            CallError::Unanswered { .. } => RPCError::Network(NetworkError::new(&error)),
            CallError::TimedOut { .. } => RPCError::Timeout(Timeout {
                action,
                id: self.peers.id,
                target: self.target,
                timeout: limit,
            }),
        })
    }
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let limit = option.soft_ttl().max(self.peers.append_limit);
        self.rpc(RPCTypes::AppendEntries, "append", &rpc, limit).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.rpc(RPCTypes::Vote, "vote", &rpc, option.soft_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.rpc(RPCTypes::Vote, "pre-vote", &rpc, option.soft_ttl()).await
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        self.rpc(RPCTypes::TransferLeader, "transfer", &rpc, option.soft_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, Bytes>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let message =
            SnapshotMessage { vote, meta: snapshot.meta, content: Blob(snapshot.snapshot) };
        tokio::select! {
            biased;
            sent = self.rpc(RPCTypes::InstallSnapshot, "snapshot", &message, option.soft_ttl()) => {
                sent.map_err(|error| match error {
                    RPCError::Timeout(error) => StreamingError::Timeout(error),
                    RPCError::Unreachable(error) => StreamingError::Unreachable(error),
                    RPCError::Network(error) => StreamingError::Network(error),
                    RPCError::RemoteError(error) => {
                        StreamingError::Network(NetworkError::new(&error))
                    }
                })
            }
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }
}
