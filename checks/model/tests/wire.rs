//! What probes and coordinators say to each other, kept as text in `golden/wire.txt`: a line each,
//! `NAME JSON`. A probe of an earlier release must be understood by later coordinators, and
//! understand them, as long as they speak its version of the wire.
//!
//! Fields may be added where a reader that does not know them passes over them; what changes a line
//! otherwise needs a new `WIRE_VERSION`. Before the first release, write the file anew:
//! `CROSSCHECK_GOLDEN=write cargo test -p crosscheck-model --test wire`.

use std::fmt::{Debug, Write};
use std::path::PathBuf;
use std::time::Duration;

use crosscheck_model::config::References;
use crosscheck_model::evidence::{Found, Hop, Knock, Path, PathEnd, PhaseTimes, Resolution, Shown};
use crosscheck_model::join::{JoinProbe, JoinRefusal, Joined, Renew};
use crosscheck_model::observation::{Clock, Firmness, Observation, Phase, Trigger};
use crosscheck_model::place::{About, Role, Way};
use crosscheck_model::spec::{Rule, Schedule, SiteChoice, Source};
use crosscheck_model::wire::{
    Assigned, Assignment, Fitness, Health, Hello, Order, Receipt, Refusal, Report, Welcome,
};
use crosscheck_model::{
    Cause, CheckId, CheckSpec, Evidence, Family, Outcome, ProbeId, Severity, SiteId, SiteQuorum,
    Status, Timestamp,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

const AT: Timestamp = Timestamp::from_millis(1_795_341_733_000);

/// Adds a line, and reads it again.
fn line<T>(lines: &mut String, name: &str, value: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let json = serde_json::to_string(value).expect("JSON");
    let back: T = serde_json::from_str(&json).expect("read again");
    assert_eq!(&back, value, "{name}");
    writeln!(lines, "{name} {json}").expect("memory takes it");
}

fn spec() -> CheckSpec {
    let second = Duration::from_secs(1);
    CheckSpec {
        id: "acme/shop".into(),
        name: "shop".into(),
        customer: Some("acme".into()),
        kind: "tcp".into(),
        settings: "{}".into(),
        target: "192.0.2.1:80".into(),
        family: Family::V4,
        schedule: Schedule {
            interval: 60 * second,
            retry_interval: 30 * second,
            timeout: 10 * second,
            attempts: 2,
            attempt_gap: 3 * second,
        },
        rule: Rule::Average { value: "loss".into(), over: 300 * second, above_milli: 20_000 },
        recovery_hold: 60 * second,
        severity: Severity::High,
        source: Source::Probes,
        sites: SiteChoice::Pick { count: 5, region: Some("cn-*".into()) },
        quorum: SiteQuorum::Diverse,
        runbook: Some("call li".into()),
        depends_on: vec![CheckId::new("line")],
    }
}

fn evidence() -> Evidence {
    let address = "192.0.2.1".parse().expect("an address");
    let hop = |ttl, address| Hop { ttl, address, sent: 3, lost: 1, took_us: 900 };
    let about = About { role: Role::Redirect, way: Way::Tcp, place: "shop.example.com:443".into() };
    let found = Found {
        cause: Some(Cause::Refused),
        about: Some(about),
        names: vec![Resolution {
            resolver: "system".into(),
            name: "shop.example.com".into(),
            family: Family::V4,
            addresses: vec![address],
            cause: None,
            took_us: 1_200,
        }],
        knocks: vec![Knock {
            address: "192.0.2.1:443".parse().expect("an address"),
            cause: Some(Cause::Refused),
            took_us: 300,
        }],
        chain: vec![Shown {
            subject: "shop.example.com".into(),
            issuer: "an authority".into(),
            from: AT,
            until: AT,
        }],
        path: Some(Path {
            to: address,
            port: Some(443),
            hops: vec![hop(1, Some(address)), hop(2, None)],
            end: PathEnd::Turned,
        }),
        phases_us: PhaseTimes([1, 2, 3, 4, 5, 6]),
        usual_us: PhaseTimes([6, 5, 4, 3, 2, 1]),
        answer: "<h1>gone".into(),
    };
    Evidence {
        check: "acme/shop".into(),
        rev: 3,
        boot: 77,
        number: 2,
        failing_since: AT,
        at: AT,
        found,
    }
}

fn report() -> Report {
    let mut outcome = Outcome::new(Status::Down, Some(Cause::Refused), "connection refused");
    outcome.duration = Duration::from_millis(12);
    outcome.phases.add(Phase::Connect, Duration::from_millis(11));
    outcome.values = [("loss".to_owned(), 12.5)].into();
    let observation = Observation {
        check: CheckId::new("acme/shop"),
        rev: 3,
        boot: 77,
        seq: 12,
        started: AT.minus(Duration::from_millis(12)),
        at: AT,
        clock: Clock::Leader,
        trigger: Trigger::Confirm,
        firmness: Firmness::Hard,
        failing_since: Some(AT),
        outcome,
    };
    let health =
        Health { v4: Fitness::Fit, v6: Fitness::Untested, names: Fitness::Unfit("none".into()) };
    Report {
        probe: ProbeId::new("p"),
        epoch: 5,
        seq: 6,
        echo: AT,
        health,
        observations: vec![observation],
        evidence: vec![evidence()],
        spooled: 1,
        dropped: 2,
        running: 3,
    }
}

/// The same of a message that does not compare itself.
fn secret<T: Serialize + DeserializeOwned>(lines: &mut String, name: &str, value: &T) {
    let json = serde_json::to_string(value).expect("JSON");
    let back: T = serde_json::from_str(&json).expect("read again");
    assert_eq!(serde_json::to_string(&back).expect("JSON"), json, "{name}");
    writeln!(lines, "{name} {json}").expect("memory takes it");
}

/// How a probe joins, and renews its certificate.
fn join(lines: &mut String) {
    let request = "a signing request".to_owned();
    let asked = JoinProbe {
        token: "xcjoin-..".into(),
        probe: ProbeId::new("p"),
        site: SiteId::new("bj"),
        request: request.clone(),
    };
    secret(lines, "join", &asked);
    secret(lines, "renew", &Renew { request });
    let joined = Joined {
        certificate: "a certificate".into(),
        authority: "another".into(),
        until: AT,
        now: AT,
    };
    secret(lines, "joined", &joined);
    for refusal in [
        JoinRefusal::UnknownToken,
        JoinRefusal::UsedToken,
        JoinRefusal::ExpiredToken { at: AT },
        JoinRefusal::WrongKind { granted: "a coordinator".into() },
        JoinRefusal::WrongSite { granted: "bj".into() },
        JoinRefusal::WrongName { granted: "p".into() },
        JoinRefusal::UnknownSite("sh".into()),
        JoinRefusal::NameTaken("p".into()),
        JoinRefusal::BadName("too long".into()),
        JoinRefusal::BadRequest("no key".into()),
        JoinRefusal::NotAdmitted("p".into()),
        JoinRefusal::Unavailable,
    ] {
        line(lines, "join-refusal", &refusal);
    }
}

#[test]
fn messages_have_the_form_that_they_were_sent_in() {
    let mut lines = String::new();
    let hello = Hello {
        wire: 1,
        probe: ProbeId::new("p"),
        site: SiteId::new("bj"),
        boot: 77,
        version: "0.1.0".into(),
    };
    let references = References { v4: vec!["192.0.2.1:53".into()], ..References::default() };
    let checks = vec![Assigned { rev: 3, spec: spec() }];
    line(&mut lines, "hello", &hello);
    line(&mut lines, "welcome", &Welcome { epoch: 5, now: AT });
    line(&mut lines, "report", &report());
    line(&mut lines, "receipt", &Receipt { seq: 6, now: AT });
    for order in [
        Order::Heartbeat { now: AT },
        Order::Assignment(Box::new(Assignment { revision: 4, checks, references })),
        Order::Confirm { check: "acme/shop".into(), nonce: 9 },
        Order::Renew,
    ] {
        line(&mut lines, "order", &order);
    }
    for refusal in [
        Refusal::UnknownSession,
        Refusal::UnknownSite("sh".into()),
        Refusal::Version { wanted: 1 },
        Refusal::Forbidden,
        Refusal::Unavailable,
    ] {
        line(&mut lines, "refusal", &refusal);
    }
    join(&mut lines);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wire.txt");
    if std::env::var_os("CROSSCHECK_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, &lines).expect("written");
    }
    let kept = std::fs::read_to_string(&path).expect("the golden file");
    for (kept, now) in kept.lines().zip(lines.lines()) {
        assert_eq!(kept, now, "this is sent otherwise than it was");
    }
    assert_eq!(kept.lines().count(), lines.lines().count());
}
