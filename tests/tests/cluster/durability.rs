//! What has been acknowledged is kept, and what was seen while cut off is delivered: with real
//! processes that are killed, and a path that is really cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use crosscheck_model::Timestamp;
use crosscheck_tests::cluster::load::Script;
use crosscheck_tests::cluster::network::{HUB, Way};
use crosscheck_tests::cluster::record::{self, Identity, Kept};
use crosscheck_tests::cluster::{CHECK, Cluster, NODES, Plan, SETTLED, SITES, run};
use crosscheck_tests::eventually::eventually;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How long the probe is cut off: several times every limit that a session, a vote or a report has.
const CUT: Duration = Duration::from_secs(60);

/// Checks of that probe; each makes an observation in about two seconds while it fails.
const CHECKS: usize = 8;

/// The least of failing runs that the cut must leave behind: half of what it should.
const LEAST_FAILING: usize = CUT.as_secs() as usize * CHECKS / 4;

/// No stretch without a run is as long: two rounds of a check that fails.
const LONGEST_HOLE_MS: u64 = 4_000;

/// Status Down, as the history keeps it.
const DOWN: u8 = 2;

#[test]
fn a_probe_cut_off_for_long_loses_nothing_and_what_it_says_late_decides_nothing() {
    run(Plan { checks: CHECKS, probes: true }, async |cluster| {
        cluster.rounds(1, 2).await;
        let before = verdicts(cluster).await;
        let (host, from) = (cluster.probe("a1").host(), now(cluster).await.expect("a time"));
        // Everything at once, so that what it wrongly sees can only be told late.
        let mut peers = cluster.coordinator_addresses();
        peers.push(HUB);
        host.cut(Way::Both, &peers);
        eventually(SETTLED + CUT, "the cut is long", || async {
            let now = now(cluster).await?;
            if now >= from.plus(CUT) { Ok(()) } else { Err(now.to_string()) }
        })
        .await;

        host.cut(Way::Both, &cluster.coordinator_addresses());
        let asked = || cluster.target.asked_by(host.address().into());
        let already = asked();
        eventually(SETTLED, "fresh runs are up", || async {
            let more = asked() - already;
            if more > 5 * CHECKS as u64 { Ok(()) } else { Err(more.to_string()) }
        })
        .await;
        let to = now(cluster).await.expect("a time");
        host.heal();

        for node in NODES {
            let history = cluster.coordinator(node).history();
            eventually(SETTLED, &format!("all is in the history of {node}"), || async {
                let seen = record::observations(&history).map_err(|error| error.to_string())?;
                whole(seen, from, to)
            })
            .await;
        }
        cluster.rounds(1, 3).await;
        assert_eq!(verdicts(cluster).await, before);
        assert_eq!(cluster.coordinator(1).api.list("/api/v1/incidents").await, Ok(Vec::new()));
        assert_eq!(cluster.events(), []);
    });
}

/// Whether everything that the probe saw is there: its numbers have no gap, and the runs of the cut
/// stand at their times and say what was seen.
fn whole(seen: BTreeMap<Identity, Kept>, from: Timestamp, to: Timestamp) -> Result<(), String> {
    let seen = seen.into_iter().filter(|((probe, ..), _)| probe == "a1");
    let (numbers, kept): (Vec<u64>, Vec<Kept>) = seen.map(|((.., seq), kept)| (seq, kept)).unzip();
    let first = numbers.first().copied().ok_or("nothing")?;
    if let Some((_, missing)) = numbers.iter().zip(first..).find(|(found, next)| *found != next) {
        return Err(format!("{missing} is missing, among {}", numbers.len()));
    }
    let mut started: Vec<u64> = kept.iter().map(|run| run.started_ms).collect();
    started.sort_unstable();
    let (from, to) = (from.as_millis(), to.as_millis());
    if started.last().is_none_or(|last| *last < to) {
        return Err(format!("nothing since {to}"));
    }
    let hole = started.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default();
    let failing = || kept.iter().filter(|run| run.status == DOWN);
    let within = failing().filter(|run| (from..to).contains(&run.started_ms)).count();
    let all = failing().count();
    if within < LEAST_FAILING || within < all || hole > LONGEST_HOLE_MS {
        return Err(format!(
            "{within} of {all} failing runs are of the cut; {hole} ms without any"
        ));
    }
    Ok(())
}

