//! The way of packets to an address: echo requests with a rising time to live over a raw socket
//! (RFC 792, RFC 4443). It needs CAP_NET_RAW, as ping does where unprivileged ones are forbidden.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use crosscheck_model::evidence::{HOPS_LIMIT, Hop, Path, PathEnd};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

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

/// Traces the way to an address, in two seconds at most.
pub(super) async fn trace(to: IpAddr) -> Path {
    match Tracer::open(to) {
        Ok(mut tracer) => tracer.run().await,
        Err(error) => {
            tracing::debug!(%error, "the way of packets cannot be traced");
            Path { to, hops: Vec::new(), end: PathEnd::Untried }
        }
    }
}

struct Tracer {
    /// A raw socket: the standard library's type for datagrams has what is needed of it.
    socket: UdpSocket,
    to: IpAddr,
    identifier: u16,
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
    fn open(to: IpAddr) -> io::Result<Self> {
        let (domain, protocol) = match to {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(std::net::UdpSocket::from(OwnedFd::from(socket)))?;
        let (sent, heard) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { socket, to, identifier: rand::random(), sent, heard })
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
        let options = SockRef::from(&self.socket);
        let set = match self.to {
            IpAddr::V4(_) => options.set_ttl_v4(ttl.into()),
            IpAddr::V6(_) => options.set_unicast_hops_v6(ttl.into()),
        };
        let number = number(ttl, attempt);
        let packet = request(self.to, self.identifier, number);
        // Past the runtime, which would have to see first that the new socket is writable.
        let to = SockAddr::from(SocketAddr::new(self.to, 0));
        if set.is_ok() && options.send_to(&packet, &to).is_ok() {
            self.sent.insert(number, Instant::now());
        }
    }

    /// Hears until all is answered that will be, or time is up. The socket is handed all of the
    /// host's ICMP packets.
    async fn listen(&mut self, until: Instant) {
        let mut buffer = [0; 1500];
        while !self.is_complete() {
            let Ok(Ok((length, from))) =
                timeout_at(until, self.socket.recv_from(&mut buffer)).await
            else {
                return;
            };
            let packet = &buffer[..length];
            let heard = match self.to {
                IpAddr::V4(to) => heard_v4(packet, to, self.identifier),
                IpAddr::V6(_) => heard_v6(packet, from.ip(), self.to, self.identifier),
            };
            if let Some((from, heard)) = heard
                && let Some(sent) = self.sent.get(&heard.number)
            {
                let entry = (from, sent.elapsed(), heard.answer);
                self.heard.entry(heard.number).or_insert(entry);
            }
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
        Path { to: self.to, hops: (1..=last).map(hop).collect(), end }
    }
}

const ECHO_V4: u8 = 8;
const ECHO_REPLY_V4: u8 = 0;
const UNREACHABLE_V4: u8 = 3;
const TIME_EXCEEDED_V4: u8 = 11;
const ECHO_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;
const UNREACHABLE_V6: u8 = 1;
const TIME_EXCEEDED_V6: u8 = 3;
const ICMPV6: u8 = 58;

/// An echo request. The kernel writes the checksum of ICMPv6.
fn request(to: IpAddr, identifier: u16, number: u16) -> [u8; 16] {
    let mut packet = [0; 16];
    packet[0] = if to.is_ipv4() { ECHO_V4 } else { ECHO_V6 };
    packet[4..6].copy_from_slice(&identifier.to_be_bytes());
    packet[6..8].copy_from_slice(&number.to_be_bytes());
    if to.is_ipv4() {
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// The internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// What a packet with its IPv4 header says to our requests, and who says so.
fn heard_v4(packet: &[u8], to: Ipv4Addr, identifier: u16) -> Option<(IpAddr, Heard)> {
    let (from, _, icmp) = opened_v4(packet)?;
    let kind = *icmp.first()?;
    if kind == ECHO_REPLY_V4 && from == to {
        let number = numbered(icmp, identifier)?;
        return Some((from.into(), Heard { number, answer: Answer::Reply }));
    }
    let answer = match kind {
        TIME_EXCEEDED_V4 => Answer::Passing,
        UNREACHABLE_V4 => Answer::Turned,
        _ => return None,
    };
    let (_, target, quoted) = opened_v4(icmp.get(8..)?)?;
    if target != to || *quoted.first()? != ECHO_V4 {
        return None;
    }
    Some((from.into(), Heard { number: numbered(quoted, identifier)?, answer }))
}

/// The source, the destination and the content of an IPv4 packet, of which the end may be missing.
fn opened_v4(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr, &[u8])> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let address = |at: usize| -> Option<Ipv4Addr> {
        Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?))
    };
    Some((address(12)?, address(16)?, packet.get(header.max(20)..)?))
}

