//! Watching a connection: when the request had left, when the answer began, what broke.
//!
//! The HTTP library says when an answer's head is complete; what it does not say (how long
//! sending took, whether a slow answer had begun) is seen here, on the way to the socket.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use crosscheck_model::Cause;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::resolve::Failure;
use crate::tls;

/// The most that may come before the answer's head is complete. The head itself has a limit of its
/// own; this one ends interim answers (RFC 9110 section 15.2) and HTTP/2 frames without end. A
/// stream's first window (2 MiB) may come together with its head, so it lies above that.
pub(super) const UNHEADED_LIMIT_BYTES: usize = 4 << 20;

/// What was seen so far.
#[derive(Default)]
pub(super) struct Marks {
    /// The library has given the answer's head.
    pub(super) headed: bool,
    /// Bytes that came before.
    unheaded: usize,
    /// The library has taken the whole request.
    pub(super) taken: bool,
    /// A write waits for the other end.
    pub(super) blocked: bool,
    /// The first write that ended after the request was taken.
    pub(super) first_write_after: Option<Instant>,
    /// The last write before the first read.
    pub(super) last_write: Option<Instant>,
    /// The first bytes of the other end.
    pub(super) first_read: Option<Instant>,
    /// What broke the connection.
    pub(super) failure: Option<Failure>,
}

/// Marks that the connection, the request's body and the run share.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Marks>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Marks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The library has taken the whole request now, and sends it.
    pub(super) fn note_taken(&self) {
        let mut marks = self.lock();
        marks.taken = true;
        marks.first_write_after = Some(Instant::now());
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        let mut marks = self.lock();
        marks.blocked = written.is_pending();
        match written {
            Poll::Ready(Ok(_)) if marks.first_read.is_none() => {
                marks.last_write = Some(Instant::now());
            }
            Poll::Ready(Err(error)) => marks.broke(error),
            _ => {}
        }
        if marks.taken && marks.first_write_after.is_none() && written.is_ready() {
            marks.first_write_after = Some(Instant::now());
        }
    }
}

impl Marks {
    /// Counts what came.
    fn heard(&mut self, bytes: usize) -> io::Result<()> {
        if bytes > 0 && self.first_read.is_none() {
            self.first_read = Some(Instant::now());
        }
        if self.headed {
            return Ok(());
        }
        self.unheaded += bytes;
        if self.unheaded <= UNHEADED_LIMIT_BYTES {
            return Ok(());
        }
        let detail = format!("{UNHEADED_LIMIT_BYTES} bytes came, and no head of an answer");
        self.failure = Some(Failure { cause: Cause::TooLarge, detail });
        Err(io::ErrorKind::FileTooLarge.into())
    }

    fn broke(&mut self, error: &io::Error) {
        if self.failure.is_none() {
            self.failure = Some(tls::stream_failure(error));
        }
    }
}

/// A connection that is watched.
pub(super) struct Watched<S> {
    inner: S,
    marks: Shared,
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, marks: Shared) -> Self {
        Self { inner, marks }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        match &read {
            Poll::Ready(Ok(())) => self.marks.lock().heard(buffer.filled().len() - before)?,
            Poll::Ready(Err(error)) => self.marks.lock().broke(error),
            _ => {}
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.marks.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.marks.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.marks.lock().blocked = flushed.is_pending();
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// A request's body that marks when it has been taken.
pub(super) struct Sent {
    inner: Full<Bytes>,
    marks: Shared,
}

impl Sent {
    pub(super) fn new(bytes: Bytes, marks: Shared) -> Self {
        marks.lock().taken = bytes.is_empty();
        Self { inner: Full::new(bytes), marks }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        if self.inner.is_end_stream() {
            self.marks.lock().taken = true;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
