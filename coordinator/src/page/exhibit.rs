//! What a site gathered about a failure, in lines that people read.

use std::time::Duration;

use crosscheck_core::State;
use crosscheck_core::incident::{Incident, Subject};
use crosscheck_model::evidence::{Found, Knock, Path, PathEnd, Resolution, Shown};
use crosscheck_model::place::About;
use crosscheck_model::{Cause, Evidence, ProbeId, Timestamp};

use super::text;

/// What one probe gathered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exhibit {
    /// The site.
    pub(crate) site: String,
    /// What was looked at, and what was seen.
    pub(crate) lines: Vec<(&'static str, String)>,
}

impl Exhibit {
    /// Everything that was gathered about an incident's check while it lasted.
    pub(crate) fn of(state: &State, incident: &Incident) -> Vec<Self> {
        let Subject::Check(check) = &incident.subject else { return Vec::new() };
        let until = incident.resolved_at.unwrap_or(Timestamp::from_millis(u64::MAX));
        let gathered = state.evidence_in(check, incident.first_failed_at, until);
        let mut all: Vec<_> = gathered
            .into_iter()
            .map(|(probe, evidence)| Self::new(state, probe, evidence))
            .collect();
        all.sort_by(|one, other| one.site.cmp(&other.site));
        all
    }

    fn new(state: &State, probe: &ProbeId, evidence: &Evidence) -> Self {
        let site = state.probes.get(probe).map_or(probe.as_str(), |known| known.site.as_str());
        let Found { about, names, knocks, chain, path, answer, .. } = &evidence.found;
        let mut lines: Vec<_> = about.iter().map(|about| ("Looked at", looked_at(about))).collect();
        lines.extend(names.iter().map(|name| ("Name", resolved(name))));
        lines.extend(knocks.iter().map(|knock| ("Connection", knocked(knock))));
        lines.extend(chain.iter().map(|shown| ("Certificate", certified(shown))));
        lines.extend(path.iter().map(|path| ("Path", walked(path))));
        let came = Some(text::quote_all(answer)).filter(|answer| !answer.is_empty());
        lines.extend(came.map(|answer| ("Answer", answer)));
        Self { site: text::quote(site), lines }
    }
}

fn looked_at(about: &About) -> String {
    format!("{}, {}", text::quote(&about.place), about.role.explain())
}

fn resolved(name: &Resolution) -> String {
    let answer = match name.cause {
        Some(cause) => cause.to_string(),
        None => name.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let (name, resolver) = (text::quote(&name.name), text::quote(&name.resolver));
    format!("{name} at {resolver}: {answer}")
}

fn knocked(knock: &Knock) -> String {
    let what = knock.cause.map_or("open", Cause::as_str);
    format!("{} {what}, {}", knock.address, took(knock.took_us))
}

fn certified(shown: &Shown) -> String {
    let until = shown.until.to_string();
    let day = until.get(..10).unwrap_or_default();
    format!("{}, by {}, until {day}", text::quote(&shown.subject), text::quote(&shown.issuer))
}

/// Hops with their times; silent ones as a star, loss where there was some.
fn walked(path: &Path) -> String {
    let hops: Vec<String> = path
        .hops
        .iter()
        .map(|hop| match hop.address {
            None => format!("{} *", hop.ttl),
            Some(ip) if hop.lost > 0 => {
                format!("{} {ip} {}, {} of {} lost", hop.ttl, took(hop.took_us), hop.lost, hop.sent)
            }
            Some(ip) => format!("{} {ip} {}", hop.ttl, took(hop.took_us)),
        })
        .collect();
    let end = match path.end {
        PathEnd::Reached => "reached",
        PathEnd::Turned => "turned away there",
        PathEnd::Silent => "then silence",
        PathEnd::Untried => "not traced: the probe may not send such packets (CAP_NET_RAW)",
    };
    let hops = if hops.is_empty() { path.to.to_string() } else { hops.join(" → ") };
    match path.port {
        Some(port) => format!("{hops}: {end} (by requests for port {port})"),
        None => format!("{hops}: {end}"),
    }
}

fn took(us: u32) -> String {
    format!("{:.1} ms", Duration::from_micros(us.into()).as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use crosscheck_model::evidence::Hop;
    use crosscheck_model::place::{Role, Way};

    use super::*;

    #[test]
    fn a_path_is_told_hop_by_hop() {
        let hop = |ttl, ip: Option<&str>, lost| Hop {
            ttl,
            address: ip.map(|ip| ip.parse().expect("an address")),
            sent: 2,
            lost,
            took_us: 1_250,
        };
        let to = "192.0.2.9".parse().expect("an address");
        let hops = vec![hop(1, Some("10.0.0.1"), 0), hop(2, None, 2), hop(3, Some("10.0.6.1"), 1)];
        let path = Path { to, port: None, hops, end: PathEnd::Silent };
        let wanted = "1 10.0.0.1 1.2 ms → 2 * → 3 10.0.6.1 1.2 ms, 1 of 2 lost: then silence";
        assert_eq!(walked(&path), wanted);
        let by_port = Path { port: Some(443), ..path };
        assert_eq!(walked(&by_port), format!("{wanted} (by requests for port 443)"));
        let none = Path { to, port: None, hops: Vec::new(), end: PathEnd::Untried };
        assert!(walked(&none).starts_with("192.0.2.9: not traced"), "{}", walked(&none));
    }

    #[test]
    fn what_came_back_is_one_harmless_line_and_the_place_is_named() {
        let (role, way) = (Role::Redirect, Way::Tcp);
        let about = About { role, way, place: "pay.example.com:443".to_owned() };
        let answer = format!("<script>\u{202e}\u{1b}[2J\n{}", "x".repeat(900));
        let found = Found { about: Some(about), answer, ..Found::default() };
        let (failing_since, at) = (Timestamp::ZERO, Timestamp::ZERO);
        let check = "c".into();
        let evidence = Evidence { check, rev: 1, boot: 1, number: 1, failing_since, at, found };
        let exhibit = Exhibit::new(&State::default(), &"p".into(), &evidence);
        let answer = format!("<script>[2J {}", "x".repeat(900));
        let place = "pay.example.com:443, where redirects lead".to_owned();
        assert_eq!(exhibit.lines, [("Looked at", place), ("Answer", answer)]);
    }
}
