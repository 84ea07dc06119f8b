//! Who may come in: tokens, identities, revocation; one story each, then random ones.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_core::command::Reply;
use crosscheck_core::identity::{CERTIFICATE_LIFETIME, Certified};
use crosscheck_core::token::{Grant, LONGEST_LIFETIME};
use crosscheck_core::{Command, State, apply, snapshot};
use crosscheck_model::config::Site;
use crosscheck_model::join::{Fingerprint, JoinRefusal};
use crosscheck_model::wire::{Health, Hello, Refusal, Report, WIRE_VERSION, Welcome};
use crosscheck_model::{Config, ProbeId, SiteId, Timestamp};
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

/// The digest of a token or of a key.
const fn digest(number: u8) -> Fingerprint {
    Fingerprint([number; 32])
}

struct Door {
    state: State,
    now: Timestamp,
}

impl Door {
    /// Two sites, and nothing to check.
    fn new() -> Self {
        let place = || Site { region: "r".to_owned(), carrier: "c".to_owned() };
        let sites = ["here", "there"].map(|site| (SiteId::new(site), place()));
        let mut door = Self { state: State::default(), now: START };
        let config = Config { sites: BTreeMap::from(sites), ..Config::default() };
        door.ask(Command::Configure(Box::new(config)));
        door
    }

    fn ask(&mut self, command: Command) -> Reply {
        apply(&mut self.state, self.now, command).reply
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        // The first tick keeps house.
        self.ask(Command::Tick);
    }

    fn issue(&mut self, token: u8, grant: Grant) -> Reply {
        let by = "ada".to_owned();
        self.ask(Command::IssueJoinToken { token: digest(token), grant, lifetime: HOUR, by })
    }

    fn issued(token: u8, grant: Grant) -> Self {
        let mut door = Self::new();
        assert_eq!(door.issue(token, grant), Reply::Done);
        door
    }

    /// A probe has joined as `p`, here, by token 1 with key 1.
    fn joined() -> Self {
        let mut door = Self::issued(1, at("here"));
        door.enrol(1, "p", "here", 1).expect("let in");
        door
    }

    fn enrol(
        &mut self,
        token: u8,
        probe: &str,
        site: &str,
        key: u8,
    ) -> Result<Certified, JoinRefusal> {
        let (probe, site) = (probe.into(), site.into());
        let command = Command::Enrol { token: digest(token), probe, site, key: digest(key) };
        let Reply::Certified(answer) = self.ask(command) else { panic!("another reply") };
        answer
    }

    fn open(&mut self, probe: &str, site: &str, key: Option<u8>) -> Result<Welcome, Refusal> {
        let (probe, site) = (ProbeId::new(probe), SiteId::new(site));
        let version = "test".to_owned();
        let hello = Hello { wire: WIRE_VERSION, probe, site, boot: 1, version };
        let reply = match key {
            Some(key) => self.ask(Command::OpenAs { hello, key: digest(key) }),
            None => self.ask(Command::Open(hello)),
        };
        let Reply::Opened(answer) = reply else { panic!("another reply") };
        answer
    }

    fn renew(&mut self, probe: &str, key: u8) -> Result<Certified, JoinRefusal> {
        let command = Command::Renew { probe: probe.into(), key: digest(key) };
        let Reply::Certified(answer) = self.ask(command) else { panic!("another reply") };
        answer
    }

    fn revoke(&mut self, probe: &str) -> Reply {
        self.ask(Command::Revoke { probe: probe.into(), by: "ada".to_owned() })
    }

    fn report(&mut self, probe: &str, epoch: u64) -> bool {
        let report = Report {
            probe: probe.into(),
            epoch,
            seq: self.now.as_millis(),
            echo: self.now,
            health: Health::UNTESTED,
            observations: Vec::new(),
            evidence: Vec::new(),
            spooled: 0,
            dropped: 0,
            running: 0,
        };
        let Reply::Batch(answers) = self.ask(Command::Batch(vec![report])) else {
            panic!("another reply")
        };
        answers[0].is_ok()
    }
}

fn at(site: &str) -> Grant {
    Grant::Probe { site: site.into(), name: None }
}

fn named(site: &str, name: &str) -> Grant {
    Grant::Probe { site: site.into(), name: Some(name.into()) }
}

