//! Targets that misbehave on purpose, and what each must be taken for: tables of what the target
//! does, and the status and cause that a check must give it, soon and in bounded memory.
//!
//! Services with a protocol of their own have theirs beside them, and addresses that must not be
//! connected to, by redirect and by answer, are in `tests/forbidden_addresses.rs`.

mod certificates;
mod doh;
mod dot;
mod http;
mod http2;
mod names;
mod target;
mod tls;

use std::time::Duration;

use crosscheck_model::{Cause, Outcome};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::dial::status_of;
use crate::env::Env;
use crate::kind::http::tests::env_with;
use crate::kind::{self};
use crate::resolve::Resolver;

/// For targets whose fault shows at once: far more than a run on loopback takes.
const PLENTY: Duration = Duration::from_secs(20);

/// For targets that keep one waiting: enough for a connection on a busy machine.
const SHORT: Duration = Duration::from_millis(500);

/// The same where many shake hands at a time, which takes a processor its time.
const SHORT_OVER_TLS: Duration = Duration::from_secs(3);

/// The most that a target gets rid of: the limit of a body, and what the buffers of two sockets
/// on loopback take.
const SAID_AT_MOST: u64 = 48 << 20;

fn env() -> Env {
    env_with(&[], Resolver::new(Vec::new()))
}

/// Runs a check of this kind once. It is given little time if it is to run out of it, and must
/// end by itself in any case.
async fn run(env: &Env, kind: &str, settings: &Value, wanted: Option<Cause>) -> Outcome {
    run_within(SHORT, env, kind, settings, wanted).await
}

/// The same, with so little time.
async fn run_within(
    short: Duration,
    env: &Env,
    kind: &str,
    settings: &Value,
    wanted: Option<Cause>,
) -> Outcome {
    let waits = wanted.is_some_and(|cause| cause.as_str().ends_with("timeout"));
    let limit = if waits { short } else { PLENTY };
    let check = kind::find(kind).expect("a kind").parse(settings);
    let check = check.unwrap_or_else(|errors| panic!("{settings}: {errors:?}"));
    let run = timeout(PLENTY * 2, check.run(env, limit));
    let outcome = run.await.unwrap_or_else(|_| panic!("{kind} does not end: {settings}"));
    // Name servers have shares of their own.
    if waits && wanted != Some(Cause::DnsTimeout) {
        assert_ended_by(&outcome, limit, &format!("{kind} {settings}"));
    }
    outcome
}

/// It is the check's own deadline that has ended it.
#[track_caller]
pub(in crate::kind) fn assert_ended_by(outcome: &Outcome, limit: Duration, of: &str) {
    let by_deadline = format!("within the run's {limit:?}");
    assert!(outcome.detail.contains(&by_deadline), "{of}: {outcome:?}");
}

/// The status follows from the cause, and what is told is short.
#[track_caller]
pub(in crate::kind) fn assert_is(outcome: &Outcome, wanted: Option<Cause>, of: &str) {
    assert_eq!(outcome.cause, wanted, "{of}: {outcome:?}");
    let status = wanted.map_or(crosscheck_model::Status::Up, status_of);
    assert_eq!(outcome.status, status, "{of}: {outcome:?}");
    assert!(outcome.detail.len() <= 1200 && outcome.excerpt.len() <= 1024, "{of}");
    let harmful = |text: &str| text.chars().any(crate::excerpt::is_harmful);
    assert!(!harmful(&outcome.detail) && !harmful(&outcome.excerpt), "{of}: {outcome:?}");
}

/// The two kinds that ask a URL, with settings for them.
fn askers(url: &str, more: &Value) -> [(&'static str, Value); 2] {
    let mut http = more.clone();
    http["url"] = json!(url);
    let mut step = more.clone();
    step["url"] = json!("/");
    step["name"] = json!("look");
    let base = url.trim_end_matches('/');
    [("http", http), ("journey", json!({ "base": base, "steps": [step] }))]
}
