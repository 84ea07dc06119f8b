//! One request and its answer over a connection of their own, each phase timed.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use crosscheck_model::{Cause, Phase};
use http::{HeaderMap, Request, header, response};
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::body::Body;
use super::http1::{self, Broken, HEAD_LIMIT_BYTES};
use super::http3;
use super::wire::{Marks, Sent, Shared, Watched};
use crate::dial::Timer;
use crate::resolve::Failure;
use crate::tls;

/// An answer whose body has not been read. Dropping it closes the connection.
pub(in crate::kind) struct Answer {
    pub(in crate::kind) head: response::Parts,
    pub(super) spoken: Spoken,
    body: Incoming,
    began: Instant,
    marks: Shared,
}

/// The version of HTTP on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kind) enum Spoken {
    Http1,
    Http2,
    Http3,
}

impl Spoken {
    /// As people write it.
    pub(super) const fn number(self) -> f64 {
        match self {
            Self::Http1 => 1.1,
            Self::Http2 => 2.0,
            Self::Http3 => 3.0,
        }
    }
}

/// Where the body comes from.
enum Incoming {
    Http1(http1::Incoming),
    Http2 { body: hyper::body::Incoming, _tasks: Tasks },
    Http3(Box<http3::Incoming>),
}

/// What came after the head.
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// What the library of HTTP/2 does in the background; it ends with the exchange.
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
    let marks = Shared::default();
    let stream = Watched::new(stream, marks.clone());
    let begun = Instant::now();
    let exchange = async {
        if is_http2 {
            Box::pin(over_http2(stream, request, &marks)).await.map_err(Fault::Http2)
        } else {
            marks.lock().taken = true; // Whether it has left, the connection tells.
            let (head, body) = http1::ask(stream, request).await.map_err(Fault::Http1)?;
            Ok((head, Incoming::Http1(body)))
        }
    };
    let answered = timer.within(exchange).await;
    let spoken = if is_http2 { Spoken::Http2 } else { Spoken::Http1 };
    finish(answered, spoken, begun, marks, timer)
}

/// The same over a QUIC connection.
pub(super) async fn ask_by_http3(
    connection: quinn::Connection,
    request: Request<Bytes>,
    timer: &mut Timer,
) -> Result<Answer, Failure> {
    let marks = Shared::default();
    let begun = Instant::now();
    let exchange = Box::pin(http3::ask(connection, request, &marks));
    let answered = timer.within(exchange).await.map(|answered| {
        let (head, body) = answered.map_err(Fault::Http3)?;
        Ok((head, Incoming::Http3(Box::new(body))))
    });
    finish(answered, Spoken::Http3, begun, marks, timer)
}

/// Times the exchange, however it ended; `None`: at the deadline.
fn finish(
    answered: Option<Result<(response::Parts, Incoming), Fault>>,
    spoken: Spoken,
    begun: Instant,
    marks: Shared,
    timer: &mut Timer,
) -> Result<Answer, Failure> {
    let mut seen = marks.lock();
    seen.headed = matches!(answered, Some(Ok(_)));
    let began = time(&seen, spoken, begun, seen.headed, timer);
    let (head, body) = match answered {
        None => return Err(timer.ran_out(waiting_for(&seen, spoken))),
        Some(Err(fault)) => return Err(fault.into_failure(&mut seen)),
        Some(Ok(answer)) => answer,
    };
    drop(seen);
    Ok(Answer { head, spoken, body, began, marks })
}

async fn over_http2<S>(
    stream: Watched<S>,
    request: Request<Bytes>,
    marks: &Shared,
) -> hyper::Result<(response::Parts, Incoming)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let tasks = Tasks::default();
    let (parts, bytes) = request.into_parts();
    let request = Request::from_parts(parts, Sent::new(bytes, marks.clone()));
    let mut builder = http2::Builder::new(tasks.clone());
    builder.max_header_list_size(HEAD_LIMIT_BYTES as u32);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    hyper::rt::Executor::execute(&tasks, connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok((head, Incoming::Http2 { body, _tasks: tasks }))
}

/// Adds the times of sending and of the first byte, as far as they are over; gives the moment
/// at which the answer began. HTTP/2 and 3 have frames of their own going both ways all the time,
/// so there the first write with the request in it counts, and the complete head.
fn time(
    seen: &Marks,
    spoken: Spoken,
    begun: Instant,
    answered: bool,
    timer: &mut Timer,
) -> Instant {
    let now = Instant::now();
    let is_plain = spoken == Spoken::Http1;
    let sent = if is_plain { seen.last_write } else { seen.first_write_after };
    // Who answered before it had read the request was being sent it until then.
    let sent = sent.or(answered.then_some(now));
    let is_sent = seen.taken && !seen.blocked;
    let began = if is_plain { seen.first_read } else { answered.then_some(now) };
    let Some(sent) = sent.filter(|_| is_sent || began.is_some()) else { return now };
    timer.add(Phase::Send, sent.saturating_duration_since(begun));
    if let Some(began) = began {
        timer.add(Phase::FirstByte, began.saturating_duration_since(sent));
    }
    began.unwrap_or(now)
}