#[test]
fn a_token_lets_in_one_key_and_answers_it_again() {
    let mut door = Door::issued(1, at("here"));
    let first = door.enrol(1, "p", "here", 1).expect("let in");
    assert_eq!((first.probe.as_str(), first.site.as_str()), ("p", "here"));
    assert_eq!(first.until, first.from.plus(CERTIFICATE_LIFETIME));
    // Its answer was lost: the same question has the same answer, with a number of its own.
    let again = door.enrol(1, "p", "here", 1).expect("let in");
    assert!(again.serial > first.serial);
    assert_eq!(door.enrol(1, "q", "here", 2), Err(JoinRefusal::UsedToken));
    assert_eq!(door.enrol(1, "p", "here", 2), Err(JoinRefusal::UsedToken));
    assert_eq!(door.enrol(1, "q", "here", 1), Err(JoinRefusal::UsedToken), "one name a token");
    assert_eq!(door.state.identities.len(), 1);
}

#[test]
fn what_a_token_does_not_say_is_refused_and_leaves_it_unused() {
    let mut door = Door::issued(1, named("here", "p"));
    assert_eq!(door.enrol(2, "p", "here", 1), Err(JoinRefusal::UnknownToken));
    let wrong_site = JoinRefusal::WrongSite { granted: "here".into() };
    assert_eq!(door.enrol(1, "p", "there", 1), Err(wrong_site));
    let wrong_name = JoinRefusal::WrongName { granted: "p".into() };
    assert_eq!(door.enrol(1, "q", "here", 1), Err(wrong_name));
    assert!(door.state.identities.is_empty());
    assert!(door.enrol(1, "p", "here", 1).is_ok());
}

#[test]
fn a_name_must_fit_a_page_and_a_certificate() {
    for bad in ["", " ", "p ", "a\nb", &"x".repeat(65)] {
        let mut door = Door::issued(1, at("here"));
        let refusal = door.enrol(1, bad, "here", 1).expect_err(bad);
        assert!(matches!(refusal, JoinRefusal::BadName(_)), "{refusal:?}");
        assert!(matches!(door.issue(2, named("here", bad)), Reply::Rejected(_)), "{bad}");
    }
}

#[test]
fn an_ended_token_says_so_for_a_day_and_is_forgotten() {
    let mut door = Door::issued(1, at("here"));
    let at = door.now.plus(HOUR);
    door.pass(HOUR);
    assert_eq!(door.enrol(1, "p", "here", 1), Err(JoinRefusal::ExpiredToken { at }));
    door.pass(24 * HOUR);
    assert_eq!(door.enrol(1, "p", "here", 1), Err(JoinRefusal::UnknownToken));
    assert!(door.state.join_tokens.is_empty());
}

#[test]
fn only_sound_tokens_are_issued() {
    let mut door = Door::new();
    let mut issue = |grant, lifetime| {
        let by = "ada".to_owned();
        door.ask(Command::IssueJoinToken { token: digest(1), grant, lifetime, by })
    };
    let refused = |reply| matches!(reply, Reply::Rejected(_));
    assert!(refused(issue(at("nowhere"), HOUR)));
    assert!(refused(issue(at("here"), Duration::ZERO)));
    assert!(refused(issue(at("here"), LONGEST_LIFETIME + HOUR)));
    assert_eq!(issue(at("here"), LONGEST_LIFETIME), Reply::Done);
    assert!(refused(issue(Grant::Member, HOUR)), "issued twice");
}

#[test]
fn a_members_token_is_for_members_only_and_once() {
    let mut door = Door::issued(1, Grant::Member);
    assert_eq!(door.issue(2, at("here")), Reply::Done);
    let probe = JoinRefusal::WrongKind { granted: "a coordinator".to_owned() };
    assert_eq!(door.enrol(1, "p", "here", 1), Err(probe));
    let member = JoinRefusal::WrongKind { granted: "a probe".to_owned() };
    assert_eq!(door.state.redeem_member(&digest(2), digest(7)), Err(member));
    assert_eq!(door.state.redeem_member(&digest(1), digest(7)), Ok(()));
    assert_eq!(door.state.redeem_member(&digest(1), digest(7)), Ok(()), "the answer was lost");
    assert_eq!(door.state.redeem_member(&digest(1), digest(8)), Err(JoinRefusal::UsedToken));
    door.pass(HOUR);
    let late = door.state.redeem_member(&digest(1), digest(7));
    assert!(matches!(late, Err(JoinRefusal::ExpiredToken { .. })));
}

