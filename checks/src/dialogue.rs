//! A conversation with a service over one connection: say, hear, and shake hands for TLS in the
//! midst of it. Whatever the other side does, memory stays bounded and the run ends in time.
//!
//! It knows which step it is in, so that every failure names the step and what was heard in it.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crosscheck_model::observation::RETRY_AFTER;
use crosscheck_model::{Cause, Outcome, Phase, Status};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::dial::{self, Timer};
use crate::env::Secrets;
use crate::excerpt;
use crate::resolve::Failure;
use crate::tls::{self, Certificate, Tls};

/// The longest line. RFC 5321, 4.5.3.1.5 allows 512 bytes and IMAP servers list capabilities in
/// lines of some more; beyond this it is no line.
const LINE_LIMIT_BYTES: usize = 8 << 10;

/// How long a server may take to a goodbye: the run is judged by then, and the goodbye only keeps
/// "lost connection" out of the server's log.
const FAREWELL_WITHIN: Duration = Duration::from_secs(1);

/// A conversation.
pub(crate) struct Dialogue {
    timer: Timer,
    wire: Wire,
    step: Cow<'static, str>,
    /// Received, and not taken yet.
    inbox: Vec<u8>,
    /// The beginning of what was heard since something was said.
    seen: Vec<u8>,
    /// Nothing was heard since something was said.
    awaits: bool,
    bytes: u64,
    certificate: Option<Certificate>,
    /// Of an answer of HTTP.
    status: Option<u16>,
    retry_after: Option<Duration>,
}

enum Wire {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
    /// A handshake has failed.
    Closed,
}

impl Dialogue {
    /// Over this connection; the run's clock goes on.
    pub(crate) fn new(stream: TcpStream, timer: Timer) -> Self {
        Self {
            timer,
            wire: Wire::Plain(stream),
            step: Cow::Borrowed(""),
            inbox: Vec::new(),
            seen: Vec::new(),
            awaits: true,
            bytes: 0,
            certificate: None,
            status: None,
            retry_after: None,
        }
    }

    /// From here on failures are of this step; empty: of none.
    pub(crate) fn step(&mut self, name: impl Into<Cow<'static, str>>) {
        self.step = name.into();
    }

    /// The server has answered with this status of HTTP.
    pub(crate) fn note_status(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// For so long the server asks to be left alone, if it does.
    pub(crate) fn note_retry_after(&mut self, wait: Option<Duration>) {
        self.retry_after = wait;
    }

    /// The time since the run's start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.timer.elapsed()
    }

    /// The certificate that the server has shown.
    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// This end of the connection.
    pub(crate) fn own_address(&self) -> Option<SocketAddr> {
        match &self.wire {
            Wire::Plain(stream) => stream.local_addr().ok(),
            Wire::Secure(stream) => stream.get_ref().0.local_addr().ok(),
            Wire::Closed => None,
        }
    }

    /// What was heard and not taken.
    pub(crate) fn inbox(&self) -> &[u8] {
        &self.inbox
    }

