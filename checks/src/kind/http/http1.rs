//! HTTP/1.1 (RFC 9112) as a client of one request speaks it, in the run's own task.
//!
//! The request is written and the head read at the same time, for a server may answer before it
//! has heard all. The body comes in pieces by its framing. Nothing is kept alive, upgraded or
//! queued, so nothing works in the background: each wait is the run's own, and what a wait is for
//! is known.

mod chunks;
mod head;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, header, response};
use tokio::io::{AsyncRead, AsyncWrite};

use self::chunks::Chunks;

/// The most that an answer's head may have: four times what common servers send at most.
pub(super) const HEAD_LIMIT_BYTES: usize = 64 << 10;

/// The room for a read of the head: most answers come whole.
const HEAD_READ_BYTES: usize = 4 << 10;

/// The room for a read of a body that did not come with its head.
const BODY_READ_BYTES: usize = 16 << 10;

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection broke.
    Io(io::Error),
    /// It was closed where more had to come.
    Closed,
    /// The head has no end.
    HeadTooLarge,
    /// What came is not HTTP/1.1, and what is wrong with it.
    Malformed(String),
}

impl Broken {
    fn malformed(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }
}

/// A connection, whatever carries it.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

/// What follows the head.
pub(super) struct Incoming {
    wire: Box<dyn Wire>,
    /// Received, and not taken yet.
    buffer: BytesMut,
    framing: Framing,
}

/// How a body ends (RFC 9112 section 6.3).
enum Framing {
    /// After so many bytes more.
    Length(u64),
    Chunked(Chunks),
    UntilClosed,
}

/// Writes the request and reads the answer's head; interim answers (RFC 9110 section 15.2) are
/// passed over.
///
/// # Errors
/// There is no head that can be understood.
pub(super) async fn ask<S>(
    wire: S,
    request: Request<Bytes>,
) -> Result<(response::Parts, Incoming), Broken>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let method = request.method().clone();
    let mut exchange = Exchange {
        wire,
        unsent: head::written(request),
        is_flushed: false,
        write_error: None,
        reader: head::Reader::default(),
        buffer: BytesMut::with_capacity(HEAD_READ_BYTES),
    };
    let parts = std::future::poll_fn(|context| exchange.poll(context)).await?;
    let framing = framing(&method, &parts)?;
    let Exchange { wire, buffer, .. } = exchange;
    Ok((parts, Incoming { wire: Box::new(wire), buffer, framing }))
}

struct Exchange<S, B> {
    wire: S,
    unsent: B,
    is_flushed: bool,
    /// The server hears no more; it may have answered before.
    write_error: Option<io::Error>,
    reader: head::Reader,
    buffer: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin, B: Buf> Exchange<S, B> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<response::Parts, Broken>> {
        if !self.is_flushed
            && let Poll::Ready(sent) = self.poll_send(context)
        {
            self.is_flushed = true;
            self.write_error = sent.err();
        }
        loop {
            let read =
                ready!(poll_read(&mut self.wire, &mut self.buffer, HEAD_READ_BYTES, context));
            match (read, self.write_error.take()) {
                (Ok(0) | Err(_), Some(error)) => return Poll::Ready(Err(Broken::Io(error))),
                (Ok(0), None) => return Poll::Ready(Err(self.reader.ended(&self.buffer))),
                (Err(error), None) => return Poll::Ready(Err(Broken::Io(error))),
                (Ok(_), error) => self.write_error = error,
            }
            if let Some(parts) = self.reader.read(&mut self.buffer)? {
                return Poll::Ready(Ok(parts));
            }
        }
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unsent.has_remaining() {
            let wire = Pin::new(&mut self.wire);
            match ready!(wire.poll_write(context, self.unsent.chunk()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.unsent.advance(written),
            }
        }
        Pin::new(&mut self.wire).poll_flush(context)
    }
}

/// Reads what there is into a buffer that has room for `room` bytes; 0 at the end.
fn poll_read(
    wire: &mut (impl AsyncRead + Unpin + ?Sized),
    buffer: &mut BytesMut,
    room: usize,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    // A buffer that was grown once more for each read would copy what it has as often.
    if buffer.capacity() - buffer.len() < room / 4 {
        buffer.reserve(room);
    }
    let read = std::pin::pin!(tokio::io::AsyncReadExt::read_buf(wire, buffer));
    Future::poll(read, context)
}

fn framing(method: &Method, head: &response::Parts) -> Result<Framing, Broken> {
    use http::{StatusCode, Version};
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    if *method == Method::HEAD || head.status.is_informational() || bodiless.contains(&head.status)
    {
        return Ok(Framing::Length(0));
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(last) = codings.next_back() {
        if head.version == Version::HTTP_10 {
            return Err(Broken::malformed("an answer of HTTP/1.0 with a Transfer-Encoding"));
        }
        let last = last.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
        let is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        return Ok(if is_chunked {
            Framing::Chunked(Chunks::default())
        } else {
            Framing::UntilClosed
        });
    }
    let length = promised(&head.headers).map_err(Broken::malformed)?;
    Ok(length.map_or(Framing::UntilClosed, Framing::Length))
}

/// The length that a head promises, if it does: all that it says of it must be one number.
pub(super) fn promised(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let lengths = lengths.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut length = None;
    for written in lengths {
        let this = digits(written.trim_ascii()).filter(|this| length.is_none_or(|it| it == *this));
        length = Some(this.ok_or("its Content-Length is no length")?);
    }
    Ok(length)
}

/// A number of digits alone: no sign.
fn digits(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

impl Incoming {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// The body does not end as it should.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            let taken = match &mut self.framing {
                Framing::Length(0) => return Ok(None),
                Framing::Length(left) => {
                    let taken = take(&mut self.buffer, *left);
                    *left -= taken.as_ref().map_or(0, Bytes::len) as u64;
                    taken
                }
                Framing::UntilClosed => take(&mut self.buffer, u64::MAX),
                Framing::Chunked(chunks) => {
                    if chunks.is_done() {
                        return Ok(None);
                    }
                    let taken = chunks.take(&mut self.buffer)?;
                    if chunks.is_done() {
                        return Ok(None);
                    }
                    taken
                }
            };
            if taken.is_some() {
                return Ok(taken);
            }
            let read = std::future::poll_fn(|context| {
                poll_read(&mut *self.wire, &mut self.buffer, BODY_READ_BYTES, context)
            });
            if read.await.map_err(Broken::Io)? == 0 {
                return match self.framing {
                    Framing::UntilClosed => Ok(None),
                    _ => Err(Broken::Closed),
                };
            }
        }
    }

    /// The fields after the body (RFC 9110 section 6.5), once it has ended.
    pub(super) fn trailers(&mut self) -> HeaderMap {
        match &mut self.framing {
            Framing::Chunked(chunks) => chunks.trailers().unwrap_or_default(),
            Framing::Length(_) | Framing::UntilClosed => HeaderMap::default(),
        }
    }
}

/// At most so many bytes of what has come; `None`: nothing has.
fn take(buffer: &mut BytesMut, most: u64) -> Option<Bytes> {
    let length = usize::try_from(most).map_or(buffer.len(), |most| most.min(buffer.len()));
    (length > 0).then(|| buffer.split_to(length).freeze())
}