#[test]
fn a_session_is_for_the_key_at_its_site_under_its_name() {
    let mut door = Door::joined();
    assert!(door.open("p", "here", Some(1)).is_ok());
    for (probe, site, key) in [
        ("p", "here", Some(2)),
        ("p", "there", Some(1)),
        ("q", "here", Some(1)),
        ("p", "here", None),
    ] {
        assert_eq!(door.open(probe, site, key), Err(Refusal::Forbidden), "{probe} {site} {key:?}");
    }
    assert!(door.open("q", "here", None).is_ok(), "a name that is nobody's, on this host only");
}

#[test]
fn a_revoked_probe_neither_opens_nor_reports_nor_renews() {
    let mut door = Door::joined();
    let epoch = door.open("p", "here", Some(1)).expect("let in").epoch;
    assert!(door.report("p", epoch));
    assert_eq!(door.revoke("p"), Reply::Done);
    assert!(!door.state.probes.contains_key(&ProbeId::new("p")), "no voter any more");
    door.pass(Duration::from_secs(1));
    assert!(!door.report("p", epoch));
    assert_eq!(door.open("p", "here", Some(1)), Err(Refusal::Forbidden));
    assert_eq!(door.open("p", "here", None), Err(Refusal::Forbidden));
    assert_eq!(door.renew("p", 1), Err(JoinRefusal::NotAdmitted("p".into())));
    assert!(door.enrol(1, "p", "here", 1).is_err(), "nor comes back by its old token");
    assert!(matches!(door.revoke("p"), Reply::Rejected(_)), "once");
    assert!(matches!(door.revoke("q"), Reply::Rejected(_)), "nobody");
}

#[test]
fn a_name_is_taken_over_only_by_a_token_that_says_so() {
    let mut door = Door::joined();
    let epoch = door.open("p", "here", Some(1)).expect("let in").epoch;
    assert_eq!(door.issue(2, at("here")), Reply::Done);
    assert_eq!(door.enrol(2, "p", "here", 2), Err(JoinRefusal::NameTaken("p".into())));
    assert_eq!(door.issue(3, named("there", "p")), Reply::Done);
    assert!(door.enrol(3, "p", "there", 3).is_ok());
    door.pass(Duration::from_secs(1));
    assert!(!door.report("p", epoch), "the one before is out at once");
    assert_eq!(door.open("p", "here", Some(1)), Err(Refusal::Forbidden));
    assert!(door.open("p", "there", Some(3)).is_ok());
}

#[test]
fn a_probe_that_never_joined_is_not_driven_out_by_a_token_without_a_name() {
    let mut door = Door::issued(1, at("there"));
    let epoch = door.open("p", "here", None).expect("let in without a key").epoch;
    assert_eq!(door.enrol(1, "p", "there", 1), Err(JoinRefusal::NameTaken("p".into())));
    assert!(door.report("p", epoch));
    assert_eq!(door.issue(2, named("there", "p")), Reply::Done);
    assert!(door.enrol(2, "p", "there", 2).is_ok());
}

#[test]
fn a_certificate_is_renewed_for_the_key_that_joined() {
    let mut door = Door::joined();
    door.pass(CERTIFICATE_LIFETIME / 2);
    let renewed = door.renew("p", 1).expect("renewed");
    assert_eq!(renewed.until, door.now.plus(CERTIFICATE_LIFETIME));
    assert_eq!(door.renew("p", 2), Err(JoinRefusal::NotAdmitted("p".into())));
    assert_eq!(door.renew("q", 1), Err(JoinRefusal::NotAdmitted("q".into())));
}

#[test]
fn a_revoked_name_is_free_when_no_certificate_of_it_is_left() {
    let mut door = Door::joined();
    door.revoke("p");
    door.pass(CERTIFICATE_LIFETIME);
    assert!(door.state.identities.contains_key(&ProbeId::new("p")));
    door.pass(CERTIFICATE_LIFETIME);
    assert!(door.state.identities.is_empty());
}

