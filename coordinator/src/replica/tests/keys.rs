//! Members over TLS: whoever has a certificate of the authority for a number, and not the number's
//! key, is nobody, at both ends of a connection.

use crosscheck_checks::clock;
use crosscheck_core::token::Grant;
use crosscheck_model::join::{Fingerprint, node_name};
use crosscheck_probe::trust;
use tokio_util::sync::CancellationToken;

use super::membership::{removal, votes};
use super::*;
use crate::access::{self, Authority, Keyring, MemberKey};
use crate::cluster::{Change, Changed};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A machine with a member on it.
struct Machine {
    replica: Replica,
    server: JoinHandle<()>,
    stop: CancellationToken,
}

/// An installation: its authority, and the machines by number.
struct Installation {
    folder: TempDir,
    keys: BTreeMap<u64, Fingerprint>,
    urls: BTreeMap<u64, String>,
    machines: BTreeMap<u64, Machine>,
}

impl Installation {
    /// Number 1 has founded it.
    async fn found() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        Authority::create(folder.path(), None, clock::wall()).expect("made");
        let (keys, urls) = (BTreeMap::new(), BTreeMap::new());
        let mut own = Self { folder, keys, urls, machines: BTreeMap::new() };
        own.key(1);
        own.start(1, None).await;
        let first = own.replica(1);
        first.form().await.expect("forms the cluster");
        let key = own.keys[&1];
        assert_eq!(submit(first, Command::Introduce { node: 1, key }).await, Reply::Done);
        own
    }

    fn authority(&self) -> Authority {
        Authority::open(self.folder.path(), None).expect("there")
    }

    fn data(&self, node: u64) -> std::path::PathBuf {
        self.folder.path().join(node.to_string())
    }

    fn key(&mut self, node: u64) -> Fingerprint {
        let key = MemberKey::generate().expect("a key");
        std::fs::create_dir_all(self.data(node)).expect("made");
        key.keep(&self.data(node)).expect("kept");
        self.keys.insert(node, key.fingerprint());
        key.fingerprint()
    }

    /// Starts a member, which knows what it has in its directory, and of the others `told`.
    async fn start(&mut self, node: u64, told: Option<BTreeMap<u64, Fingerprint>>) {
        let at = self.urls.get(&node).and_then(|url| url.strip_prefix("https://"));
        let listener = TcpListener::bind(at.unwrap_or("127.0.0.1:0")).await.expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("bound"));
        self.urls.insert(node, url.clone());
        let key = MemberKey::open(&self.data(node)).expect("kept");
        let told = told.unwrap_or_default();
        let credentials = Credentials::new(self.authority(), key, node, told).expect("signs");
        let credentials = Arc::new(credentials);
        let config = ReplicaConfig {
            acquaintances: self.urls.clone(),
            credentials: Some(credentials.clone()),
            ..config(node, url, &self.data(node))
        };
        let replica = Replica::start(config).await.expect("starts");
        let stop = CancellationToken::new();
        let server = access::serve(listener, &credentials, replica.raft_routes(), &stop);
        let server = server.expect("serves");
        self.machines.insert(node, Machine { replica, server, stop });
    }

    async fn stop(&mut self, node: u64) {
        let machine = self.machines.remove(&node).expect("runs");
        machine.replica.shutdown().await;
        machine.stop.cancel();
        machine.server.await.expect("ends");
    }

    fn replica(&self, node: u64) -> &Replica {
        &self.machines[&node].replica
    }

    /// The next number gets in.
    async fn join(&mut self, by: u64) -> u64 {
        let told = self.keys.clone();
        let number = *self.keys.keys().next_back().expect("1") + 1;
        let key = self.key(number);
        let token = Fingerprint([u8::try_from(number).expect("few"); 32]);
        let issue = Command::IssueJoinToken {
            token,
            grant: Grant::Member,
            lifetime: 60 * SECOND,
            by: "ada".to_owned(),
        };
        assert_eq!(submit(self.replica(by), issue).await, Reply::Done);
        let enrolled =
            submit(self.replica(by), Command::EnrolMember { token, key, above: 0 }).await;
        assert_eq!(enrolled, Reply::Member(Ok(number)));
        self.start(number, Some(told)).await;
        self.replica(number).ask_for_admission();
        number
    }

    /// What `node` answers to nonsense from who has a certificate for `named` and this key;
    /// `None`: it hangs up.
    async fn answer(&self, node: u64, named: u64, key: &MemberKey, path: &str) -> Option<u16> {
        let authority = self.authority();
        let now = clock::wall();
        let proof = authority.issue_node(named, key, (now, now.plus(DAY))).expect("signs");
        let name = node_name(&authority.fingerprint(), node);
        let tls = trust::client(authority.certificate(), &name, Some(proof)).expect("usable");
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
        let request = client.build().expect("a client").post(self.path(node, path));
        let request = request.header("x-crosscheck-node", node).body("\u{1}nonsense");
        request.send().await.ok().map(|response| response.status().as_u16())
    }

    fn path(&self, node: u64, path: &str) -> String {
        format!("{}/raft/v1/{path}", self.urls[&node])
    }
}

