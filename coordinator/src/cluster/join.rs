//! A new machine gets its number: it shows a one-time token to a coordinator that runs.
//!
//! It is let in later, when it runs (`admission`): here is only the number, which the token pays.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use crosscheck_core::level::{self, Level};
use crosscheck_core::token::Grant;
use crosscheck_core::{Command, Reply, State};
use crosscheck_model::join::{Fingerprint, JoinRefusal, JoinToken, NoToken};
use crosscheck_probe::trust::{self, Announced};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Program;
use super::change::too_old;
use super::identity::{Identity, IdentityError};
use crate::access::{Authority, AuthorityError, KeyError, MemberKey, Passphrase};
use crate::operator::Caller;
use crate::raft::{StartError, causes, create_log};
use crate::replica::{Replica, SubmitError};

/// An answer waits for a commit, and possibly for an election.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A token that another coordinator has issued is known here within this.
const LEARN_LIMIT: Duration = Duration::from_secs(2);
/// A token, and a digest.
const BODY_LIMIT_BYTES: usize = 16 * 1024;

/// What the new machine asks.
#[derive(Serialize, Deserialize)]
pub struct Join {
    /// The one-time token.
    pub token: String,
    /// The newcomer's public key, for which the token is good: asked again with it, the answer is
    /// the same. By no other key is anybody taken for it.
    pub key: Fingerprint,
    /// The newest format level that its program reads.
    #[serde(default = "first_level")]
    pub level: Level,
}

const fn first_level() -> Level {
    level::FIRST
}

/// What it gets.
#[derive(Serialize, Deserialize)]
pub struct Joined {
    /// Its number.
    pub node: u64,
    /// The cluster's name.
    pub cluster: String,
    /// Who belongs to the cluster: number to Raft URL.
    pub members: BTreeMap<u64, String>,
    /// Their public keys.
    pub keys: BTreeMap<u64, Fingerprint>,
    /// The installation's authority with its key (PEM): a coordinator vouches for probes, too.
    pub authority: Option<String>,
}

