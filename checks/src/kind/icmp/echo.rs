//! One echo request and its reply (RFC 792, RFC 4443), over sockets that all checks share.
//!
//! There is one socket per family in the process, for each raw ICMP socket is handed every ICMP
//! packet of the host. It is served by a thread of its own: replies are stamped when they come,
//! not when the checks' threads find the time. Its receive buffer is the system's
//! (`net.core.rmem_default`), so bursts of replies are kept small enough for it.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crosscheck_model::{Cause, Family};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use socket2::Type;
use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, SurgeError};
use tokio::runtime::{self, Handle};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::dial;
use crate::resolve::Failure;

/// Sends echo requests.
pub(super) trait Echo: Send + Sync {
    /// The round-trip time of one echo.
    fn echo(
        &self,
        to: IpAddr,
        payload_bytes: usize,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Duration, Miss>>;
}

/// Why there is no round-trip time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// No reply came in time.
    Silent,
    /// This host or one on the way says that it cannot get there.
    Unreachable(String),
    /// The probe could not send it; the target is not to blame.
    NotSent(Failure),
}

/// Echoes whose replies may come at once. 64 lose nothing with the default buffer of 208 KiB;
/// measured with surge-ping, thousands lost 7 to 17 of a hundred on loopback.
const BURST: usize = 64;

/// After this time a reply, if one still comes, comes alone: it no longer counts for the burst,
/// or else a few hundred dead hosts would hold up all checks.
const BURST_WINDOW: Duration = Duration::from_millis(50);

/// Tasks run between two looks at the sockets. A reply is stamped when it is read: with tokio's
/// 61, a burst of sends came first and 0.9 ms were added to each round trip of 1000 checks at
/// once; with 3 it is 0.04 ms, for a sixth of the throughput.
const TURNS_BETWEEN_POLLS: u32 = 3;

/// The byte of the payload.
const FILL: u8 = 0x42;

/// The process's sockets.
pub(super) struct Shared;

impl Echo for Shared {
    fn echo(
        &self,
        to: IpAddr,
        payload_bytes: usize,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Duration, Miss>> {
        let until = Instant::now() + wait;
        async move {
            let pinger = pinger(to).map_err(Miss::NotSent)?;
            let thread = pinger.thread.clone();
            let echoed = thread.spawn(async move { pinger.echo(to, payload_bytes, until).await });
            echoed.await.unwrap_or_else(|error| Err(trouble(&format!("it ended early: {error}"))))
        }
        .boxed()
    }
}

/// A family's socket and who uses it.
struct Pinger {
    client: Client,
    thread: Handle,
    burst: Semaphore,
    next: AtomicU32,
    identifier: u16,
}

/// The sockets of IPv4 and IPv6, opened at the first use. A failure is not kept: the operator may
/// grant what was missing.
static PINGERS: Mutex<[Option<Arc<Pinger>>; 2]> = Mutex::new([None, None]);

fn pinger(to: IpAddr) -> Result<Arc<Pinger>, Failure> {
    let family = if to.is_ipv4() { Family::V4 } else { Family::V6 };
    let mut pingers = PINGERS.lock().unwrap_or_else(PoisonError::into_inner);
    let slot = &mut pingers[usize::from(family == Family::V6)];
    if let Some(pinger) = slot {
        return Ok(Arc::clone(pinger));
    }
    let opened = Arc::new(Pinger::open(family).map_err(|error| no_socket(family, &error))?);
    Ok(Arc::clone(slot.insert(opened)))
}

impl Pinger {
    fn open(family: Family) -> io::Result<Self> {
        let kind = if family == Family::V4 { ICMP::V4 } else { ICMP::V6 };
        let thread = thread_of_its_own()?;
        // Unprivileged if allowed: the kernel then hands over this socket's replies only. Else
        // the library takes a raw socket.
        let config = Config::builder().kind(kind).sock_type_hint(Type::DGRAM).build();
        let client = {
            let _inside = thread.enter();
            Client::new(&config)?
        };
        Ok(Self {
            client,
            thread,
            burst: Semaphore::new(BURST),
            next: AtomicU32::new(0),
            identifier: rand::random(),
        })
    }

