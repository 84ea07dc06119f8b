//! Who may speak to whom, against real coordinators and probes: strangers, tokens, revocation,
//! renewal, and two processes under one name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crosscheck_checks::clock;
use crosscheck_coordinator::access::{Authority, MemberKey, Request};
use crosscheck_core::identity::{CERTIFICATE_LIFETIME, Certified};
use crosscheck_model::Timestamp;
use crosscheck_model::join::{Fingerprint, JoinToken, Joined, coordinator_name, node_name};
use crosscheck_model::wire::{
    Health, Hello, Order, Receipt, Refusal, Report, WIRE_VERSION, Welcome,
};
use crosscheck_probe::identity::Identity;
use crosscheck_probe::trust::{self, Proof};
use crosscheck_tests::binary;
use crosscheck_tests::cluster::{Cluster, NODES, Plan, SETTLED, SITES, run};
use crosscheck_tests::command::crosscheck;
use crosscheck_tests::eventually::eventually;
use crosscheck_tests::process::Process;
use crosscheck_tests::scratch::Scratch;
use serde_json::Value;

/// All probes.
const ALL: usize = SITES.len();

/// Something that takes longer has hung.
const LIMIT: Duration = Duration::from_secs(15);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The authority of a cluster, as its first coordinator keeps it.
fn authority(cluster: &Cluster) -> Authority {
    Authority::open(&cluster.coordinator(1).data(), None).expect("an authority")
}

/// The key of a coordinator, as it keeps it.
fn member_key(cluster: &Cluster, place: usize) -> MemberKey {
    MemberKey::open(&cluster.coordinator(place).data()).expect("a key")
}

/// A client that takes whoever has this name, by this authority, and shows this.
fn client(authority: &Authority, name: &str, proof: Option<Proof>) -> reqwest::Client {
    let tls = trust::client(authority.certificate(), name, proof).expect("a configuration");
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
    client.timeout(LIMIT).build().expect("a client")
}

/// What a coordinator answers to a vote on its listener for members; `None`: it hangs up.
async fn vote(cluster: &Cluster, client: &reqwest::Client) -> Option<u16> {
    post(cluster, client, "vote").await
}

/// What it answers to nonsense on this path of its listener for members.
async fn post(cluster: &Cluster, client: &reqwest::Client, path: &str) -> Option<u16> {
    let url = format!("{}/raft/v1/{path}", cluster.coordinator(1).raft_url());
    let request = client.post(url).header("x-crosscheck-node", 1).body("\u{1}nonsense");
    request.send().await.ok().map(|response| response.status().as_u16())
}

/// What it answers to somebody who wants orders on its listener for probes.
async fn orders(cluster: &Cluster, client: &reqwest::Client) -> Option<u16> {
    let url = format!("{}/probe/v1/orders?probe=a1&epoch=1", cluster.coordinator(1).probes_url());
    client.get(url).send().await.ok().map(|response| response.status().as_u16())
}

/// Whether `openssl s_client` comes to terms with a listener.
fn handshake(address: std::net::SocketAddr, version: &str) -> bool {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string(), version]);
    let output = command.stdin(Stdio::null()).output().expect("openssl runs");
    String::from_utf8_lossy(&output.stdout).contains("Cipher is TLS_")
}

#[test]
fn nobody_gets_in_without_the_right_certificate() {
    run(Plan { checks: 1, probes: false }, async |cluster| {
        let ours = authority(cluster);
        let elsewhere = tempfile_authority();
        let (now, name) = (clock::wall(), coordinator_name(&ours.fingerprint()));
        let shown = |proof| client(&ours, &name, proof);
        let (second, other) = (member_key(cluster, 2), MemberKey::generate().expect("a key"));
        let day = |from: Timestamp| (from, from.plus(DAY));
        let member = |from| ours.issue_node(2, &second, day(from)).expect("signs");
        let another = ours.issue_node(2, &other, day(now)).expect("signs");
        let foreign = elsewhere.issue_node(2, &second, day(now)).expect("signs");
        let own_key = rcgen::KeyPair::generate().expect("a key");
        let probe = probe_proof(&ours, &own_key, "a1", "a1");

        // What a member and a probe would get, so that the rest is about the certificate alone.
        assert_eq!(vote(cluster, &shown(Some(member(now)))).await, Some(400), "a member");
        for (who, proof, at_raft, at_probes) in [
            ("a stranger", None, Some(403), Some(403)),
            ("another authority's", Some(foreign), None, None),
            ("a member's number with another key", Some(another), Some(403), Some(403)),
            ("ended", Some(member(now.minus(3 * DAY))), None, None),
            ("not begun", Some(member(now.plus(3 * DAY))), None, None),
            ("a probe that never joined", Some(probe), Some(403), Some(503)),
            ("a member", Some(member(now)), Some(400), Some(403)),
        ] {
            let client = shown(proof);
            assert_eq!(vote(cluster, &client).await, at_raft, "{who} at the members' listener");
            assert_eq!(orders(cluster, &client).await, at_probes, "{who} at the probes' listener");
        }

        // Whoever speaks for node 2 is not taken for node 1, and the reverse.
        for (named, answer) in [(1, Some(400)), (2, None), (3, None)] {
            let name = node_name(&ours.fingerprint(), named);
            let client = client(&ours, &name, Some(member(now)));
            assert_eq!(vote(cluster, &client).await, answer, "node 1 taken for node {named}");
        }
        for address in
            [cluster.coordinator(1).raft_address(), cluster.coordinator(1).probes_address()]
        {
            assert!(handshake(address, "-tls1_3"), "{address} speaks TLS 1.3");
            assert!(!handshake(address, "-tls1_2"), "{address} speaks nothing older");
        }
    });
}