    /// Takes the first bytes of the inbox.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.inbox.split_off(count.min(self.inbox.len()));
        std::mem::replace(&mut self.inbox, rest)
    }

    /// Says something, and awaits an answer.
    ///
    /// # Errors
    /// The connection broke, or the run's time is over.
    pub(crate) async fn say(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.seen.clear();
        self.awaits = true;
        self.reply(bytes).await
    }

    /// Says something in the midst of what the other side has to say.
    ///
    /// # Errors
    /// As of [`Self::say`].
    pub(crate) async fn reply(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match &mut self.wire {
            Wire::Plain(stream) => self.timer.phase(Phase::Send, write(stream, bytes)).await?,
            Wire::Secure(stream) => self.timer.phase(Phase::Send, write(stream, bytes)).await?,
            Wire::Closed => Err(io::ErrorKind::NotConnected.into()),
        };
        written.map_err(|error| broken("cannot send", &error))
    }

    /// Hears more, until the inbox holds `limit` bytes; 0 at the end of the conversation.
    ///
    /// # Errors
    /// The connection broke or ended without a word, or the run's time is over.
    pub(crate) async fn hear(&mut self, limit: usize) -> Result<usize, Failure> {
        let room = limit.saturating_sub(self.inbox.len()) as u64;
        let phase = if self.awaits { Phase::FirstByte } else { Phase::Transfer };
        let (before, inbox) = (self.inbox.len(), &mut self.inbox);
        let read = match &mut self.wire {
            Wire::Plain(stream) => self.timer.phase(phase, read(stream, room, inbox)).await?,
            Wire::Secure(stream) => self.timer.phase(phase, read(stream, room, inbox)).await?,
            Wire::Closed => Err(io::ErrorKind::NotConnected.into()),
        };
        let count = read.map_err(|error| broken("the connection broke", &error))?;
        if count == 0 && self.awaits && self.inbox.is_empty() {
            return Err(Failure::new(Cause::Reset, "the connection was closed without a word"));
        }
        if std::mem::take(&mut self.awaits) {
            self.timer.add(Phase::Transfer, Duration::ZERO); // It has begun.
        }
        self.bytes += count as u64;
        let new = &self.inbox[before..];
        let room = excerpt::KEEP_BYTES.saturating_sub(self.seen.len());
        self.seen.extend_from_slice(&new[..new.len().min(room)]);
        Ok(count)
    }

    /// Takes one line, without its end (CR LF, or LF alone).
    ///
    /// # Errors
    /// As of [`Self::hear`]; the conversation ended in the midst of it, or it has no end.
    pub(crate) async fn line(&mut self) -> Result<String, Failure> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.inbox[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.take(searched + at + 1);
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                return Ok(String::from_utf8_lossy(line).into_owned());
            }
            searched = self.inbox.len();
            if searched >= LINE_LIMIT_BYTES {
                let detail = format!("a line of more than {LINE_LIMIT_BYTES} bytes");
                return Err(Failure::new(Cause::Protocol, detail));
            }
            if self.hear(LINE_LIMIT_BYTES).await? == 0 {
                let detail = "the connection was closed in the midst of a line";
                return Err(Failure::new(Cause::Reset, detail));
            }
        }
    }

    /// Hears until the inbox holds `count` bytes, and takes them.
    ///
    /// # Errors
    /// As of [`Self::hear`]; the conversation ended before.
    pub(crate) async fn exactly(&mut self, count: usize) -> Result<Vec<u8>, Failure> {
        while self.inbox.len() < count {
            if self.hear(count).await? == 0 {
                let detail = format!(
                    "the connection was closed after {} of {count} bytes",
                    self.inbox.len()
                );
                return Err(Failure::new(Cause::Reset, detail));
            }
        }
        Ok(self.take(count))
    }

    /// Shakes hands for TLS; from here on nobody else hears and speaks.
    ///
    /// # Errors
    /// There is no session, or the server is not to be trusted. What came in clear text beyond
    /// the consent is one too: somebody on the way may have put it there (CVE-2011-0411).
    pub(crate) async fn secure(
        &mut self,
        tls: &Tls,
        name: &ServerName<'static>,
    ) -> Result<(), Failure> {
        if !self.inbox.is_empty() {
            let detail = "the server said more in clear text after its consent to TLS";
            return Err(Failure::new(Cause::Protocol, detail));
        }
        let Wire::Plain(stream) = std::mem::replace(&mut self.wire, Wire::Closed) else {
            return Err(Failure::new(Cause::Protocol, "TLS within TLS"));
        };
        let session = tls.handshake(stream, name, &mut self.timer).await?;
        self.certificate = session.certificate();
        self.wire = Wire::Secure(Box::new(session.trusted()?));
        self.seen.clear();
        self.awaits = true;
        Ok(())
    }

    /// The connection and the run's clock, for who shakes hands by himself.
    ///
    /// # Errors
    /// As of [`Self::secure`]: something was said beyond the consent.
    pub(crate) fn into_plain(self) -> (Result<TcpStream, Failure>, Timer) {
        let stream = match self.wire {
            Wire::Plain(stream) if self.inbox.is_empty() => Ok(stream),
            _ => {
                let detail = "the server said more in clear text after its consent to TLS";
                Err(Failure::new(Cause::Protocol, detail))
            }
        };
        (stream, self.timer)
    }

    /// The outcome of the run, with the failing step and what was heard in it.
    pub(crate) fn outcome(&self, secrets: &Secrets, failure: Option<Failure>) -> Outcome {
        let failure = failure.map(|failure| match &self.step[..] {
            "" => failure,
            step => Failure::new(failure.cause, format!("{step}: {}", failure.detail)),
        });
        let mut outcome = self.timer.outcome(secrets, failure);
        if self.bytes > 0 {
            outcome.values.insert("bytes".to_owned(), self.bytes as f64);
        }
        if let Some(certificate) = &self.certificate {
            outcome.values.insert("certificate_days".to_owned(), certificate.days_left);
        }
        if let Some(status) = self.status {
            outcome.values.insert("status".to_owned(), f64::from(status));
        }
        if let Some(wait) = self.retry_after {
            outcome.values.insert(RETRY_AFTER.to_owned(), wait.as_secs_f64());
        }
        if outcome.status != Status::Up {
            outcome.excerpt = excerpt::of(&self.seen, secrets);
        }
        outcome
    }

    /// Says goodbye after the run has been judged, and waits a moment for the other's. What comes
    /// of it does not matter any more.
    pub(crate) async fn farewell(mut self, words: &[u8]) {
        let left = self.timer.remaining().min(FAREWELL_WITHIN);
        let goodbye = async {
            if !words.is_empty() && self.say(words).await.is_ok() {
                self.inbox.clear();
                let _ = self.hear(LINE_LIMIT_BYTES).await;
            }
            if let Wire::Secure(stream) = &mut self.wire {
                let _ = stream.shutdown().await;
            }
        };
        let _ = timeout(left, goodbye).await;
    }
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    room: u64,
    inbox: &mut Vec<u8>,
) -> io::Result<usize> {
    match stream.take(room).read_buf(inbox).await {
        // TLS that ends without saying so: many servers do, and what was said stands.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        result => result,
    }
}

fn broken(what: &str, error: &io::Error) -> Failure {
    let failure = tls::stream_failure(error);
    match failure.cause {
        Cause::TlsHandshake | Cause::Protocol => failure,
        cause => Failure::new(cause, format!("{what}: {}", dial::plain(error))),
    }
}
