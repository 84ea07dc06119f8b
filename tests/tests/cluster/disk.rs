//! A coordinator whose disk fills up: it tells, lets another lead, and stops before a write fails.

use std::fs;
use std::path::Path;

use crosscheck_tests::cluster::{CONTACTS, Cluster, NODES, Plan, SETTLED, run};
use crosscheck_tests::eventually::eventually;
use crosscheck_tests::mailbox::Mailbox;
use serde_json::Value;

/// The small disk.
const DISK_BYTES: u64 = 512 * 1024 * 1024;

/// What is left for what the coordinator itself writes while the test looks.
const ROUNDS_AFTER: u32 = 3;

#[test]
fn a_disk_that_fills_up_is_told_once_costs_the_lead_and_ends_in_an_orderly_stop() {
    run(Plan::USUAL, async |cluster| {
        cluster.configure_also("operators: [ops, li]\n");
        let fourth = cluster.another();
        let small = cluster.coordinator(fourth);
        let disk = small.host().disk(&small.data(), DISK_BYTES);
        let token = cluster.coordinator(1).token();
        let node = small.join(cluster.coordinator(1), &token);
        cluster.coordinator_mut(fourth).start();
        let all = [NODES[0], NODES[1], NODES[2], fourth];
        cluster.ready(&all).await;
        cluster.coordinator(1).operate(&["cluster", "transfer", &node.to_string()]);
        assert_eq!(cluster.ready(&all).await as u64, node);

        let filler = disk.join("filler");
        fill(cluster, fourth, &filler, 91).await;
        let leader = eventually(SETTLED, "another leads", || async {
            let (_, health) = cluster.coordinator(1).readiness().await?;
            let leader = health["leader"].as_u64().filter(|leader| *leader != node);
            leader.ok_or_else(|| health.to_string())
        })
        .await;
        assert!(leader <= 3);
        cluster.told("alarm", CONTACTS.len()).await;
        let subject = cluster.mails.letters()[0].field("Subject").map(str::to_owned);
        assert!(subject.as_ref().is_some_and(|s| s.contains("coordinator 4")), "{subject:?}");
        cluster.rounds(1, ROUNDS_AFTER).await;
        fs::remove_file(&filler).expect("it was there");
        cluster.told("recovery", CONTACTS.len()).await;
        cluster.assert_told_of(1);

        fill(cluster, fourth, &filler, 96).await;
        let (status, log) = cluster.coordinator_mut(fourth).ended().await;
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("stopped in order") && !log.contains("cannot be trusted"), "{log}");
        let mut again = cluster.coordinator(fourth).crosscheck();
        again.args(["coordinator", "--config"]).arg(cluster.coordinator(fourth).settings());
        let output = again.output().expect("crosscheck runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("free some space"), "{said}");

        fs::remove_file(&filler).expect("it was there");
        cluster.coordinator_mut(fourth).start();
        cluster.ready(&all).await;
    });
}

/// Writes a file until so much of the disk is in use; the coordinator writes meanwhile.
async fn fill(cluster: &Cluster, place: usize, filler: &Path, percent: u64) {
    let used = used_percent(cluster, place).await;
    let bytes = DISK_BYTES * percent.saturating_sub(used) / 100;
    fs::write(filler, vec![7; usize::try_from(bytes).expect("small")]).expect("space");
}

/// How full the disk of a member is, as its cluster shows it.
async fn used_percent(cluster: &Cluster, place: usize) -> u64 {
    let api = cluster.coordinator(1).api.clone();
    let url = cluster.coordinator(place).raft_url();
    eventually(SETTLED, "the disk is told of", || async {
        let report: Value = api.json("/api/v1/cluster").await?;
        let members = report["members"].as_array().cloned().unwrap_or_default();
        let member = members.into_iter().find(|member| member["url"] == url.as_str());
        let percent = member.and_then(|member| member["disk_percent"].as_u64());
        percent.ok_or_else(|| report.to_string())
    })
    .await
}
