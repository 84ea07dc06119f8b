//! Jobs' own reports: `POST /push/TOKEN`, or `POST /push` with the token as a bearer's.
//!
//! A coordinator knows a token by its digest only, which stands in the check's settings. The answer
//! comes when the report is on a majority of disks; any other answer than 200 means: send it again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use crosscheck_checks::env::Secrets;
use crosscheck_checks::excerpt::{self, KEEP_BYTES};
use crosscheck_checks::kind::is_turned;
use crosscheck_core::command::{Command, Reply};
use crosscheck_core::push::{PushReport, Stage};
use crosscheck_model::Status;
use crosscheck_model::join::Fingerprint;
use crosscheck_model::observation::EXCERPT_LIMIT_BYTES;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::operator::{Buckets, Rate, too_many};
use crate::replica::Replica;

/// The largest body: of a job's output only the end is kept.
const BODY_LIMIT_BYTES: usize = 64 * 1024;
/// Reports of one job: each is an entry of the log.
const RATE: Rate = Rate { burst: 10, every: Duration::from_secs(1) };
/// When to come again while there is no leader.
const RETRY_AFTER_S: &str = "2";

/// What a report says beside its body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    /// How it is; `ok` when left out.
    status: Option<Word>,
    /// The job's exit status: 0 is `ok`, all others `failed`.
    exit: Option<i32>,
    /// How long the job took, in seconds.
    duration_s: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Start,
    Ok,
    Warning,
    Failed,
}

/// Takes reports, bounded for each job.
#[derive(Clone)]
struct Desk {
    replica: Replica,
    buckets: Arc<Mutex<Buckets<Fingerprint>>>,
    started: Instant,
}

/// The routes for jobs. Who asks is known by the token alone.
pub fn routes(replica: Replica) -> Router {
    let buckets = Arc::new(Mutex::new(Buckets::new(RATE)));
    Router::new()
        .route("/push/{token}", post(by_path))
        .route("/push", post(by_bearer))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(Desk { replica, buckets, started: Instant::now() })
}

/// The digest that a check's settings have of a token.
pub fn digest(token: &str) -> Fingerprint {
    Fingerprint(Sha256::digest(token.as_bytes()).into())
}

async fn by_path(
    State(desk): State<Desk>,
    Path(token): Path<String>,
    said: Result<Query<Said>, QueryRejection>,
    body: Bytes,
) -> Response {
    desk.answer(&token, said, &body).await
}

/// The token after the scheme, whose case does not matter (RFC 9110, 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn by_bearer(
    State(desk): State<Desk>,
    headers: HeaderMap,
    said: Result<Query<Said>, QueryRejection>,
    body: Bytes,
) -> Response {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match shown.and_then(bearer) {
        Some(token) => desk.answer(token, said, &body).await,
        None => told(StatusCode::UNAUTHORIZED, "show the token: /push/TOKEN, or as a bearer's"),
    }
}

impl Desk {
    async fn answer(
        &self,
        shown: &str,
        said: Result<Query<Said>, QueryRejection>,
        body: &[u8],
    ) -> Response {
        let token = digest(shown);
        let is_turned = self.replica.read(|state| {
            let check = state.checks.get(state.check_of_push(token)?)?;
            Some(is_turned(&check.spec.settings))
        });
        let Some(is_turned) = is_turned else {
            // Nobody can make work for the cluster by tokens that it does not know, and a member
            // that does not know everything yet sends no job away for good.
            return match self.replica.unready() {
                None => told(StatusCode::NOT_FOUND, "no check awaits reports under this token"),
                Some(_) => later(),
            };
        };
        let report = match said
            .map_err(|error| error.body_text())
            .and_then(|Query(said)| Ok((report(&said, body, shown)?, said.exit)))
        {
            Ok((report, exit)) if is_turned => turned(report, exit),
            Ok((report, _)) => report,
            Err(why) => return told(StatusCode::BAD_REQUEST, &why),
        };
        let taken = {
            let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
            buckets.take(token, self.started.elapsed())
        };
        if let Err(wait) = taken {
            return too_many(wait);
        }
        match self.replica.submit(Command::Push { token, report }).await {
            Ok(Reply::Rejected(why)) => told(StatusCode::NOT_FOUND, &why),
            Ok(_) => told(StatusCode::OK, "taken"),
            Err(error) => {
                tracing::warn!(%error, "a job's report was not taken");
                later()
            }
        }
    }
}

fn later() -> Response {
    let why = "no quorum of coordinators at present; send it again";
    let headers = [(header::RETRY_AFTER, RETRY_AFTER_S)];
    (headers, told(StatusCode::SERVICE_UNAVAILABLE, why)).into_response()
}

fn told(status: StatusCode, why: &str) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], format!("{why}\n")).into_response()
}

/// What the request says, cut to its bounds and made harmless. A job that prints its environment,
/// or the command that reports, must not show its token to whoever reads the page.
fn report(said: &Said, body: &[u8], token: &str) -> Result<PushReport, String> {
    let stage = match (said.status, said.exit) {
        (Some(_), Some(_)) => return Err("`status` beside `exit`: one of them says it".to_owned()),
        (Some(Word::Start), None) => Stage::Started,
        (Some(Word::Ok), None) | (None, None | Some(0)) => Stage::Ended(Status::Up),
        (Some(Word::Warning), None) => Stage::Ended(Status::Degraded),
        (Some(Word::Failed), None) | (None, Some(_)) => Stage::Ended(Status::Down),
    };
    let took = said.duration_s.map(Duration::try_from_secs_f64).transpose();
    let took = took.map_err(|_| "`duration_s` is a number of seconds, such as 12.5".to_owned())?;
    let secrets = Secrets::fixed(BTreeMap::new());
    secrets.remember(token);
    // Why a job failed stands at the end of what it said. More than is kept is read, so that a
    // token is found whole.
    let end = &body[body.len().saturating_sub(KEEP_BYTES)..];
    let text = String::from_utf8_lossy(end);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let exited = said.exit.filter(|code| *code != 0);
    let detail = match (exited, excerpt::value(last, &secrets)) {
        (Some(code), last) if last.is_empty() => format!("exit status {code}"),
        (Some(code), last) => format!("exit status {code}: {last}"),
        (None, last) => last,
    };
    let excerpt = ending(&excerpt::harmless(&text, &secrets), EXCERPT_LIMIT_BYTES).to_owned();
    Ok(PushReport { stage, took, detail, excerpt })
}

/// What a report says of a job that must fail. An exit status of a shell's that could not start it, or
/// of a signal, is no word of the job's.
fn turned(report: PushReport, exit: Option<i32>) -> PushReport {
    let Stage::Ended(status) = report.stage else { return report };
    let is_own = exit.is_none_or(|code| (0..126).contains(&code));
    let (status, why) = match status {
        Status::Up => (Status::Down, "it ended well, and must fail"),
        Status::Degraded => (Status::Down, "it ended with a flaw, and must fail"),
        Status::Down if is_own => (Status::Up, ""),
        Status::Down | Status::Unknown => {
            (Status::Unknown, "it has not said itself that it failed")
        }
    };
    let detail = match (why, report.detail.as_str()) {
        (why, "") => why.to_owned(),
        ("", said) => said.to_owned(),
        (why, said) => format!("{why}: {said}"),
    };
    PushReport { stage: Stage::Ended(status), detail, ..report }
}

/// The last `limit` bytes of the text, cut between characters.
fn ending(text: &str, limit: usize) -> &str {
    let mut from = text.len().saturating_sub(limit);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

#[cfg(test)]
mod tests;
