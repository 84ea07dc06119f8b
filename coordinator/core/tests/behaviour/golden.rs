//! The stored and sent forms of commands, replies and the state, kept as text in `golden/`: a line
//! each, `LEVEL NAME HEX`. What a release has written, every later one must read and, while the
//! cluster is at that level, write. `outage.txt` is a cluster in the middle of one, with everything
//! that people configure and the core remembers.
//!
//! A failure here after a release says: give the new form a level (`crosscheck_core::level`), and
//! keep the old one. Before the first release, write the files anew:
//! `CROSSCHECK_GOLDEN=write cargo test -p crosscheck-core --test behaviour golden`.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::world::{Faults, World};
use crosscheck_core::command::{Enclosed, Reply, Stamped, Window};
use crosscheck_core::drill::Occasion;
use crosscheck_core::follower::Following;
use crosscheck_core::heartbeat::Standing;
use crosscheck_core::identity::Certified;
use crosscheck_core::operator::{Actor, NewToken, Role};
use crosscheck_core::outbox::{Key, SendResult};
use crosscheck_core::push::{PushReport, Stage};
use crosscheck_core::token::Grant;
use crosscheck_core::{Command, State, apply, snapshot};
use crosscheck_model::config::{Drill, Maintenance, Page, References, Site, Window as Planned};
use crosscheck_model::join::{Fingerprint, JoinRefusal};
use crosscheck_model::observation::{Clock, Firmness, Observation, Trigger};
use crosscheck_model::spec::{Push, Rule, SiteChoice, Source};
use crosscheck_model::wire::{Health, Hello, Receipt, Refusal, Report, Welcome};
use crosscheck_model::{
    Cause, CheckId, Config, IncidentId, Outcome, ProbeId, SiteId, Status, Timestamp,
};

const AT: Timestamp = Timestamp::from_millis(1_795_341_733_000);
const KEY: Key = Key([7; 16]);
const DIGEST: Fingerprint = Fingerprint([9; 32]);

/// What is kept under this name; `lines` write it anew where that is wanted.
#[expect(clippy::disallowed_methods, reason = "the core does no I/O; what is kept is a file")]
fn kept(name: &str, lines: impl FnOnce() -> String) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/behaviour/golden").join(name);
    if std::env::var_os("CROSSCHECK_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, lines()).expect("written");
    }
    std::fs::read_to_string(&path).expect("a golden file")
}

/// Compares lines with those that are kept.
fn holds(name: &str, lines: &str) {
    let kept = kept(name, || lines.to_owned());
    for (kept, now) in kept.lines().zip(lines.lines()) {
        assert_eq!(kept, now, "{name}: this is written otherwise than it was");
    }
    assert_eq!(kept.lines().count(), lines.lines().count(), "{name}: more or less than was kept");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("memory takes it");
        text
    })
}

fn config() -> Config {
    let site = Site { region: "cn-north".into(), carrier: "alpha".into() };
    Config { sites: [(SiteId::new("bj"), site)].into(), ..Config::default() }
}

fn hello() -> Hello {
    Hello {
        wire: 1,
        probe: ProbeId::new("p"),
        site: SiteId::new("bj"),
        boot: 77,
        version: "0.1.0".into(),
    }
}

fn report() -> Report {
    let mut outcome = Outcome::new(Status::Down, Some(Cause::Refused), "connection refused");
    outcome.duration = Duration::from_millis(12);
    let observation = Observation {
        check: CheckId::new("acme/shop"),
        rev: 3,
        boot: 77,
        seq: 12,
        started: AT.minus(Duration::from_millis(12)),
        at: AT,
        clock: Clock::Leader,
        trigger: Trigger::Retry,
        firmness: Firmness::Hard,
        failing_since: Some(AT.minus(Duration::from_secs(3))),
        outcome,
    };
    Report {
        probe: ProbeId::new("p"),
        epoch: 5,
        seq: 6,
        echo: AT,
        health: Health::UNTESTED,
        observations: vec![observation],
        evidence: Vec::new(),
        spooled: 1,
        dropped: 2,
        running: 3,
    }
}

fn actor() -> Actor {
    Actor { name: "li".into(), role: Role::Administrator, from: "10.0.0.9".into() }
}

