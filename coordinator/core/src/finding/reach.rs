//! A target that is not reached: one of its addresses, one family, the path, or the service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crosscheck_model::evidence::{Path, PathEnd};
use crosscheck_model::{Cause, Family};

use super::{Case, Class, Scope};

pub(super) fn sentence(case: &Case<'_>, class: Class) -> String {
    addresses(case).unwrap_or_else(|| match class {
        Class::Refused => refused(case),
        Class::Reset => format!("connections are broken off {}: {}", case.place(), behind(case)),
        _ => path(case).unwrap_or_else(|| unexplained(case)),
    })
}

fn behind(case: &Case<'_>) -> &'static str {
    match case.scope {
        Scope::Domain(_) => "something on the path",
        _ => "the service, or something before it",
    }
}

fn refused(case: &Case<'_>) -> String {
    let place = case.place();
    match case.scope {
        Scope::Domain(_) => format!("refused {place}: a filter on the path, or another host there"),
        _ => format!("refused {place}: the service is down"),
    }
}

/// Connections to each address, by all sites that fail.
#[derive(Default)]
struct Tried {
    worked: bool,
    cause: Option<Cause>,
}

/// Some addresses answer and others, of the family that the check uses, do not. What the other family
/// does is no fault of this check: a probe without IPv6 finds all of IPv6 dead.
pub(super) fn addresses(case: &Case<'_>) -> Option<String> {
    let mut tried: BTreeMap<SocketAddr, Tried> = BTreeMap::new();
    for knock in case.found().flat_map(|found| &found.knocks) {
        let tried = tried.entry(knock.address).or_default();
        tried.worked |= knock.cause.is_none();
        tried.cause = tried.cause.or(knock.cause);
    }
    let is_own = |address: &SocketAddr| address.is_ipv4() == (case.family == Family::V4);
    let (alive, dead): (Vec<_>, Vec<_>) = tried.iter().partition(|(_, tried)| tried.worked);
    let dead: Vec<_> = dead.into_iter().filter(|(address, _)| is_own(address)).collect();
    let first = dead.first().filter(|_| !alive.is_empty())?;
    let (ip, does) = (first.0.ip(), verb(first.1.cause));
    if let Some(label) = odd_resolver(case, &alive, &dead) {
        return Some(format!("resolver {label} alone gives another answer, {ip}, which {does}"));
    }
    let all = dead.len() + alive.iter().filter(|(address, _)| is_own(address)).count();
    Some(match (dead.len(), case.family) {
        (some, Family::V4) if some == all => {
            format!("only IPv4 fails: A {ip} {does}, AAAA answers")
        }
        (some, Family::V6) if some == all => {
            format!("only IPv6 fails: AAAA {ip} {does}, A answers")
        }
        (1, _) => format!("one of {all} addresses is dead: {ip} {does}"),
        (some, _) => format!("{some} of {all} addresses are dead: {ip} {does}"),
    })
}

/// The resolver from which alone the dead addresses come, where the others give those that work.
fn odd_resolver<'a>(
    case: &Case<'a>,
    alive: &[(&SocketAddr, &Tried)],
    dead: &[(&SocketAddr, &Tried)],
) -> Option<&'a str> {
    let from = |some: &[(&SocketAddr, &Tried)]| -> BTreeSet<&'a str> {
        let ips: BTreeSet<IpAddr> = some.iter().map(|(address, _)| address.ip()).collect();
        let names = case.found().flat_map(|found| &found.names);
        let gives = names.filter(|asked| asked.addresses.iter().any(|ip| ips.contains(ip)));
        gives.map(|asked| asked.resolver.as_str()).collect()
    };
    let (odd, sound) = (from(dead), from(alive));
    let label = odd.first().filter(|_| odd.len() == 1)?;
    (!sound.is_empty() && !sound.contains(label)).then_some(label)
}

