//! The kind `dns` against real name servers: Knot, which holds and signs zones, and Unbound, which
//! asks it, validates, and answers over encrypted ways too.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crosscheck_checks::env::{Env, Secrets};
use crosscheck_checks::guard::Guard;
use crosscheck_checks::kind;
use crosscheck_checks::programs::Programs;
use crosscheck_checks::resolve::Resolver;
use crosscheck_model::{Cause, Outcome};
use crosscheck_tests::authority::Authority;
use crosscheck_tests::knot::{Knot, Zone};
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::unbound::Unbound;
use serde_json::{Value, json};

const PLENTY: Duration = Duration::from_secs(30);

async fn run(resolver: Option<Ipv4Addr>, settings: &Value) -> Outcome {
    let env = Env {
        guard: Guard::Internal,
        resolver: Resolver::new(resolver.map(|ip| (ip, 53).into()).into_iter().collect()),
        secrets: Secrets::fixed(BTreeMap::new()),
        programs: Programs::default(),
    };
    let check = kind::find("dns").expect("a kind").parse(settings);
    let check = check.unwrap_or_else(|errors| panic!("{settings}: {errors:?}"));
    check.run(&env, PLENTY).await
}

/// Each of these, asked of the server, has this cause; none: it is Up.
async fn each(server: Ipv4Addr, table: Vec<(Value, Option<Cause>)>) {
    for (mut settings, cause) in table {
        settings["server"] = json!(server.to_string());
        let outcome = run(None, &settings).await;
        assert_eq!(outcome.cause, cause, "{settings}: {outcome:?}");
    }
}

/// A zone with a host in it, whose servers these are.
fn zone(name: &str, serial: u32, servers: &[Ipv4Addr]) -> String {
    let mut text = format!(
        "$ORIGIN {name}.\n$TTL 300\n@ SOA ns1 host {serial} 3600 600 86400 300\n\
         www A 192.0.2.7\nwww A 192.0.2.8\nalias CNAME www\n*.wild A 192.0.2.9\n"
    );
    for (index, server) in servers.iter().enumerate() {
        let number = index + 1;
        text.push_str(&format!("@ NS ns{number}\nns{number} A {server}\n"));
    }
    text
}

#[tokio::test]
async fn signatures_are_validated_at_the_zones_own_server() {
    let scratch = Scratch::new();
    let (address, liar) = (Knot::address(), Knot::address());
    let text = zone("signed.example", 1, &[address]);
    let plain = zone("plain.example", 1, &[address]);
    let zones = [
        Zone { name: "signed.example", text: &text, signed: true },
        Zone { name: "plain.example", text: &plain, signed: false },
    ];
    let knot = Knot::start(&scratch, address, &zones).await;
    let anchor = knot.ds("signed.example");
    let wrong = anchor.replace(&anchor[anchor.len() - 8..], "00000000");
    let ask =
        |name: &str, dnssec: Value| json!({ "name": name, "recursion": false, "dnssec": dnssec });
    let by = |anchor: &str| json!({ "validate": true, "anchors": [anchor] });
    let mut nowhere = ask("nowhere.signed.example", by(&anchor));
    nowhere["rcode"] = json!("NXDOMAIN");
    each(
        address,
        vec![
            (ask("www.signed.example", json!({})), None),
            (ask("www.signed.example", by(&anchor)), None),
            (ask("alias.signed.example", by(&anchor)), None),
            (ask("any.wild.signed.example", by(&anchor)), None),
            (nowhere, None),
            (ask("www.signed.example", by(&wrong)), Some(Cause::DnssecBogus)),
            (
                ask("www.signed.example", json!({ "expires_within": "60d" })),
                Some(Cause::DnssecExpiring),
            ),
            (ask("www.signed.example", json!({ "expires_within": "2d" })), None),
            (ask("www.plain.example", json!({})), Some(Cause::DnssecUnsigned)),
            (ask("www.plain.example", by(&anchor)), Some(Cause::DnssecUnsigned)),
        ],
    )
    .await;
    // The same zone with its signatures, and one address changed by somebody on the way.
    let forged = knot.signed_text("signed.example").replace("192.0.2.7", "192.0.2.66");
    let zones = [Zone { name: "signed.example", text: &forged, signed: false }];
    let _liar = Knot::start(&scratch, liar, &zones).await;
    each(
        liar,
        vec![
            (ask("www.signed.example", json!({})), None),
            (ask("www.signed.example", by(&anchor)), Some(Cause::DnssecBogus)),
            (ask("any.wild.signed.example", by(&anchor)), None),
        ],
    )
    .await;
    let mut forged = ask("www.signed.example", by(&anchor));
    forged["server"] = json!(liar.to_string());
    let outcome = run(None, &forged).await;
    assert!(outcome.detail.contains("www.signed.example. A: the signature of key "), "{outcome:?}");
}

