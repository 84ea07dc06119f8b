//! Evidence about another place than the settings', name servers, and datagrams.

use super::*;

fn about(role: Role, way: Way, place: &str, found: Found) -> Option<Found> {
    Some(Found { about: Some(About { role, way, place: place.to_owned() }), ..found })
}

#[test]
fn what_was_seen_elsewhere_is_told_of_that_place() {
    let dead = || knocks(&[("192.0.2.1", None), ("192.0.2.3", Some(Cause::ConnectTimeout))]);
    let at_place = |role| about(role, Way::Tcp, "pay.example.com:443", dead());
    let silent = |role| at(ALL, Cause::ConnectTimeout, at_place(role));
    let mut scattered = at(&[0, 1], Cause::Refused, at_place(Role::Step));
    scattered.extend(at(&[2, 3, 4], Cause::Refused, at_place(Role::Redirect)));
    let mut alike = at(&[0, 1], Cause::Refused, at_place(Role::Redirect));
    let other = about(Role::Redirect, Way::Tcp, "cdn.example.com:443", dead());
    alike.extend(at(&[2, 3, 4], Cause::Refused, other));
    let long = about(Role::Step, Way::Tcp, &"x".repeat(49), Found::default());
    // It was slow then, of which this says nothing.
    let of_slowness = Found { cause: Some(Cause::Slow), ..dead() };
    let of_refusal = Found { cause: Some(Cause::Refused), ..dead() };
    assert_told(vec![
        (silent(Role::Target), "one of 2 addresses is dead: 192.0.2.3 is silent"),
        (
            silent(Role::Redirect),
            "after redirects, at pay.example.com:443: one of 2 addresses is dead: 192.0.2.3 is silent",
        ),
        (
            silent(Role::Step),
            "in a later step, at pay.example.com:443: one of 2 addresses is dead: 192.0.2.3 is silent",
        ),
        (
            silent(Role::Proxy),
            "through proxy pay.example.com:443: no connection at all 5 sites: the host or its network",
        ),
        (
            silent(Role::Registry),
            "registry pay.example.com:443: one of 2 addresses is dead: 192.0.2.3 is silent",
        ),
        (scattered, "the connection was refused at all 5 sites, at different places"),
        (alike, "after redirects: refused at all 5 sites: the service is down"),
        (
            at(ALL, Cause::Refused, long),
            "in a later step: refused at all 5 sites: the service is down",
        ),
        (
            at(ALL, Cause::ConnectTimeout, Some(of_slowness)),
            "no connection at all 5 sites: the host or its network",
        ),
        (
            at(ALL, Cause::ConnectTimeout, Some(of_refusal)),
            "one of 2 addresses is dead: 192.0.2.3 is silent",
        ),
        (
            at(ALL, Cause::Token, at_place(Role::TokenEndpoint)),
            "the token endpoint gave no access token at all 5 sites: the token endpoint",
        ),
        (
            at(ALL, Cause::DomainStatus, at_place(Role::Registry)),
            "the domain is, or is not, in a state that it should be in at all 5 sites",
        ),
        (
            at(ALL, Cause::Status, at_place(Role::Proxy)),
            "the status code is not one of those wanted at all 5 sites: the application, or the proxy",
        ),
        (at(ALL, Cause::Slow, at_place(Role::Step)), "slow at all 5 sites"),
    ]);
}

#[test]
fn a_name_server_is_told_apart_from_the_names_that_it_is_asked_for() {
    let at_server = |place, found| about(Role::NameServer, Way::Udp, place, found);
    let address: &[&str] = &["192.0.2.9"];
    let nothing = || names(&[("10.0.0.53", Err(Cause::DnsNxdomain))]);
    let elsewhere = || names(&[("10.0.0.53", Err(Cause::DnsNxdomain)), ("9.9.9.9", Ok(address))]);
    // What the server itself is called has an address.
    let own_name = Found {
        names: vec![Resolution {
            name: "ns1.example.com".to_owned(),
            ..elsewhere().names[1].clone()
        }],
        ..Found::default()
    };
    let stops = path(&[Some("10.1.0.1")], PathEnd::Silent);
    let reached = path(&[Some("10.1.0.1"), Some("192.0.2.53")], PathEnd::Reached);
    let mut own = at(&[0, 1], Cause::DnsNxdomain, at_server("10.0.0.53", nothing()));
    own.extend(at(&[2, 3, 4], Cause::DnsNxdomain, at_server("10.0.1.53", nothing())));
    assert_told(vec![
        (
            at(ALL, Cause::DnsNxdomain, at_server("ns1.example.com", own_name.clone())),
            "name server ns1.example.com knows no such name at all 5 sites since 10:02",
        ),
        (
            at(ALL, Cause::DnsServfail, at_server("ns1.example.com", own_name)),
            "name server ns1.example.com answers SERVFAIL at all 5 sites since 10:02",
        ),
        (
            at(ALL, Cause::DnsNxdomain, at_server("10.0.0.53", elsewhere())),
            "name server 10.0.0.53 does not resolve shop.example.com (NXDOMAIN) at all 5 sites: other resolvers do",
        ),
        (own, "the name server knows no such name at all 5 sites since 10:02"),
        (
            at(ALL, Cause::DnsTimeout, at_server("192.0.2.53", stops)),
            "name server 192.0.2.53 does not answer: all 5 sites stop after hop 1 (10.1.0.1): the target, or the line to it",
        ),
        (
            at(ALL, Cause::DnsTimeout, at_server("192.0.2.53", reached)),
            "name server 192.0.2.53 does not answer at all 5 sites, and its host answers echoes",
        ),
        (
            at(ALL, Cause::DnsTimeout, at_server("192.0.2.53", Found::default())),
            "name server 192.0.2.53 does not answer at all 5 sites since 10:02",
        ),
        (
            at(ALL, Cause::Answer, at_server("192.0.2.53", Found::default())),
            "the DNS answer is not as wanted at all 5 sites",
        ),
    ]);
}

#[test]
fn who_answers_no_datagrams_is_not_said_to_have_taken_a_connection() {
    let by_datagrams = |found| about(Role::Target, Way::Udp, "ntp.example.com:123", found);
    let reached = path(&[Some("192.0.2.9")], PathEnd::Reached);
    let stops = path(&[Some("10.1.0.1")], PathEnd::Silent);
    let late = Cause::FirstByteTimeout;
    let connected = |found| about(Role::Target, Way::Tcp, "shop.example.com:443", found);
    // One site's evidence says it for all.
    let mut one = at(&[0], late, connected(Found::default()));
    one.extend(at(&[1, 2, 3, 4], late, None));
    assert_told(vec![
        (
            at(ALL, late, connected(Found::default())),
            "connects and does not answer at all 5 sites: the application hangs",
        ),
        (one, "connects and does not answer at all 5 sites: the application hangs"),
        (at(ALL, late, None), "no answer at all 5 sites: the service, the host or its network"),
        (at(&[4], late, None), "no answer only from site g1: the path, or a filter there"),
        (
            at(ALL, late, by_datagrams(reached)),
            "no answer at all 5 sites, and the host answers echoes: the service, or a filter",
        ),
        (
            at(ALL, late, by_datagrams(stops)),
            "all 5 sites stop after hop 1 (10.1.0.1): the target, or the line to it",
        ),
        (
            at(ALL, late, by_datagrams(Found::default())),
            "no answer at all 5 sites: the service, the host or its network",
        ),
        (
            at(&[4], late, by_datagrams(Found::default())),
            "no answer only from site g1: the path, or a filter there",
        ),
    ]);
}