/// A listener with a certificate for `node` and this key, that answers every question like it.
async fn impostor(own: &Installation, node: u64, key: MemberKey) -> (String, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("bound"));
    let credentials = Credentials::new(own.authority(), key, node, BTreeMap::new());
    let routes = own.replica(node).raft_routes();
    let stop = CancellationToken::new();
    access::serve(listener, &credentials.expect("signs"), routes, &stop).expect("serves");
    (url, stop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_a_number_with_another_key_is_nobodys() {
    let mut own = Installation::found().await;
    own.join(1).await;
    votes(own.replica(1), &[1, 2]).await;
    let (right, wrong) = (MemberKey::open(&own.data(2)), MemberKey::generate());
    let (right, wrong) = (right.expect("kept"), wrong.expect("a key"));

    // Who asks.
    for path in ["vote", "append", "snapshot", "submit", "change"] {
        let answer = async |key| own.answer(1, 2, key, path).await;
        assert_eq!(answer(&wrong).await, Some(403), "{path}");
        assert_eq!(answer(&right).await, Some(400), "{path}: the member, and nonsense");
    }
    // Nor is anybody a member by a number that nobody was given, or by a member's own key.
    for (named, key) in [(77, &wrong), (1, &right)] {
        assert_eq!(own.answer(1, named, key, "vote").await, Some(403), "{named}");
    }

    // Who is asked.
    let ask = async |url: &str| {
        let peers = &own.replica(1).0.peers;
        peers.call::<Timestamp>((2, url), "clock", &(), LIMIT).await.map(|_| ())
    };
    ask(&own.urls[&2]).await.expect("the member answers");
    let (url, stop) = impostor(&own, 2, wrong).await;
    let error = ask(&url).await.expect_err("somebody else").to_string();
    assert!(error.contains("not known as that of coordinator 2"), "{error}");
    stop.cancel();
    let (url, stop) = impostor(&own, 2, MemberKey::open(&own.data(2)).expect("kept")).await;
    // A new connection: the one before was to another address.
    ask(&url).await.expect("the key is the member's, at whatever address");
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn members_find_each_other_after_all_were_stopped_and_a_removed_key_opens_nothing() {
    let mut own = Installation::found().await;
    own.join(1).await;
    votes(own.replica(1), &[1, 2]).await;
    own.join(1).await;
    votes(own.replica(1), &[1, 2, 3]).await;
    for node in [3, 2, 1] {
        own.stop(node).await;
    }
    for node in [1, 2, 3] {
        own.start(node, None).await;
    }
    submit(own.replica(2), Command::Tick).await;

    let gone = MemberKey::open(&own.data(3)).expect("kept");
    assert_eq!(own.replica(1).change(removal(3)).await, Changed::Done);
    let ending = within(own.replica(3).ended()).await;
    assert!(matches!(ending, Ending::Removed(_)), "{ending:?}");
    let applied_there = own.replica(1).applied().0;
    applied(own.replica(2), applied_there).await;
    for node in [1, 2] {
        assert_eq!(own.answer(node, 3, &gone, "append").await, Some(403));
        assert_eq!(own.answer(node, 3, &gone, "belongs").await, Some(200), "it may ask that");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_away_hears_of_a_leader_by_those_it_knows() {
    let mut own = Installation::found().await;
    own.join(1).await;
    votes(own.replica(1), &[1, 2]).await;
    own.join(1).await;
    votes(own.replica(1), &[1, 2, 3]).await;
    own.stop(3).await;
    let newest = own.join(1).await;
    votes(own.replica(1), &[1, 2, 3, 4]).await;
    let by = crosscheck_core::operator::Actor {
        name: "ada".into(),
        role: crosscheck_core::operator::Role::Administrator,
        from: "here".into(),
    };
    let transfer = Change::Transfer { node: newest, by };
    assert_eq!(own.replica(1).change(transfer).await, Changed::Done);
    let end = own.replica(newest).applied().0;
    // Its own log knows of 1 and 2 only, and the leader is neither.
    own.start(3, None).await;
    assert_eq!(own.replica(3).read(|state| state.member_key(newest)), None);
    applied(own.replica(3), end).await;
    assert_eq!(own.replica(3).read(|state| state.member_key(newest)), Some(own.keys[&newest]));
    // What the state knows now counts from here on.
    let keyring = own.replica(3).0.secured.as_ref().map(|(_, keyring): &(_, Arc<Keyring>)| keyring);
    assert!(keyring.expect("by TLS").recognises(newest, &own.keys[&newest]));
}
