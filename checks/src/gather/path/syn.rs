//! Requests for a TCP connection (RFC 9293 3.5) that nobody completes: the system, which knows
//! nothing of them, resets what an answer would begin.
//!
//! Each has a source port of its own, by which the answer and what hops quote are known.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Protocol, SockFilter};
use tokio::net::UdpSocket;

use super::{Answer, HOPS_LIMIT, Heard, TRIES, checksum, errors, raw, runtime_socket};

const TCP: u8 = 6;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Above what Linux gives to connections of its own (`ip_local_port_range` ends at 60,999).
const PORTS_FROM: u16 = 61_000;

/// One port for each packet.
const PORTS: u16 = (HOPS_LIMIT as u16 + 1) * TRIES as u16;

/// Requests to one address and port.
pub(super) struct Syn {
    /// For the requests and their answers.
    pub(super) socket: UdpSocket,
    pub(super) to: SocketAddr,
    marks: Marks,
}

/// What ours are known by.
#[derive(Clone, Copy, Debug)]
struct Marks {
    from: IpAddr,
    /// The first source port.
    first: u16,
    sequence: u32,
}

impl Syn {
    pub(super) fn new(to: SocketAddr) -> io::Result<Self> {
        let first = PORTS_FROM + rand::random::<u16>() % (u16::MAX - PORTS_FROM - PORTS);
        let marks = Marks { from: source(to)?, first, sequence: rand::random() };
        let socket = raw(to.ip(), Protocol::TCP)?;
        // It would be handed all of the host's TCP.
        socket.attach_filter(&to_ports(to.is_ipv4(), first))?;
        Ok(Self { socket: runtime_socket(socket)?, to, marks })
    }

    /// The request of a number.
    pub(super) fn request(&self, number: u16) -> Vec<u8> {
        self.marks.request(self.to, number)
    }

    /// What an answer of the address says to ours.
    pub(super) fn replied(&self, packet: &[u8], from: IpAddr) -> Option<Heard> {
        self.marks.replied(self.to, packet, from)
    }

    /// What a hop says of ours.
    pub(super) fn turned(&self, packet: &[u8]) -> Option<Heard> {
        self.marks.turned(self.to, packet)
    }
}

impl Marks {
    fn port(&self, number: u16) -> u16 {
        let [attempt, ttl] = number.to_be_bytes();
        self.first + u16::from(ttl) * u16::from(TRIES) + u16::from(attempt)
    }

    fn number(&self, port: u16) -> Option<u16> {
        let place = port.checked_sub(self.first).filter(|place| *place < PORTS)?;
        let (ttl, attempt) = (place / u16::from(TRIES), place % u16::from(TRIES));
        Some(super::number(u8::try_from(ttl).ok()?, u8::try_from(attempt).ok()?))
    }

    fn request(&self, to: SocketAddr, number: u16) -> Vec<u8> {
        let mut packet = Vec::with_capacity(24);
        packet.extend(self.port(number).to_be_bytes());
        packet.extend(to.port().to_be_bytes());
        packet.extend(self.sequence.to_be_bytes());
        // Six words, a window of 64,240, no checksum yet; a segment of 1,460 bytes at most: what
        // connections of Linux say too, for filters that look closely.
        packet.extend([0, 0, 0, 0, 6 << 4, SYN, 0xfa, 0xf0, 0, 0, 0, 0, 2, 4, 0x05, 0xb4]);
        let sum = sum(self.from, to.ip(), &packet);
        packet[16..18].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    fn replied(&self, to: SocketAddr, packet: &[u8], from: IpAddr) -> Option<Heard> {
        let segment = if to.is_ipv4() { errors::opened_v4(packet)?.2 } else { packet };
        let word = |at: usize| Some(u16::from_be_bytes([*segment.get(at)?, *segment.get(at + 1)?]));
        let acknowledged = u32::from(word(8)?) << 16 | u32::from(word(10)?);
        let flags = segment.get(13)? & (SYN | RST | ACK);
        let is_answer = matches!(flags, f if f == SYN | ACK || f == RST | ACK);
        let is_ours = from == to.ip()
            && word(0)? == to.port()
            && acknowledged == self.sequence.wrapping_add(1);
        if !is_answer || !is_ours {
            return None;
        }
        Some(Heard { number: self.number(word(2)?)?, answer: Answer::Reply })
    }

    fn turned(&self, to: SocketAddr, packet: &[u8]) -> Option<Heard> {
        let (answer, protocol, quoted) = errors::quoted(packet, to.ip())?;
        let word = |at: usize| Some(u16::from_be_bytes([*quoted.get(at)?, *quoted.get(at + 1)?]));
        let sequence = u32::from(word(4)?) << 16 | u32::from(word(6)?);
        let is_ours = protocol == TCP && word(2)? == to.port() && sequence == self.sequence;
        if !is_ours {
            return None;
        }
        Some(Heard { number: self.number(word(0)?)?, answer })
    }
}

/// The address that packets there come from; nothing is sent for that.
fn source(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// The checksum with the pseudo header (RFC 9293 3.1, RFC 8200 8.1).
fn sum(from: IpAddr, to: IpAddr, segment: &[u8]) -> u16 {
    let length = u16::try_from(segment.len()).unwrap_or(u16::MAX).to_be_bytes();
    let tail = [0, TCP, length[0], length[1]];
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            checksum([&from.octets()[..], &to.octets(), &tail, segment])
        }
        (from, to) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            checksum([&octets(from)[..], &octets(to), &tail, segment])
        }
    }
}

