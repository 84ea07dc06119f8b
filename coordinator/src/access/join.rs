//! How a probe gets its certificates: the first by a token, the next by the one before.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use crosscheck_core::{Command, Reply};
use crosscheck_model::join::{JoinProbe, JoinRefusal, JoinToken, Joined, Renew};
use crosscheck_probe::trust;
use http::StatusCode;

use super::authority::Request;
use super::credentials::Credentials;
use super::peer::Peer;
use crate::replica::Replica;

/// A request with a name, a token and a signing request.
const BODY_LIMIT_BYTES: usize = 16 * 1024;

/// A token that another coordinator has issued is known here within this.
const LEARN_LIMIT: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Desk {
    replica: Replica,
    credentials: Arc<Credentials>,
}

/// The routes for those who join, and for probes that renew their certificates.
pub fn routes(replica: Replica, credentials: Arc<Credentials>) -> Router {
    Router::new()
        .route("/join/v1/probe", post(join))
        .route("/probe/v1/renew", post(renew))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(Desk { replica, credentials })
}

async fn join(State(desk): State<Desk>, Json(asked): Json<JoinProbe>) -> Response {
    answer(desk.join(asked).await)
}

async fn renew(
    State(desk): State<Desk>,
    Extension(peer): Extension<Peer>,
    Json(asked): Json<Renew>,
) -> Response {
    answer(desk.renew(&peer, &asked).await)
}

impl Desk {
    async fn join(&self, asked: JoinProbe) -> Result<Joined, JoinRefusal> {
        let token: JoinToken = asked.token.parse().map_err(|_| JoinRefusal::UnknownToken)?;
        let token = trust::fingerprint(&token.secret);
        let request = Request::parse(&asked.request)?;
        // Who does not have a token must not fill the log with attempts.
        if !self.replica.learns(LEARN_LIMIT, |state| state.tokens.contains_key(&token)).await {
            let sure = self.replica.has_quorum();
            return Err(if sure { JoinRefusal::UnknownToken } else { JoinRefusal::Unavailable });
        }
        let (probe, site, key) = (asked.probe, asked.site, request.key());
        self.certify(Command::Enrol { token, probe, site, key }, &request).await
    }

    async fn renew(&self, peer: &Peer, asked: &Renew) -> Result<Joined, JoinRefusal> {
        let Peer::Probe { probe, key, .. } = peer else {
            return Err(JoinRefusal::BadRequest("no certificate was shown".to_owned()));
        };
        let request = Request::parse(&asked.request)?;
        if request.key() != *key {
            return Err(JoinRefusal::BadRequest("it is for another key".to_owned()));
        }
        self.certify(Command::Renew { probe: probe.clone(), key: *key }, &request).await
    }

    async fn certify(&self, command: Command, request: &Request) -> Result<Joined, JoinRefusal> {
        let certified = match self.replica.submit(command).await {
            Ok(Reply::Certified(answer)) => answer?,
            // Asked again with the same key, the answer is the same.
            _ => return Err(JoinRefusal::Unavailable),
        };
        let authority = self.credentials.authority();
        let certificate = authority.issue_probe(request, &certified).map_err(|error| {
            tracing::error!(%error, "cannot sign a probe's certificate");
            JoinRefusal::Unavailable
        })?;
        tracing::info!(probe = %certified.probe, site = %certified.site, until = %certified.until, "certified");
        Ok(Joined {
            certificate,
            authority: authority.certificate_pem(),
            until: certified.until,
            now: certified.from,
        })
    }
}

fn answer(result: Result<Joined, JoinRefusal>) -> Response {
    match result {
        Ok(joined) => Json(joined).into_response(),
        Err(refusal) => {
            let status = match refusal {
                JoinRefusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::FORBIDDEN,
            };
            tracing::info!(%refusal, "nobody was let in");
            (status, Json(refusal)).into_response()
        }
    }
}