#[tokio::test]
async fn the_chain_of_trust_is_walked_through_a_resolver_over_every_transport() {
    let scratch = Scratch::new();
    let authority = Authority::new(&scratch);
    let identity = authority.sound(&scratch, "dns.test");
    let (above, below, liar) = (Knot::address(), Knot::address(), Knot::address());
    let text = zone("child.parent.example", 1, &[below]);
    let zones = [Zone { name: "child.parent.example", text: &text, signed: true }];
    let child = Knot::start(&scratch, below, &zones).await;
    let delegation = format!(
        "{}child NS ns1.child\nns1.child A {below}\n{}\n",
        zone("parent.example", 1, &[above]),
        child.ds("child.parent.example")
    );
    let zones = [Zone { name: "parent.example", text: &delegation, signed: true }];
    let parent = Knot::start(&scratch, above, &zones).await;
    let forged = parent.signed_text("parent.example").replace("192.0.2.7", "192.0.2.66");
    let zones = [Zone { name: "parent.example", text: &forged, signed: false }];
    let _liar = Knot::start(&scratch, liar, &zones).await;
    let anchor = parent.ds("parent.example");

    let stubs = [("parent.example", above)];
    let resolver =
        Unbound::resolving(&scratch, &identity, &stubs, std::slice::from_ref(&anchor)).await;
    let www = "www.child.parent.example";
    let dnssec = json!({ "validate": true, "anchors": [anchor] });
    let from_root = json!({ "name": www, "dnssec": { "validate": true } });
    each(
        resolver.unbound.address,
        vec![
            (json!({ "name": www, "flags": { "authenticated": true } }), None),
            (json!({ "name": www, "dnssec": dnssec }), None),
            (json!({ "name": www, "dnssec": dnssec, "transport": "tcp" }), None),
        ],
    )
    .await;
    // Unbound has no way to the root here.
    let mut settings = from_root;
    settings["server"] = json!(resolver.unbound.address.to_string());
    let outcome = run(None, &settings).await;
    assert_eq!(outcome.cause, Some(Cause::DnsServfail), "nothing vouches for it: {outcome:?}");
    assert!(outcome.detail.starts_with("chain of trust: "), "{outcome:?}");

    let ca = authority.file.display().to_string();
    for (transport, port) in [("tls", resolver.tls_port), ("https", resolver.https_port)] {
        for server in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            let mut settings = json!({
                "name": www, "server": server, "transport": transport,
                "server_name": "dns.test", "ca": ca, "answers": { "all": "192.0.2.8" },
            });
            let outcome = run(None, &settings).await;
            assert_eq!(outcome.cause, None, "{settings}: {outcome:?}");
            settings["dnssec"] = dnssec.clone();
            let outcome = run(None, &settings).await;
            assert_eq!(outcome.cause, None, "{settings}: {outcome:?}");
            settings["server_name"] = json!("other.test");
            let outcome = run(None, &settings).await;
            assert_eq!(outcome.cause, Some(Cause::TlsName), "{settings}: {outcome:?}");
        }
    }

    // A resolver that validates holds back what is forged; asked for the reason, it is told.
    let scratch = Scratch::new();
    let stubs = [("parent.example", liar)];
    let anchors = [parent.ds("parent.example")];
    let resolver = Unbound::resolving(&scratch, &identity, &stubs, &anchors).await;
    each(
        resolver.unbound.address,
        vec![
            (json!({ "name": "www.parent.example" }), Some(Cause::DnsServfail)),
            (json!({ "name": "www.parent.example", "dnssec": dnssec }), Some(Cause::DnssecBogus)),
        ],
    )
    .await;
}