/// The cluster's time.
async fn now(cluster: &Cluster) -> Result<Timestamp, String> {
    let (_, health) = cluster.coordinator(1).readiness().await?;
    serde_json::from_value(health["as_of"].clone()).map_err(|error| error.to_string())
}

/// Each check's verdict, and since when.
async fn verdicts(cluster: &Cluster) -> Vec<[Value; 3]> {
    let checks = cluster.coordinator(1).api.list("/api/v1/checks").await.expect("checks");
    checks.iter().map(|check| ["id", "status", "since"].map(|key| check[key].clone())).collect()
}

/// How often coordinators are killed.
const KILLS: usize = 30;

/// Fewer observations than this were no load.
const LEAST_ACKNOWLEDGED: usize = 2_000;

/// Names the seed that the moments of the kills follow from; without it, a new one.
const SEED: &str = "CROSSCHECK_SEED";

#[test]
fn what_is_acknowledged_survives_every_kill_once() {
    let seed = match std::env::var(SEED) {
        Ok(seed) => seed.parse().unwrap_or_else(|_| panic!("{SEED}={seed} is no number")),
        Err(_) => rand::random(),
    };
    let _reproduce = Reproduce(seed);
    run(Plan { checks: 1, probes: false }, async |cluster| {
        let (end, stop) = watch::channel(false);
        let urls = NODES.map(|node| cluster.coordinator(node).probes_url());
        let mut scripts = Vec::new();
        for (site, _, _) in SITES {
            let token = cluster.coordinator(1).probe_token(site);
            let data = cluster.directory(&format!("script-{site}"));
            let script = Script::join(site, CHECK, urls.to_vec(), &token, data).await;
            scripts.push(tokio::spawn(script.run(stop.clone())));
        }
        kill_at_random(cluster, &mut StdRng::seed_from_u64(seed)).await;
        cluster.ready(&NODES).await;
        end.send(true).expect("the scripts run");
        let mut acknowledged = BTreeSet::new();
        for script in scripts {
            let ended = timeout(SETTLED, script).await.expect("every report is acknowledged");
            acknowledged.extend(ended.expect("nothing is refused"));
        }
        assert!(acknowledged.len() > LEAST_ACKNOWLEDGED, "only {}", acknowledged.len());
        for node in NODES {
            let history = cluster.coordinator(node).history();
            eventually(SETTLED, &format!("all is in the history of {node}"), || async {
                let kept = record::observations(&history).map_err(|error| error.to_string())?;
                let counted = record::rolled_up(&history).map_err(|error| error.to_string())?;
                once(&acknowledged, &kept, &counted)
            })
            .await;
        }
    });
}

/// Says how to have the same again, when a test fails.
struct Reproduce(u64);

impl Drop for Reproduce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "reproduce with {SEED}={}", self.0);
        }
    }
}

/// Kills one, two or all three members at a time, and starts them again, sometimes before the
/// others have recovered from the last kill.
async fn kill_at_random(cluster: &mut Cluster, random: &mut StdRng) {
    let mut kills = 0;
    while kills < KILLS {
        sleep(Duration::from_millis(random.random_range(0..2_500))).await;
        let count = [1, 1, 1, 2, 3][random.random_range(0..5)];
        let first = random.random_range(0..NODES.len());
        let victims = NODES.into_iter().cycle().skip(first).take(count);
        victims.clone().for_each(|node| cluster.coordinator_mut(node).kill());
        kills += count;
        sleep(Duration::from_millis(random.random_range(0..1_500))).await;
        victims.for_each(|node| cluster.coordinator_mut(node).start());
        if random.random_bool(0.5) {
            cluster.ready(&NODES).await;
        }
    }
}

/// Whether a history holds what was acknowledged and nothing else, and has counted it once.
fn once(
    acknowledged: &BTreeSet<Identity>,
    kept: &BTreeMap<Identity, Kept>,
    counted: &BTreeMap<i64, u64>,
) -> Result<(), String> {
    let mut missing = acknowledged.iter().filter(|identity| !kept.contains_key(identity));
    if let Some(first) = missing.next() {
        return Err(format!("{first:?} and {} more are missing", missing.count()));
    }
    let wanted = acknowledged.len();
    let is_once = !counted.is_empty() && counted.values().all(|runs| *runs == wanted as u64);
    if kept.len() == wanted && is_once {
        return Ok(());
    }
    Err(format!("{wanted} acknowledged, {} kept, counted by width: {counted:?}", kept.len()))
}
