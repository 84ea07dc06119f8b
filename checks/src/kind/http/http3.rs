//! A request and its answer over HTTP/3 (RFC 9114), on a QUIC connection of their own.

use std::time::Duration;

use bytes::{Buf, Bytes};
use crosscheck_model::Cause;
use futures_util::future::poll_fn;
use h3::client::{RequestStream, SendRequest};
use h3::error::StreamError;
use h3_quinn::{OpenStreams, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response, StatusCode, response};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::http1::{self, HEAD_LIMIT_BYTES};
use super::wire::{Shared, UNHEADED_LIMIT_BYTES};
use crate::resolve::Failure;

/// How often what has come without a head is counted.
const COUNT_EVERY: Duration = Duration::from_millis(10);
/// Answers before the answer (RFC 9110 15.2) that are passed over.
const INTERIM_AT_MOST: usize = 16;

/// The body of an answer. Dropping it closes the connection.
pub(super) struct Incoming {
    stream: RequestStream<RecvStream, Bytes>,
    /// What must still come of the body, where its length was promised (RFC 9114 4.1.2).
    left: Option<u64>,
    /// The last of these gone would close the connection.
    _sender: SendRequest<OpenStreams, Bytes>,
    /// What keeps the connection going, and the sending of the request.
    _tasks: JoinSet<()>,
    connection: quinn::Connection,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let code = h3::error::Code::H3_NO_ERROR.value();
        self.connection.close(quinn::VarInt::from_u64(code).unwrap_or_default(), b"");
    }
}

/// Sends the request, and waits for the answer's head. It marks when the request has been taken.
pub(super) async fn ask(
    connection: quinn::Connection,
    request: Request<Bytes>,
    marks: &Shared,
) -> Result<(response::Parts, Incoming), Failure> {
    let quic = h3_quinn::Connection::new(connection.clone());
    let mut builder = h3::client::builder();
    builder.max_field_section_size(HEAD_LIMIT_BYTES as u64).send_grease(false);
    let opened = builder.build::<_, _, Bytes>(quic).await;
    let (mut driver, mut sender) = opened.map_err(|error| ended(&error, &connection))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        poll_fn(|context| driver.poll_close(context)).await;
    });
    let (parts, body) = request.into_parts();
    let is_bodiless = parts.method == Method::HEAD;
    let request = Request::from_parts(parts, ());
    let asked = sender.send_request(request).await;
    let (outgoing, stream) = asked.map_err(|error| failure(&error, &connection))?.split();
    let (tell, mut told) = oneshot::channel();
    let marks = marks.clone();
    let is_short = body.is_empty();
    let sending = async move {
        let sent = send(outgoing, body).await;
        marks.note_taken();
        let _ = tell.send(sent); // Nobody asks when there is an answer.
    };
    if is_short {
        sending.await; // Nothing to wait for: its time is taken as exactly as can be.
    } else {
        // Beside the answer, for a server may answer before it has read all, and not want the rest.
        tasks.spawn(sending);
    }
    let held = connection.clone();
    let mut incoming =
        Incoming { stream, left: None, _sender: sender, _tasks: tasks, connection: held };
    let head = tokio::select! {
        head = incoming.head() => head,
        failure = too_much_without_a_head(&connection) => Err(failure),
    };
    match (head, told.try_recv()) {
        (Ok(head), _) => {
            let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
            let is_bodiless = is_bodiless || bodiless.contains(&head.status);
            let promised = http1::promised(&head.headers);
            let promised = promised.map_err(|why| Failure::new(Cause::Protocol, why))?;
            incoming.left = promised.filter(|_| !is_bodiless);
            Ok((head, incoming))
        }
        (Err(_), Ok(Err(error))) => Err(failure(&error, &connection)),
        (Err(failure), _) => Err(failure),
    }
}

async fn send(
    mut stream: RequestStream<SendStream<Bytes>, Bytes>,
    body: Bytes,
) -> Result<(), StreamError> {
    if !body.is_empty() {
        stream.send_data(body).await?;
    }
    stream.finish().await
}

/// Ends when more has come than any head may have.
async fn too_much_without_a_head(connection: &quinn::Connection) -> Failure {
    let before = connection.stats().udp_rx.bytes;
    let mut ticks = interval(COUNT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if connection.stats().udp_rx.bytes.saturating_sub(before) > UNHEADED_LIMIT_BYTES as u64 {
            let detail = format!("{UNHEADED_LIMIT_BYTES} bytes came, and no head of an answer");
            return Failure::new(Cause::TooLarge, detail);
        }
    }
}

impl Incoming {
    async fn head(&mut self) -> Result<response::Parts, Failure> {
        for _ in 0..INTERIM_AT_MOST {
            let head = self.stream.recv_response().await;
            let head: Response<()> = head.map_err(|error| failure(&error, &self.connection))?;
            if !head.status().is_informational() {
                return Ok(head.into_parts().0);
            }
        }
        let detail = format!("more than {INTERIM_AT_MOST} interim answers");
        Err(Failure::new(Cause::Protocol, detail))
    }

    /// The next piece of the body; `None` at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        let came = self.stream.recv_data().await;
        let came = came.map_err(|error| failure(&error, &self.connection))?;
        let came = came.map(|mut piece| piece.copy_to_bytes(piece.remaining()));
        let length = came.as_ref().map_or(0, |piece| piece.len() as u64);
        match self.left.map(|left| left.checked_sub(length)) {
            Some(None) => Err(Failure::new(Cause::Protocol, "more came than its Content-Length")),
            Some(Some(1..)) if came.is_none() => {
                Err(Failure::new(Cause::Protocol, "less came than its Content-Length"))
            }
            left => {
                self.left = left.flatten();
                Ok(came)
            }
        }
    }

    /// What follows the body.
    pub(super) async fn trailers(&mut self) -> Result<Option<HeaderMap>, Failure> {
        let came = self.stream.recv_trailers().await;
        came.map_err(|error| failure(&error, &self.connection))
    }
}

/// What ended an exchange early: of what the library keeps to itself, the connection tells.
fn failure(error: &StreamError, connection: &quinn::Connection) -> Failure {
    match error {
        StreamError::HeaderTooBig { .. } => {
            let detail = format!("the answer's head has more than {HEAD_LIMIT_BYTES} bytes");
            Failure::new(Cause::TooLarge, detail)
        }
        StreamError::RemoteTerminate { code, .. } => {
            Failure::new(Cause::Reset, format!("the server gave up the request: {code}"))
        }
        other => ended(other, connection),
    }
}

fn ended(error: &dyn std::fmt::Display, connection: &quinn::Connection) -> Failure {
    use quinn::ConnectionError as Ended;
    match connection.close_reason() {
        Some(why @ (Ended::ConnectionClosed(_) | Ended::ApplicationClosed(_) | Ended::Reset)) => {
            Failure::new(Cause::Reset, format!("the server ended the connection: {why}"))
        }
        Some(Ended::TimedOut) => {
            Failure::new(Cause::Reset, "the server fell silent, and the connection was given up")
        }
        _ => Failure::new(Cause::Protocol, format!("HTTP/3: {error}")),
    }
}
