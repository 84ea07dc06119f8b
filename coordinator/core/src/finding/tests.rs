//! Cases, and what each is called. The sites are those of the tests everywhere: two carriers with
//! two sites and one with one.

mod places;

use std::net::SocketAddr;
use std::time::Duration;

use crosscheck_model::Family;
use crosscheck_model::evidence::{Hop, Knock, Path, PathEnd, PhaseTimes, Resolution, Shown};
use crosscheck_model::place::{About, Way};

use super::*;

const SITES: [(&str, &str, &str); 5] = [
    ("a1", "north", "alpha"),
    ("a2", "east", "alpha"),
    ("b1", "south", "beta"),
    ("b2", "north", "beta"),
    ("g1", "east", "gamma"),
];

/// 2026-11-22 10:02:13 UTC.
const SINCE: Timestamp = Timestamp::from_millis(1_795_341_733_000);

const DAY: Duration = Duration::from_secs(86_400);

/// What the sites of these numbers say and found; the others are up.
type Failing = Vec<(usize, Cause, &'static str, Option<Found>)>;

fn told(failing: &Failing) -> Option<String> {
    told_over(Family::V4, failing)
}

fn told_over(family: Family, failing: &Failing) -> Option<String> {
    let witnesses: Vec<_> = SITES
        .iter()
        .enumerate()
        .map(|(number, (site, region, carrier))| {
            let fails = failing.iter().find(|(at, ..)| *at == number);
            Witness {
                site,
                region,
                carrier,
                status: match fails {
                    None => Status::Up,
                    Some((_, Cause::Slow | Cause::CertificateExpiring, ..)) => Status::Degraded,
                    Some(_) => Status::Down,
                },
                cause: fails.map(|(_, cause, ..)| *cause),
                detail: fails.map_or("", |(_, _, detail, _)| detail),
                found: fails.and_then(|(.., found)| found.as_ref()),
            }
        })
        .collect();
    finding(&witnesses, family, SINCE)
}

/// The same at these sites.
fn at(sites: &[usize], cause: Cause, found: Option<Found>) -> Failing {
    sites.iter().map(|site| (*site, cause, "", found.clone())).collect()
}

const ALL: &[usize] = &[0, 1, 2, 3, 4];

fn knocks(list: &[(&str, Option<Cause>)]) -> Found {
    let knock = |(ip, cause): &(&str, Option<Cause>)| {
        let address = SocketAddr::new(ip.parse().expect("an address"), 443);
        Knock { address, cause: *cause, took_us: 1000 }
    };
    Found { knocks: list.iter().map(knock).collect(), ..Found::default() }
}

/// Each resolver with its addresses, or why it has none.
fn names(list: &[(&str, Result<&[&str], Cause>)]) -> Found {
    let resolution = |(resolver, answer): &(&str, Result<&[&str], Cause>)| Resolution {
        resolver: (*resolver).to_owned(),
        name: "shop.example.com".to_owned(),
        family: Family::V4,
        addresses: answer
            .unwrap_or_default()
            .iter()
            .map(|ip| ip.parse().expect("an address"))
            .collect(),
        cause: answer.err(),
        took_us: 1000,
    };
    Found { names: list.iter().map(resolution).collect(), ..Found::default() }
}

fn path(hops: &[Option<&str>], end: PathEnd) -> Found {
    let hop = |(ttl, ip): (u8, &Option<&str>)| Hop {
        ttl,
        address: ip.map(|ip| ip.parse().expect("an address")),
        sent: 2,
        lost: if ip.is_some() { 0 } else { 2 },
        took_us: 1000,
    };
    let to = "192.0.2.9".parse().expect("an address");
    let path = Path { to, port: None, hops: (1..).zip(hops).map(hop).collect(), end };
    Found { path: Some(path), ..Found::default() }
}

fn chain(list: &[(&str, &str, Timestamp)]) -> Found {
    let shown = |(subject, issuer, until): &(&str, &str, Timestamp)| Shown {
        subject: (*subject).to_owned(),
        issuer: (*issuer).to_owned(),
        from: SINCE.minus(300 * DAY),
        until: *until,
    };
    Found { chain: list.iter().map(shown).collect(), ..Found::default() }
}

/// The phases' times in milliseconds, usually and now.
fn times(usual: [u32; 6], now: [u32; 6]) -> Option<Found> {
    let of = |times: [u32; 6]| PhaseTimes(times.map(|ms| ms * 1000));
    Some(Found { usual_us: of(usual), phases_us: of(now), ..Found::default() })
}

#[track_caller]
fn assert_told(table: Vec<(Failing, &str)>) {
    for (failing, sentence) in table {
        assert_eq!(told(&failing).as_deref(), Some(sentence), "{failing:#?}");
    }
}

#[test]
fn nothing_is_said_where_nothing_fails() {
    assert_eq!(told(&Vec::new()), None);
    assert_eq!(finding(&[], Family::V4, SINCE), None);
}

#[test]
fn causes_alone_say_something() {
    assert_told(vec![
        (at(ALL, Cause::Refused, None), "refused at all 5 sites: the service is down"),
        (at(&[0, 1, 2, 4], Cause::Refused, None), "refused at 4 of 5 sites: the service is down"),
        (
            at(&[0, 1], Cause::Refused, None),
            "refused only from carrier alpha: a filter on the path, or another host there",
        ),
        (
            at(&[2], Cause::ConnectTimeout, None),
            "no connection only from site b1: the path, not the target",
        ),
        (
            at(ALL, Cause::ConnectTimeout, None),
            "no connection at all 5 sites: the host or its network",
        ),
        (at(ALL, Cause::Unreachable, None), "no route at all 5 sites: the host or its network"),
        (
            at(&[0, 3], Cause::Loss, None),
            "echoes are lost only from region north: the path, not the target",
        ),
        (
            at(ALL, Cause::Reset, None),
            "connections are broken off at all 5 sites: the service, or something before it",
        ),
        (
            // Nobody says whether anything was connected to.
            at(ALL, Cause::FirstByteTimeout, None),
            "no answer at all 5 sites: the service, the host or its network",
        ),
        (
            at(ALL, Cause::TransferTimeout, None),
            "answers begin and do not end at all 5 sites: the application, or the line",
        ),
        (at(ALL, Cause::DnsNxdomain, None), "the name does not exist at all 5 sites since 10:02"),
        (at(ALL, Cause::DnsTimeout, None), "no name server answers at all 5 sites since 10:02"),
        (
            at(&[4], Cause::DnsServfail, None),
            "the name does not resolve only from site g1: the name servers there",
        ),
        (at(ALL, Cause::TlsExpired, None), "the certificate has expired, or is not valid yet"),
        (at(ALL, Cause::Slow, None), "slow at all 5 sites"),
    ]);
}

#[test]
fn the_application_is_named_by_what_it_says() {
    let says = |details: [&'static str; 3], cause| -> Failing {
        (0..3).map(|site| (site, cause, details[site], None)).collect()
    };
    assert_told(vec![
        (
            says(["status 503, wanted 200-299"; 3], Cause::Status),
            "status 503 at 3 of 5 sites: the application",
        ),
        (
            says(
                ["status 503, wanted 200", "status 502, wanted 200", "status 503, wanted 200"],
                Cause::Status,
            ),
            "the status code is not one of those wanted at 3 of 5 sites: the application",
        ),
        (
            vec![
                (0, Cause::Body, "`Welcome` is missing", None),
                (1, Cause::Body, "`Welcome` is missing", None),
            ],
            "`Welcome` is missing only from carrier alpha: another answer is served there",
        ),
    ]);
}

/// Of a check with `negate`, the failure is that somebody is there.
#[test]
fn what_must_not_answer_is_not_said_to_be_down() {
    let said = "it answers, though with a flaw (slow: took 4 s, wanted at most 1 s)";
    let flawed = (0..5).map(|site| (site, Cause::Answers, said, None)).collect();
    let knocked = knocks(&[("192.0.2.9", None), ("2001:db8::1", Some(Cause::Refused))]);
    assert_told(vec![
        (at(ALL, Cause::Answers, None), "answers at all 5 sites, and must not: it is open"),
        (flawed, "answers at all 5 sites, and must not: it is open"),
        (
            at(ALL, Cause::Answers, Some(knocked)),
            "answers at all 5 sites, and must not: it is open",
        ),
        (at(&[0, 1, 2], Cause::Answers, None), "answers at 3 of 5 sites, and must not: it is open"),
        (
            at(&[0, 1], Cause::Answers, None),
            "answers only from carrier alpha, and must not: a filter lets it through",
        ),
    ]);
}

#[test]
fn different_causes_are_counted() {
    let mut mixed = at(&[0, 1, 2], Cause::Refused, None);
    mixed.extend(at(&[3], Cause::Status, None));
    assert_told(vec![(mixed, "fails at 4 of 5 sites for different causes (3 refused, 1 status)")]);
}

#[test]
fn a_name_is_looked_at_resolver_by_resolver() {
    let address: &[&str] = &["192.0.2.9"];
    let nowhere =
        names(&[("10.0.0.53", Err(Cause::DnsNxdomain)), ("192.0.2.53", Err(Cause::DnsNxdomain))]);
    let one_fails = names(&[("10.0.0.53", Err(Cause::DnsServfail)), ("192.0.2.53", Ok(address))]);
    let silent =
        names(&[("10.0.0.53", Err(Cause::DnsTimeout)), ("192.0.2.53", Err(Cause::DnsTimeout))]);
    let back = names(&[("10.0.0.53", Ok(address)), ("192.0.2.53", Ok(address))]);
    assert_told(vec![
        (
            at(ALL, Cause::DnsNxdomain, Some(nowhere)),
            "shop.example.com does not exist at any resolver since 10:02",
        ),
        (
            at(ALL, Cause::DnsServfail, Some(one_fails)),
            "resolver 10.0.0.53 alone does not resolve shop.example.com (SERVFAIL): the others do",
        ),
        (
            at(ALL, Cause::DnsTimeout, Some(silent)),
            "no name server answers at all 5 sites since 10:02",
        ),
        (
            at(ALL, Cause::DnsServfail, Some(back)),
            "shop.example.com did not resolve at all 5 sites, and resolves again",
        ),
    ]);
}

#[test]
fn addresses_are_told_apart() {
    let refuses = Some(Cause::Refused);
    let silent = Some(Cause::ConnectTimeout);
    let v6 = knocks(&[("2001:db8::1", refuses), ("192.0.2.9", None)]);
    let v4 = knocks(&[("192.0.2.9", silent), ("2001:db8::1", None)]);
    let one = knocks(&[("192.0.2.1", None), ("192.0.2.2", None), ("192.0.2.3", silent)]);
    let two = knocks(&[("192.0.2.1", None), ("192.0.2.2", refuses), ("192.0.2.3", refuses)]);
    let odd = Found {
        knocks: knocks(&[("192.0.2.9", None), ("203.0.113.9", silent)]).knocks,
        ..names(&[("10.0.0.53", Ok(&["203.0.113.9"])), ("192.0.2.53", Ok(&["192.0.2.9"]))])
    };
    let all = knocks(&[("192.0.2.9", refuses), ("2001:db8::1", Some(Cause::Unreachable))]);
    assert_told(vec![
        (
            at(ALL, Cause::ConnectTimeout, Some(v4)),
            "only IPv4 fails: A 192.0.2.9 is silent, AAAA answers",
        ),
        (
            at(ALL, Cause::ConnectTimeout, Some(one.clone())),
            "one of 3 addresses is dead: 192.0.2.3 is silent",
        ),
        (at(ALL, Cause::Refused, Some(two)), "2 of 3 addresses are dead: 192.0.2.2 refuses"),
        (
            at(ALL, Cause::Slow, Some(one)),
            "slow at all 5 sites: one of 3 addresses is dead: 192.0.2.3 is silent",
        ),
        (
            at(ALL, Cause::ConnectTimeout, Some(odd)),
            "resolver 10.0.0.53 alone gives another answer, 203.0.113.9, which is silent",
        ),
        (at(ALL, Cause::Refused, Some(all)), "refused at all 5 sites: the service is down"),
        // Nobody asked about IPv6, which may be missing at the probes.
        (at(ALL, Cause::Slow, Some(v6.clone())), "slow at all 5 sites"),
        (
            at(ALL, Cause::Reset, Some(v6.clone())),
            "connections are broken off at all 5 sites: the service, or something before it",
        ),
    ]);
    let only_v6 = told_over(Family::V6, &at(ALL, Cause::Refused, Some(v6)));
    assert_eq!(only_v6.as_deref(), Some("only IPv6 fails: AAAA 2001:db8::1 refuses, A answers"));
}

#[test]
fn paths_are_compared() {
    let six = [Some("10.1.0.1"), None, Some("10.2.0.1"), None, None, Some("10.0.6.1")];
    let stops = path(&six, PathEnd::Silent);
    let sooner = path(&[Some("10.9.0.1"), Some("10.0.6.1")], PathEnd::Turned);
    let elsewhere = path(&[Some("10.9.0.1")], PathEnd::Silent);
    let reached = path(&[Some("10.9.0.1"), Some("192.0.2.9")], PathEnd::Reached);
    let untried = path(&[], PathEnd::Untried);
    let dark = path(&[], PathEnd::Silent);
    let by_port = |mut found: Found| {
        found.path.iter_mut().for_each(|path| path.port = Some(443));
        found
    };
    let timeout = Cause::ConnectTimeout;
    let both = |one: &Found, other: &Found, rest: &[usize]| -> Failing {
        let mut failing = at(&[0], timeout, Some(one.clone()));
        failing.extend(at(rest, timeout, Some(other.clone())));
        failing
    };
    assert_told(vec![
        (
            at(&[0, 1], timeout, Some(stops.clone())),
            "all of carrier alpha stops after hop 6 (10.0.6.1): the path, not the target",
        ),
        (
            at(&[4], Cause::Unreachable, Some(stops.clone())),
            "site g1 stops after hop 6 (10.0.6.1): the path, not the target",
        ),
        (
            at(ALL, timeout, Some(stops.clone())),
            "all 5 sites stop after hop 6 (10.0.6.1): the target, or the line to it",
        ),
        (
            at(&[0, 1, 2], timeout, Some(stops.clone())),
            "3 of 5 sites stop after hop 6 (10.0.6.1): a path that they share, or the target",
        ),
        (
            both(&stops, &sooner, &[1]),
            "all of carrier alpha stops after 10.0.6.1: the path, not the target",
        ),
        (
            both(&stops, &elsewhere, &[1, 2, 3, 4]),
            "packets end at 2 places at all 5 sites: the target, or the line to it",
        ),
        (
            at(ALL, timeout, Some(reached.clone())),
            "the host answers echoes and takes no connection at all 5 sites: a filter, or a full queue",
        ),
        (
            at(ALL, timeout, Some(by_port(reached.clone()))),
            "no connection at all 5 sites, and the port answers again",
        ),
        (
            both(&stops, &by_port(stops.clone()), &[1, 2, 3, 4]),
            "all 5 sites stop after hop 6 (10.0.6.1): the target, or the line to it",
        ),
        (
            both(&stops, &reached, &[1, 2, 3, 4]),
            "some packets arrive and others do not at all 5 sites: the path",
        ),
        (at(ALL, timeout, Some(untried)), "no connection at all 5 sites: the host or its network"),
        (
            at(ALL, timeout, Some(dark)),
            "no hop answers at all 5 sites: the target, or the line to it",
        ),
        (
            at(ALL, Cause::Loss, Some(reached)),
            "echoes were lost at all 5 sites, and the host answers again",
        ),
    ]);
}

#[test]
fn certificates_are_named() {
    let (old, later) = (SINCE.minus(2 * DAY), SINCE.plus(13 * DAY));
    let far = SINCE.plus(900 * DAY);
    let leaf = |until| chain(&[("shop.example.com", "R1", until), ("R1", "Root", far)]);
    let middle = chain(&[("shop.example.com", "R1", far), ("R1", "Root", old)]);
    let alone = chain(&[("shop.example.com", "R1", far)]);
    let own = chain(&[("shop.example.com", "shop.example.com", far)]);
    let early = Found {
        chain: vec![Shown { from: later, ..leaf(far).chain[0].clone() }],
        ..Found::default()
    };
    assert_told(vec![
        (at(ALL, Cause::TlsExpired, Some(leaf(old))), "certificate expired on 2026-11-20"),
        (at(ALL, Cause::TlsExpired, Some(early)), "certificate is not valid before 2026-12-05"),
        (
            at(ALL, Cause::TlsExpired, Some(middle)),
            "intermediate certificate R1 expired on 2026-11-20",
        ),
        (
            at(&[0, 1], Cause::TlsExpired, Some(leaf(old))),
            "certificate expired on 2026-11-20, seen only from carrier alpha",
        ),
        (
            at(ALL, Cause::CertificateExpiring, Some(leaf(later))),
            "certificate expires on 2026-12-05",
        ),
        (at(ALL, Cause::TlsName, Some(leaf(far))), "the certificate is for shop.example.com"),
        (at(ALL, Cause::TlsUntrusted, Some(own)), "the certificate is signed by itself"),
        (
            at(ALL, Cause::TlsUntrusted, Some(alone)),
            "the chain ends at R1: not trusted, or a certificate is missing",
        ),
        (
            at(ALL, Cause::TlsUntrusted, Some(leaf(far))),
            "the chain ends at Root, which is not trusted",
        ),
    ]);
}

#[test]
fn slowness_is_told_by_the_phase_that_grew() {
    let usual = [5, 20, 30, 1, 100, 40];
    assert_told(vec![
        (
            at(ALL, Cause::Slow, times(usual, [5, 20, 30, 1, 4100, 40])),
            "slow at all 5 sites, first byte grew from 100 ms to 4100 ms: the application",
        ),
        (
            at(&[0, 1], Cause::Slow, times(usual, [5, 1020, 60, 1, 900, 40])),
            "slow only from carrier alpha, connecting grew from 20 ms to 1020 ms: the path",
        ),
        (
            at(ALL, Cause::Slow, times(usual, [2005, 20, 30, 1, 100, 40])),
            "slow at all 5 sites, resolving grew from 5 ms to 2005 ms: the name servers",
        ),
        (at(ALL, Cause::Slow, times([0; 6], usual)), "slow at all 5 sites"),
    ]);
}

/// The same evidence, about this place.

#[test]
fn a_sentence_fits_on_a_telephone() {
    let mut longest = at(&[0, 1, 2, 4], Cause::Status, None);
    longest.iter_mut().for_each(|(_, _, detail, _)| {
        *detail = "a very long first part of a detail that nobody would read at a glance anyway";
    });
    let sentence = told(&longest).expect("they fail");
    assert!(sentence.len() <= 120, "{sentence}");
}