#[test]
fn a_coordinator_joins_only_the_installation_of_its_token_and_a_removed_one_is_out() {
    run(Plan { checks: 1, probes: false }, async |cluster| {
        let ours = authority(cluster);
        let token = cluster.coordinator(2).token();
        let place = cluster.another();
        let newcomer = cluster.coordinator(place);
        let url = cluster.coordinator(1).raft_url();
        let refused = |token: &str, url: &str| {
            let mut command = newcomer.crosscheck();
            command.args(["cluster", "join", "--token", token, "--config"]);
            let output = command.arg(newcomer.settings()).arg(url).output().expect("it runs");
            assert!(!output.status.success());
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        let probes = cluster.coordinator(1).probe_token("a1");
        for (token, url, words) in [
            (other_authority(&token), &url, "UnknownIssuer"),
            (other_secret(&token), &url, "does not know the token"),
            (probes, &url, "the token is for joining as a probe"),
            (token.clone(), &url.replace("https:", "http:"), "https://"),
        ] {
            let said = refused(&token, url);
            assert!(said.contains(words), "`{words}` in: {said}");
        }
        assert!(!newcomer.data().join("authority.pem").exists(), "nothing was handed over");
        let number = newcomer.join(cluster.coordinator(1), &token);
        let handed = Authority::open(&newcomer.data(), None).expect("an authority");
        assert_eq!(handed.fingerprint(), ours.fingerprint());
        let key = fs::metadata(newcomer.data().join("authority.pem")).expect("there");
        assert_eq!(key.permissions().mode() & 0o777, 0o600);

        let now = clock::wall();
        let day = (now, now.plus(DAY));
        let key = MemberKey::open(&newcomer.data()).expect("a key");
        let fourth = ours.issue_node(number, &key, day).expect("signs");
        let fourth = client(&ours, &coordinator_name(&ours.fingerprint()), Some(fourth));
        assert_eq!(vote(cluster, &fourth).await, Some(400), "a member");
        assert_eq!(post(cluster, &fourth, "submit").await, Some(400), "a member");
        // A number that nobody was given: no member vouches for whoever comes with it.
        let nobody = ours.issue_node(77, &key, day).expect("signs");
        let nobody = client(&ours, &coordinator_name(&ours.fingerprint()), Some(nobody));
        for path in ["vote", "append", "submit", "history", "clock", "change", "report", "key"] {
            assert_eq!(post(cluster, &nobody, path).await, Some(403), "{path}");
        }
        cluster.coordinator(1).operate(&["cluster", "remove", &number.to_string()]);
        eventually(LIMIT, "the removed member is not heard", || async {
            match vote(cluster, &fourth).await {
                Some(403) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standalone_lets_probes_of_other_hosts_in_by_their_certificates() {
    let scratch = Scratch::new();
    let checks = "sites: { a1: { region: north, carrier: alpha } }\n\
         checks: [ { name: shop, tcp: { address: \"127.0.0.1:9\" } } ]\n";
    let (checks, data) = (scratch.write("checks.yaml", checks), scratch.file("data"));
    let (page, probes) = (crosscheck_tests::port::free(), crosscheck_tests::port::free());
    let mut command = Command::new(binary::crosscheck());
    command.arg("standalone").arg(checks).arg("--data").arg(data);
    command.args(["--listen", &format!("127.0.0.1:{page}")]);
    command.args(["--probes", &format!("0.0.0.0:{probes}")]);
    let _standalone = Process::start("standalone", &mut command, &scratch.file("log"));
    let url = format!("http://127.0.0.1:{page}");
    let operate = |arguments: &[&str]| {
        let said = crosscheck(&[arguments, &["--url", &url]].concat(), &[]);
        if said.status == 0 { Ok(said.out) } else { Err(said.err) }
    };
    let token = eventually(SETTLED, "a token", || async {
        operate(&["probe", "token", "create", "--site", "a1"])
    })
    .await;
    let settings = format!(
        "probe: p\nsite: a1\ncoordinators: [\"https://127.0.0.1:{probes}\"]\ndata: {}\n",
        scratch.file("probe").display(),
    );
    let settings = scratch.write("probe.yaml", &settings);
    let probe = || {
        let mut command = Command::new(binary::crosscheck_probe());
        command.env("CROSSCHECK_JOIN_TOKEN", token.trim());
        command
    };
    let early = probe().arg("--config").arg(&settings).output().expect("it runs");
    assert_eq!(early.status.code(), Some(2));
    let early = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(early.contains("crosscheck-probe join"), "{early}");
    let joined = probe().arg("join").arg("--config").arg(&settings).output().expect("it runs");
    assert!(joined.status.success(), "{}", String::from_utf8_lossy(&joined.stderr));
    let mut running = probe();
    running.arg("--config").arg(&settings);
    let _probe = Process::start("probe", &mut running, &scratch.file("probe-log"));
    eventually(SETTLED, "the probe is live", || async {
        let listed = operate(&["probe", "list", "--json"])?;
        if listed.contains("\"live\": true") { Ok(()) } else { Err(listed) }
    })
    .await;
}

fn tempfile_authority() -> Authority {
    let scratch = Scratch::new();
    Authority::create(&scratch.directory("elsewhere"), None, clock::wall()).expect("made")
}

fn pem_request(key: &rcgen::KeyPair) -> Request {
    let request = rcgen::CertificateParams::default().serialize_request(key).expect("a request");
    Request::parse(&request.pem().expect("PEM")).expect("a request")
}

/// A certificate as the authority would issue it, though no token was used for it.
fn probe_proof(authority: &Authority, key: &rcgen::KeyPair, probe: &str, site: &str) -> Proof {
    use rustls::pki_types::pem::PemObject;
    let (from, until) = (clock::wall(), clock::wall().plus(DAY));
    let certified = Certified { probe: probe.into(), site: site.into(), serial: 1, from, until };
    let issued = authority.issue_probe(&pem_request(key), &certified).expect("signs");
    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(issued.as_bytes());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der());
    (vec![certificate.expect("a certificate")], key.expect("a key"))
}

#[test]
fn a_token_is_good_once_at_its_site_and_no_log_tells_it() {
    run(Plan::USUAL, async |cluster| {
        let said = |output: std::process::Output| {
            assert!(!output.status.success());
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        let token = cluster.coordinator(2).probe_token("a1");
        let probe = cluster.probe("a1");
        let mode = fs::metadata(probe.data().join("identity.pem")).expect("there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        for (token, site, words) in [
            (token.clone(), "b1", "the token is for site `a1`"),
            (token.clone(), "a1", "has joined already"),
            (
                cluster.coordinator(2).probe_token("b1").replacen('-', "-0", 1),
                "b1",
                "whole join token",
            ),
            (other_secret(&token), "a1", "does not know the token"),
            (other_authority(&token), "a1", "UnknownIssuer"),
        ] {
            let said = said(cluster.probe(site).try_join(&token));
            assert!(said.contains(words), "`{words}` in: {said}");
            assert!(!said.contains(&token), "{said}");
        }
        // Used: g1 joins anew under its name, and the same token lets nobody else in.
        let named = ["probe", "token", "create", "--site", "g1", "--name", "g1"];
        let again = cluster.coordinator(3).operate(&named).trim().to_owned();
        let key = identity_text(cluster, "g1");
        cluster.probe_mut("g1").stop();
        cluster.probe("g1").join(&again);
        assert_ne!(identity_text(cluster, "g1"), key, "a new key");
        let second = said(cluster.probe("g1").try_join(&again));
        assert!(second.contains("has been used"), "{second}");
        cluster.probe_mut("g1").start();
        cluster.shows(1, "up", "up", ALL).await;

        let short = ["probe", "token", "create", "--site", "g1", "--name", "g1", "--ttl", "1s"];
        let ended = cluster.coordinator(1).operate(&short).trim().to_owned();
        let then = log_time(cluster).await;
        eventually(LIMIT, "two seconds later", || async {
            let now = log_time(cluster).await;
            if now > then.plus(Duration::from_secs(2)) { Ok(()) } else { Err(now.to_string()) }
        })
        .await;
        let late = said(cluster.probe("g1").try_join(&ended));
        assert!(late.contains("the token ended at"), "{late}");

        let mut logs: Vec<String> = NODES.map(|node| cluster.coordinator(node).log()).into();
        logs.extend(cluster.probes().iter().map(|probe| probe.log()));
        let key = identity_text(cluster, "g1");
        let key_line = key.lines().nth(1).expect("the key's first line").to_owned();
        let authority = authority(cluster).reveal().lines().nth(1).expect("its key").to_owned();
        for secret in [token, again, ended] {
            let secret = secret.split('-').nth(1).expect("the secret").to_owned();
            for marker in [&secret, &key_line, &authority] {
                assert!(marker.len() > 40);
                assert!(logs.iter().all(|log| !log.contains(marker.as_str())), "{marker}");
            }
        }
    });
}

fn identity_text(cluster: &Cluster, site: &str) -> String {
    fs::read_to_string(cluster.probe(site).data().join("identity.pem")).expect("there")
}

fn other_secret(token: &str) -> String {
    let token: JoinToken = token.parse().expect("a token");
    JoinToken { secret: [7; 32], ..token }.reveal()
}

fn other_authority(token: &str) -> String {
    let token: JoinToken = token.parse().expect("a token");
    JoinToken { authority: Fingerprint([7; 32]), ..token }.reveal()
}

async fn log_time(cluster: &Cluster) -> Timestamp {
    let (_, health) = cluster.coordinator(1).readiness().await.expect("it runs");
    serde_json::from_value(health["as_of"].clone()).unwrap_or_else(|_| panic!("{health}"))
}

/// A probe as the test plays it, with the certificate of a real one.
struct Played<'a> {
    name: &'a str,
    base: String,
    client: reqwest::Client,
}

impl<'a> Played<'a> {
    fn new(cluster: &Cluster, name: &'a str) -> Self {
        let identity = Identity::load(&cluster.probe(name).data()).expect("it has joined");
        let tls = identity.client().expect("a certificate");
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
        let base = cluster.coordinator(1).probes_url();
        Self { name, base, client: client.build().expect("a client") }
    }

    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        message: &impl serde::Serialize,
    ) -> Result<T, Refusal> {
        let request = self.client.post(format!("{}/probe/v1/{path}", self.base)).json(message);
        let response = request.timeout(LIMIT).send().await.expect("an answer");
        let (good, body) = (response.status().is_success(), response.bytes().await.expect("all"));
        match good {
            true => Ok(serde_json::from_slice(&body).expect("an answer")),
            false => Err(serde_json::from_slice(&body).expect("a refusal")),
        }
    }

    async fn open(&self, probe: &str, site: &str) -> Result<Welcome, Refusal> {
        let (probe, site) = (probe.into(), site.into());
        let version = "played".to_owned();
        let hello = Hello { wire: WIRE_VERSION, probe, site, boot: 7, version };
        self.post("session", &hello).await
    }

    async fn report(&self, probe: &str, epoch: u64, seq: u64) -> Result<Receipt, Refusal> {
        let report = Report {
            probe: probe.into(),
            epoch,
            seq,
            echo: Timestamp::ZERO,
            health: Health::UNTESTED,
            observations: Vec::new(),
            evidence: Vec::new(),
            spooled: 0,
            dropped: 0,
            running: 0,
        };
        self.post("report", &report).await
    }

    async fn orders(&self, epoch: u64) -> reqwest::Response {
        let url = format!("{}/probe/v1/orders?probe={}&epoch={epoch}", self.base, self.name);
        self.client.get(url).send().await.expect("an answer")
    }
}

#[test]
fn a_probe_speaks_for_itself_alone_and_a_revoked_one_for_nobody() {
    run(Plan::USUAL, async |cluster| {
        cluster.probe_mut("g1").stop();
        let g1 = Played::new(cluster, "g1");
        assert_eq!(g1.open("a1", "a1").await, Err(Refusal::Forbidden), "another's name");
        assert_eq!(g1.open("g1", "a1").await, Err(Refusal::Forbidden), "another site");
        let epoch = g1.open("g1", "g1").await.expect("a session").epoch;
        assert_eq!(g1.report("a1", epoch, 1).await, Err(Refusal::Forbidden), "another's report");
        assert_eq!(g1.report("g1", epoch, 1).await.expect("taken").seq, 1);
        assert_eq!(g1.report("g1", epoch, 1).await.expect("a replay changes nothing").seq, 1);
        let newer = g1.open("g1", "g1").await.expect("a session").epoch;
        assert_eq!(g1.report("g1", epoch, 2).await, Err(Refusal::UnknownSession), "an old session");

        let mut stream = g1.orders(newer).await;
        assert_eq!(stream.status(), 200);
        let first = stream.chunk().await.expect("a line").expect("some");
        assert!(!first.is_empty());
        cluster.coordinator(2).operate(&["probe", "revoke", "g1"]);
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(LIMIT, async {
            while let Ok(Some(piece)) = stream.chunk().await {
                rest.extend(piece);
            }
        });
        ended.await.expect("the open stream ends");
        let last = rest.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
        let last: Order = serde_json::from_slice(last.expect("a line")).expect("an order");
        assert_eq!(last, Order::Renew);
        assert_eq!(g1.report("g1", newer, 1).await, Err(Refusal::Forbidden));
        assert_eq!(g1.open("g1", "g1").await, Err(Refusal::Forbidden));
        assert_eq!(g1.orders(newer).await.status(), 403);
        let listed = probe_in_list(cluster, "g1");
        assert!(listed["revoked_at"].is_string(), "{listed}");
        cluster.probe_mut("g1").start();
        eventually(LIMIT, "the probe says why", || async {
            let log = cluster.probe("g1").log();
            if log.contains("was revoked") { Ok(()) } else { Err(log) }
        })
        .await;
        cluster.shows(1, "up", "up", ALL - 1).await;
    });
}

fn probe_in_list(cluster: &Cluster, name: &str) -> Value {
    let listed = cluster.coordinator(1).operate(&["probe", "list", "--json"]);
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("JSON");
    listed.into_iter().find(|probe| probe["probe"] == name).expect("it is listed")
}

#[test]
fn a_certificate_is_renewed_at_half_its_time_while_the_probe_runs() {
    run(Plan::USUAL, async |cluster| {
        cluster.probe_mut("b2").stop();
        let data = cluster.probe("b2").data();
        let before = Identity::load(&data).expect("it has joined");
        // As if it had joined four of seven days ago.
        let from = clock::wall().minus(4 * DAY);
        let until = from.plus(CERTIFICATE_LIFETIME);
        let certified = Certified { probe: "b2".into(), site: "b2".into(), serial: 9, from, until };
        let request = Request::parse(&before.request().expect("a request")).expect("a request");
        let ours = authority(cluster);
        let joined = Joined {
            certificate: ours.issue_probe(&request, &certified).expect("signs"),
            authority: ours.certificate_pem(),
            until,
            now: from,
        };
        let renewed = before.renewed(&joined).expect("for this key");
        renewed.save().expect("kept");
        let old = renewed.until();
        cluster.probe_mut("b2").start();
        eventually(LIMIT, "a certificate that ends later", || async {
            let now = Identity::load(&data).map_err(|error| error.to_string())?.until();
            if now > old.plus(2 * DAY) { Ok(()) } else { Err(now.to_string()) }
        })
        .await;
        cluster.shows(1, "up", "up", ALL).await;
        assert!(cluster.probe("b2").log().contains("the certificate is renewed"));
    });
}

#[test]
fn two_processes_under_one_name_are_quarantined_until_an_operator_says_otherwise() {
    run(Plan::USUAL, async |cluster| {
        let mut double = cluster.double_of("a1");
        double.start();
        eventually(SETTLED, "the name is quarantined", || async {
            let listed = probe_in_list(cluster, "a1");
            if listed["quarantined_at"].is_string() { Ok(()) } else { Err(listed.to_string()) }
        })
        .await;
        let check = cluster.shows(1, "up", "up", ALL - 1).await;
        let silent = check["sites"].as_array().expect("sites").iter().find(|s| s["site"] == "a1");
        assert!(silent.expect("a1")["silent"].to_string().contains("two probes"), "{check}");
        eventually(SETTLED, "the operators' incident", || async {
            let incidents = cluster.coordinator(1).api.list("/api/v1/incidents").await?;
            let found =
                incidents.iter().any(|i| i["summary"].to_string().contains("two processes"));
            if found { Ok(()) } else { Err(Value::from(incidents).to_string()) }
        })
        .await;
        double.stop();
        cluster.coordinator(1).operate(&["probe", "reinstate", "a1"]);
        cluster.shows(1, "up", "up", ALL).await;
    });
}
