//! The link over HTTP: JSON, compressed with zstd on the way up; orders as one JSON per line.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use crosscheck_model::ProbeId;
use crosscheck_model::join::{JoinProbe, JoinRefusal, Joined, Renew};
use crosscheck_model::wire::{Hello, Order, Receipt, Refusal, Report, Welcome};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use reqwest::{Client, RequestBuilder, Response, Url, header};
use rustls::ClientConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Link, Orders};
use crate::uplink::{Failure, OPEN_TIMEOUT, STREAM_SILENCE};

/// The level of compression: the cheapest; JSON shrinks to a tenth with it.
const ZSTD_LEVEL: i32 = 1;

/// Making a connection takes no longer, so that a time-out leaves room for the request itself.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// An answer to a request is small; more is not from a coordinator.
const ANSWER_LIMIT: usize = 64 * 1024;

/// An order fits into this: an assignment of 100,000 checks takes about 100 MiB.
const LINE_LIMIT: usize = 256 * 1024 * 1024;

/// Longer than any order but an assignment.
const LONG_LINE: usize = 64 * 1024;

/// Reaches coordinators by their URLs. Clones share the client.
#[derive(Clone, Debug)]
pub struct HttpLink {
    client: Arc<RwLock<Client>>,
    coordinators: Arc<[Url]>,
}

/// A link cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("make an HTTP client: {0}")]
pub struct LinkError(#[from] reqwest::Error);

impl HttpLink {
    /// Reaches these coordinators; those at `https` URLs by `tls`, which says who this probe is
    /// and whom it takes for a coordinator.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(coordinators: Vec<Url>, tls: Option<ClientConfig>) -> Result<Self, LinkError> {
        let client = Arc::new(RwLock::new(client(tls)?));
        Ok(Self { client, coordinators: coordinators.into() })
    }

    /// From now on new connections are made with this.
    ///
    /// # Errors
    /// When no HTTP client can be made; the old one stays.
    pub fn use_tls(&self, tls: ClientConfig) -> Result<(), LinkError> {
        let new = client(Some(tls))?;
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks a coordinator for the next certificate.
    pub(crate) fn renew(
        &self,
        coordinator: usize,
        question: &Renew,
    ) -> BoxFuture<'static, Result<Joined, JoinFailure>> {
        let url = self.url(coordinator, "probe/v1/renew");
        let request = url.map(|url| self.client().post(url).timeout(OPEN_TIMEOUT).json(question));
        async move { join_answer(request?).await }.boxed()
    }

    fn url(&self, coordinator: usize, path: &str) -> Result<Url, Failure> {
        let url = self.coordinators.get(coordinator);
        url.and_then(|url| url.join(path).ok())
            .ok_or_else(|| Failure::Unreachable(format!("no coordinator {coordinator}")))
    }

    fn post<T: Serialize + Send + Sync + 'static, R: DeserializeOwned>(
        &self,
        coordinator: usize,
        path: &str,
        message: Arc<T>,
    ) -> BoxFuture<'static, Result<R, Failure>> {
        let request = self.url(coordinator, path).map(|url| {
            self.client()
                .post(url)
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::CONTENT_ENCODING, "zstd")
        });
        async move {
            // A full report takes milliseconds to write: not on a thread that stamps the times of
            // runs.
            let body = tokio::task::spawn_blocking(move || compressed(&*message)).await;
            let body = body.map_err(|error| unreachable(&error))?;
            let request = request?.body(body.map_err(|error| unreachable(&error))?);
            let response = request.send().await.map_err(|error| unreachable(&error))?;
            let body = answer(accepted(response).await?).await?;
            serde_json::from_slice(&body).map_err(|error| unreachable(&error))
        }
        .boxed()
    }
}

impl Link for HttpLink {
    fn coordinators(&self) -> usize {
        self.coordinators.len()
    }

    fn open(
        &self,
        coordinator: usize,
        hello: Hello,
    ) -> BoxFuture<'static, Result<Welcome, Failure>> {
        self.post(coordinator, "probe/v1/session", Arc::new(hello))
    }

    fn report(
        &self,
        coordinator: usize,
        report: Arc<Report>,
    ) -> BoxFuture<'static, Result<Receipt, Failure>> {
        self.post(coordinator, "probe/v1/report", report)
    }

    fn orders(
        &self,
        coordinator: usize,
        probe: ProbeId,
        epoch: u64,
    ) -> BoxFuture<'static, Result<Orders, Failure>> {
        let request = self.url(coordinator, "probe/v1/orders").map(|mut url| {
            url.query_pairs_mut()
                .append_pair("probe", probe.as_str())
                .append_pair("epoch", &epoch.to_string());
            self.client().get(url)
        });
        async move {
            let response = request?.send().await.map_err(|error| unreachable(&error))?;
            Ok(lines(accepted(response).await?.bytes_stream().boxed()))
        }
        .boxed()
    }
}

