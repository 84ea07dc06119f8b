//! Echo requests and their replies (RFC 792, RFC 4443 4).

use std::net::IpAddr;

use super::{Answer, Heard, checksum, errors};

const ECHO_V4: u8 = 8;
const ECHO_REPLY_V4: u8 = 0;
const ECHO_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Echoes to one address, known by a number of their own.
pub(super) struct Echo {
    to: IpAddr,
    identifier: u16,
}

impl Echo {
    pub(super) fn new(to: IpAddr) -> Self {
        Self { to, identifier: rand::random() }
    }

    /// An echo request. The kernel writes the checksum of ICMPv6.
    pub(super) fn request(&self, number: u16) -> Vec<u8> {
        let mut packet = vec![0; 16];
        packet[0] = if self.to.is_ipv4() { ECHO_V4 } else { ECHO_V6 };
        packet[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        packet[6..8].copy_from_slice(&number.to_be_bytes());
        if self.to.is_ipv4() {
            let sum = checksum([&packet[..]]);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    }

    /// What a packet says to ours.
    pub(super) fn heard(&self, packet: &[u8], from: IpAddr) -> Option<Heard> {
        let (icmp, reply, own) = match self.to {
            IpAddr::V4(_) => (errors::opened_v4(packet)?.2, ECHO_REPLY_V4, (ICMP, ECHO_V4)),
            IpAddr::V6(_) => (packet, ECHO_REPLY_V6, (ICMPV6, ECHO_V6)),
        };
        if *icmp.first()? == reply && from == self.to {
            return Some(Heard { number: self.numbered(icmp)?, answer: Answer::Reply });
        }
        let (answer, protocol, quoted) = errors::quoted(packet, self.to)?;
        if (protocol, *quoted.first()?) != own {
            return None;
        }
        Some(Heard { number: self.numbered(quoted)?, answer })
    }

    /// The number in an echo's header, if it is one of ours.
    fn numbered(&self, echo: &[u8]) -> Option<u16> {
        let word = |at: usize| Some(u16::from_be_bytes([*echo.get(at)?, *echo.get(at + 1)?]));
        (word(4)? == self.identifier).then(|| word(6)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::errors::written;
    use super::*;

    const TO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    fn ours(to: IpAddr) -> Echo {
        Echo { to, identifier: 77 }
    }

    #[test]
    fn answers_are_told_from_other_packets() {
        let (echo, number) = (ours(TO.into()), 259);
        let asked = echo.request(number);
        let mut reply = asked.clone();
        reply[0] = ECHO_REPLY_V4;
        let packet = |from, content: &[u8]| written::v4(ICMP, (from, ROUTER), content);
        let error = |kind, quoted: &[u8]| packet(ROUTER, &written::error(kind, quoted));
        let quoted = written::v4(ICMP, (ROUTER, TO), &asked[..8]);
        let heard = |answer| Some(Heard { number, answer });
        for (packet, from, wanted) in [
            (packet(TO, &reply), TO, heard(Answer::Reply)),
            (packet(ROUTER, &reply), ROUTER, None),
            (packet(TO, &asked), TO, None),
            (error(11, &quoted), ROUTER, heard(Answer::Passing)),
            (error(3, &quoted), ROUTER, heard(Answer::Turned)),
            (error(5, &quoted), ROUTER, None),
            (error(11, &written::v4(6, (ROUTER, TO), &asked)), ROUTER, None),
            (error(11, &written::v4(ICMP, (ROUTER, ROUTER), &asked)), ROUTER, None),
            (error(11, &quoted[..22]), ROUTER, None),
        ] {
            assert_eq!(echo.heard(&packet, from.into()), wanted, "{packet:?}");
            let others = Echo { identifier: 78, ..ours(TO.into()) };
            assert_eq!(others.heard(&packet, from.into()), None, "somebody else's");
        }
    }

    #[test]
    fn answers_of_ipv6_are_told_from_other_packets() {
        let to: IpAddr = "2001:db8::9".parse().expect("an address");
        let router: IpAddr = "2001:db8::1".parse().expect("an address");
        let IpAddr::V6(to_v6) = to else { panic!("IPv6") };
        let (echo, number) = (ours(to), 4);
        let asked = echo.request(number);
        let mut reply = asked.clone();
        reply[0] = ECHO_REPLY_V6;
        let quoted = written::v6(ICMPV6, to_v6, &asked);
        let heard = |answer| Some(Heard { number, answer });
        assert_eq!(echo.heard(&reply, to), heard(Answer::Reply));
        assert_eq!(echo.heard(&written::error(3, &quoted), router), heard(Answer::Passing));
        assert_eq!(echo.heard(&written::error(1, &quoted), router), heard(Answer::Turned));
        assert_eq!(echo.heard(&written::error(2, &quoted), router), None);
        assert_eq!(echo.heard(&reply, router), None);
    }

    proptest! {
        #[test]
        fn no_packet_does_harm(packet in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = ours(TO.into()).heard(&packet, TO.into());
            let to: IpAddr = "2001:db8::9".parse().expect("an address");
            let _ = ours(to).heard(&packet, to);
        }
    }

    #[test]
    fn a_request_has_a_sound_checksum() {
        assert_eq!(checksum([&ours(TO.into()).request(0x5678)[..]]), 0);
    }
}
