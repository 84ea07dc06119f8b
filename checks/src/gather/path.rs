//! The way of packets to an address: packets with a rising time to live over raw sockets, echo
//! requests first and, where those end on the way, requests for a connection to the check's port:
//! many routers and hosts let nothing else through. It needs CAP_NET_RAW, as ping does where
//! unprivileged ones are forbidden.

mod echo;
mod errors;
mod syn;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use crosscheck_model::evidence::{HOPS_LIMIT, Hop, Path, PathEnd};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use self::echo::Echo;
use self::syn::Syn;

/// Hops that are asked at the same time: far paths cost more waves, near targets get few packets.
const WAVE: u8 = 8;
/// Packets to each hop.
const TRIES: u8 = 2;
/// How long a wave is waited for. An answer that comes with a later wave counts still.
const WAIT: Duration = Duration::from_millis(600);

/// What answered a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The address itself.
    Reply,
    /// A hop at which its time to live ended.
    Passing,
    /// A hop that cannot get there, or must not.
    Turned,
}

/// An answer to the packet of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    number: u16,
    answer: Answer,
}

/// Traces the way to an address, and to its port where echoes do not get there, in four seconds at
/// most.
pub(super) async fn trace(to: IpAddr, port: Option<u16>) -> Path {
    let echoes = walk(to, None).await;
    match port {
        Some(port) if matches!(echoes.end, PathEnd::Silent | PathEnd::Turned) => {
            farther(echoes, walk(to, Some(port)).await)
        }
        _ => echoes,
    }
}

/// The path that says more: the one that arrives, or else gets farther. Where they are alike, that
/// of what the check itself sends.
fn farther(echoes: Path, requests: Path) -> Path {
    let reach = |path: &Path| (path.end == PathEnd::Reached, path.last().map(|(ttl, _)| ttl));
    let is_known = requests.end != PathEnd::Untried;
    if is_known && reach(&requests) >= reach(&echoes) { requests } else { echoes }
}

async fn walk(to: IpAddr, port: Option<u16>) -> Path {
    match Tracer::open(to, port) {
        Ok(mut tracer) => tracer.run().await,
        Err(error) => {
            tracing::debug!(%error, "the way of packets cannot be traced");
            Path { to, port, hops: Vec::new(), end: PathEnd::Untried }
        }
    }
}

/// What is sent.
enum Asked {
    Echo(Echo),
    Syn(Syn),
}

struct Tracer {
    /// Hears the hops, and sends echoes. A raw socket: the standard library's type for datagrams
    /// has what is needed of it.
    icmp: UdpSocket,
    asked: Asked,
    to: IpAddr,
    /// When the packets were sent.
    sent: BTreeMap<u16, Instant>,
    /// Who answered, and how soon.
    heard: BTreeMap<u16, (IpAddr, Duration, Answer)>,
}

/// A packet's number: the hop it is for, and which try it is.
const fn number(ttl: u8, attempt: u8) -> u16 {
    u16::from_be_bytes([attempt, ttl])
}