/// Lets through what goes to our ports (Linux: `Documentation/networking/filter.rst`). A raw socket
/// sees IPv4 packets with their header, and IPv6 ones without.
fn to_ports(is_v4: bool, first: u16) -> Vec<SockFilter> {
    const LOAD_HEADER_LENGTH: u16 = 0xb1; // ldxb 4*([0]&0xf)
    const SET_INDEX: u16 = 0x01; // ldx #k
    const LOAD_HALF_AT_INDEX: u16 = 0x48; // ldh [x + k]
    const JUMP_IF_AT_LEAST: u16 = 0x35; // jge #k
    const RETURN: u16 = 0x06;
    let begin = if is_v4 { LOAD_HEADER_LENGTH } else { SET_INDEX };
    vec![
        SockFilter::new(begin, 0, 0, 0),
        SockFilter::new(LOAD_HALF_AT_INDEX, 0, 0, 2),
        SockFilter::new(JUMP_IF_AT_LEAST, 0, 2, first.into()),
        SockFilter::new(JUMP_IF_AT_LEAST, 1, 0, u32::from(first) + u32::from(PORTS)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::errors::written;
    use super::*;

    const TO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
    const FROM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const NUMBER: u16 = 259; // The second to hop 3.

    const OURS: Marks = Marks { from: IpAddr::V4(FROM), first: 61_100, sequence: u32::MAX };

    fn there(ip: impl Into<IpAddr>) -> SocketAddr {
        SocketAddr::new(ip.into(), 443)
    }

    /// What answers a request: ports turned round, the next number acknowledged.
    fn answer(asked: &[u8], flags: u8) -> Vec<u8> {
        let mut segment = [&asked[2..4], &asked[..2], &[7; 4], &[0; 4], &[5 << 4, flags]].concat();
        segment.extend([0; 6]);
        segment
    }

    #[test]
    fn answers_are_told_from_other_segments() {
        let asked = OURS.request(there(TO), NUMBER);
        let packet = |from, segment: &[u8]| written::v4(TCP, (from, FROM), segment);
        let heard = Some(Heard { number: NUMBER, answer: Answer::Reply });
        let mut late = answer(&asked, SYN | ACK);
        late[11] = 1;
        let mut beside = answer(&asked, SYN | ACK);
        beside[2..4].copy_from_slice(&60_000_u16.to_be_bytes());
        for (packet, from, wanted) in [
            (packet(TO, &answer(&asked, SYN | ACK)), TO, heard),
            (packet(TO, &answer(&asked, RST | ACK)), TO, heard),
            (packet(TO, &answer(&asked, ACK)), TO, None),
            (packet(TO, &late), TO, None),
            (packet(TO, &beside), TO, None),
            (packet(FROM, &answer(&asked, SYN | ACK)), FROM, None),
            (packet(TO, &answer(&asked, SYN | ACK)[..12]), TO, None),
            (packet(TO, &asked), TO, None),
        ] {
            assert_eq!(OURS.replied(there(TO), &packet, from.into()), wanted, "{packet:?}");
        }
        let to: IpAddr = "2001:db8::9".parse().expect("an address");
        assert_eq!(OURS.replied(there(to), &answer(&asked, SYN | ACK), to), heard);
    }

    #[test]
    fn hops_quote_ours_and_others() {
        let asked = OURS.request(there(TO), NUMBER);
        let quoted = written::v4(TCP, (FROM, TO), &asked[..8]);
        let error =
            |kind, quoted: &[u8]| written::v4(1, (FROM, FROM), &written::error(kind, quoted));
        let heard = |answer| Some(Heard { number: NUMBER, answer });
        let other = Marks { sequence: 5, ..OURS }.request(there(TO), NUMBER);
        for (packet, wanted) in [
            (error(11, &quoted), heard(Answer::Passing)),
            (error(3, &quoted), heard(Answer::Turned)),
            (error(11, &written::v4(17, (FROM, TO), &asked)), None),
            (error(11, &written::v4(TCP, (FROM, FROM), &asked)), None),
            (error(11, &written::v4(TCP, (FROM, TO), &other)), None),
            (error(11, &quoted[..24]), None),
        ] {
            assert_eq!(OURS.turned(there(TO), &packet), wanted, "{packet:?}");
        }
        let IpAddr::V6(to) = "2001:db8::9".parse().expect("an address") else { panic!("IPv6") };
        let quoted = written::v6(TCP, to, &asked);
        let error = written::error(3, &quoted);
        assert_eq!(OURS.turned(there(to), &error), heard(Answer::Passing));
    }

    #[test]
    fn requests_are_sound_and_their_numbers_come_back() {
        let to: IpAddr = "2001:db8::9".parse().expect("an address");
        let from: IpAddr = "2001:db8::1".parse().expect("an address");
        for (marks, to) in [(OURS, IpAddr::V4(TO)), (Marks { from, ..OURS }, to)] {
            assert_eq!(sum(marks.from, to, &marks.request(there(to), NUMBER)), 0);
        }
        for ttl in 1..=u8::try_from(HOPS_LIMIT).expect("small") {
            for attempt in 0..TRIES {
                let number = super::super::number(ttl, attempt);
                assert_eq!(OURS.number(OURS.port(number)), Some(number));
            }
        }
        assert_eq!(OURS.number(61_099), None);
        assert_eq!(OURS.number(OURS.first + PORTS), None);
    }

    proptest! {
        #[test]
        fn no_packet_does_harm(packet in prop::collection::vec(any::<u8>(), 0..120)) {
            let to: IpAddr = "2001:db8::9".parse().expect("an address");
            for to in [IpAddr::V4(TO), to] {
                let _ = OURS.replied(there(to), &packet, to);
                let _ = OURS.turned(there(to), &packet);
            }
        }
    }
}
