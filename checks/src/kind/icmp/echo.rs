//! One echo request and its reply (RFC 792, RFC 4443), over sockets that all checks share: one per
//! family, for each raw ICMP socket is handed every ICMP packet of the host.

mod socket;

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crosscheck_model::{Cause, Family};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use surge_ping::IcmpPacket;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use self::socket::{Reply, Socket};
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

/// Echoes whose replies may come at once: the sockets' receive buffer is the system's
/// (`net.core.rmem_default`). 64 lose nothing with 208 KiB; thousands lost 7 to 17 of a hundred on
/// loopback.
const BURST: usize = 64;

/// After this time a reply, if one still comes, comes alone: it no longer counts for the burst,
/// or else a few hundred dead hosts would hold up all checks.
const BURST_WINDOW: Duration = Duration::from_millis(50);

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
            loop {
                let pinger = pinger(to).map_err(Miss::NotSent)?;
                match pinger.echo(to, payload_bytes, until).await {
                    // A redirect took the reply's place, or the number was taken, or whoever had
                    // opened the socket has ended: ask again.
                    None if Instant::now() < until => {}
                    None => return Err(Miss::Silent),
                    Some(result) => return result,
                }
            }
        }
        .boxed()
    }
}

/// A family's socket and who uses it.
struct Pinger {
    socket: Socket,
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
    if let Some(pinger) = slot
        && pinger.socket.is_served()
    {
        return Ok(Arc::clone(pinger));
    }
    let opened = Arc::new(Pinger::open(family).map_err(|error| no_socket(family, &error))?);
    Ok(Arc::clone(slot.insert(opened)))
}

impl Pinger {
    fn open(family: Family) -> io::Result<Self> {
        Ok(Self {
            socket: Socket::open(family)?,
            burst: Semaphore::new(BURST),
            next: AtomicU32::new(0),
            identifier: rand::random(),
        })
    }

    /// One packet; `None` when nothing was learned of the host.
    async fn echo(
        &self,
        to: IpAddr,
        payload_bytes: usize,
        until: Instant,
    ) -> Option<Result<Duration, Miss>> {
        let Ok(Ok(permit)) = timeout_at(until, self.burst.acquire()).await else {
            let detail = "too many echoes were waiting to be sent";
            return Some(Err(Miss::NotSent(Failure::new(Cause::ProbeLate, detail))));
        };
        let (identifier, sequence) = self.number();
        let mut sent = match self.socket.send(to, identifier, sequence, payload_bytes).await {
            Ok(sent) => sent?,
            Err(error) => return Some(Err(not_sent(&error))),
        };
        let burst_ends = until.min(Instant::now() + BURST_WINDOW);
        let reply = match timeout_at(burst_ends, sent.reply()).await {
            Ok(reply) => reply,
            Err(_) => {
                drop(permit);
                match timeout_at(until, sent.reply()).await {
                    Ok(reply) => reply,
                    Err(_) => return Some(Err(Miss::Silent)),
                }
            }
        };
        let Reply { packet, took } = reply?;
        match heard(&packet) {
            Heard::Reply => Some(Ok(took)),
            Heard::Failed(why) => Some(Err(Miss::Unreachable(why))),
            Heard::Other => None,
        }
    }

    /// A pair that no other echo in flight has. Datagram sockets tell by the sequence alone.
    fn number(&self) -> (u16, u16) {
        let [a, b, c, d] = self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let round = u16::from_be_bytes([a, b]);
        (self.identifier.wrapping_add(round), u16::from_be_bytes([c, d]))
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

fn not_sent(error: &io::Error) -> Miss {
    use io::ErrorKind as Kind;
    match error.kind() {
        // Without a route, or forbidden by this host's packet filter.
        Kind::NetworkUnreachable
        | Kind::HostUnreachable
        | Kind::PermissionDenied
        | Kind::NetworkDown => {
            Miss::Unreachable(format!("this host cannot send: {}", dial::plain(error)))
        }
        _ => trouble(&dial::plain(error)),
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
            let miss = not_sent(&kind.into());
            assert_eq!(matches!(miss, Miss::Unreachable(_)), blames_the_way, "{kind}");
            assert_eq!(matches!(miss, Miss::NotSent(_)), !blames_the_way, "{kind}");
        }
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