    async fn echo(
        &self,
        to: IpAddr,
        payload_bytes: usize,
        until: Instant,
    ) -> Result<Duration, Miss> {
        let payload = vec![FILL; payload_bytes];
        loop {
            match self.try_echo(to, &payload, until).await {
                // A redirect took the reply's place, or the number was taken: ask again.
                None if Instant::now() < until => {}
                None => return Err(Miss::Silent),
                Some(result) => return result,
            }
        }
    }

    /// One packet; `None` when nothing was learned of the host.
    async fn try_echo(
        &self,
        to: IpAddr,
        payload: &[u8],
        until: Instant,
    ) -> Option<Result<Duration, Miss>> {
        let Ok(Ok(permit)) = timeout_at(until, self.burst.acquire()).await else {
            let detail = "too many echoes were waiting to be sent";
            return Some(Err(Miss::NotSent(Failure::new(Cause::ProbeLate, detail))));
        };
        let (identifier, sequence) = self.number();
        let mut pinger = self.client.pinger(to, identifier).await;
        pinger.timeout(until.saturating_duration_since(Instant::now()));
        let began = Instant::now();
        let mut ping = std::pin::pin!(pinger.ping(sequence, payload));
        let result = match timeout_at(began + BURST_WINDOW, &mut ping).await {
            Ok(result) => result,
            Err(_) => {
                drop(permit);
                ping.await
            }
        };
        match result {
            // The library's clock starts when the packet is out. On loopback the reply may have
            // come by then; its time is at most the whole call's.
            Ok((packet, time)) => match heard(&packet) {
                Heard::Reply if time.is_zero() => Some(Ok(began.elapsed())),
                Heard::Reply => Some(Ok(time)),
                Heard::Failed(why) => Some(Err(Miss::Unreachable(why))),
                Heard::Other => None,
            },
            Err(SurgeError::IdenticalRequests { .. }) => None,
            Err(error) => Some(Err(missed(&error))),
        }
    }

    /// A pair that no other echo in flight has. Datagram sockets tell by the sequence alone.
    fn number(&self) -> (PingIdentifier, PingSequence) {
        let [a, b, c, d] = self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let round = u16::from_be_bytes([a, b]);
        let identifier = self.identifier.wrapping_add(round);
        (PingIdentifier(identifier), PingSequence(u16::from_be_bytes([c, d])))
    }
}

/// What answered an echo.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Reply,
    /// An ICMP error about the echo, in words.
    Failed(String),
    /// Something else that quotes the echo.
    Other,
}

fn heard(packet: &IcmpPacket) -> Heard {
    match packet {
        IcmpPacket::V4(packet) => {
            let (kind, code) = (packet.get_icmp_type().0, packet.get_icmp_code().0);
            heard_v4(kind, code, packet.get_source().into())
        }
        IcmpPacket::V6(packet) => {
            let (kind, code) = (packet.get_icmpv6_type().0, packet.get_icmpv6_code().0);
            heard_v6(kind, code, packet.get_source().into())
        }
    }
}

/// IANA's ICMP type numbers.
fn heard_v4(kind: u8, code: u8, from: IpAddr) -> Heard {
    match (kind, code) {
        (0, _) => Heard::Reply,
        (3, 0 | 6) => Heard::Failed(format!("{from} says: network unreachable")),
        (3, 1 | 7) => Heard::Failed(format!("{from} says: host unreachable")),
        (3, 9 | 10 | 13) => Heard::Failed(format!("{from} says: prohibited")),
        (3, _) => Heard::Failed(format!("{from} says: unreachable (code {code})")),
        (11, _) => Heard::Failed(format!("{from} says: too many hops")),
        _ => Heard::Other,
    }
}

/// IANA's ICMPv6 type numbers.
fn heard_v6(kind: u8, code: u8, from: IpAddr) -> Heard {
    match (kind, code) {
        (129, _) => Heard::Reply,
        (1, 0) => Heard::Failed(format!("{from} says: no route")),
        (1, 1 | 5 | 6) => Heard::Failed(format!("{from} says: prohibited")),
        (1, 3) => Heard::Failed(format!("{from} says: host unreachable")),
        (1, _) => Heard::Failed(format!("{from} says: unreachable (code {code})")),
        (2, _) => Heard::Failed(format!("{from} says: packet too big")),
        (3, _) => Heard::Failed(format!("{from} says: too many hops")),
        _ => Heard::Other,
    }
}

