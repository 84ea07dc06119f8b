//! What a fault looks like, in one sentence: the causes that the sites give and the evidence that
//! they gathered, compared. Pure; it decides nothing.
//!
//! A sentence says only what follows from what was seen. Where the sites' evidence contradicts
//! itself or there is none, it says less.

mod names;
mod reach;
mod slow;
mod spot;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::BTreeMap;

use crosscheck_model::evidence::Found;
use crosscheck_model::place::Role;
use crosscheck_model::{Cause, Family, Status, Timestamp};

use self::spot::Spot;

/// What one site says of a check, and what it gathered.
#[derive(Clone, Debug)]
pub struct Witness<'a> {
    /// The site.
    pub site: &'a str,
    /// Its region.
    pub region: &'a str,
    /// Its carrier.
    pub carrier: &'a str,
    /// What it says.
    pub status: Status,
    /// Why.
    pub cause: Option<Cause>,
    /// In the probe's words.
    pub detail: &'a str,
    /// What it gathered in this episode of failure.
    pub found: Option<&'a Found>,
}

/// What the fault looks like, as a lowercase fragment; `None` when no site fails. The witnesses
/// are the sites that have an opinion, over the check's `family`; `since` is when the first failing
/// run began.
pub fn finding(witnesses: &[Witness<'_>], family: Family, since: Timestamp) -> Option<String> {
    let case = Case::of(witnesses, family, since)?;
    let classes: Vec<Class> = case.failing.iter().filter_map(|w| w.cause).map(class).collect();
    let class = classes.first().copied()?;
    if classes.iter().any(|other| *other != class) {
        return Some(case.mixed());
    }
    Some(match class {
        Class::Slow => slow::sentence(&case),
        Class::Unwanted => case.unwanted(),
        Class::Application => case.application(),
        Class::Names if case.spot.role() == Role::NameServer => names::at_server(&case),
        _ if case.spot == Spot::Different => case.scattered(),
        _ => format!("{}{}", case.spot.preface(), at_one_place(&case, class)),
    })
}

/// What does not work at the place that the evidence is about.
fn at_one_place(case: &Case<'_>, class: Class) -> String {
    match class {
        Class::Names => names::sentence(case),
        Class::Hang => case.hangs(),
        Class::Trust => trust::sentence(case),
        _ => reach::sentence(case, class),
    }
}

/// Causes that point into the same direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Names,
    Path,
    Refused,
    Reset,
    Hang,
    Trust,
    Slow,
    /// What must not be there is.
    Unwanted,
    Application,
}

const fn class(cause: Cause) -> Class {
    match cause {
        Cause::DnsNxdomain
        | Cause::DnsNoAddress
        | Cause::DnsServfail
        | Cause::DnsRefused
        | Cause::DnsTimeout => Class::Names,
        Cause::Unreachable | Cause::ConnectTimeout | Cause::Loss => Class::Path,
        Cause::Refused => Class::Refused,
        Cause::Reset => Class::Reset,
        Cause::TlsTimeout
        | Cause::SendTimeout
        | Cause::FirstByteTimeout
        | Cause::TransferTimeout => Class::Hang,
        Cause::TlsUntrusted | Cause::TlsName | Cause::TlsExpired | Cause::CertificateExpiring => {
            Class::Trust
        }
        Cause::Slow => Class::Slow,
        Cause::Answers => Class::Unwanted,
        _ => Class::Application,
    }
}

/// Where a fault is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    /// Everywhere: from so many sites.
    All(usize),
    /// In one site, carrier or region, and nowhere else: its name.
    Domain(String),
    /// From so many of so many sites.
    Some(usize, usize),
}

impl Scope {
    fn of(failing: &[&Witness<'_>], all: usize, well: &[&Witness<'_>]) -> Self {
        if failing.len() == all {
            return Self::All(all);
        }
        if let [only] = failing {
            return Self::Domain(format!("site {}", only.site));
        }
        let shared = |of: for<'w> fn(&Witness<'w>) -> &'w str, what: &str| {
            let name = of(failing[0]);
            let inside = failing.iter().all(|witness| of(witness) == name);
            let outside = well.iter().all(|witness| of(witness) != name);
            (inside && outside).then(|| Self::Domain(format!("{what} {name}")))
        };
        shared(|witness| witness.carrier, "carrier")
            .or_else(|| shared(|witness| witness.region, "region"))
            .unwrap_or(Self::Some(failing.len(), all))
    }

    /// `at all 5 sites`, `only from carrier alpha`.
    fn place(&self) -> String {
        match self {
            Self::All(1) => "at the only site".to_owned(),
            Self::All(count) => format!("at all {count} sites"),
            Self::Domain(name) => format!("only from {name}"),
            Self::Some(some, all) => format!("at {some} of {all} sites"),
        }
    }

    /// `all 5 sites`, `all of carrier alpha`, and whether it takes a plural verb.
    fn who(&self) -> (String, bool) {
        match self {
            Self::All(1) => ("the only site".to_owned(), false),
            Self::All(count) => (format!("all {count} sites"), true),
            Self::Domain(name) if name.starts_with("site ") => (name.clone(), false),
            Self::Domain(name) => (format!("all of {name}"), false),
            Self::Some(some, all) => (format!("{some} of {all} sites"), *some != 1),
        }
    }
}

