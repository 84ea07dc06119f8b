//! Somebody who has entries committed as fast as he gets an answer: a member's own client is paced
//! by nobody, as a probe's is.

use std::time::Duration;

use crosscheck_checks::clock;
use crosscheck_coordinator::access::{Authority, MemberKey};
use crosscheck_coordinator::raft::unpack;
use crosscheck_core::{Command, Reply, level};
use crosscheck_model::join::coordinator_name;
use crosscheck_probe::trust;
use reqwest::StatusCode;
use serde::Deserialize;

use super::Coordinator;

/// Longer than a leader takes to say that it is none any more.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);
/// How long its certificate is good for.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// What a coordinator says to a command from another one (`raft::network::Submitted`).
#[derive(Deserialize)]
enum Submitted {
    Done(Reply),
    #[expect(dead_code, reason = "it has a place in the format")]
    NotLeader(Option<u64>),
    Unknown,
}

/// A member of the group, as it is asked.
#[derive(Clone, Debug)]
pub struct Member {
    node: u64,
    url: String,
}

impl Member {
    /// The coordinator of this number.
    pub fn new(node: usize, coordinator: &Coordinator) -> Self {
        Self { node: node as u64, url: coordinator.raft_url() }
    }
}

/// A client that speaks for the first coordinator, by its key.
#[derive(Clone)]
pub struct Proposer(reqwest::Client);

impl Proposer {
    /// One that has the first coordinator's key.
    ///
    /// # Panics
    /// The coordinator has no key, or no certificate can be made.
    pub fn new(first: &Coordinator) -> Self {
        let authority = Authority::open(&first.data(), None).expect("an authority");
        let key = MemberKey::open(&first.data()).expect("a key");
        let now = clock::wall();
        let proof = authority.issue_node(1, &key, (now, now.plus(LIFETIME))).expect("signs");
        let name = coordinator_name(&authority.fingerprint());
        let tls = trust::client(authority.certificate(), &name, Some(proof)).expect("TLS");
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(ANSWER_LIMIT)
            .tcp_nodelay(true)
            .http1_only()
            .no_proxy()
            .build();
        Self(client.expect("a client"))
    }

    /// Has a tick committed by a member; whether that says that it is. Only the leader does.
    pub async fn commit(&self, member: &Member) -> bool {
        let url = format!("{}/raft/v1/submit", member.url);
        let body = postcard::to_extend(&Command::Tick, vec![level::FIRST]).expect("a form");
        let asked = self.0.post(url).header("x-crosscheck-node", member.node).body(body);
        let Ok(answer) = asked.send().await else { return false };
        let is_taken = answer.status() == StatusCode::OK;
        // Read to its end, so that the connection can be used again.
        let Ok(body) = answer.bytes().await else { return false };
        is_taken && matches!(unpack(level::NEWEST, &body), Ok(Submitted::Done(Reply::Done)))
    }
}
