//! A server that does one unkind thing after the other, and counts what it could get rid of.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::interval;
use tokio_rustls::server::TlsStream;

use crate::tls::scripted::Server;

/// What the target does next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act<'a> {
    /// Hears a request to the end of its head.
    Hear,
    /// Hears whatever comes first.
    HearSome,
    /// Hears a client of HTTP/2 up to the first frame of this type.
    HearFrame(u8),
    /// Says this.
    Say(&'a [u8]),
    /// Says this as often.
    Repeat(&'a [u8], usize),
    /// Says this for ever, or until nobody hears it.
    Flood(&'a [u8]),
    /// Says this for ever, a byte at a time.
    Drip(&'a [u8]),
    /// Breaks the connection (RST).
    Reset,
    /// Says nothing more and keeps the connection.
    Hold,
}

/// Between two bytes of a drip: many fall within the shortest run.
const DROP_EVERY: Duration = Duration::from_millis(20);

/// A running target; it ends when dropped.
pub(super) struct Target {
    server: Server,
    said: Arc<AtomicU64>,
}

impl Target {
    /// A target that does this with every connection, and then closes it.
    pub(super) async fn doing(acts: &[Act<'_>]) -> Self {
        let acts: Arc<[Owned]> = acts.iter().map(Owned::of).collect();
        let said = Arc::new(AtomicU64::new(0));
        let counts = said.clone();
        let serve = move |stream| play(stream, acts.clone(), counts.clone());
        Self { server: Server::plain("127.0.0.1:0", serve).await, said }
    }

    /// The same behind a handshake.
    pub(super) async fn doing_over_tls(config: Arc<ServerConfig>, acts: &[Act<'_>]) -> Self {
        let acts: Arc<[Owned]> = acts.iter().map(Owned::of).collect();
        let said = Arc::new(AtomicU64::new(0));
        let counts = said.clone();
        let serve = move |stream| play(stream, acts.clone(), counts.clone());
        Self { server: Server::tls(config, serve).await, said }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Bytes that went out: what was heard of it, and what the kernels hold.
    pub(super) fn said(&self) -> u64 {
        self.said.load(Ordering::SeqCst)
    }
}

/// The act with bytes of its own.
enum Owned {
    Hear(Until),
    Say { bytes: Vec<u8>, times: usize },
    Drip(Vec<u8>),
    Reset,
    Hold,
}

/// What is waited for.
#[derive(Clone, Copy)]
enum Until {
    Some,
    Head,
    Frame(u8),
}

impl Until {
    fn is_over(self, heard: &[u8]) -> bool {
        match self {
            Self::Some => !heard.is_empty(),
            Self::Head => heard.windows(4).any(|four| four == b"\r\n\r\n"),
            Self::Frame(wanted) => {
                let mut rest = heard.get(PREFACE_BYTES..).unwrap_or_default();
                while let [high, middle, low, kind, _, _, _, _, _, payload @ ..] = rest {
                    let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
                    if *kind == wanted {
                        return true;
                    }
                    rest = payload.get(length..).unwrap_or_default();
                }
                false
            }
        }
    }
}

/// What a client of HTTP/2 says first (RFC 9113 section 3.4).
const PREFACE_BYTES: usize = 24;

impl Owned {
    fn of(act: &Act<'_>) -> Self {
        match *act {
            Act::Hear => Self::Hear(Until::Head),
            Act::HearSome => Self::Hear(Until::Some),
            Act::HearFrame(kind) => Self::Hear(Until::Frame(kind)),
            Act::Say(bytes) => Self::Say { bytes: bytes.to_vec(), times: 1 },
            Act::Repeat(bytes, times) => Self::Say { bytes: bytes.to_vec(), times },
            Act::Flood(bytes) => Self::Say { bytes: bytes.repeat(512), times: usize::MAX },
            Act::Drip(bytes) => Self::Drip(bytes.to_vec()),
            Act::Reset => Self::Reset,
            Act::Hold => Self::Hold,
        }
    }
}

/// A connection that can be broken (RST).
trait Breakable: AsyncRead + AsyncWrite + Unpin {
    fn connection(&self) -> &TcpStream;
}

impl Breakable for TcpStream {
    fn connection(&self) -> &TcpStream {
        self
    }
}

impl Breakable for TlsStream<TcpStream> {
    fn connection(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Does the acts; a check that has gone ends it.
async fn play(mut stream: impl Breakable, acts: Arc<[Owned]>, said: Arc<AtomicU64>) {
    for act in acts.iter() {
        match act {
            Owned::Hear(until) => hear(&mut stream, *until).await,
            Owned::Say { bytes, times } => {
                for _ in 0..*times {
                    if !says(&mut stream, bytes).await {
                        return;
                    }
                    said.fetch_add(bytes.len() as u64, Ordering::SeqCst);
                }
            }
            Owned::Drip(bytes) => {
                let mut clock = interval(DROP_EVERY);
                for byte in bytes.iter().cycle() {
                    clock.tick().await;
                    if !says(&mut stream, &[*byte]).await {
                        return;
                    }
                }
            }
            Owned::Reset => return stream.connection().set_zero_linger().expect("an option"),
            Owned::Hold => return drop(stream.read_to_end(&mut Vec::new()).await),
        }
    }
    drop(stream.shutdown().await);
    // Not closed while words are unread: that would be a reset, and could overtake the answer.
    drop(stream.read_to_end(&mut Vec::new()).await);
}

/// Whether it could be said.
async fn says(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> bool {
    stream.write_all(bytes).await.is_ok() && stream.flush().await.is_ok()
}

async fn hear(stream: &mut (impl AsyncRead + Unpin), until: Until) {
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        heard.extend_from_slice(&buffer[..count]);
        if until.is_over(&heard) {
            return;
        }
    }
}