fn client(tls: Option<ClientConfig>) -> Result<Client, reqwest::Error> {
    // An error means that the process has chosen its cryptography already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(STREAM_SILENCE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    match tls {
        Some(tls) => builder.tls_backend_preconfigured(tls).build(),
        None => builder.build(),
    }
}

/// Why a probe could not join, or renew its certificate.
#[derive(Debug, thiserror::Error)]
pub enum JoinFailure {
    /// The coordinator says why.
    #[error("{0}")]
    Refused(#[from] JoinRefusal),
    /// It was not reached, or what it said was not understood.
    #[error("not reached: {0}")]
    Unreachable(String),
}

impl From<Failure> for JoinFailure {
    fn from(failure: Failure) -> Self {
        Self::Unreachable(failure.to_string())
    }
}

/// Asks to join.
pub(crate) async fn join(
    coordinator: Url,
    tls: ClientConfig,
    question: &JoinProbe,
) -> Result<Joined, JoinFailure> {
    let client = client(Some(tls)).map_err(|error| unreachable(&error))?;
    let url = coordinator.join("join/v1/probe").map_err(|error| unreachable(&error))?;
    join_answer(client.post(url).timeout(OPEN_TIMEOUT).json(question)).await
}

async fn join_answer(request: RequestBuilder) -> Result<Joined, JoinFailure> {
    let response = request.send().await.map_err(|error| unreachable(&error))?;
    let status = response.status();
    let body = answer(response).await?;
    if status.is_success() {
        return Ok(serde_json::from_slice(&body).map_err(|error| unreachable(&error))?);
    }
    match serde_json::from_slice::<JoinRefusal>(&body) {
        Ok(refusal) => Err(refusal.into()),
        Err(_) => Err(JoinFailure::Unreachable(format!("answered with status {status}"))),
    }
}

fn compressed<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(message)?;
    zstd::bulk::compress(&json, ZSTD_LEVEL)
}

/// The response, if the coordinator did as asked.
async fn accepted(response: Response) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = answer(response).await?;
    match serde_json::from_slice::<Refusal>(&body) {
        Ok(refusal) => Err(Failure::Refused(refusal)),
        Err(_) => Err(Failure::Unreachable(format!("answered with status {status}"))),
    }
}

async fn answer(mut response: Response) -> Result<Bytes, Failure> {
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(|error| unreachable(&error))? {
        if body.len() + piece.len() > ANSWER_LIMIT {
            return Err(Failure::Unreachable("the answer is too long".to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// The whole chain of causes: the outermost error alone often says nothing.
fn unreachable(error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    Failure::Unreachable(text)
}

type Pieces = BoxStream<'static, Result<Bytes, reqwest::Error>>;

/// An order out of its line. A large assignment takes a second to read: not on a thread that stamps
/// the times of runs.
async fn order(line: BytesMut) -> Result<Order, Failure> {
    let is_long = line.len() > LONG_LINE;
    let read = move || serde_json::from_slice(&line).map_err(|error| unreachable(&error));
    if !is_long {
        return read();
    }
    tokio::task::spawn_blocking(read).await.map_err(|error| unreachable(&error))?
}

/// Orders out of bytes: one JSON per line.
fn lines(pieces: Pieces) -> Orders {
    let start = (pieces, BytesMut::new());
    stream::try_unfold(start, |(mut pieces, mut buffer)| async move {
        let mut searched = 0;
        loop {
            if let Some(end) = buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(searched + end + 1);
                searched = 0;
                if line.trim_ascii().is_empty() {
                    continue;
                }
                if line.len() > LONG_LINE {
                    // What follows is short, and would hold the whole room of this one for ever.
                    buffer = BytesMut::from(&buffer[..]);
                }
                return Ok(Some((order(line).await?, (pieces, buffer))));
            }
            searched = buffer.len();
            if searched > LINE_LIMIT {
                return Err(Failure::Unreachable("an order is too long".to_owned()));
            }
            match pieces.next().await {
                Some(Ok(piece)) => buffer.extend_from_slice(&piece),
                Some(Err(error)) => return Err(unreachable(&error)),
                None => return Ok(None),
            }
        }
    })
    .boxed()
}