impl Tracer {
    fn open(to: IpAddr, port: Option<u16>) -> io::Result<Self> {
        let protocol = if to.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
        let icmp = runtime_socket(raw(to, protocol)?)?;
        let asked = match port {
            None => Asked::Echo(Echo::new(to)),
            Some(port) => Asked::Syn(Syn::new(SocketAddr::new(to, port))?),
        };
        let (sent, heard) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { icmp, asked, to, sent, heard })
    }

    async fn run(&mut self) -> Path {
        let last = u8::try_from(HOPS_LIMIT).unwrap_or(u8::MAX);
        let mut first = 1;
        while first <= last {
            let wave = first..=last.min(first + WAVE - 1);
            for ttl in wave.clone() {
                (0..TRIES).for_each(|attempt| self.send(ttl, attempt));
            }
            self.listen(Instant::now() + WAIT).await;
            let anybody = self.heard.keys().any(|number| wave.contains(&number.to_be_bytes()[1]));
            if self.end().is_some() || !anybody {
                break;
            }
            first += WAVE;
        }
        self.path()
    }

    /// Sends one packet. One that cannot be sent, for want of a route or of room, is one that
    /// nobody answers.
    fn send(&mut self, ttl: u8, attempt: u8) {
        let number = number(ttl, attempt);
        let (socket, packet) = match &self.asked {
            Asked::Echo(echo) => (&self.icmp, echo.request(number)),
            Asked::Syn(syn) => (&syn.socket, syn.request(number)),
        };
        let options = SockRef::from(socket);
        let set = match self.to {
            IpAddr::V4(_) => options.set_ttl_v4(ttl.into()),
            IpAddr::V6(_) => options.set_unicast_hops_v6(ttl.into()),
        };
        // Past the runtime, which would have to see first that the new socket is writable.
        let to = SockAddr::from(SocketAddr::new(self.to, 0));
        if set.is_ok() && options.send_to(&packet, &to).is_ok() {
            self.sent.insert(number, Instant::now());
        }
    }

    /// Hears until all is answered that will be, or time is up. The socket for ICMP is handed all
    /// such packets of the host.
    async fn listen(&mut self, until: Instant) {
        while !self.is_complete() {
            let Ok(Some((from, heard))) = timeout_at(until, self.hear()).await else { return };
            if let Some(heard) = heard
                && let Some(sent) = self.sent.get(&heard.number)
            {
                let entry = (from, sent.elapsed(), heard.answer);
                self.heard.entry(heard.number).or_insert(entry);
            }
        }
    }

    /// The next packet, from whom, and what it says to ours; `None`: none will come.
    async fn hear(&self) -> Option<(IpAddr, Option<Heard>)> {
        let (mut errors, mut replies) = ([0; 1500], [0; 1500]);
        match &self.asked {
            Asked::Echo(echo) => {
                let (length, from) = self.icmp.recv_from(&mut errors).await.ok()?;
                Some((from.ip(), echo.heard(&errors[..length], from.ip())))
            }
            Asked::Syn(syn) => tokio::select! {
                error = self.icmp.recv_from(&mut errors) => {
                    let (length, from) = error.ok()?;
                    Some((from.ip(), syn.turned(&errors[..length])))
                }
                reply = syn.socket.recv_from(&mut replies) => {
                    let (length, from) = reply.ok()?;
                    Some((from.ip(), syn.replied(&replies[..length], from.ip())))
                }
            },
        }
    }

    /// Whether every packet is answered that went no farther than the end.
    fn is_complete(&self) -> bool {
        let end = self.end().map_or(u8::MAX, |(ttl, _)| ttl);
        self.sent
            .keys()
            .filter(|number| number.to_be_bytes()[1] <= end)
            .all(|number| self.heard.contains_key(number))
    }

    /// The nearest hop from which packets go no farther.
    fn end(&self) -> Option<(u8, PathEnd)> {
        let ends = self.heard.iter().filter_map(|(number, (_, _, answer))| match answer {
            Answer::Reply => Some((number.to_be_bytes()[1], PathEnd::Reached)),
            Answer::Turned => Some((number.to_be_bytes()[1], PathEnd::Turned)),
            Answer::Passing => None,
        });
        ends.min_by_key(|(ttl, _)| *ttl)
    }

    fn path(&self) -> Path {
        let farthest = self.heard.keys().map(|number| number.to_be_bytes()[1]).max().unwrap_or(0);
        let (last, end) = self.end().unwrap_or((farthest, PathEnd::Silent));
        let hop = |ttl| {
            let tries = (0..TRIES).map(|attempt| number(ttl, attempt));
            let answers: Vec<_> = tries.filter_map(|number| self.heard.get(&number)).collect();
            let answered = u8::try_from(answers.len()).unwrap_or(TRIES);
            Hop {
                ttl,
                address: answers.first().map(|(from, _, _)| *from),
                sent: TRIES,
                lost: TRIES - answered,
                took_us: answers.iter().map(|(_, took, _)| super::micros(*took)).min().unwrap_or(0),
            }
        };
        let port = match &self.asked {
            Asked::Echo(_) => None,
            Asked::Syn(syn) => Some(syn.to.port()),
        };
        Path { to: self.to, port, hops: (1..=last).map(hop).collect(), end }
    }
}

fn raw(to: IpAddr, protocol: Protocol) -> io::Result<Socket> {
    let domain = if to.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn runtime_socket(socket: Socket) -> io::Result<UdpSocket> {
    UdpSocket::from_std(std::net::UdpSocket::from(OwnedFd::from(socket)))
}

/// The ones' complement sum (RFC 1071); an odd byte at the end counts as if a zero followed.
fn checksum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    let words = parts.into_iter().flat_map(|part| part.chunks(2).map(word));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn loopback_is_one_hop_away() {
        for to in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)] {
            let (listener, closed) = (std::net::TcpListener::bind((to, 0)), 1);
            let open = listener.as_ref().map(|socket| socket.local_addr().expect("bound").port());
            // The answer counts, whether it consents or refuses.
            for port in [None, Some(*open.as_ref().expect("a port")), Some(closed)] {
                let path = walk(to, port).await;
                // Without the right to send such packets there is no path.
                if path.end != PathEnd::Untried {
                    let seen = (path.end, path.port, path.last());
                    assert_eq!(seen, (PathEnd::Reached, port, Some((1, to))), "{path:?}");
                    assert_eq!(path.hops.len(), 1);
                }
            }
            // Nobody is let in by that: the request is withdrawn.
            let listener = listener.expect("a port");
            listener.set_nonblocking(true).expect("a socket");
            assert!(listener.accept().is_err(), "a connection came about");
        }
    }

    #[test]
    fn the_path_that_says_more_is_told() {
        let to: IpAddr = Ipv4Addr::new(192, 0, 2, 9).into();
        let hop = |ttl: u8| Hop { ttl, address: Some(to), sent: 2, lost: 0, took_us: 1 };
        let path =
            |port, hops: u8, end| Path { to, port, hops: (1..=hops).map(hop).collect(), end };
        let (silent, reached) = (PathEnd::Silent, PathEnd::Reached);
        for (echoes, requests, told) in [
            (path(None, 1, silent), path(Some(80), 2, silent), Some(80)),
            (path(None, 2, silent), path(Some(80), 2, silent), Some(80)),
            (path(None, 3, silent), path(Some(80), 2, silent), None),
            (path(None, 3, silent), path(Some(80), 2, reached), Some(80)),
            (path(None, 0, silent), path(Some(80), 0, PathEnd::Untried), None),
        ] {
            assert_eq!(farther(echoes, requests).port, told);
        }
    }
}