fn missed(error: &SurgeError) -> Miss {
    use io::ErrorKind as Kind;
    match error {
        SurgeError::Timeout { .. } => Miss::Silent,
        SurgeError::IOError(error) => match error.kind() {
            // Without a route, or forbidden by this host's packet filter.
            Kind::NetworkUnreachable
            | Kind::HostUnreachable
            | Kind::PermissionDenied
            | Kind::NetworkDown => {
                Miss::Unreachable(format!("this host cannot send: {}", dial::plain(error)))
            }
            _ => trouble(&dial::plain(error)),
        },
        error => trouble(&error.to_string()),
    }
}

fn trouble(why: &str) -> Miss {
    Miss::NotSent(Failure::new(Cause::Setup, format!("cannot send an echo: {why}")))
}

fn no_socket(family: Family, error: &io::Error) -> Failure {
    let name = if family == Family::V4 { "ICMP" } else { "ICMPv6" };
    let detail = if error.kind() == io::ErrorKind::PermissionDenied {
        format!(
            "this probe may not open an {name} socket; give it CAP_NET_RAW (`setcap \
             cap_net_raw+ep`) or allow unprivileged ones (`sysctl \
             net.ipv4.ping_group_range=\"0 2147483647\"`)"
        )
    } else {
        format!("cannot open an {name} socket: {}", dial::plain(error))
    };
    Failure::new(Cause::Setup, detail)
}

/// The runtime of the thread that serves the sockets; it lives as long as the process.
fn thread_of_its_own() -> io::Result<Handle> {
    static THREAD: Mutex<Option<Handle>> = Mutex::new(None);
    let mut started = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*started {
        return Ok(handle.clone());
    }
    let runtime = runtime::Builder::new_current_thread()
        .event_interval(TURNS_BETWEEN_POLLS)
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("icmp".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(started.insert(handle).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_on_the_way_are_no_replies() {
        let router: IpAddr = "192.0.2.1".parse().expect("an address");
        for (heard, expected) in [
            (heard_v4(0, 0, router), Some("")),
            (heard_v4(3, 1, router), Some("192.0.2.1 says: host unreachable")),
            (heard_v4(3, 13, router), Some("192.0.2.1 says: prohibited")),
            (heard_v4(11, 0, router), Some("192.0.2.1 says: too many hops")),
            (heard_v4(5, 1, router), None),
            (heard_v6(129, 0, router), Some("")),
            (heard_v6(1, 0, router), Some("192.0.2.1 says: no route")),
            (heard_v6(137, 0, router), None),
        ] {
            let expected = match expected {
                Some("") => Heard::Reply,
                Some(why) => Heard::Failed(why.to_owned()),
                None => Heard::Other,
            };
            assert_eq!(heard, expected);
        }
    }

    #[test]
    fn the_probes_own_trouble_is_not_the_targets() {
        for (kind, blames_the_way) in [
            (io::ErrorKind::NetworkUnreachable, true),
            (io::ErrorKind::HostUnreachable, true),
            (io::ErrorKind::PermissionDenied, true),
            (io::ErrorKind::OutOfMemory, false),
            (io::ErrorKind::WouldBlock, false),
        ] {
            let miss = missed(&SurgeError::IOError(kind.into()));
            assert_eq!(matches!(miss, Miss::Unreachable(_)), blames_the_way, "{kind}");
            assert_eq!(matches!(miss, Miss::NotSent(_)), !blames_the_way, "{kind}");
        }
        assert_eq!(missed(&SurgeError::Timeout { seq: PingSequence(1) }), Miss::Silent);
    }

    #[test]
    fn a_missing_permission_is_told_with_its_remedy() {
        let failure = no_socket(Family::V4, &io::ErrorKind::PermissionDenied.into());
        assert_eq!(failure.cause, Cause::Setup);
        assert!(failure.detail.contains("CAP_NET_RAW"), "{}", failure.detail);
        let failure = no_socket(Family::V6, &io::ErrorKind::Unsupported.into());
        assert!(failure.detail.starts_with("cannot open an ICMPv6 socket"), "{}", failure.detail);
    }
}
