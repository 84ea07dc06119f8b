//! The browser's only way out: a SOCKS5 server on loopback (RFC 1928) that resolves each name,
//! asks the guard and connects, as every check does. Whatever the page and its scripts name, and
//! whatever a name becomes between two requests, the address connected to is one the guard saw.
//!
//! It lives as long as the run. Others on this host could use it meanwhile: it leads them nowhere
//! that the guard forbids.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crosscheck_model::{Cause, Family};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::dial::{self, Timer};
use crate::env::Env;
use crate::resolve::Failure;

/// More than browsers open by one proxy (32).
const TUNNELS_AT_MOST: usize = 64;

/// What a page may bring in one run, in bytes of all connections: some ten times what heavy pages
/// have.
pub(super) const BYTES_AT_MOST: u64 = 128 << 20;

/// Places whose outcome is remembered.
const PLACES_AT_MOST: usize = 256;

/// What is read at once.
const PIECE_BYTES: usize = 16 << 10;

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const CONNECT: u8 = 1;
const BOUND_NOWHERE: [u8; 6] = [0; 6];

/// A host and port as the browser names them.
pub(super) type Place = (String, u16);

/// The way out of one run.
pub(super) struct Tunnel {
    /// Where the browser finds it.
    pub(super) address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What came of the connections.
#[derive(Default)]
struct Seen {
    places: Mutex<BTreeMap<Place, Result<Arc<Timer>, Failure>>>,
    bytes: AtomicU64,
}

impl Seen {
    fn places(&self) -> MutexGuard<'_, BTreeMap<Place, Result<Arc<Timer>, Failure>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first connection to a place counts, the one that the page waits for; a failure only
    /// where there was none.
    fn note(&self, place: Place, came: Result<Arc<Timer>, Failure>) {
        let mut places = self.places();
        match places.get(&place) {
            Some(Ok(_)) => {}
            None if places.len() >= PLACES_AT_MOST => {}
            _ => drop(places.insert(place, came)),
        }
    }
}

impl Tunnel {
    /// Opens one whose connections end by the timer's deadline.
    ///
    /// # Errors
    /// There is no port on loopback.
    pub(super) async fn open(env: &Env, family: Family, timer: &Timer) -> Result<Self, Failure> {
        let setup = |error: io::Error| {
            Failure::new(Cause::Setup, format!("no port on loopback: {}", dial::plain(&error)))
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(setup)?;
        let address = listener.local_addr().map_err(setup)?;
        let (seen, deadline) = (Arc::<Seen>::default(), timer.remaining());
        let shared = (env.clone(), family, Timer::start(deadline), seen.clone());
        let task = tokio::spawn(serve(listener, Arc::new(shared)));
        Ok(Self { address, seen, task })
    }

    /// Why a place could not be connected to.
    pub(super) fn failure(&self, place: &Place) -> Option<Failure> {
        self.seen.places().get(place)?.as_ref().err().cloned()
    }

    /// What the first connection to a place took.
    pub(super) fn took(&self, place: &Place) -> Option<Arc<Timer>> {
        self.seen.places().get(place)?.as_ref().ok().cloned()
    }

    /// Whether the page brought more than it may.
    pub(super) fn overflowed(&self) -> bool {
        self.seen.bytes.load(Ordering::Relaxed) > BYTES_AT_MOST
    }
}

type Shared = Arc<(Env, Family, Timer, Arc<Seen>)>;

async fn serve(listener: TcpListener, shared: Shared) {
    let mut tunnels = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if tunnels.len() < TUNNELS_AT_MOST => {
                    tunnels.spawn(carry(stream, shared.clone()));
                }
                Ok(_) => {}
                Err(_) => return,
            },
            Some(_) = tunnels.join_next() => {}
        }
    }
}

/// One connection, to its end. A broken one has nobody to be told but the browser.
async fn carry(mut near: TcpStream, shared: Shared) {
    let (env, family, timer, seen) = &*shared;
    let Ok(Some(place)) = place_wanted(&mut near).await else { return };
    let mut part = timer.part(std::time::Duration::ZERO);
    // An address has the family that it has.
    let family = match place.0.parse() {
        Ok(IpAddr::V4(_)) => Family::V4,
        Ok(IpAddr::V6(_)) => Family::V6,
        Err(_) => *family,
    };
    let connected = dial::connect(env, &place.0, place.1, family, &mut part).await;
    let (reply, far) = match connected {
        Ok(connected) => {
            seen.note(place, Ok(Arc::new(part)));
            (0, Some(connected.stream))
        }
        Err(failure) => {
            let reply = reply_to(failure.cause);
            seen.note(place, Err(failure));
            (reply, None)
        }
    };
    let reply = [&[VERSION, reply, 0, 1][..], &BOUND_NOWHERE].concat();
    if near.write_all(&reply).await.is_err() {
        return;
    }
    let Some(mut far) = far else { return };
    let _ = near.set_nodelay(true); // As on the way out.
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.split(), far.split());
    tokio::join!(copy(&mut near_in, &mut far_out, seen), copy(&mut far_in, &mut near_out, seen));
}

