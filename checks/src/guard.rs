//! The address guard: which addresses a probe may connect to. It judges addresses, after names
//! were resolved, and must be asked again for every address that is connected to.
//!
//! The tables are the IANA special-purpose address registries (RFC 6890, updated by RFC 8190)
//! for [IPv4] and [IPv6], multicast (RFC 5771, RFC 4291) and the metadata addresses of clouds.
//! Addresses that carry an IPv4 address inside are judged by that one too, so that no spelling
//! gets around the table. The few special blocks that the registries call globally reachable
//! (AS112, anycast) are forbidden with the rest: nobody's service stands there. What belongs to the
//! installation itself ([`Own`]) is forbidden on top: whoever writes checks must not have probes
//! knock at the coordinators, which know them.
//!
//! [IPv4]: https://www.iana.org/assignments/iana-ipv4-special-registry
//! [IPv6]: https://www.iana.org/assignments/iana-ipv6-special-registry

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub use own::Own;

mod own;

/// Which addresses may be connected to.
#[derive(Clone, Debug)]
pub enum Guard {
    /// Public addresses only, and none of the installation's own.
    Public(Own),
    /// Private and loopback addresses too: a probe inside a customer's network, `run`,
    /// `standalone`, `demo`.
    Internal,
}

impl Guard {
    /// Public addresses, where the installation has none that is known.
    pub fn public() -> Self {
        Self::Public(Own::default())
    }

    /// Whether the address may be sent anything; if not, why.
    ///
    /// # Errors
    /// The registry entry that forbids it (`169.254.0.0/16, link local`), or whose it is.
    pub fn allows(&self, address: IpAddr) -> Result<(), &'static str> {
        let Self::Public(own) = self else { return Ok(()) };
        let forbidden = match address {
            IpAddr::V4(address) => forbidden_v4(address),
            IpAddr::V6(address) => forbidden_v6(address),
        };
        forbidden.or_else(|| own.of_coordinator(&meant(address))).map_or(Ok(()), Err)
    }

    /// Whether this port there may be connected to; if not, why.
    ///
    /// # Errors
    /// As of [`Self::allows`]; the probe itself listens there.
    pub fn allows_port(&self, address: SocketAddr) -> Result<(), &'static str> {
        self.allows(address.ip())?;
        let Self::Public(own) = self else { return Ok(()) };
        let listens = |ip: &IpAddr| own.listens(SocketAddr::new(*ip, address.port()));
        let listening = meant(address.ip()).iter().any(listens);
        if listening { Err("this probe itself listens there") } else { Ok(()) }
    }
}

/// Whether the address is kept for documentation: nobody's service stands there, and nothing
/// answers but what answers for everyone.
pub fn is_documentation(address: IpAddr) -> bool {
    let block = match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    };
    block.is_some_and(|block| block.contains("documentation"))
}

/// The address itself, and those that it stands for or leads to.
fn meant(address: IpAddr) -> Vec<IpAddr> {
    let carried = match address {
        IpAddr::V4(_) => Vec::new(),
        IpAddr::V6(address) => carried_v4(address),
    };
    std::iter::once(address).chain(carried.into_iter().map(IpAddr::V4)).collect()
}

/// A block of addresses: its first address, its prefix's length, how messages call it.
type Block<A> = (A, u32, &'static str);

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

const fn v6(a: u16, b: u16, c: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)
}

/// Narrower blocks come first, for the better reason.
const SPECIAL_V4: &[Block<Ipv4Addr>] = &[
    (v4(0, 0, 0, 0), 32, "0.0.0.0, the unspecified address"),
    (v4(0, 0, 0, 0), 8, "0.0.0.0/8, this network (RFC 791)"),
    (v4(10, 0, 0, 0), 8, "10.0.0.0/8, private (RFC 1918)"),
    (v4(100, 100, 100, 200), 32, "100.100.100.200, cloud metadata"),
    (v4(100, 64, 0, 0), 10, "100.64.0.0/10, carrier-grade NAT (RFC 6598)"),
    (v4(127, 0, 0, 0), 8, "127.0.0.0/8, loopback (RFC 1122)"),
    (v4(168, 63, 129, 16), 32, "168.63.129.16, cloud metadata"),
    (v4(169, 254, 169, 254), 32, "169.254.169.254, cloud metadata"),
    (v4(169, 254, 0, 0), 16, "169.254.0.0/16, link local (RFC 3927)"),
    (v4(172, 16, 0, 0), 12, "172.16.0.0/12, private (RFC 1918)"),
    (v4(192, 0, 0, 9), 32, "192.0.0.9, port control anycast (RFC 7723)"),
    (v4(192, 0, 0, 10), 32, "192.0.0.10, TURN anycast (RFC 8155)"),
    (v4(192, 0, 0, 0), 24, "192.0.0.0/24, protocol assignments (RFC 6890)"),
    (v4(192, 0, 2, 0), 24, "192.0.2.0/24, documentation (RFC 5737)"),
    (v4(192, 31, 196, 0), 24, "192.31.196.0/24, AS112 (RFC 7535)"),
    (v4(192, 52, 193, 0), 24, "192.52.193.0/24, AMT (RFC 7450)"),
    (v4(192, 88, 99, 0), 24, "192.88.99.0/24, 6to4 relay (RFC 7526)"),
    (v4(192, 168, 0, 0), 16, "192.168.0.0/16, private (RFC 1918)"),
    (v4(192, 175, 48, 0), 24, "192.175.48.0/24, AS112 (RFC 7534)"),
    (v4(198, 18, 0, 0), 15, "198.18.0.0/15, benchmarking (RFC 2544)"),
    (v4(198, 51, 100, 0), 24, "198.51.100.0/24, documentation (RFC 5737)"),
    (v4(203, 0, 113, 0), 24, "203.0.113.0/24, documentation (RFC 5737)"),
    (v4(224, 0, 0, 0), 4, "224.0.0.0/4, multicast (RFC 5771)"),
    (v4(255, 255, 255, 255), 32, "255.255.255.255, broadcast (RFC 8190)"),
    (v4(240, 0, 0, 0), 4, "240.0.0.0/4, reserved (RFC 1112)"),
];

