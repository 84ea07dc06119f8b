//! One request and its answer over a connection of their own, each phase timed.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use crosscheck_model::{Cause, Phase};
use http::{HeaderMap, Request, Response, header, response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::body::Body;
use super::wire::{Marks, Sent, Shared, Watched};
use crate::dial::Timer;
use crate::resolve::Failure;

/// The most that an answer's head may have: four times what common servers send at most.
const HEAD_LIMIT_BYTES: u32 = 64 << 10;

/// An answer whose body has not been read. Dropping it closes the connection.
pub(in crate::kind) struct Answer {
    pub(in crate::kind) head: response::Parts,
    pub(super) is_http2: bool,
    body: Incoming,
    began: Instant,
    marks: Shared,
    _tasks: Tasks,
}

/// What the HTTP library does in the background; it ends with the exchange.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
{
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(async {
            task.await;
        });
    }
}

/// Sends the request and waits for the answer's head.
pub(in crate::kind) async fn ask<S>(
    stream: S,
    is_http2: bool,
    request: Request<Bytes>,
    timer: &mut Timer,
) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (marks, tasks) = (Shared::default(), Tasks::default());
    let io = TokioIo::new(Watched::new(stream, marks.clone()));
    let (parts, bytes) = request.into_parts();
    let request = Request::from_parts(parts, Sent::new(bytes, marks.clone()));
    let begun = Instant::now();
    let exchange = async {
        if is_http2 {
            over_http2(io, request, &tasks).await
        } else {
            over_http1(io, request, &tasks).await
        }
    };
    let answered = timeout_at(timer.deadline(), exchange).await;
    let mut seen = marks.lock();
    seen.headed = matches!(answered, Ok(Ok(_)));
    let began = time(&seen, is_http2, begun, matches!(answered, Ok(Ok(_))), timer);
    let response: Response<Incoming> = match answered {
        Err(_) => return Err(timer.ran_out(waiting_for(&seen, is_http2))),
        Ok(Err(error)) => return Err(failure(&error, &mut seen)),
        Ok(Ok(response)) => response,
    };
    drop(seen);
    let (head, body) = response.into_parts();
    Ok(Answer { head, is_http2, body, began, marks, _tasks: tasks })
}

async fn over_http1<I>(
    io: I,
    request: Request<Sent>,
    tasks: &Tasks,
) -> hyper::Result<Response<Incoming>>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_LIMIT_BYTES as usize);
    let (mut sender, connection) = builder.handshake(io).await?;
    hyper::rt::Executor::execute(tasks, connection);
    sender.send_request(request).await
}

async fn over_http2<I>(
    io: I,
    request: Request<Sent>,
    tasks: &Tasks,
) -> hyper::Result<Response<Incoming>>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let mut builder = http2::Builder::new(tasks.clone());
    builder.max_header_list_size(HEAD_LIMIT_BYTES);
    let (mut sender, connection) = builder.handshake(io).await?;
    hyper::rt::Executor::execute(tasks, connection);
    sender.send_request(request).await
}

/// Adds the times of sending and of the first byte, as far as they are over; gives the moment
/// at which the answer began. HTTP/2 has frames of its own going both ways all the time, so
/// there the first write with the request in it counts, and the complete head.
fn time(
    seen: &Marks,
    is_http2: bool,
    begun: Instant,
    answered: bool,
    timer: &mut Timer,
) -> Instant {
    let now = Instant::now();
    let sent = if is_http2 { seen.first_write_after } else { seen.last_write };
    let is_sent = seen.taken && !seen.blocked;
    let began = if is_http2 { answered.then_some(now) } else { seen.first_read };
    let Some(sent) = sent.filter(|_| is_sent || began.is_some()) else { return now };
    timer.add(Phase::Send, sent.saturating_duration_since(begun));
    if let Some(began) = began {
        timer.add(Phase::FirstByte, began.saturating_duration_since(sent));
    }
    began.unwrap_or(now)
}

/// The phase that a run is in that got no head.
fn waiting_for(seen: &Marks, is_http2: bool) -> Phase {
    if seen.first_read.is_some() && !is_http2 {
        Phase::Transfer // The head trickles.
    } else if seen.blocked || !seen.taken {
        Phase::Send
    } else {
        Phase::FirstByte
    }
}

