//! What has been acknowledged is kept, and what was seen while cut off is delivered: with real
//! processes that are killed, and a path that is really cut.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, ensure};
use crosscheck_model::Timestamp;
use crosscheck_tests::cluster::load::Script;
use crosscheck_tests::cluster::network::{HUB, Way};
use crosscheck_tests::cluster::record::{self, Identity, Kept};
use crosscheck_tests::cluster::{CHECK, Cluster, NODES, Plan, SETTLED, SITES, eventually, run};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How long the probe is cut off: several times every limit that a session, a vote or a report has.
const CUT: Duration = Duration::from_secs(120);

/// Checks of that probe: one makes about an observation in two seconds while it fails.
const CHECKS: usize = 8;

/// What a probe's time may be off by: it is a lower bound, as old as the last heartbeat's transit.
const SLACK: Duration = Duration::from_secs(2);

/// Status Down, as the history keeps it.
const DOWN: u8 = 2;

#[test]
fn a_probe_cut_off_for_long_loses_nothing_and_what_it_says_late_decides_nothing()
-> anyhow::Result<()> {
    run(Plan { checks: CHECKS, probes: true }, async |cluster| {
        cluster.await_rounds(1, 2).await?;
        let before = cluster.coordinator(1).api("checks").await?;
        let (host, from) = (cluster.probe("a1").host(), now(cluster).await?);
        // Everything at once, so that what it wrongly sees can only be told late.
        let mut peers = cluster.coordinator_addresses();
        peers.push(HUB);
        host.cut(Way::Both, &peers)?;
        await_time(cluster, from.plus(CUT)).await?;

        host.heal()?;
        host.cut(Way::Both, &cluster.coordinator_addresses())?;
        let asked = cluster.target.asked_by(host.address().into());
        eventually("fresh runs that are up", SETTLED, async || {
            let more = cluster.target.asked_by(host.address().into()) - asked;
            ensure!(more > 5 * CHECKS as u64, "{more} so far");
            Ok(())
        })
        .await?;
        let to = now(cluster).await?;
        host.heal()?;

        for node in NODES {
            await_whole(cluster, node, (from, to)).await.with_context(|| format!("at {node}"))?;
        }
        cluster.await_rounds(1, 3).await?;
        let after = cluster.coordinator(1).api("checks").await?;
        ensure!(verdicts(&before) == verdicts(&after), "before {before}, after {after}");
        let incidents = cluster.coordinator(1).api("incidents").await?;
        ensure!(incidents.as_array().is_some_and(Vec::is_empty), "{incidents}");
        ensure!(cluster.events().is_empty(), "mails: {:?}", cluster.events());
        Ok(())
    })
}

/// Waits until everything that the probe saw is in this coordinator's history: its numbers have no
/// gap, and the runs of the cut stand at their times and say what was seen.
async fn await_whole(
    cluster: &Cluster,
    node: usize,
    (from, to): (Timestamp, Timestamp),
) -> anyhow::Result<()> {
    let history = cluster.coordinator(node).history();
    eventually("the backlog", SETTLED, async || {
        let seen: Vec<(Identity, Kept)> = record::observations(&history)?
            .into_iter()
            .filter(|((probe, _, _), _)| probe == "a1")
            .collect();
        let numbers: Vec<u64> = seen.iter().map(|((_, _, seq), _)| *seq).collect();
        let first = numbers.first().context("nothing")?;
        let gap = numbers.iter().zip(*first..).find(|(found, wanted)| **found != *wanted);
        ensure!(gap.is_none(), "{gap:?} is the first gap, of {} numbers", numbers.len());
        let mut started: Vec<u64> = seen.iter().map(|(_, kept)| kept.started_ms).collect();
        started.sort_unstable();
        let last = started.last().copied().unwrap_or_default();
        ensure!(last > to.as_millis(), "the newest run began at {last}, before {to}");

        let period = from.as_millis()..to.as_millis();
        let during = seen.iter().filter(|(_, kept)| period.contains(&kept.started_ms));
        let lies: Vec<u64> = during
            .filter(|(_, kept)| kept.status == DOWN)
            .map(|(_, kept)| kept.started_ms)
            .collect();
        let wanted = CUT.as_secs() as usize * CHECKS / 4;
        ensure!(lies.len() > wanted, "{} failing runs of the cut, wanted {wanted}", lies.len());
        let all = seen.iter().filter(|(_, kept)| kept.status == DOWN).count();
        ensure!(all == lies.len(), "{} failing runs stand outside of the cut", all - lies.len());
        let hole = started.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default();
        ensure!(u128::from(hole) < (2 * SLACK).as_millis(), "{hole} ms without a run");
        Ok(())
    })
    .await
}

