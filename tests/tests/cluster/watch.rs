//! Who watches the watcher, with real processes: heartbeats outward, and the mails of last resort
//! of those who have lost the others; and a probe that dies again and again.

use std::net::IpAddr;

use crosscheck_core::watch::PATIENCE;
use crosscheck_probe::trial::DEATHS;
use crosscheck_tests::cluster::network::{HUB, Way};
use crosscheck_tests::cluster::{CHECK, Cluster, NODES, Plan, SETTLED, run};
use crosscheck_tests::eventually::eventually;
use crosscheck_tests::mailbox::Mailbox;
use crosscheck_tests::receiver::Receiver;
use serde_json::{Value, json};

/// Where heartbeats go.
const RECEIVER_PORT: u16 = 9100;

/// Who is mailed directly.
const BOSS: &str = "boss@example.com";

/// A cluster without probes is enough for what coordinators do alone.
const COORDINATORS: Plan = Plan { checks: 1, probes: false };

fn address(cluster: &Cluster, node: usize) -> IpAddr {
    cluster.coordinator(node).host().address().into()
}

/// How many pings each member has sent.
fn pings(cluster: &Cluster, receiver: &Receiver) -> [usize; 3] {
    let pings = receiver.pings();
    NODES.map(|node| pings.iter().filter(|ping| ping.from == address(cluster, node)).count())
}