fn failure(error: &hyper::Error, seen: &mut Marks) -> Failure {
    if let Some(failure) = seen.failure.take() {
        return failure;
    }
    let cause = if error.is_parse_too_large() {
        Cause::TooLarge
    } else if error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || is_cut_short(error)
        || is_broken_off(error)
    {
        Cause::Reset
    } else {
        Cause::Protocol
    };
    let detail = match (cause, seen.first_read) {
        (Cause::Reset, _) if is_broken_off(error) => with_sources(error),
        (Cause::TooLarge, _) => format!("the answer's head has more than {HEAD_LIMIT_BYTES} bytes"),
        (Cause::Reset, None) => "the connection was closed without an answer".to_owned(),
        (Cause::Reset, Some(_)) => {
            "the connection was closed in the middle of the answer".to_owned()
        }
        _ => with_sources(error),
    };
    Failure { cause, detail }
}

/// Whether the stream ended where more was promised: hyper gives this as an I/O error of its own.
fn is_cut_short(error: &hyper::Error) -> bool {
    let mut io = sources(error).filter_map(|inner| inner.downcast_ref::<std::io::Error>());
    let ended = [std::io::ErrorKind::UnexpectedEof, std::io::ErrorKind::BrokenPipe];
    io.next().is_some_and(|io| ended.contains(&io.kind()))
}

/// Whether the other end gave up an HTTP/2 stream or the connection (RFC 9113 sections 6.4, 6.8),
/// and not this end for a fault in its frames.
fn is_broken_off(error: &hyper::Error) -> bool {
    let mut http2 = sources(error).filter_map(|inner| inner.downcast_ref::<h2::Error>());
    let Some(error) = http2.next() else { return false };
    let wants_http1 = error.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED);
    error.is_io() || error.is_remote() && !wants_http1
}

fn sources(error: &hyper::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |inner| inner.source())
}

fn with_sources(error: &hyper::Error) -> String {
    sources(error).fold(error.to_string(), |text, inner| format!("{text}: {inner}"))
}

impl Answer {
    /// Reads the body into `body`, which keeps what came if the rest does not.
    pub(super) async fn receive(
        mut self,
        body: &mut Body,
        timer: &mut Timer,
    ) -> Result<(), Failure> {
        loop {
            let frame = match timeout_at(timer.deadline(), self.body.frame()).await {
                Err(_) => return Err(timer.ran_out(Phase::Transfer)),
                Ok(None) => break,
                Ok(Some(Err(error))) => return Err(failure(&error, &mut self.marks.lock())),
                Ok(Some(Ok(frame))) => frame,
            };
            if let Some(piece) = frame.data_ref() {
                body.push(piece)?;
            }
        }
        timer.add(Phase::Transfer, self.began.elapsed());
        body.finish()
    }

    /// Reads a body of at most `limit` bytes into `body` as it comes, whatever its encoding, and
    /// gives the trailers.
    pub(in crate::kind) async fn message(
        mut self,
        limit: usize,
        body: &mut Vec<u8>,
        timer: &mut Timer,
    ) -> Result<HeaderMap, Failure> {
        let mut trailers = HeaderMap::new();
        loop {
            let frame = match timeout_at(timer.deadline(), self.body.frame()).await {
                Err(_) => return Err(timer.ran_out(Phase::Transfer)),
                Ok(None) => break,
                Ok(Some(Err(error))) => return Err(failure(&error, &mut self.marks.lock())),
                Ok(Some(Ok(frame))) => frame,
            };
            match frame.into_data() {
                Ok(piece) if body.len() + piece.len() > limit => {
                    let detail = format!("the answer has more than {limit} bytes");
                    return Err(Failure::new(Cause::TooLarge, detail));
                }
                Ok(piece) => body.extend_from_slice(&piece),
                Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
            }
        }
        timer.add(Phase::Transfer, self.began.elapsed());
        Ok(trailers)
    }

    /// The body's `Content-Encoding`; empty when there is none.
    pub(super) fn encoding(&self) -> &str {
        let value = self.head.headers.get(header::CONTENT_ENCODING);
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