/// The phase that a run is in that got no head.
fn waiting_for(seen: &Marks, spoken: Spoken) -> Phase {
    if seen.first_read.is_some() && spoken == Spoken::Http1 {
        Phase::Transfer // The head trickles.
    } else if seen.blocked || !seen.taken {
        Phase::Send
    } else {
        Phase::FirstByte
    }
}

/// What ended an exchange early.
enum Fault {
    Http1(Broken),
    Http2(hyper::Error),
    Http3(Failure),
}

impl Fault {
    /// As a failure; what broke the connection was seen there.
    fn into_failure(self, seen: &mut Marks) -> Failure {
        if let Some(failure) = seen.failure.take() {
            return failure;
        }
        let (cause, detail) = match self {
            Self::Http1(Broken::Io(error)) => return tls::stream_failure(&error),
            Self::Http1(Broken::Closed) => (Cause::Reset, closed(seen)),
            Self::Http1(Broken::HeadTooLarge) => (Cause::TooLarge, too_large()),
            Self::Http1(Broken::Malformed(why)) => (Cause::Protocol, why),
            Self::Http3(failure) => return failure,
            Self::Http2(error) if error.is_parse_too_large() => (Cause::TooLarge, too_large()),
            Self::Http2(error) if is_broken_off(&error) => (Cause::Reset, with_sources(&error)),
            Self::Http2(error) if is_closed(&error) => (Cause::Reset, closed(seen)),
            Self::Http2(error) => (Cause::Protocol, with_sources(&error)),
        };
        Failure { cause, detail }
    }
}

fn too_large() -> String {
    format!("the answer's head has more than {HEAD_LIMIT_BYTES} bytes")
}

fn closed(seen: &Marks) -> String {
    let when = if seen.first_read.is_some() { "in the middle of the" } else { "without an" };
    format!("the connection was closed {when} answer")
}

fn is_closed(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_closed() || error.is_canceled() || is_cut_short(error)
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

async fn http3_piece(body: &mut http3::Incoming) -> Result<Option<Piece>, Failure> {
    Ok(match body.piece().await? {
        Some(piece) => Some(Piece::Data(piece)),
        None => body.trailers().await?.map(Piece::Trailers),
    })
}

impl Answer {
    /// The next piece of what follows the head; `None` at its end.
    async fn piece(&mut self, timer: &Timer) -> Result<Option<Piece>, Failure> {
        let came = match &mut self.body {
            Incoming::Http1(body) => match timeout_at(timer.deadline(), body.piece()).await {
                Err(_) => return Err(timer.ran_out(Phase::Transfer)),
                Ok(came) => came.map(|piece| piece.map(Piece::Data)).map_err(Fault::Http1),
            },
            Incoming::Http3(body) => match timeout_at(timer.deadline(), http3_piece(body)).await {
                Err(_) => return Err(timer.ran_out(Phase::Transfer)),
                Ok(came) => came.map_err(Fault::Http3),
            },
            Incoming::Http2 { body, .. } => {
                match timeout_at(timer.deadline(), body.frame()).await {
                    Err(_) => return Err(timer.ran_out(Phase::Transfer)),
                    Ok(None) => Ok(None),
                    Ok(Some(Err(error))) => Err(Fault::Http2(error)),
                    Ok(Some(Ok(frame))) => Ok(Some(match frame.into_data() {
                        Ok(data) => Piece::Data(data),
                        Err(frame) => Piece::Trailers(frame.into_trailers().unwrap_or_default()),
                    })),
                }
            }
        };
        came.map_err(|fault| fault.into_failure(&mut self.marks.lock()))
    }

    /// Reads the body into `body`, which keeps what came if the rest does not.
    pub(super) async fn receive(
        &mut self,
        body: &mut Body,
        timer: &mut Timer,
    ) -> Result<(), Failure> {
        while let Some(piece) = self.piece(timer).await? {
            if let Piece::Data(piece) = piece {
                body.push(&piece)?;
            }
        }
        timer.add(Phase::Transfer, self.began.elapsed());
        body.finish()
    }

    /// Reads a body of at most `limit` bytes into `body` as it comes, whatever its encoding, and
    /// gives the trailers.
    pub(in crate::kind) async fn message(
        &mut self,
        limit: usize,
        body: &mut Vec<u8>,
        timer: &mut Timer,
    ) -> Result<HeaderMap, Failure> {
        let mut trailers = HeaderMap::new();
        while let Some(piece) = self.piece(timer).await? {
            match piece {
                Piece::Data(piece) if body.len() + piece.len() > limit => {
                    let detail = format!("the answer has more than {limit} bytes");
                    return Err(Failure::new(Cause::TooLarge, detail));
                }
                Piece::Data(piece) => body.extend_from_slice(&piece),
                Piece::Trailers(more) => trailers.extend(more),
            }
        }
        if let Incoming::Http1(body) = &mut self.body {
            trailers.extend(body.trailers());
        }
        timer.add(Phase::Transfer, self.began.elapsed());
        Ok(trailers)
    }

    /// Closes the connection; the head is left.
    pub(super) fn into_head(self) -> response::Parts {
        self.head
    }

    /// The body's `Content-Encoding`; empty when there is none.
    pub(super) fn encoding(&self) -> &str {
        let value = self.head.headers.get(header::CONTENT_ENCODING);
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