/// Copies until the end, an error, or more bytes than the run may have; then says so to both.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    seen: &Seen,
) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        let all = seen.bytes.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
        if all > BYTES_AT_MOST || to.write_all(&piece[..count]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await; // It may be gone.
}

/// What the browser asks for; `None` where it asks for something else than a connection.
async fn place_wanted(stream: &mut TcpStream) -> io::Result<Option<Place>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let mut methods = vec![0; usize::from(head[1])];
    stream.read_exact(&mut methods).await?;
    if head[0] != VERSION || !methods.contains(&NO_LOGIN) {
        return Ok(None);
    }
    stream.write_all(&[VERSION, NO_LOGIN]).await?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    let host = match request[3] {
        1 => {
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await?;
            IpAddr::V4(Ipv4Addr::from(bytes)).to_string()
        }
        4 => {
            let mut bytes = [0; 16];
            stream.read_exact(&mut bytes).await?;
            IpAddr::V6(Ipv6Addr::from(bytes)).to_string()
        }
        3 => {
            let mut name = vec![0; usize::from(stream.read_u8().await?)];
            stream.read_exact(&mut name).await?;
            let Ok(name) = String::from_utf8(name) else { return Ok(None) };
            name
        }
        _ => return Ok(None),
    };
    let port = stream.read_u16().await?;
    Ok((request[0] == VERSION && request[1] == CONNECT).then_some((host, port)))
}

/// The reply of RFC 1928 section 6 that is nearest.
const fn reply_to(cause: Cause) -> u8 {
    match cause {
        Cause::BlockedAddress => 2,
        Cause::Unreachable => 3,
        Cause::Refused => 5,
        Cause::ConnectTimeout => 6,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::guard::Guard;
    use crate::kind::http::tests::{env_with, ok, server_to};
    use crate::resolve::Resolver;

    /// Asks for a connection; the reply's code.
    async fn ask(tunnel: &Tunnel, place: &[u8], port: u16) -> (TcpStream, u8) {
        let mut stream = TcpStream::connect(tunnel.address).await.expect("it listens");
        stream.write_all(&[5, 1, 0]).await.expect("taken");
        let mut chosen = [0; 2];
        stream.read_exact(&mut chosen).await.expect("a choice");
        assert_eq!(chosen, [5, 0]);
        let request = [&[5, 1, 0][..], place, &port.to_be_bytes()].concat();
        stream.write_all(&request).await.expect("taken");
        let mut reply = [0; 10];
        stream.read_exact(&mut reply).await.expect("a reply");
        (stream, reply[1])
    }

    async fn open(guard: Guard) -> Tunnel {
        let env = Env { guard, ..env_with(&[], Resolver::new(Vec::new())) };
        let timer = Timer::start(Duration::from_secs(20));
        Tunnel::open(&env, Family::V4, &timer).await.expect("a port")
    }

    #[tokio::test]
    async fn names_and_addresses_are_connected_to_and_timed() {
        let (server, _) = server_to(|_| ok("hello")).await;
        let tunnel = open(Guard::Internal).await;
        let port = server.address.port();
        for (place, name) in [
            (&[1, 127, 0, 0, 1][..], "127.0.0.1"),
            (&[&[3, 9][..], b"localhost"].concat(), "localhost"),
        ] {
            let (mut stream, reply) = ask(&tunnel, place, port).await;
            assert_eq!(reply, 0, "{name}");
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("taken");
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(&answer, b"HTTP/1.1 200");
            assert!(tunnel.took(&(name.to_owned(), port)).is_some());
        }
    }

    #[tokio::test]
    async fn the_guard_holds_whatever_is_asked_for() {
        let (server, heard) = server_to(|_| ok("hello")).await;
        let tunnel = open(Guard::public()).await;
        let port = server.address.port();
        let mapped = [&[4][..], &"::ffff:127.0.0.1".parse::<Ipv6Addr>().expect("one").octets()];
        for (place, name) in [
            (vec![1, 127, 0, 0, 1], "127.0.0.1"),
            (mapped.concat(), "::ffff:127.0.0.1"),
            ([&[3, 9][..], b"localhost"].concat(), "localhost"),
            ([&[3, 9][..], b"127.0.0.1"].concat(), "127.0.0.1"),
        ] {
            let (_, reply) = ask(&tunnel, &place, port).await;
            assert_eq!(reply, 2, "{name}");
            let failure = tunnel.failure(&(name.to_owned(), port)).expect("it is remembered");
            assert_eq!(failure.cause, Cause::BlockedAddress);
        }
        assert!(heard.all().is_empty());
    }

    #[tokio::test]
    async fn what_is_no_request_for_a_connection_is_left() {
        let tunnel = open(Guard::Internal).await;
        for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[4, 1, 0], &[5, 1, 2]] {
            let mut stream = TcpStream::connect(tunnel.address).await.expect("it listens");
            stream.write_all(nonsense).await.expect("taken");
            stream.shutdown().await.expect("open");
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await; // It may be reset.
            assert!(rest.is_empty(), "{rest:?}");
        }
    }
}