/// The same of a packet without its header, as raw sockets of IPv6 give it.
fn heard_v6(icmp: &[u8], from: IpAddr, to: IpAddr, identifier: u16) -> Option<(IpAddr, Heard)> {
    let answer = match *icmp.first()? {
        ECHO_REPLY_V6 if from == to => {
            let number = numbered(icmp, identifier)?;
            return Some((from, Heard { number, answer: Answer::Reply }));
        }
        TIME_EXCEEDED_V6 => Answer::Passing,
        UNREACHABLE_V6 => Answer::Turned,
        _ => return None,
    };
    let packet = icmp.get(8..)?;
    let target = IpAddr::from(<[u8; 16]>::try_from(packet.get(24..40)?).ok()?);
    let quoted = packet.get(40..)?;
    if target != to || *packet.get(6)? != ICMPV6 || *quoted.first()? != ECHO_V6 {
        return None;
    }
    Some((from, Heard { number: numbered(quoted, identifier)?, answer }))
}

/// The number in an echo's header, if it is one of ours.
fn numbered(echo: &[u8], identifier: u16) -> Option<u16> {
    let word = |at: usize| Some(u16::from_be_bytes([*echo.get(at)?, *echo.get(at + 1)?]));
    (word(4)? == identifier).then(|| word(6)).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    fn packet_v4(from: Ipv4Addr, to: Ipv4Addr, content: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0];
        packet.extend(from.octets());
        packet.extend(to.octets());
        packet.extend(content);
        packet
    }

    fn error_v4(kind: u8, quoted: &[u8]) -> Vec<u8> {
        packet_v4(ROUTER, ROUTER, &[&[kind, 0, 0, 0, 0, 0, 0, 0][..], quoted].concat())
    }

    #[test]
    fn answers_are_told_from_other_packets() {
        let (ours, number) = (77, number(3, 1));
        let asked = request(TO.into(), ours, number);
        let mut reply = asked;
        reply[0] = ECHO_REPLY_V4;
        let quoted = packet_v4(ROUTER, TO, &asked[..8]);
        let heard = |answer| Some(Heard { number, answer });
        for (packet, from, wanted) in [
            (packet_v4(TO, ROUTER, &reply), TO, heard(Answer::Reply)),
            (packet_v4(ROUTER, ROUTER, &reply), ROUTER, None),
            (packet_v4(TO, ROUTER, &asked), TO, None),
            (error_v4(TIME_EXCEEDED_V4, &quoted), ROUTER, heard(Answer::Passing)),
            (error_v4(UNREACHABLE_V4, &quoted), ROUTER, heard(Answer::Turned)),
            (error_v4(5, &quoted), ROUTER, None),
            (error_v4(TIME_EXCEEDED_V4, &packet_v4(ROUTER, ROUTER, &asked)), ROUTER, None),
            (error_v4(TIME_EXCEEDED_V4, &quoted[..22]), ROUTER, None),
        ] {
            let found = heard_v4(&packet, TO, ours);
            assert_eq!(found, wanted.map(|wanted| (from.into(), wanted)), "{packet:?}");
            assert_eq!(heard_v4(&packet, TO, 78), None, "somebody else's");
        }
    }

    #[test]
    fn answers_of_ipv6_are_told_from_other_packets() {
        let to: IpAddr = "2001:db8::9".parse().expect("an address");
        let router: IpAddr = "2001:db8::1".parse().expect("an address");
        let (IpAddr::V6(to_v6), number) = (to, number(4, 0)) else { panic!("IPv6") };
        let asked = request(to, 77, number);
        let mut reply = asked;
        reply[0] = ECHO_REPLY_V6;
        let mut quoted = vec![0x60, 0, 0, 0, 0, 16, ICMPV6, 1];
        quoted.extend([0; 16]);
        quoted.extend(to_v6.octets());
        quoted.extend(asked);
        let error = |kind: u8| [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &quoted].concat();
        let heard = |from, answer| Some((from, Heard { number, answer }));
        assert_eq!(heard_v6(&reply, to, to, 77), heard(to, Answer::Reply));
        assert_eq!(heard_v6(&error(3), router, to, 77), heard(router, Answer::Passing));
        assert_eq!(heard_v6(&error(1), router, to, 77), heard(router, Answer::Turned));
        assert_eq!(heard_v6(&error(2), router, to, 77), None);
        assert_eq!(heard_v6(&reply, router, to, 77), None);
    }

    proptest! {
        #[test]
        fn no_packet_does_harm(packet in prop::collection::vec(any::<u8>(), 0..120), ours: u16) {
            let _ = heard_v4(&packet, TO, ours);
            let _ = heard_v6(&packet, ROUTER.into(), TO.into(), ours);
        }
    }

    #[test]
    fn a_request_has_a_sound_checksum() {
        assert_eq!(checksum(&request(TO.into(), 0x1234, 0x5678)), 0);
    }

    #[tokio::test]
    async fn loopback_is_one_hop_away() {
        for to in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)] {
            let path = trace(to).await;
            // Without the right to send such packets there is no path.
            if path.end != PathEnd::Untried {
                assert_eq!((path.end, path.last()), (PathEnd::Reached, Some((1, to))), "{path:?}");
                assert_eq!(path.hops.len(), 1);
            }
        }
    }
}