/// One of each command, in the order of the variants.
#[expect(clippy::too_many_lines, reason = "one table")]
fn commands() -> Vec<(&'static str, Command)> {
    let by = || "li".to_owned();
    let probe = || ProbeId::new("p");
    let hour = Duration::from_secs(3600);
    let new = NewToken {
        id: "abc".into(),
        name: "li".into(),
        role: Role::Operator,
        customers: None,
        hash: "$argon2id$".into(),
        ttl: Some(hour),
        by: by(),
    };
    let window = Window { rule: 0, from: AT, to: AT.plus(hour) };
    let grant = Grant::Probe { site: SiteId::new("bj"), name: None };
    let enclosed = Enclosed::new(&Command::Revoke { probe: probe(), by: by() });
    vec![
        ("lead", Command::Lead { node: 1, term: 2, cluster: "c".into() }),
        ("tick", Command::Tick),
        ("configure", Command::Configure(Box::new(config()))),
        ("windows", Command::Windows { revision: 4, windows: vec![window] }),
        ("open", Command::Open(hello())),
        ("batch", Command::Batch(vec![report()])),
        ("claim", Command::Claim { key: KEY, term: 2, node: 1 }),
        (
            "settle",
            Command::Settle { key: KEY, attempt: 3, result: SendResult::Retry("450".into()) },
        ),
        (
            "acknowledge",
            Command::Acknowledge { incident: IncidentId(7), by: by(), note: "looking".into() },
        ),
        (
            "issue-join-token",
            Command::IssueJoinToken { token: DIGEST, grant, lifetime: hour, by: by() },
        ),
        (
            "enrol",
            Command::Enrol { token: DIGEST, probe: probe(), site: SiteId::new("bj"), key: DIGEST },
        ),
        ("renew", Command::Renew { probe: probe(), key: DIGEST }),
        ("open-as", Command::OpenAs { hello: hello(), key: DIGEST }),
        ("revoke", Command::Revoke { probe: probe(), by: by() }),
        ("enrol-member", Command::EnrolMember { token: DIGEST, key: DIGEST, above: 3 }),
        ("dismiss", Command::Dismiss { node: 3 }),
        ("disk", Command::Disk { node: 3, percent: 91 }),
        ("reinstate", Command::Reinstate { probe: probe(), by: by() }),
        ("act", Command::Act { actor: actor(), command: enclosed }),
        ("create-token", Command::CreateToken(new)),
        ("revoke-token", Command::RevokeToken { id: "abc".into() }),
        (
            "heartbeat",
            Command::Heartbeat {
                receiver: "cron".into(),
                standing: Standing::Unreachable { since: AT },
            },
        ),
        ("hand-over", Command::HandOver { to: 2 }),
        ("clock", Command::Clock { node: 2, off_ms: -6_000 }),
        (
            "push",
            Command::Push {
                token: DIGEST,
                report: PushReport {
                    stage: Stage::Ended(Status::Down),
                    took: Some(hour),
                    detail: "exit status 2".into(),
                    excerpt: "no space".into(),
                },
            },
        ),
        ("raise", Command::Raise { level: 2 }),
        ("release", Command::Release { key: KEY, attempt: 3 }),
        ("introduce", Command::Introduce { node: 1, key: DIGEST }),
        ("back-up", Command::BackUp { node: 2 }),
        ("follower", Command::Follower { node: 2, following: Following::Behind { since: AT } }),
        ("drill", Command::Drill(Occasion::Planned { drill: drill(), at: AT })),
        (
            "bounce",
            Command::Bounce {
                key: KEY,
                recipient: "li@example.com".into(),
                why: "550 5.1.1 no such user".into(),
            },
        ),
    ]
}

fn drill() -> Drill {
    let check = Some(CheckId::new("acme/shop"));
    Drill { check, days: vec![1, 7], minute: 540, zone: "Europe/Berlin".to_owned() }
}

fn replies() -> Vec<(&'static str, Reply)> {
    let certified = Certified {
        probe: ProbeId::new("p"),
        site: SiteId::new("bj"),
        serial: 4,
        from: AT,
        until: AT.plus(Duration::from_secs(3600)),
    };
    vec![
        ("done", Reply::Done),
        ("configured", Reply::Configured(4)),
        ("opened", Reply::Opened(Ok(Welcome { epoch: 5, now: AT }))),
        ("not-opened", Reply::Opened(Err(Refusal::UnknownSite(SiteId::new("sh"))))),
        ("batch", Reply::Batch(vec![Ok(Receipt { seq: 6, now: AT }), Err(Refusal::Unavailable)])),
        ("claimed", Reply::Claimed(3)),
        ("rejected", Reply::Rejected("no".into())),
        ("certified", Reply::Certified(Ok(certified))),
        ("member", Reply::Member(Ok(4))),
        ("drill", Reply::Drill(IncidentId(7))),
        ("no-member", Reply::Member(Err(JoinRefusal::UsedToken))),
    ]
}

#[test]
fn commands_have_the_form_that_they_were_written_in() {
    let mut lines = String::new();
    for (index, (name, command)) in (0_u8..).zip(commands()) {
        let stamped = Stamped { at: AT, command };
        let bytes = postcard::to_stdvec(&stamped).expect("encodes");
        let back: Stamped = postcard::from_bytes(&bytes).expect("decodes");
        assert_eq!(back, stamped, "{name}");
        // One of each, and none forgotten: variants are numbered in their order.
        let number = postcard::to_stdvec(&stamped.command).expect("encodes")[0];
        assert_eq!(number, index, "{name} stands at another place");
        writeln!(lines, "{} {name} {}", stamped.command.level(), hex(&bytes)).expect("memory");
    }
    let unknown = [u8::try_from(commands().len()).expect("few")];
    let none = postcard::from_bytes::<Command>(&unknown);
    assert!(none.is_err(), "a command without a golden line: {none:?}");
    holds("commands.txt", &lines);
}

