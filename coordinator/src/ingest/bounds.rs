//! How large what a probe says may be. Ours keep to it by themselves; one that was broken into
//! must not fill the log, the state of every coordinator, and their connections to each other.

use crosscheck_model::evidence::REPORTED_LIMIT;
use crosscheck_model::observation::EXCERPT_LIMIT_BYTES;
use crosscheck_model::wire::{Fitness, Health, Hello, REPORT_LIMIT, Report};
use crosscheck_model::{Evidence, Outcome};

/// The longest text of an outcome, or of why a probe is unfit, in bytes.
const TEXT_LIMIT_BYTES: usize = 1024;
/// The longest name of a check with its customer's, in bytes; no configured one is longer.
const NAME_LIMIT_BYTES: usize = 1024;
/// The longest version of a probe's software, in bytes.
const VERSION_LIMIT_BYTES: usize = 64;
/// The longest address, in bytes: one of IPv6 with zone and port has about 70.
const ADDRESS_LIMIT_BYTES: usize = 128;
/// The most named values of an outcome.
const VALUES_LIMIT: usize = 64;
/// The longest name of a value, in bytes.
const VALUE_NAME_LIMIT_BYTES: usize = 64;

/// Cuts off what is too much of what a probe says of itself.
pub fn bound_hello(hello: &mut Hello) {
    cut(&mut hello.version, VERSION_LIMIT_BYTES);
}

/// Whether a report has no more observations than one may have.
pub fn fits(report: &Report) -> bool {
    report.observations.len() <= REPORT_LIMIT
}

/// Cuts off what is too much. Observations of checks that cannot exist go.
pub fn bound(report: &mut Report) {
    let Health { v4, v6, names } = &mut report.health;
    for fitness in [v4, v6, names] {
        if let Fitness::Unfit(why) = fitness {
            cut(why, TEXT_LIMIT_BYTES);
        }
    }
    report.evidence.truncate(REPORTED_LIMIT);
    report.evidence.retain(|evidence| evidence.check.as_str().len() <= NAME_LIMIT_BYTES);
    report.evidence.iter_mut().for_each(Evidence::bound);
    report.observations.retain(|seen| seen.check.as_str().len() <= NAME_LIMIT_BYTES);
    for observation in &mut report.observations {
        bound_outcome(&mut observation.outcome);
    }
}

fn bound_outcome(outcome: &mut Outcome) {
    cut(&mut outcome.detail, TEXT_LIMIT_BYTES);
    cut(&mut outcome.excerpt, EXCERPT_LIMIT_BYTES);
    if let Some(address) = &mut outcome.address {
        cut(address, ADDRESS_LIMIT_BYTES);
    }
    let mut room = VALUES_LIMIT;
    outcome.values.retain(|name, _| {
        let fits = name.len() <= VALUE_NAME_LIMIT_BYTES && room > 0;
        room -= usize::from(fits);
        fits
    });
}

fn cut(text: &mut String, limit: usize) {
    text.truncate(text.floor_char_boundary(limit));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crosscheck_model::observation::{Clock, Firmness, Observation, Trigger};
    use crosscheck_model::{Cause, CheckId, Status, Timestamp};

    use super::*;

    fn observation(check: String, outcome: Outcome) -> Observation {
        Observation {
            check: CheckId::new(check),
            rev: 1,
            boot: 1,
            seq: 1,
            started: Timestamp::ZERO,
            at: Timestamp::ZERO,
            clock: Clock::Leader,
            trigger: Trigger::Schedule,
            firmness: Firmness::Hard,
            failing_since: None,
            outcome,
        }
    }

    fn report(observations: Vec<Observation>) -> Report {
        let unfit = || Fitness::Unfit("ü".repeat(1_000_000));
        Report {
            probe: "p".into(),
            epoch: 1,
            seq: 1,
            echo: Timestamp::ZERO,
            health: Health { v4: unfit(), v6: unfit(), names: unfit() },
            observations,
            evidence: Vec::new(),
            spooled: 0,
            dropped: 0,
            running: 0,
        }
    }

    /// Evidence with far too much of everything.
    fn evidence(text: &str) -> Evidence {
        use crosscheck_model::Family;
        use crosscheck_model::evidence::{Found, Hop, Knock, Path, PathEnd, Resolution, Shown};
        use crosscheck_model::place::{About, Role, Way};
        let ip = std::net::IpAddr::from([192, 0, 2, 1]);
        let resolution = Resolution {
            resolver: text.to_owned(),
            name: text.to_owned(),
            family: Family::V4,
            addresses: vec![ip; 500],
            cause: None,
            took_us: 1,
        };
        let (from, until) = (Timestamp::ZERO, Timestamp::ZERO);
        let shown = Shown { subject: text.to_owned(), issuer: text.to_owned(), from, until };
        let hop = Hop { ttl: 1, address: Some(ip), sent: 2, lost: 0, took_us: 1 };
        let knock = Knock { address: (ip, 80).into(), cause: None, took_us: 1 };
        let about = About { role: Role::Target, way: Way::Tcp, place: text.to_owned() };
        let found = Found {
            about: Some(about),
            answer: text.repeat(10),
            names: vec![resolution; 20],
            knocks: vec![knock; 500],
            chain: vec![shown; 20],
            path: Some(Path { to: ip, port: None, hops: vec![hop; 500], end: PathEnd::Silent }),
            ..Found::default()
        };
        let (failing_since, at) = (Timestamp::ZERO, Timestamp::ZERO);
        Evidence { check: "c".into(), rev: 1, boot: 1, number: 1, failing_since, at, found }
    }

    #[test]
    fn nothing_of_a_report_is_larger_than_a_probe_of_ours_makes_it() {
        let huge = "ü".repeat(1_000_000);
        let mut outcome = Outcome::new(Status::Down, Some(Cause::Refused), huge.clone());
        outcome.excerpt = huge.clone();
        outcome.address = Some(huge.clone());
        outcome.values = (0..10_000).map(|n| (format!("v{n}"), 1.0)).collect();
        outcome.values.insert(huge.clone(), 1.0);
        let mut report =
            report(vec![observation("c".into(), outcome.clone()), observation(huge, outcome)]);
        report.evidence = vec![evidence(&"ü".repeat(1_000)); 20];
        bound(&mut report);
        assert_eq!(report.observations.len(), 1, "no check has such a name");
        let kept: usize = report.evidence.iter().map(Evidence::size).sum();
        assert!(kept < 8 * 7_000, "{kept}");
        report.evidence.clear();
        assert!(serde_json::to_vec(&report).expect("JSON").len() < 10_000);
    }

    #[test]
    fn what_is_usual_stays_as_it_is() {
        let mut outcome = Outcome::new(Status::Down, Some(Cause::Status), "status 500, wanted 200");
        outcome.duration = Duration::from_millis(12);
        outcome.excerpt = "x".repeat(EXCERPT_LIMIT_BYTES);
        outcome.address = Some("[2001:db8::1]:443".to_owned());
        outcome.values = [("status".to_owned(), 500.0)].into();
        let mut report = report(vec![observation("acme/shop".into(), outcome.clone())]);
        bound(&mut report);
        assert_eq!(report.observations[0].outcome, outcome);
    }
}