/// Waits until this member has pinged some times more, and no other.
async fn pinged_by(cluster: &Cluster, receiver: &Receiver, node: usize) {
    let before = pings(cluster, receiver);
    eventually(SETTLED, &format!("pings of member {node}"), || async {
        let now = pings(cluster, receiver);
        if now[node - 1] >= before[node - 1] + 3 { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

fn settings(cluster: &mut Cluster, text: &str) {
    for node in NODES {
        cluster.coordinator_mut(node).kill();
        cluster.coordinator_mut(node).add_settings(text);
    }
    for node in NODES {
        cluster.coordinator_mut(node).start();
    }
}

/// Settings by which a machine mails by itself after six seconds.
fn last_resort(cluster: &Cluster) -> String {
    let port = cluster.mails.port;
    format!(
        "last_resort: {{ mail: [\"{BOSS}\"], smtp: \"smtp://{HUB}:{port}\", tls: none, \
         from: \"last@example.com\", after: 6s }}\n"
    )
}

fn subjects(cluster: &Cluster) -> Vec<String> {
    cluster.mails.letters().iter().map(|letter| letter.subject().to_owned()).collect()
}

/// Waits for so many mails in all.
async fn mailed(cluster: &Cluster, count: usize) {
    eventually(SETTLED, &format!("{count} mails"), || async {
        let subjects = subjects(cluster);
        if subjects.len() >= count { Ok(()) } else { Err(format!("{subjects:?}")) }
    })
    .await;
}

#[test]
fn heartbeats_come_while_led_from_the_leader_and_stop_with_the_quorum() {
    run(COORDINATORS, async |cluster| {
        let receiver = Receiver::start(HUB, RECEIVER_PORT).await;
        let url = format!("http://{HUB}:{RECEIVER_PORT}/ping/token");
        let beats = format!("heartbeats: [{{ url: \"{url}\", every: 1s }}]\n");
        settings(cluster, &(beats + &last_resort(cluster)));
        let leader = cluster.ready(&NODES).await;
        pinged_by(cluster, &receiver, leader).await;
        assert!(receiver.pings().iter().all(|ping| ping.request == "GET /ping/token HTTP/1.1"));

        cluster.coordinator_mut(leader).kill();
        let others: Vec<usize> = NODES.into_iter().filter(|node| *node != leader).collect();
        let next = eventually(SETTLED, "another leader", || async {
            let next = cluster.ready(&others).await;
            if next == leader { Err(next.to_string()) } else { Ok(next) }
        })
        .await;
        pinged_by(cluster, &receiver, next).await;

        // The new leader is left alone, and reaches the receiver as before.
        let last = others.into_iter().find(|node| *node != next).expect("a third");
        cluster.coordinator_mut(last).kill();
        eventually(SETTLED, "no quorum", || async {
            let (ready, health) = cluster.coordinator(next).readiness().await?;
            if ready { Err(health.to_string()) } else { Ok(()) }
        })
        .await;
        let stopped = pings(cluster, &receiver);
        // Its mail of last resort proves that the time of several beats has passed.
        mailed(cluster, 1).await;
        assert_eq!(pings(cluster, &receiver), stopped, "pings without a quorum");

        cluster.coordinator_mut(leader).start();
        cluster.coordinator_mut(last).start();
        let leader = cluster.ready(&NODES).await;
        pinged_by(cluster, &receiver, leader).await;
    });
}

#[test]
fn a_coordinator_that_sees_no_commit_mails_the_operators_once_and_again_when_it_is_over() {
    run(COORDINATORS, async |cluster| {
        settings(cluster, &last_resort(cluster));
        cluster.ready(&NODES).await;
        cluster.coordinator_mut(2).kill();
        cluster.coordinator_mut(3).kill();
        mailed(cluster, 1).await;
        assert_read_only(cluster, 1).await;
        cluster.coordinator_mut(2).start();
        cluster.ready(&[1, 2]).await;
        mailed(cluster, 2).await;
        let subjects = subjects(cluster);
        assert!(subjects[0].starts_with("[UNKNOWN] no quorum, seen from coordinator 1"));
        assert!(subjects[1].starts_with("[RECOVERED] a quorum again, seen from coordinator 1"));
        assert_eq!(subjects.len(), 2);
        let letters = cluster.mails.letters();
        assert_eq!(letters[1].field("In-Reply-To"), letters[0].field("Message-ID"));
        assert_eq!(cluster.mails.envelopes(), [[BOSS], [BOSS]]);
    });
}

/// A member without a quorum shows what it knew, says since when, and changes nothing.
async fn assert_read_only(cluster: &Cluster, node: usize) {
    let member = cluster.coordinator(node);
    let (status, page) = member.page.get("/").await.expect("a page");
    assert_eq!(status, 200);
    assert!(page.contains("class=\"banner\"") && page.contains("no quorum, as of"), "{page}");
    let text = "sites: { s: { region: r, carrier: c } }\n\
                checks: [{ name: x, tcp: { address: \"shop.example.com:443\" } }]\n";
    let files = json!({ "files": [{ "name": "crosscheck.yaml", "text": text }] });
    let (status, answer) = member.api.post("/api/v1/configuration", &files).await.expect("a word");
    assert_eq!(status, 503, "{answer}");
    assert!(answer.contains("has no quorum") && answer.contains("nothing was changed"), "{answer}");
    assert_eq!(cluster.check(node).await.expect("a check")["name"], CHECK);
}

/// How far the incidents about coordinators that do not follow are, as a member shows them.
async fn behind(cluster: &Cluster, witness: usize) -> Result<Vec<(String, String)>, String> {
    let incidents = cluster.coordinator(witness).api.list("/api/v1/incidents").await?;
    let text =
        |incident: &Value, field: &str| incident[field].as_str().unwrap_or_default().to_owned();
    let all = incidents.iter().map(|incident| (text(incident, "scope"), text(incident, "state")));
    Ok(all.filter(|(scope, _)| scope.starts_with("follower")).collect())
}

#[test]
#[ignore = "waits for three minutes: cargo sim --tier 4 runs it"]
fn a_coordinator_that_is_dead_is_one_incident_until_it_is_back() {
    run(COORDINATORS, async |cluster| {
        let leader = cluster.ready(&NODES).await;
        let dead = cluster.members_without(&[leader])[0];
        cluster.coordinator_mut(dead).kill();
        told(cluster, leader, dead, "open").await;
        cluster.coordinator_mut(dead).start();
        told(cluster, leader, dead, "resolved").await;
    });
}

/// Waits until a member shows one incident about a coordinator that does not follow, at this stage.
async fn told(cluster: &Cluster, witness: usize, node: usize, stage: &str) {
    let wanted = [(format!("follower {node}"), stage.to_owned())];
    eventually(PATIENCE + SETTLED, &format!("coordinator {node}: {stage}"), || async {
        let found = behind(cluster, witness).await?;
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[test]
fn a_probe_that_reaches_no_coordinator_mails_the_operators_once() {
    run(Plan::USUAL, async |cluster| {
        let text = last_resort(cluster);
        cluster.probe_mut("g1").restart_with(&text);
        cluster.shows(1, "up", "up", 5).await;
        let coordinators = cluster.coordinator_addresses();
        cluster.probe("g1").host().cut(Way::Both, &coordinators);
        mailed(cluster, 1).await;
        cluster.probe("g1").host().heal();
        mailed(cluster, 2).await;
        assert_eq!(
            subjects(cluster),
            [
                "[UNKNOWN] no coordinator answers, seen from probe g1 at site g1",
                "[RECOVERED] a coordinator answers again, seen from probe g1 at site g1"
            ]
        );
        assert!(cluster.mails.envelopes().iter().all(|to| to == &[BOSS]));
    });
}

/// Waits until the usual check, as member 1 shows it, has something of site g1 that fits; what it is.
async fn g1_says(cluster: &Cluster, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    eventually(SETTLED, what, || async {
        let check = cluster.check(1).await?;
        let sites = check["sites"].as_array().map_or(&[][..], Vec::as_slice);
        let site = sites.iter().find(|site| site["site"] == "g1" && fits(site));
        site.cloned().ok_or_else(|| check.to_string())
    })
    .await
}

#[test]
#[ignore = "the gate has a probe that holds back alone: cargo sim --tier 4 runs it"]
fn a_probe_that_dies_of_its_orders_holds_them_back_and_says_so_until_they_change() {
    run(Plan::USUAL, async |cluster| {
        for death in 1..=DEATHS {
            cluster.probe_mut("g1").kill();
            let gone = g1_says(cluster, "g1's last word", |_| true).await;
            cluster.probe_mut("g1").start();
            // Twice, as the first one may have been on its way when the process before died.
            let mut last = gone["at"].as_str().unwrap_or_default().to_owned();
            for _ in 0..2 * u32::from(death < DEATHS) {
                let is_new = |site: &Value| site["at"].as_str() > Some(last.as_str());
                let next = g1_says(cluster, &format!("votes after {death} deaths"), is_new).await;
                last = next["at"].as_str().unwrap_or_default().to_owned();
            }
        }
        let says =
            |site: &Value| site["detail"].as_str().is_some_and(|it| it.contains("held back"));
        let site = g1_says(cluster, "the check is held back", says).await;
        assert_eq!((&site["status"], &site["cause"]), (&json!("unknown"), &json!("setup")));
        assert_eq!(site["silent"], "the probe has no opinion");
        // The others are enough for a verdict, and nobody takes g1 for one of them.
        cluster.shows(1, "up", "up", 4).await;
        assert!(cluster.probe("g1").log().contains("died again and again"));

        cluster.configure_with("/0\"", "/0?changed\"");
        cluster.shows(1, "up", "up", 5).await;
    });
}