/// Why there is no number.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The log cannot be made.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The other coordinator was not reached, or gave no answer.
    #[error(
        "ask {0}: {1}; the token names the authority of one installation, and `certificate expired` or `not valid yet` mean that a clock is wrong, most likely this host's"
    )]
    Unreached(String, String),
    /// It refuses.
    #[error("{0}")]
    Refused(String),
    /// No other coordinator is asked in clear text.
    #[error("`{0}` is no URL of a coordinator's listener for members; write https://HOST:PORT")]
    Url(String),
    /// The text is no token.
    #[error(transparent)]
    Token(#[from] NoToken),
    /// The coordinator that was asked cannot be recognised.
    #[error("make a connection: {0}")]
    Tls(#[from] rustls::Error),
    /// The newcomer's key cannot be made or kept.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What it handed over cannot be kept, or is not what the token named.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// The route for those that are not members yet.
pub(crate) fn routes(replica: Replica) -> Router {
    Router::new()
        .route("/raft/v1/join", post(join))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(Arc::new(replica))
}

async fn join(Shared(replica): Shared<Arc<Replica>>, Json(asked): Json<Join>) -> Response {
    let members = replica.0.node.urls();
    let above = members.keys().copied().max().unwrap_or_default();
    let refused = |status: StatusCode, error: String| {
        (status, Json(json!({ "error": error }))).into_response()
    };
    let cluster = replica.read(State::level);
    if asked.level < cluster {
        // Before the token is used up.
        let old = too_old("this machine's crosscheck", asked.level, cluster);
        return refused(StatusCode::CONFLICT, old);
    }
    let token = match asked.token.parse::<JoinToken>() {
        Ok(token) => digest(&token.secret),
        Err(error) => return refused(StatusCode::BAD_REQUEST, error.to_string()),
    };
    // Who does not have a token must not fill the log with attempts, least of all while nothing
    // of it is committed. Without a quorum the token may have been issued elsewhere.
    if !replica.learns(LEARN_LIMIT, |state| state.join_tokens.contains_key(&token)).await {
        let (status, why) = match replica.has_quorum() {
            true => (StatusCode::FORBIDDEN, JoinRefusal::UnknownToken),
            false => (StatusCode::SERVICE_UNAVAILABLE, JoinRefusal::Unavailable),
        };
        return refused(status, why.to_string());
    }
    match replica.submit(Command::EnrolMember { token, key: asked.key, above }).await {
        Ok(Reply::Member(Ok(node))) => {
            let (cluster, keys) = replica.read(|state| {
                let keys = members.keys().filter_map(|id| Some((*id, state.member_key(*id)?)));
                (state.cluster.clone(), keys.collect())
            });
            let credentials = replica.credentials();
            let authority = credentials.map(|own| own.authority().reveal());
            Json(Joined { node, cluster, members, keys, authority }).into_response()
        }
        Ok(Reply::Member(Err(refusal))) => refused(StatusCode::FORBIDDEN, refusal.to_string()),
        Ok(other) => {
            tracing::error!(?other, "a newcomer got another command's reply");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(error @ SubmitError::Unknown) => refused(
            StatusCode::GATEWAY_TIMEOUT,
            format!("{error}; the token may be used up: make a new one"),
        ),
        Err(error) => refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// Has the cluster let one more coordinator in, once, within `lifetime`: the token.
///
/// # Errors
/// There is no leader, or the lifetime is too long.
pub(crate) async fn issue(
    replica: &Replica,
    lifetime: Duration,
    caller: &Caller,
) -> Result<String, IssueError> {
    // Within one process there is none, and nobody to join.
    let authority = replica.credentials().map(|own| own.authority().fingerprint());
    let authority = authority.unwrap_or(Fingerprint([0; 32]));
    let token = JoinToken { secret: rand::random(), authority };
    let (digest, grant) = (digest(&token.secret), Grant::Member);
    let by = caller.actor.name.clone();
    let command = Command::IssueJoinToken { token: digest, grant, lifetime, by };
    match replica.submit(caller.act(&command)).await? {
        Reply::Rejected(reason) => Err(IssueError::Rejected(reason)),
        _ => Ok(token.reveal()),
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The cluster did not take it.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// It refuses, and why.
    #[error("{0}")]
    Rejected(String),
}

fn digest(secret: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(secret).into())
}

/// Makes the empty directory `data` a member's of the cluster that the coordinator at `url`
/// belongs to. The authority's key is sealed before it is written, if there is a passphrase.
///
/// # Errors
/// The directory is not empty, or the coordinator is not reached or refuses.
pub async fn join_at(
    url: &str,
    token: &str,
    data: &Path,
    passphrase: Option<&Passphrase>,
    program: &Program,
) -> Result<Identity, JoinError> {
    let token: JoinToken = token.parse()?;
    if !url.starts_with("https://") {
        return Err(JoinError::Url(url.to_owned()));
    }
    Identity::claim(data)?;
    let unreached = |error: reqwest::Error| JoinError::Unreached(url.to_owned(), causes(&error));
    let announced = Arc::new(Announced::new(token.authority));
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(trust::joiner(announced)?)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_LIMIT)
        .build()
        .map_err(unreached)?;
    let own = MemberKey::generate()?;
    let address = format!("{}/raft/v1/join", url.trim_end_matches('/'));
    let (key, level) = (own.fingerprint(), program.level);
    let request = client.post(address).json(&Join { token: token.reveal(), key, level });
    let response = request.send().await.map_err(unreached)?;
    if !response.status().is_success() {
        let status = response.status();
        let said: serde_json::Value = response.json().await.unwrap_or_default();
        let said = said.get("error").and_then(|error| error.as_str()).unwrap_or_default();
        return Err(JoinError::Refused(format!("{url} answered {status}: {said}")));
    }
    let joined: Joined = response.json().await.map_err(unreached)?;
    let authority = joined.authority.unwrap_or_default();
    Authority::install(data, passphrase, &authority, &token.authority)?;
    own.keep(data)?;
    create_log(data).await?;
    let identity = Identity::new(joined.node, joined.cluster, joined.members, joined.keys);
    identity.write(data)?;
    Ok(identity)
}