const fn verb(cause: Option<Cause>) -> &'static str {
    match cause {
        Some(Cause::Refused) => "refuses",
        Some(Cause::ConnectTimeout) => "is silent",
        Some(Cause::Unreachable) => "is not reached",
        Some(Cause::Reset) => "breaks off",
        Some(Cause::BlockedAddress) => "must not be tried",
        _ => "fails",
    }
}

/// No answer to datagrams: nobody says whether they have come.
pub(super) fn unanswered(case: &Case<'_>) -> String {
    path(case).unwrap_or_else(|| silent(case))
}

/// No answer, and nobody says how far the question came.
pub(super) fn silent(case: &Case<'_>) -> String {
    match case.scope {
        Scope::Domain(_) => format!("no answer {}: the path, or a filter there", case.place()),
        _ => format!("no answer {}: the service, the host or its network", case.place()),
    }
}

/// The ways of the sites that fail, as far as they were traced.
fn traced<'a>(case: &Case<'a>) -> Vec<&'a Path> {
    let paths = case.found().filter_map(|found| found.path.as_ref());
    paths.filter(|path| path.end != PathEnd::Untried).collect()
}

/// Whether all packets that were traced arrive.
pub(super) fn arrives(case: &Case<'_>) -> bool {
    traced(case).iter().all(|path| path.end == PathEnd::Reached)
}

/// Where the packets of the sites that fail end.
pub(super) fn path(case: &Case<'_>) -> Option<String> {
    let paths = traced(case);
    if paths.is_empty() {
        return None;
    }
    let place = case.place();
    if paths.iter().all(|path| path.end == PathEnd::Reached) {
        // Of requests for a connection: something at the port answers again.
        let is_answered = paths.iter().all(|path| path.port.is_some());
        return Some(match case.cause() {
            _ if case.spot.hears_datagrams() => {
                format!("no answer {place}, and the host answers echoes: the service, or a filter")
            }
            _ if is_answered => format!("no connection {place}, and the port answers again"),
            Some(Cause::Loss) => format!("echoes were lost {place}, and the host answers again"),
            _ => format!(
                "the host answers echoes and takes no connection {place}: a filter, or a full queue"
            ),
        });
    }
    if paths.iter().any(|path| path.end == PathEnd::Reached) {
        return Some(format!("some packets arrive and others do not {place}: the path"));
    }
    let lasts: BTreeSet<(u8, IpAddr)> = paths.iter().filter_map(|path| path.last()).collect();
    let ips: BTreeSet<IpAddr> = lasts.iter().map(|(_, ip)| *ip).collect();
    let (who, is_plural) = case.scope.who();
    let stops = if is_plural { "stop" } else { "stops" };
    let ttls: BTreeSet<u8> = lasts.iter().map(|(ttl, _)| *ttl).collect();
    Some(match (ips.first(), ttls.first()) {
        (Some(ip), Some(ttl)) if ips.len() == 1 && ttls.len() == 1 => {
            format!("{who} {stops} after hop {ttl} ({ip}): {}", blamed(case))
        }
        (Some(ip), _) if ips.len() == 1 => format!("{who} {stops} after {ip}: {}", blamed(case)),
        (Some(_), _) => format!("packets end at {} places {place}: {}", ips.len(), blamed(case)),
        _ => format!("no hop answers {place}: {}", blamed(case)),
    })
}

fn blamed(case: &Case<'_>) -> &'static str {
    match case.scope {
        Scope::Domain(_) => "the path, not the target",
        Scope::All(1) => "the path, or the target",
        Scope::All(_) => "the target, or the line to it",
        Scope::Some(..) => "a path that they share, or the target",
    }
}

/// Nothing was gathered about the way.
fn unexplained(case: &Case<'_>) -> String {
    let place = case.place();
    let what = match case.cause() {
        Some(Cause::Unreachable) => "no route",
        Some(Cause::Loss) => "echoes are lost",
        Some(Cause::ConnectTimeout) => "no connection",
        _ => "not reached",
    };
    match case.scope {
        Scope::Domain(_) => format!("{what} {place}: the path, not the target"),
        _ => format!("{what} {place}: the host or its network"),
    }
}