/// The sites that fail, compared with the others.
struct Case<'a> {
    failing: Vec<&'a Witness<'a>>,
    scope: Scope,
    spot: Spot<'a>,
    family: Family,
    since: Timestamp,
}

impl<'a> Case<'a> {
    fn of(witnesses: &'a [Witness<'a>], family: Family, since: Timestamp) -> Option<Self> {
        let are = |status| move |witness: &&Witness<'_>| witness.status == status;
        let down: Vec<_> = witnesses.iter().filter(are(Status::Down)).collect();
        let failing = if down.is_empty() {
            witnesses.iter().filter(are(Status::Degraded)).collect()
        } else {
            down
        };
        if failing.is_empty() {
            return None;
        }
        let well: Vec<_> = witnesses.iter().filter(are(Status::Up)).collect();
        let heard = witnesses.iter().filter(|witness| witness.status != Status::Unknown).count();
        let scope = Scope::of(&failing, heard, &well);
        let spot = Spot::of(&failing);
        Some(Self { failing, scope, spot, family, since })
    }

    /// What the failing sites gathered that explains why they fail.
    fn found(&self) -> impl Iterator<Item = &'a Found> {
        let explains = self.spot.explains();
        self.gathered().filter(move |_| explains)
    }

    /// What the failing sites gathered about such a failure, wherever that was.
    fn gathered(&self) -> impl Iterator<Item = &'a Found> {
        self.failing.iter().filter(|witness| spot::fits(witness)).filter_map(|w| w.found)
    }

    fn place(&self) -> String {
        self.scope.place()
    }

    /// `10:02`, in UTC.
    fn clock(&self) -> String {
        self.since.to_string().get(11..16).unwrap_or_default().to_owned()
    }

    /// The cause that all give.
    fn cause(&self) -> Option<Cause> {
        let first = self.failing.first()?.cause;
        self.failing.iter().all(|witness| witness.cause == first).then_some(first).flatten()
    }

    fn hangs(&self) -> String {
        let place = self.place();
        match self.cause() {
            _ if self.spot.hears_datagrams() => reach::unanswered(self),
            Some(Cause::TlsTimeout) => {
                format!("TLS handshakes do not end {place}: the server hangs")
            }
            Some(Cause::SendTimeout) => format!("requests are not taken {place}: the server hangs"),
            Some(Cause::TransferTimeout) => {
                format!("answers begin and do not end {place}: the application, or the line")
            }
            // Whoever speaks by datagrams has connected to nobody, and fails in the same words.
            _ if !self.spot.is_said() => reach::silent(self),
            _ => format!("connects and does not answer {place}: the application hangs"),
        }
    }

    /// Of checks turned round.
    fn unwanted(&self) -> String {
        let place = self.place();
        match &self.scope {
            Scope::Domain(_) => format!("answers {place}, and must not: a filter lets it through"),
            _ => format!("answers {place}, and must not: it is open"),
        }
    }

    fn application(&self) -> String {
        let said = |witness: &Witness<'_>| clause(witness.detail).to_owned();
        let first = self.failing.first().map(|witness| said(witness)).unwrap_or_default();
        let in_common = self.failing.iter().all(|witness| said(witness) == first);
        let what = match self.cause() {
            _ if in_common && !first.is_empty() => first,
            Some(cause) => plain(cause),
            None => return self.mixed(),
        };
        let place = self.place();
        let whose = match (&self.scope, self.spot.role()) {
            (Scope::Domain(_), _) => "another answer is served there",
            (_, Role::Proxy) => "the application, or the proxy",
            (_, Role::TokenEndpoint) => "the token endpoint",
            // It is asked about something else, and says how that is.
            (_, Role::NameServer | Role::Registry) => return format!("{what} {place}"),
            _ => "the application",
        };
        format!("{what} {place}: {whose}")
    }

    /// The same at places that differ from site to site.
    fn scattered(&self) -> String {
        match self.cause() {
            Some(cause) => format!("{} {}, at different places", plain(cause), self.place()),
            None => self.mixed(),
        }
    }

    /// Different causes, most frequent first.
    fn mixed(&self) -> String {
        let mut counts: BTreeMap<Cause, usize> = BTreeMap::new();
        for cause in self.failing.iter().filter_map(|witness| witness.cause) {
            *counts.entry(cause).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(cause, count)| (std::cmp::Reverse(*count), *cause));
        let causes: Vec<_> =
            counts.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        format!("fails {} for different causes ({})", self.place(), causes.join(", "))
    }
}

/// The first part of a detail: `status 503` of `status 503, wanted 200-299`.
fn clause(detail: &str) -> &str {
    /// What is longer is no clause to be read at a glance.
    const LIMIT_BYTES: usize = 60;
    let end = detail.find([',', ';', '(']).unwrap_or(detail.len());
    let clause = detail[..end].trim_end();
    if clause.len() <= LIMIT_BYTES { clause } else { "" }
}

/// A cause's sentence as part of another.
pub(crate) fn plain(cause: Cause) -> String {
    let text = cause.explain().trim_end_matches('.');
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}
