//! A name that does not resolve: everywhere, or by one resolver alone.

use std::collections::{BTreeMap, BTreeSet};

use crosscheck_model::Cause;

use super::{Case, Scope, plain, reach};

pub(super) fn sentence(case: &Case<'_>) -> String {
    let name = case.found().flat_map(|found| &found.names).map(|asked| asked.name.as_str()).next();
    let resolvers = resolvers(case);
    let failing: Vec<_> =
        resolvers.iter().filter_map(|(label, why)| Some((label, (*why)?))).collect();
    let cause = case.cause();
    match (failing.as_slice(), name) {
        ([(label, cause)], Some(name)) if resolvers.len() > 1 => {
            format!(
                "resolver {label} alone does not resolve {name} ({}): the others do",
                word(*cause)
            )
        }
        (some, Some(name)) if !some.is_empty() && some.len() < resolvers.len() => {
            format!("{} of {} resolvers do not resolve {name}", some.len(), resolvers.len())
        }
        ([], Some(name)) if !resolvers.is_empty() => {
            format!("{name} did not resolve {}, and resolves again", case.place())
        }
        (_, name) => everywhere(case, cause, name),
    }
}

/// A name server that is checked: what it says of the name that it was asked for, and whether others
/// say something else.
pub(super) fn at_server(case: &Case<'_>) -> String {
    let (place, clock) = (case.place(), case.clock());
    let who = match case.spot.name() {
        Some(name) => format!("name server {name}"),
        None => "the name server".to_owned(),
    };
    let cause = case.cause();
    if cause == Some(Cause::DnsTimeout) {
        return match reach::path(case) {
            Some(_) if reach::arrives(case) => {
                format!("{who} does not answer {place}, and its host answers echoes")
            }
            Some(path) => format!("{who} does not answer: {path}"),
            None => format!("{who} does not answer {place} since {clock}"),
        };
    }
    if let (Some(cause), Some(name)) = (cause, known_elsewhere(case)) {
        let word = word(cause);
        return format!("{who} does not resolve {name} ({word}) {place}: other resolvers do");
    }
    let what = match cause {
        Some(Cause::DnsNxdomain) => "knows no such name",
        Some(Cause::DnsNoAddress) => "has no address for the name",
        Some(Cause::DnsServfail) => "answers SERVFAIL",
        Some(Cause::DnsRefused) => "refuses the question",
        _ => "gives no address",
    };
    format!("{who} {what} {place} since {clock}")
}

/// The name that was asked for, if any resolver has an address for it. What the server itself is
/// called is another name.
fn known_elsewhere<'a>(case: &Case<'a>) -> Option<&'a str> {
    case.gathered().find_map(|found| {
        let server = found.about.as_ref().map_or("", |about| about.place.as_str());
        let mut asked = found.names.iter().filter(|asked| !server.starts_with(&asked.name));
        let known = asked.find(|asked| !asked.addresses.is_empty());
        known.map(|asked| asked.name.as_str())
    })
}

/// No resolver knows it, as far as was seen.
fn everywhere(case: &Case<'_>, cause: Option<Cause>, name: Option<&str>) -> String {
    let (clock, place) = (case.clock(), case.place());
    if let Scope::Domain(_) = case.scope {
        return format!("the name does not resolve {place}: the name servers there");
    }
    let what = name.unwrap_or("the name");
    let place = if name.is_some() { "at any resolver".to_owned() } else { place };
    match cause {
        Some(Cause::DnsNxdomain) => format!("{what} does not exist {place} since {clock}"),
        Some(Cause::DnsNoAddress) => format!("{what} has no address {place} since {clock}"),
        Some(Cause::DnsTimeout) => {
            format!("no name server answers {} since {clock}", case.place())
        }
        Some(cause) if name.is_none() => format!("{} {place} since {clock}", plain(cause)),
        _ => format!("{what} does not resolve {place} since {clock}"),
    }
}

/// Each resolver that was asked, with why it gave no address.
fn resolvers<'a>(case: &Case<'a>) -> BTreeMap<&'a str, Option<Cause>> {
    let mut resolvers: BTreeMap<&str, Option<Cause>> = BTreeMap::new();
    let mut knows: BTreeSet<&str> = BTreeSet::new();
    for asked in case.found().flat_map(|found| &found.names) {
        if !asked.addresses.is_empty() {
            knows.insert(&asked.resolver);
        }
        let why = resolvers.entry(&asked.resolver).or_insert(asked.cause);
        *why = why.or(asked.cause);
    }
    for (label, why) in &mut resolvers {
        if knows.contains(label) {
            *why = None;
        }
    }
    resolvers
}

const fn word(cause: Cause) -> &'static str {
    match cause {
        Cause::DnsNxdomain => "NXDOMAIN",
        Cause::DnsServfail => "SERVFAIL",
        Cause::DnsRefused => "REFUSED",
        Cause::DnsNoAddress => "no address",
        _ => "no answer",
    }
}