#[test]
fn replies_have_the_form_that_they_were_sent_in() {
    let mut lines = String::new();
    for (name, reply) in replies() {
        let bytes = postcard::to_stdvec(&reply).expect("encodes");
        assert_eq!(postcard::from_bytes::<Reply>(&bytes).expect("decodes"), reply, "{name}");
        writeln!(lines, "1 {name} {}", hex(&bytes)).expect("memory");
    }
    holds("replies.txt", &lines);
}

/// A state in which each of the commands above has been carried out.
fn state() -> State {
    let mut state = State::default();
    for (_, command) in commands() {
        apply(&mut state, AT, command);
    }
    state
}

#[test]
fn the_state_has_the_form_that_it_was_written_in() {
    let bytes = snapshot::encode(&state()).expect("encodes");
    assert_eq!(bytes[0], 2, "the cluster's level, which a command has raised");
    assert_eq!(snapshot::decode(&bytes).expect("decodes"), state());
    holds("state.txt", &format!("2 state {}\n", hex(&bytes)));
    let newer = snapshot::decode(&[3]).expect_err("a newer program's").to_string();
    assert!(newer.contains("update crosscheck"), "{newer}");
    assert!(matches!(snapshot::decode(&[]), Err(snapshot::SnapshotError::Empty)));
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal")).collect()
}

/// Something of everything that people configure.
fn everything() -> Config {
    let mut config = crate::world::config("AABBC", 4);
    let [shop, average, picked, job] = &mut config.checks[..] else { panic!("four checks") };
    shop.customer = Some("acme".into());
    shop.runbook = Some("https://wiki.example.com/shop".to_owned());
    average.rule = Rule::Average {
        value: "disk_percent".to_owned(),
        over: Duration::from_secs(300),
        above_milli: 20_000,
    };
    picked.sites = SiteChoice::Pick { count: 3, region: Some("r1".to_owned()) };
    job.source = Source::Push(Push {
        every: Duration::from_secs(3600),
        grace: Duration::from_secs(600),
        at_most: Some(Duration::from_secs(60)),
        token: DIGEST,
    });
    config.pages = [(
        "shop".to_owned(),
        Page { title: "Shop".to_owned(), checks: vec![config.checks[0].id.clone()] },
    )]
    .into();
    let rule = |when| Maintenance {
        checks: vec!["check 1".to_owned()],
        customer: Some("acme".into()),
        when,
        zone: "Europe/Berlin".to_owned(),
        reason: "release".to_owned(),
    };
    let (from, to) = ("2031-01-01T01:00".to_owned(), "2031-01-01T02:00".to_owned());
    config.maintenance = vec![
        rule(Planned::Every { days: vec![1, 7], from_minute: 60, to_minute: 90 }),
        rule(Planned::Once { from, to }),
    ];
    config.drills = vec![drill(), Drill { check: None, ..drill() }];
    config.references = References {
        v4: vec!["192.0.2.1:443".to_owned()],
        v6: vec!["[2001:db8::1]:443".to_owned()],
        names: vec!["www.example.com".to_owned()],
        resolvers: vec!["192.0.2.53:53".to_owned()],
        must_fail: Some("192.0.2.9:443".to_owned()),
        every: Duration::from_secs(15),
    };
    config.public_url = Some("https://status.example.com".to_owned());
    config
}

/// An outage with its mails under way, a probe that is gone, and evidence.
fn outage() -> String {
    let mut world = World::new(7, everything(), Faults::NONE);
    world.seconds(90);
    (world.probes[4].out, world.faults.mail) = (false, 1_000);
    world.set_down(0, true);
    world.seconds(200);
    let state = &world.state;
    assert!(!state.incidents.is_empty() && !state.outbox.is_empty());
    assert!(state.checks.values().any(|check| check.votes.len() > 3));
    let configure = Stamped { at: AT, command: Command::Configure(Box::new(everything())) };
    let configure = postcard::to_stdvec(&configure).expect("encodes");
    let level = state.level;
    let state = snapshot::encode(state).expect("encodes");
    format!("1 configure {}\n{level} state {}\n", hex(&configure), hex(&state))
}

#[test]
fn a_cluster_in_an_outage_is_read_and_written_as_it_was() {
    let kept = kept("outage.txt", outage);
    for line in kept.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, name, bytes] = words[..] else { panic!("LEVEL NAME HEX: {line}") };
        let bytes = unhex(bytes);
        let again = match name {
            "configure" => {
                let stamped: Stamped = postcard::from_bytes(&bytes).expect("decodes");
                let config = Command::Configure(Box::new(everything()));
                assert_eq!(stamped.command, config, "another configuration");
                postcard::to_stdvec(&stamped).expect("encodes")
            }
            "state" => {
                let state = snapshot::decode(&bytes).expect("decodes");
                assert!(!state.incidents.is_empty() && !state.outbox.is_empty());
                snapshot::encode(&state).expect("encodes")
            }
            other => panic!("what is `{other}`?"),
        };
        assert_eq!(again, bytes, "{name}: this is written otherwise than it was");
    }
    assert_eq!(kept.lines().count(), 2);
}
