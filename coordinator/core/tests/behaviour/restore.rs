//! A state from a backup: what was owed then is withheld, and what is decided later is told.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_core::command::Reply;
use crosscheck_core::operator::{NewToken, Role};
use crosscheck_core::outbox::{Key, Progress, SendResult};
use crosscheck_core::token::Grant;
use crosscheck_core::{Command, State, apply};
use crosscheck_model::config::{Channel, Contact, Route};
use crosscheck_model::join::Fingerprint;
use crosscheck_model::{Config, ContactId, Timestamp};

/// The first coordinator's of the restored cluster.
const KEY: Fingerprint = Fingerprint([13; 32]);

fn config() -> Config {
    let ops = ContactId::new("ops");
    let contact = Contact { mail: vec!["ops@example.com".into()], phone: None, apart: false };
    let channel = Channel { kind: "mail".into(), settings: "{}".into() };
    let route = Route {
        severities: vec![],
        checks: vec![],
        customer: None,
        to: vec![ops.clone()],
        channels: vec!["mail".into()],
    };
    Config {
        contacts: BTreeMap::from([(ops.clone(), contact)]),
        channels: BTreeMap::from([("mail".into(), channel)]),
        routes: vec![route],
        operators: vec![ops],
        ..Config::default()
    }
}

struct Cluster {
    state: State,
    now: Timestamp,
}

impl Cluster {
    fn ask(&mut self, command: Command) -> Reply {
        self.now = self.now.plus(Duration::from_secs(1));
        apply(&mut self.state, self.now, command).reply
    }

    fn keys(&self, wanted: impl Fn(&Progress) -> bool) -> Vec<Key> {
        let owed = self.state.outbox.iter().filter(|(_, owed)| wanted(&owed.progress));
        owed.map(|(key, _)| *key).collect()
    }

    /// Sends all that is owed.
    fn send(&mut self, term: u64) {
        for key in self.keys(|progress| !progress.is_settled()) {
            let Reply::Claimed(attempt) = self.ask(Command::Claim { key, term, node: 1 }) else {
                panic!("not claimed")
            };
            self.ask(Command::Settle { key, attempt, result: SendResult::Delivered });
        }
    }

    /// Coordinator 1 leads, and its disk is full.
    fn alarmed() -> Self {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let mut cluster = Self { state: State::default(), now };
        cluster.ask(Command::Lead { node: 1, term: 1, cluster: "old".into() });
        cluster.ask(Command::Configure(Box::new(config())));
        cluster.ask(Command::Disk { node: 1, percent: 93 });
        cluster
    }

    fn restored(self) -> (Self, usize) {
        let (state, withheld) = self.state.restored("new".into(), 1, KEY);
        let mut cluster = Self { state, now: self.now };
        cluster.ask(Command::Lead { node: 1, term: 2, cluster: "another".into() });
        (cluster, withheld)
    }
}

#[test]
fn what_was_owed_is_not_sent_again() {
    let cluster = Cluster::alarmed();
    let owed = cluster.keys(|progress| *progress == Progress::Queued);
    assert_eq!(owed.len(), 1);
    let (mut cluster, withheld) = cluster.restored();
    assert_eq!((withheld, cluster.state.cluster.as_str()), (1, "new"));
    for key in owed {
        let claimed = cluster.ask(Command::Claim { key, term: 2, node: 1 });
        assert!(matches!(claimed, Reply::Rejected(_)), "{claimed:?}");
    }
}

#[test]
fn what_was_sent_stays_sent_and_later_trouble_is_told_under_a_key_of_its_own() {
    let mut cluster = Cluster::alarmed();
    cluster.send(1);
    let sent = cluster.keys(|_| true);
    let mut old = Cluster { state: cluster.state.clone(), now: cluster.now };
    let (mut new, withheld) = cluster.restored();
    assert_eq!(withheld, 0);
    assert!(sent.iter().all(|key| new.state.outbox[key].progress.is_settled()));
    assert!(new.state.incidents.values().all(|incident| incident.resolved_at.is_some()));

    for cluster in [&mut old, &mut new] {
        cluster.ask(Command::Lead { node: 1, term: 3, cluster: "x".into() });
        cluster.ask(Command::Disk { node: 1, percent: 10 });
        cluster.ask(Command::Disk { node: 1, percent: 95 });
    }
    let later = |cluster: &Cluster| -> Vec<Key> {
        cluster.keys(|_| true).into_iter().filter(|key| !sent.contains(key)).collect()
    };
    assert!(!later(&new).is_empty(), "nobody is told of what happens now");
    assert!(later(&new).iter().all(|key| !later(&old).contains(key)), "two clusters, one key");
}

#[test]
fn people_stay_let_in_and_nobody_joins_by_what_the_other_cluster_issued() {
    let mut cluster = Cluster::alarmed();
    let token = NewToken {
        id: "id".into(),
        name: "li".into(),
        role: Role::Administrator,
        customers: None,
        hash: "$argon2id$..".into(),
        ttl: None,
        by: "operator_key".into(),
    };
    assert_eq!(cluster.ask(Command::CreateToken(token)), Reply::Done);
    let issued = cluster.ask(Command::IssueJoinToken {
        token: Fingerprint([7; 32]),
        grant: Grant::Member,
        lifetime: Duration::from_secs(3600),
        by: "li".into(),
    });
    assert_eq!(issued, Reply::Done);
    let (new, _) = cluster.restored();
    assert_eq!(new.state.token("id").map(|token| token.name.as_str()), Some("li"));
    assert!(new.state.join_tokens.is_empty());
}

#[test]
fn the_first_coordinator_belongs_from_the_beginning_and_the_old_ones_do_not() {
    let mut cluster = Cluster::alarmed();
    for (token, key) in [(1, 11), (2, 12)] {
        let (token, key) = (Fingerprint([token; 32]), Fingerprint([key; 32]));
        let (grant, lifetime) = (Grant::Member, Duration::from_secs(3600));
        cluster.ask(Command::IssueJoinToken { token, grant, lifetime, by: "li".into() });
        cluster.ask(Command::EnrolMember { token, key, above: 0 });
    }
    let old: Vec<u64> = cluster.state.members.keys().copied().collect();
    assert_eq!(old, [1, 2, 3]);
    // As a newcomer gets it, before it has heard of any term.
    let (state, _) = cluster.state.restored("new".into(), 1, KEY);
    let belong = [1, 2, 3, 4].map(|node| state.member_belongs(node));
    assert_eq!(belong, [Some(true), Some(false), Some(false), None]);
    // Nobody speaks under its number by an old key, nor for those that have no part in it.
    let keys = [1, 2, 3, 4].map(|node| state.member_key(node));
    assert_eq!(keys, [Some(KEY), Some(Fingerprint([11; 32])), Some(Fingerprint([12; 32])), None]);
}

#[test]
fn the_audit_trail_goes_on_and_tells_of_the_restore_once() {
    let (mut cluster, _) = Cluster::alarmed().restored();
    cluster.ask(Command::Lead { node: 1, term: 3, cluster: "x".into() });
    let entries: Vec<_> = cluster.state.audit.entries().collect();
    let [entry] = entries[..] else { panic!("{entries:?}") };
    assert_eq!((entry.act.as_str(), entry.actor.as_str()), ("restore", "local"));
    assert!(entry.subject.starts_with("cluster old as it was at "), "{}", entry.subject);
    assert_eq!(entry.hash, entry.expected_hash());
}