/// The cluster's time.
async fn now(cluster: &Cluster) -> anyhow::Result<Timestamp> {
    let (_, health) = cluster.coordinator(1).readiness().await?;
    Ok(serde_json::from_value(health["as_of"].clone())?)
}

async fn await_time(cluster: &Cluster, until: Timestamp) -> anyhow::Result<()> {
    eventually("time to pass", SETTLED + CUT, async || {
        let now = now(cluster).await?;
        ensure!(now >= until, "it is {now}");
        Ok(())
    })
    .await
}

/// Each check's verdict and since when.
fn verdicts(checks: &Value) -> Vec<(&str, &str, &str)> {
    let checks = checks.as_array().map_or(&[][..], Vec::as_slice);
    checks
        .iter()
        .map(|check| {
            let [id, status, since] = ["id", "status", "since"].map(|key| check[key].as_str());
            (id.unwrap_or_default(), status.unwrap_or_default(), since.unwrap_or_default())
        })
        .collect()
}

/// How often coordinators are killed.
const KILLS: u32 = 14;

/// Less than this was no load.
const LEAST_ACKNOWLEDGED: usize = 2_000;

/// Names the seed that the moments of the kills follow from; without it, a new one.
const SEED: &str = "CROSSCHECK_SEED";

#[test]
fn what_is_acknowledged_survives_every_kill_once() -> anyhow::Result<()> {
    let seed = match std::env::var(SEED) {
        Ok(seed) => seed.parse().with_context(|| format!("{SEED}={seed}"))?,
        Err(_) => rand::random::<u32>().into(),
    };
    run(Plan { checks: 1, probes: false }, async |cluster| kill_under_load(cluster, seed).await)
        .with_context(|| format!("reproduce with {SEED}={seed}"))
}

async fn kill_under_load(cluster: &mut Cluster, seed: u64) -> anyhow::Result<()> {
    let urls: Vec<String> =
        NODES.map(|node| cluster.coordinator(node).probes_url()).into_iter().collect();
    let (end, stop) = watch::channel(false);
    let mut scripts = Vec::new();
    for (site, _, _) in SITES {
        let script = Script::new(site, CHECK, urls.clone())?;
        scripts.push(tokio::spawn(script.run(stop.clone())));
    }
    kill_at_random(cluster, &mut StdRng::seed_from_u64(seed)).await?;
    cluster.await_ready(&NODES).await?;
    end.send(true)?;
    let mut acknowledged = BTreeSet::new();
    for script in scripts {
        acknowledged.extend(timeout(SETTLED, script).await.context("the load does not end")???);
    }
    let count = acknowledged.len();
    ensure!(count > LEAST_ACKNOWLEDGED, "only {count} observations were acknowledged");
    for node in NODES {
        await_kept(cluster, node, &acknowledged).await.with_context(|| format!("at {node}"))?;
    }
    Ok(())
}

/// Kills one, two or all three members at a time, and starts them again, sometimes before the
/// others have recovered from the last kill.
async fn kill_at_random(cluster: &mut Cluster, random: &mut StdRng) -> anyhow::Result<()> {
    let mut kills = 0;
    while kills < KILLS {
        sleep(Duration::from_millis(random.random_range(0..2_500))).await;
        let victims = [1, 1, 1, 2, 3][random.random_range(0..5)];
        let first = random.random_range(0..NODES.len());
        let victims = (0..victims).map(|place| NODES[(first + place) % NODES.len()]);
        let victims: Vec<usize> = victims.collect();
        for node in &victims {
            cluster.coordinator_mut(*node).kill();
            kills += 1;
        }
        sleep(Duration::from_millis(random.random_range(0..1_500))).await;
        for node in &victims {
            cluster.coordinator_mut(*node).start()?;
        }
        if random.random_bool(0.5) {
            cluster.await_ready(&NODES).await?;
        }
    }
    Ok(())
}

/// Waits until a history holds what was acknowledged and nothing else, and has counted it once.
async fn await_kept(
    cluster: &Cluster,
    node: usize,
    acknowledged: &BTreeSet<Identity>,
) -> anyhow::Result<()> {
    let history = cluster.coordinator(node).history();
    eventually("everything acknowledged", SETTLED, async || {
        let kept = record::observations(&history)?;
        let missing = acknowledged.iter().filter(|identity| !kept.contains_key(identity));
        let missing: Vec<_> = missing.collect();
        ensure!(missing.is_empty(), "{} are missing, such as {:?}", missing.len(), missing[0]);
        let (kept, wanted) = (kept.len(), acknowledged.len());
        ensure!(kept == wanted, "{kept} are kept, but {wanted} were reported");
        let counted = record::rolled_up(&history)?;
        let once = |runs: &u64| *runs == wanted as u64;
        ensure!(!counted.is_empty() && counted.values().all(once), "{counted:?} of {wanted}");
        Ok(())
    })
    .await
}