/// What anybody may try, with few names, tokens and keys, so that they meet.
fn any_command() -> impl Strategy<Value = (u64, Command)> {
    let (token, key) = (1u8..4, 1u8..4);
    let probe = prop_oneof![Just("p"), Just("q")];
    let site = prop_oneof![Just("here"), Just("there")];
    let name = proptest::option::of(prop_oneof![Just("p"), Just("q")]);
    let grant = prop_oneof![
        Just(Grant::Member),
        (site.clone(), name).prop_map(|(site, name)| Grant::Probe {
            site: site.into(),
            name: name.map(ProbeId::from),
        }),
    ];
    let hello = |probe: &str, site: &str| Hello {
        wire: WIRE_VERSION,
        probe: probe.into(),
        site: site.into(),
        boot: 1,
        version: String::new(),
    };
    let command = prop_oneof![
        (token.clone(), grant).prop_map(|(token, grant)| Command::IssueJoinToken {
            token: digest(token),
            grant,
            lifetime: HOUR,
            by: "ada".to_owned(),
        }),
        (token, probe.clone(), site.clone(), key.clone()).prop_map(|(token, probe, site, key)| {
            Command::Enrol {
                token: digest(token),
                probe: probe.into(),
                site: site.into(),
                key: digest(key),
            }
        }),
        (probe.clone(), key.clone())
            .prop_map(|(probe, key)| Command::Renew { probe: probe.into(), key: digest(key) }),
        (probe.clone(), site, key).prop_map(move |(probe, site, key)| Command::OpenAs {
            hello: hello(probe, site),
            key: digest(key),
        }),
        probe.prop_map(|probe| Command::Revoke { probe: probe.into(), by: "ada".to_owned() }),
        Just(Command::Tick),
    ];
    (0u64..2000, command)
}

proptest! {
    #[test]
    fn nobody_comes_in_but_by_an_unused_token_and_nobody_stays_who_was_revoked(
        commands in proptest::collection::vec(any_command(), 0..80),
    ) {
        let mut door = Door::new();
        // What a stranger would keep from the replies alone.
        let mut open: BTreeMap<Fingerprint, (Grant, Timestamp)> = BTreeMap::new();
        let mut spent: BTreeMap<Fingerprint, Fingerprint> = BTreeMap::new();
        let mut holders: BTreeMap<ProbeId, (Fingerprint, SiteId)> = BTreeMap::new();
        for (seconds, command) in commands {
            door.now = door.now.plus(Duration::from_secs(seconds));
            let reply = door.ask(command.clone());
            match (command, reply) {
                (Command::IssueJoinToken { token, grant, .. }, Reply::Done) => {
                    open.insert(token, (grant, door.now.plus(HOUR)));
                    spent.remove(&token);
                }
                (Command::Enrol { token, probe, site, key }, Reply::Certified(Ok(_))) => {
                    let (grant, until) = open.get(&token).cloned().expect("issued");
                    prop_assert!(door.now < until);
                    let Grant::Probe { site: granted, name } = grant else {
                        return Err(TestCaseError::fail("a member's token let a probe in"));
                    };
                    prop_assert_eq!(&granted, &site);
                    prop_assert!(name.is_none_or(|name| name == probe));
                    let user = *spent.entry(token).or_insert(key);
                    prop_assert_eq!(user, key, "one key a token");
                    holders.insert(probe, (key, site));
                }
                (Command::OpenAs { hello, key }, Reply::Opened(answer)) => {
                    let may = holders.get(&hello.probe) == Some(&(key, hello.site));
                    prop_assert_eq!(answer.is_ok(), may);
                }
                (Command::Renew { probe, key }, Reply::Certified(answer)) => {
                    let may = holders.get(&probe).is_some_and(|(holder, _)| *holder == key);
                    prop_assert_eq!(answer.is_ok(), may);
                }
                (Command::Revoke { probe, .. }, Reply::Done) => {
                    holders.remove(&probe);
                    prop_assert!(!door.state.probes.contains_key(&probe));
                }
                _ => {}
            }
            let bytes = snapshot::encode(&door.state).expect("bytes");
            prop_assert_eq!(&snapshot::decode(&bytes).expect("a state"), &door.state);
        }
    }
}