const SPECIAL_V6: &[Block<Ipv6Addr>] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "::, the unspecified address (RFC 4291)"),
    (Ipv6Addr::LOCALHOST, 128, "::1, loopback (RFC 4291)"),
    (v6(0, 0, 0), 96, "::/96, IPv4-compatible (RFC 4291)"),
    (v6(0x64, 0xff9b, 1), 48, "64:ff9b:1::/48, local translation (RFC 8215)"),
    (v6(0x100, 0, 0), 64, "100::/64, discard only (RFC 6666)"),
    (Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0), 64, "100:0:0:1::/64, dummy prefix (RFC 9780)"),
    (v6(0x2001, 2, 0), 48, "2001:2::/48, benchmarking (RFC 5180)"),
    (v6(0x2001, 0xdb8, 0), 32, "2001:db8::/32, documentation (RFC 3849)"),
    (v6(0x2620, 0x4f, 0x8000), 48, "2620:4f:8000::/48, AS112 (RFC 7534)"),
    (v6(0x3fff, 0, 0), 20, "3fff::/20, documentation (RFC 9637)"),
    (v6(0x5f00, 0, 0), 16, "5f00::/16, segment routing (RFC 9602)"),
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, "fd00:ec2::254, cloud metadata"),
    (v6(0xfc00, 0, 0), 7, "fc00::/7, unique local (RFC 4193)"),
    (v6(0xfe80, 0, 0), 10, "fe80::/10, link local (RFC 4291)"),
    (v6(0xfec0, 0, 0), 10, "fec0::/10, site local (RFC 3879)"),
    (v6(0xff00, 0, 0), 8, "ff00::/8, multicast (RFC 4291)"),
];

/// The protocol assignments that are not global. Teredo (2001::/32) is inside this block too, but
/// is judged by the addresses it carries.
const PROTOCOL_ASSIGNMENTS: Block<Ipv6Addr> =
    (v6(0x2001, 0, 0), 23, "2001::/23, protocol assignments (RFC 2928)");

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    SPECIAL_V4
        .iter()
        .find(|(block, prefix, _)| (bits ^ block.to_bits()) >> (32 - prefix) == 0)
        .map(|(_, _, reason)| *reason)
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    let inside = |block: &&Block<Ipv6Addr>| (bits ^ block.0.to_bits()) >> (128 - block.1) == 0;
    if let Some((_, _, reason)) = SPECIAL_V6.iter().find(inside) {
        return Some(reason);
    }
    let carried = carried_v4(address);
    if carried.is_empty() && inside(&&PROTOCOL_ASSIGNMENTS) {
        return Some(PROTOCOL_ASSIGNMENTS.2);
    }
    carried.into_iter().find_map(forbidden_v4)
}

/// The IPv4 addresses that an IPv6 address stands for or leads to.
fn carried_v4(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        // IPv4-mapped, RFC 4291 section 2.5.5.2.
        (0, 0) if (c, d, e, f) == (0, 0, 0, 0xffff) => vec![join(g, h)],
        // IPv4-translated, RFC 7915 section 6.
        (0, 0) if (c, d, e, f) == (0, 0, 0xffff, 0) => vec![join(g, h)],
        // The well-known NAT64 prefix, RFC 6052.
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => vec![join(g, h)],
        // 6to4, RFC 3056.
        (0x2002, _) => vec![join(b, c)],
        // Teredo, RFC 4380 section 4: the server, and the client with its bits inverted.
        (0x2001, 0) => vec![join(c, d), join(!g, !h)],
        // ISATAP, RFC 5214 section 6.1, under whatever prefix.
        _ if matches!((e, f), (0 | 0x200, 0x5efe)) => vec![join(g, h)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
