//! The tables against the registries, and what carries an address inside.

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
fn what_is_kept_for_documentation_is_known() {
    for (address, wanted) in [
        ("192.0.2.9", true),
        ("198.51.100.1", true),
        ("203.0.113.255", true),
        ("2001:db8::1", true),
        ("3fff::1", true),
        ("::ffff:192.0.2.9", true),
        ("192.0.1.255", false),
        ("10.0.0.1", false),
        ("127.0.0.1", false),
        ("::1", false),
        ("1.1.1.1", false),
    ] {
        assert_eq!(is_documentation(address.parse().expect(address)), wanted, "{address}");
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