/// Turned round too, over every transport and both families.
#[tokio::test]
async fn a_name_is_there_or_is_not_over_both_families() {
    let scratch = Scratch::new();
    let authority = Authority::new(&scratch);
    let identity = authority.sound(&scratch, "dns.test");
    let address = Knot::address();
    let text = zone("plain.example", 1, &[address]);
    let zones = [Zone { name: "plain.example", text: &text, signed: false }];
    let _knot = Knot::start(&scratch, address, &zones).await;
    let stubs = [("plain.example", address)];
    let resolver = Unbound::resolving(&scratch, &identity, &stubs, &[]).await;
    let ca = authority.file.display().to_string();
    for (transport, port) in [
        ("udp", resolver.port),
        ("tcp", resolver.port),
        ("tls", resolver.tls_port),
        ("https", resolver.https_port),
    ] {
        for (host, family) in [("127.0.0.1", "v4"), ("[::1]", "v6")] {
            for (name, negate, cause) in [
                ("www.plain.example", false, None),
                ("www.plain.example", true, Some(Cause::Answers)),
                ("nowhere.plain.example", false, Some(Cause::DnsNxdomain)),
                ("nowhere.plain.example", true, None),
            ] {
                let mut settings = json!({
                    "name": name, "type": "A", "server": format!("{host}:{port}"),
                    "family": family, "transport": transport, "negate": negate,
                });
                if matches!(transport, "tls" | "https") {
                    settings["server_name"] = json!("dns.test");
                    settings["ca"] = json!(ca);
                }
                let outcome = run(None, &settings).await;
                assert_eq!(outcome.cause, cause, "{settings}: {outcome:?}");
            }
        }
    }
}

#[tokio::test]
async fn servers_of_a_zone_agree_differ_and_do_not_hold_it() {
    let scratch = Scratch::new();
    let authority = Authority::new(&scratch);
    let identity = authority.sound(&scratch, "dns.test");
    let [first, second, third] = [(); 3].map(|()| Knot::address());
    let pair = [first, second];
    let (same, mixed) = (zone("same.example", 7, &pair), zone("mixed.example", 7, &pair));
    let (lame, deserted) = (
        zone("lame.example", 7, &[first, third]),
        zone("deserted.example", 7, &[first, Knot::address()]),
    );
    let newer = zone("mixed.example", 8, &pair);
    let of = |name, text| Zone { name, text, signed: false };
    let zones = [
        of("same.example", same.as_str()),
        of("mixed.example", mixed.as_str()),
        of("lame.example", lame.as_str()),
        of("deserted.example", deserted.as_str()),
    ];
    let _first = Knot::start(&scratch, first, &zones).await;
    let zones = [of("same.example", same.as_str()), of("mixed.example", newer.as_str())];
    let _second = Knot::start(&scratch, second, &zones).await;
    let other = zone("other.example", 1, &[third]);
    let _third = Knot::start(&scratch, third, &[of("other.example", other.as_str())]).await;
    let stubs = ["same.example", "mixed.example", "lame.example", "deserted.example"];
    let stubs = stubs.map(|name| (name, first));
    let resolver = Unbound::resolving(&scratch, &identity, &stubs, &[]).await;
    for (name, cause, words) in [
        ("same.example", None, ""),
        ("mixed.example", Some(Cause::SerialDisagreement), "serial numbers differ: 7 at ns1.mixed"),
        ("lame.example", Some(Cause::LameServer), "ns2.lame.example ("),
        ("deserted.example", Some(Cause::Refused), "ns2.deserted.example: "),
    ] {
        let settings = json!({ "name": name, "soa_agreement": true });
        let outcome = run(Some(resolver.unbound.address), &settings).await;
        assert_eq!(outcome.cause, cause, "{name}: {outcome:?}");
        assert!(outcome.detail.contains(words), "{name}: {outcome:?}");
        assert_eq!(outcome.values["servers"], 2.0, "{outcome:?}");
    }
    // Asked for another's zone without recursion, a server refuses; it refers to others below its own.
    let ask = |name: &str, more: Value| {
        let mut settings = json!({ "name": name, "recursion": false });
        settings.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        settings
    };
    each(
        first,
        vec![
            (ask("www.other.example", json!({})), Some(Cause::DnsRefused)),
            (ask("nowhere.same.example", json!({})), Some(Cause::DnsNxdomain)),
            (ask("www.same.example", json!({ "flags": { "authoritative": true } })), None),
            (
                ask(
                    "same.example",
                    json!({
                        "type": "NS",
                        "additional": { "any": format!("ns1.same.example A {first}") },
                    }),
                ),
                None,
            ),
        ],
    )
    .await;
}
