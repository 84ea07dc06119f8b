//! What hops say of packets that went no farther, with the beginning of the packet (RFC 792,
//! RFC 4443 3.1 and 3.3).

use std::net::{IpAddr, Ipv4Addr};

use super::Answer;

const UNREACHABLE_V4: u8 = 3;
const TIME_EXCEEDED_V4: u8 = 11;
const UNREACHABLE_V6: u8 = 1;
const TIME_EXCEEDED_V6: u8 = 3;

/// A packet that was quoted: how it ended, its protocol, and the beginning of its content.
pub(super) type Quoted<'a> = (Answer, u8, &'a [u8]);

/// What an error says of a packet to this address, as a raw socket of the address's family gives
/// it: with IPv4 the packet's header comes first.
pub(super) fn quoted(packet: &[u8], to: IpAddr) -> Option<Quoted<'_>> {
    match to {
        IpAddr::V4(to) => quoted_v4(opened_v4(packet)?.2, to),
        IpAddr::V6(_) => quoted_v6(packet, to),
    }
}

fn quoted_v4(icmp: &[u8], to: Ipv4Addr) -> Option<Quoted<'_>> {
    let answer = match *icmp.first()? {
        TIME_EXCEEDED_V4 => Answer::Passing,
        UNREACHABLE_V4 => Answer::Turned,
        _ => return None,
    };
    let packet = icmp.get(8..)?;
    let (_, target, content) = opened_v4(packet)?;
    (target == to).then_some((answer, *packet.get(9)?, content))
}

fn quoted_v6(icmp: &[u8], to: IpAddr) -> Option<Quoted<'_>> {
    let answer = match *icmp.first()? {
        TIME_EXCEEDED_V6 => Answer::Passing,
        UNREACHABLE_V6 => Answer::Turned,
        _ => return None,
    };
    let packet = icmp.get(8..)?;
    let target = IpAddr::from(<[u8; 16]>::try_from(packet.get(24..40)?).ok()?);
    (target == to).then_some((answer, *packet.get(6)?, packet.get(40..)?))
}

/// The source, the destination and the content of an IPv4 packet, of which the end may be missing.
pub(super) fn opened_v4(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr, &[u8])> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let address = |at: usize| -> Option<Ipv4Addr> {
        Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?))
    };
    Some((address(12)?, address(16)?, packet.get(header.max(20)..)?))
}

/// Packets for the tests of those who are quoted.
#[cfg(test)]
pub(super) mod written {
    use std::net::{Ipv4Addr, Ipv6Addr};

    /// An IPv4 packet.
    pub(in super::super) fn v4(
        protocol: u8,
        ends: (Ipv4Addr, Ipv4Addr),
        content: &[u8],
    ) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 1, protocol, 0, 0];
        packet.extend(ends.0.octets());
        packet.extend(ends.1.octets());
        packet.extend(content);
        packet
    }

    /// An IPv6 packet from nowhere.
    pub(in super::super) fn v6(protocol: u8, to: Ipv6Addr, content: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 16, protocol, 1];
        packet.extend([0; 16]);
        packet.extend(to.octets());
        packet.extend(content);
        packet
    }

    /// An error of this type that quotes a packet, without a header of its own.
    pub(in super::super) fn error(kind: u8, quoted: &[u8]) -> Vec<u8> {
        [&[kind, 0, 0, 0, 0, 0, 0, 0][..], quoted].concat()
    }
}
