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
mod tests {
    use super::*;

    fn allowed(text: &str) -> Result<(), &'static str> {
        Guard::public().allows(text.parse().expect(text))
    }

    #[test]
    fn every_special_block_is_forbidden_at_both_ends() {
        for (block, prefix, _) in SPECIAL_V4 {
            let first = block.to_bits();
            let last = first | u32::MAX.checked_shr(*prefix).unwrap_or(0);
            assert!(forbidden_v4(*block).is_some(), "{block}");
            assert!(forbidden_v4(Ipv4Addr::from_bits(last)).is_some(), "{block}/{prefix}");
        }
        for (block, prefix, _) in SPECIAL_V6.iter().chain([&PROTOCOL_ASSIGNMENTS]) {
            let first = block.to_bits();
            let last = first | u128::MAX.checked_shr(*prefix).unwrap_or(0);
            assert!(forbidden_v6(Ipv6Addr::from_bits(first)).is_some(), "{block}");
            assert!(forbidden_v6(Ipv6Addr::from_bits(last)).is_some(), "{block}/{prefix}");
        }
    }

    #[test]
    fn addresses_are_judged_with_the_reason() {
        for (address, reason) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "this network"),
            ("10.255.255.255", "private"),
            ("100.64.0.1", "carrier-grade NAT"),
            ("127.1.2.3", "loopback"),
            ("168.63.129.16", "cloud metadata"),
            ("169.254.169.254", "cloud metadata"),
            ("169.254.1.1", "link local"),
            ("172.31.255.255", "private"),
            ("192.168.0.1", "private"),
            ("198.19.255.255", "benchmarking"),
            ("239.255.255.255", "multicast"),
            ("250.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::7f00:1", "IPv4-compatible"),
            ("fd00:ec2::254", "cloud metadata"),
            ("fd12::1", "unique local"),
            ("fe80::1", "link local"),
            ("fec0::1", "site local"),
            ("ff02::1", "multicast"),
            ("2001:db8::1", "documentation"),
            ("2001:20::1", "protocol assignments"),
        ] {
            let verdict = allowed(address).expect_err(address);
            assert!(verdict.contains(reason), "{address}: {verdict}");
        }
    }

    #[test]
    fn an_ipv4_address_inside_an_ipv6_address_is_judged_too() {
        for (address, reason) in [
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "cloud metadata"),
            ("::ffff:0:10.0.0.1", "private"),
            ("64:ff9b::10.0.0.1", "private"),
            ("64:ff9b::a9fe:a9fe", "cloud metadata"),
            ("64:ff9b:1::1", "local translation"),
            ("2002:7f00:1::1", "loopback"),
            ("2002:c0a8:101::", "private"),
            ("2606:4700::5efe:10.0.0.1", "private"),
            ("2606:4700::200:5efe:169.254.169.254", "cloud metadata"),
            // Client 127.0.0.1, inverted, behind a public server.
            ("2001:0:4136:e378:8000:63bf:80ff:fffe", "loopback"),
            // Server 10.0.0.1, public client.
            ("2001:0:a00:1:8000:63bf:f7f7:f7f7", "private"),
        ] {
            let verdict = allowed(address).expect_err(address);
            assert!(verdict.contains(reason), "{address}: {verdict}");
        }
    }

    #[test]
    fn public_addresses_pass() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2400:3200::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "2001:0:4136:e378:8000:63bf:f7f7:f7f7",
        ] {
            assert_eq!(allowed(address), Ok(()), "{address}");
        }
    }

    /// Both registries as of 2025, with what they list inside of other blocks.
    const REGISTERED: [(&str, u32); 50] = [
        ("0.0.0.0", 8),
        ("0.0.0.0", 32),
        ("10.0.0.0", 8),
        ("100.64.0.0", 10),
        ("127.0.0.0", 8),
        ("169.254.0.0", 16),
        ("172.16.0.0", 12),
        ("192.0.0.0", 24),
        ("192.0.0.0", 29),
        ("192.0.0.8", 32),
        ("192.0.0.9", 32),
        ("192.0.0.10", 32),
        ("192.0.0.170", 31),
        ("192.0.2.0", 24),
        ("192.31.196.0", 24),
        ("192.52.193.0", 24),
        ("192.88.99.0", 24),
        ("192.88.99.2", 32),
        ("192.168.0.0", 16),
        ("192.175.48.0", 24),
        ("198.18.0.0", 15),
        ("198.51.100.0", 24),
        ("203.0.113.0", 24),
        ("240.0.0.0", 4),
        ("255.255.255.255", 32),
        ("::1", 128),
        ("::", 128),
        ("::ffff:0:0", 112),
        ("64:ff9b::", 112),
        ("64:ff9b:1::", 48),
        ("100::", 64),
        ("100:0:0:1::", 64),
        ("2001:1::1", 128),
        ("2001:1::2", 128),
        ("2001:1::3", 128),
        ("2001:2::", 48),
        ("2001:3::", 32),
        ("2001:4:112::", 48),
        ("2001:10::", 28),
        ("2001:20::", 28),
        ("2001:30::", 28),
        ("2001:db8::", 32),
        ("2002::", 32),
        ("2620:4f:8000::", 48),
        ("3fff::", 20),
        ("5f00::", 16),
        ("fc00::", 7),
        ("fe80::", 10),
        // Multicast has registries of its own.
        ("224.0.0.0", 4),
        ("ff00::", 8),
    ];

    #[test]
    fn what_the_registries_list_is_forbidden() {
        for (first, prefix) in REGISTERED {
            let last = match first.parse().expect(first) {
                IpAddr::V4(address) => {
                    let rest = u32::MAX.checked_shr(prefix).unwrap_or(0);
                    IpAddr::from(Ipv4Addr::from_bits(address.to_bits() | rest))
                }
                IpAddr::V6(address) => {
                    let rest = u128::MAX.checked_shr(prefix).unwrap_or(0);
                    IpAddr::from(Ipv6Addr::from_bits(address.to_bits() | rest))
                }
            };
            assert!(allowed(first).is_err(), "{first}");
            assert!(allowed(&last.to_string()).is_err(), "{first}/{prefix}");
        }
    }

    #[test]
    fn an_address_of_the_installation_is_forbidden_in_every_spelling() {
        let own = Own::default();
        own.add_coordinator("::ffff:8.8.4.4".parse().expect("an address"));
        own.add_coordinator("2606:4700::7".parse().expect("an address"));
        own.add_listener(9464);
        let guard = Guard::Public(own);
        for address in [
            "8.8.4.4",
            "::ffff:8.8.4.4",
            "64:ff9b::8.8.4.4",
            "2002:808:404::1",
            "2606:4700:1::5efe:8.8.4.4",
            "2606:4700::7",
        ] {
            let verdict = guard.allows(address.parse().expect(address)).expect_err(address);
            assert!(verdict.contains("coordinator"), "{address}: {verdict}");
        }
        for address in ["8.8.8.8:9464", "[2606:4700::8]:9464", "[64:ff9b::8.8.8.8]:9464"] {
            assert_eq!(guard.allows_port(address.parse().expect(address)), Ok(()), "{address}");
        }
    }

    #[test]
    fn an_internal_probe_may_connect_anywhere() {
        for address in ["127.0.0.1", "10.0.0.1", "::1", "169.254.169.254"] {
            assert_eq!(Guard::Internal.allows(address.parse().expect(address)), Ok(()));
        }
    }
}
