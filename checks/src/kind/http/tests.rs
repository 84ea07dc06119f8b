//! The `http` kind against servers on loopback that answer as they are told.

mod answers;
mod encrypted;
mod failures;
mod http3;
mod logins;
mod negated;
mod payloads;
mod proxies;
mod redirects;
mod settings;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crosscheck_model::{Outcome, Status};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Http;
use crate::env::{Env, Secrets};
use crate::guard::Guard;
use crate::kind::Kind;
use crate::programs::Programs;
use crate::resolve::Resolver;
use crate::tls::scripted::Server;

/// Far more than a run on loopback takes.
const AMPLE: Duration = Duration::from_secs(30);

/// For runs that must end by their deadline: enough for a connection on a busy machine.
const SHORT: Duration = Duration::from_millis(300);

/// The requests that a server got: head and body as text.
#[derive(Clone, Default)]
pub(in crate::kind) struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    pub(in crate::kind) fn all(&self) -> Vec<String> {
        self.0.lock().expect("no test panics with it").clone()
    }

    fn one(&self) -> String {
        let all = self.all();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].clone()
    }
}

/// What a server does when it has answered.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Close,
    Hold,
}

/// Hears one request, and answers with these bytes.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    heard: Heard,
    bytes: Vec<u8>,
    then: Then,
) {
    answer_by(stream, heard, |_| bytes, then).await;
}

/// Hears one request, and answers with the bytes for its path.
async fn answer_by<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    heard: Heard,
    bytes: impl FnOnce(&str) -> Vec<u8>,
    then: Then,
) {
    let by_path = |request: &str| bytes(request.split(' ').nth(1).unwrap_or_default());
    answer_to(stream, heard, by_path, then).await;
}

/// Hears one request, and answers with the bytes for it.
async fn answer_to<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    heard: Heard,
    bytes: impl FnOnce(&str) -> Vec<u8>,
    then: Then,
) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !is_whole(&request) {
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let bytes = bytes(&request);
    heard.0.lock().expect("no test panics with it").push(request);
    if stream.write_all(&bytes).await.is_ok() && then == Then::Close {
        let _ = stream.shutdown().await; // The check may have gone first.
    } else {
        std::future::pending::<()>().await;
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    body.len() >= length.unwrap_or(0)
}

/// A server that answers every request with these bytes.
async fn server(bytes: impl Into<Vec<u8>>, then: Then) -> (Server, Heard) {
    let (bytes, heard) = (bytes.into(), Heard::default());
    let hears = heard.clone();
    let serve = move |stream| answer(stream, hears.clone(), bytes.clone(), then);
    (Server::plain("127.0.0.1:0", serve).await, heard)
}

/// A server that answers by the path of the request.
async fn server_by(
    bytes: impl Fn(&str) -> String + Clone + Send + Sync + 'static,
) -> (Server, Heard) {
    let heard = Heard::default();
    let hears = heard.clone();
    let serve = move |stream| {
        let bytes = bytes.clone();
        answer_by(stream, hears.clone(), move |path| bytes(path).into_bytes(), Then::Close)
    };
    (Server::plain("127.0.0.1:0", serve).await, heard)
}

/// A server that answers by the whole request.
pub(in crate::kind) async fn server_to(
    bytes: impl Fn(&str) -> String + Clone + Send + Sync + 'static,
) -> (Server, Heard) {
    let heard = Heard::default();
    let hears = heard.clone();
    let serve = move |stream| {
        let bytes = bytes.clone();
        answer_to(stream, hears.clone(), move |asked| bytes(asked).into_bytes(), Then::Close)
    };
    (Server::plain("127.0.0.1:0", serve).await, heard)
}

/// An answer with a body and its length.
pub(in crate::kind) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

pub(in crate::kind) fn env_with(secrets: &[(&str, &str)], resolver: Resolver) -> Env {
    let variables: BTreeMap<_, _> =
        secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Env {
        guard: Guard::Internal,
        resolver,
        secrets: Secrets::fixed(variables),
        programs: Programs::default(),
    }
}

fn env() -> Env {
    env_with(&[], Resolver::new(Vec::new()))
}

/// Runs a check of these settings.
async fn run_in(env: &Env, settings: &Value, deadline: Duration) -> Outcome {
    Http.parse(settings).expect("well-formed settings").run(env, deadline).await
}

async fn run(settings: &Value) -> Outcome {
    run_in(&env(), settings, AMPLE).await
}

/// Settings with the server's URL.
fn at(server: &Server, path: &str, mut more: Value) -> Value {
    more["url"] = json!(format!("http://{}{path}", server.address));
    more
}

#[track_caller]
fn assert_up(outcome: &Outcome) {
    assert_eq!(outcome.status, Status::Up, "{outcome:?}");
    assert_eq!(outcome.cause, None);
    assert_eq!(outcome.detail, "");
    assert_eq!(outcome.excerpt, "");
}
