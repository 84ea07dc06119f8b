//! All coordinators are lost, and a backup and the authority's file are left: one machine becomes a
//! cluster again, with the real programs.

use std::fs;
use std::path::PathBuf;

use crosscheck_tests::api::Api;
use crosscheck_tests::cluster::{CONTACTS, Cluster, Plan, SETTLED, SITES, run};
use crosscheck_tests::eventually::eventually;
use serde_json::Value;

/// All probes.
const ALL: usize = SITES.len();

/// What people keep at another place.
struct Kept {
    backup: PathBuf,
    authority: PathBuf,
    /// An operator's token.
    operator: String,
    /// Tokens to join by that nobody has used.
    member: String,
    probe: String,
    /// The old cluster's name.
    cluster: Value,
}

impl Kept {
    fn of(cluster: &Cluster) -> Self {
        let first = cluster.coordinator(1);
        let kept = cluster.directory("kept");
        let (backup, authority) = (kept.join("monday.backup"), kept.join("authority.pem"));
        let made = ["token", "create", "--name", "li", "--role", "administrator"];
        let operator = first.operate(&made).trim().to_owned();
        let (member, probe) = (first.token(), first.probe_token("a1"));
        let name = backup.to_str().expect("a path in ASCII");
        let said = first.operate(&["backup", "--json", "--out", name]);
        let said: Value = serde_json::from_str(&said).expect("JSON");
        fs::copy(first.data().join("authority.pem"), &authority).expect("a copy");
        Self { backup, authority, operator, member, probe, cluster: said["cluster"].clone() }
    }
}

/// Restores coordinator 1 where it was: what the command prints.
fn restore(cluster: &Cluster, kept: &Kept) -> Value {
    let first = cluster.coordinator(1);
    fs::remove_dir_all(first.data()).expect("it had data");
    let mut command = first.crosscheck();
    command.args(["restore", "--json", "--config"]).arg(first.settings());
    let said = command.arg("--authority").arg(&kept.authority).arg(&kept.backup).output();
    let said = said.expect("crosscheck runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    serde_json::from_slice(&said.stdout).expect("JSON")
}

fn status(cluster: &Cluster) -> Value {
    let mut command = cluster.coordinator(1).operation(&["cluster", "status", "--json"]);
    serde_json::from_slice(&command.output().expect("crosscheck runs").stdout).expect("JSON")
}

fn numbers(status: &Value) -> Vec<u64> {
    let members = status["members"].as_array().expect("a list");
    members.iter().filter_map(|member| member["node"].as_u64()).collect()
}

#[test]
fn a_restored_coordinator_leads_and_the_old_cluster_is_out() {
    run(Plan::USUAL, async |cluster| {
        cluster.target.fail();
        cluster.told("alarm", CONTACTS.len()).await;
        let kept = Kept::of(cluster);
        for node in [1, 2, 3] {
            cluster.coordinator_mut(node).kill();
        }
        let restored = restore(cluster, &kept);
        assert_eq!(restored["of"], kept.cluster);
        assert_ne!(restored["cluster"], kept.cluster, "a name of its own");
        cluster.coordinator_mut(1).start();
        assert_eq!(cluster.ready(&[1]).await, 1);

        // The probes go on by the certificates that they have, and what was alarmed is over once.
        cluster.target.recover().await;
        cluster.told("recovery", CONTACTS.len()).await;
        cluster.shows(1, "up", "up", ALL).await;
        cluster.assert_told_of(1);

        let first = cluster.coordinator(1);
        let li = Api::at(first.api.address(""), Some(&kept.operator));
        assert_eq!(li.get("/api/v1/cluster").await.expect("an answer").0, 200, "li is let in");
        let refused = cluster.probe("a1").try_join(&kept.probe);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("does not know the token"), "{said}");
        let place = cluster.another();
        let mut join = cluster.coordinator(place).crosscheck();
        join.args(["cluster", "join", "--token", &kept.member, "--config"]);
        join.arg(cluster.coordinator(place).settings()).arg(cluster.coordinator(1).raft_url());
        let refused = join.output().expect("crosscheck runs");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("does not know the token"), "{said}");
        old_members_are_not_heard(cluster).await;

        // A new machine gets a number that nobody ever had.
        let token = cluster.coordinator(1).token();
        let joined = cluster.coordinator(place).join(cluster.coordinator(1), &token);
        assert_eq!(joined, 4);
        cluster.coordinator_mut(place).start();
        assert_eq!(cluster.ready(&[1, place]).await, 1);
        assert_eq!(numbers(&status(cluster)), [1, 4]);
    });
}

/// Two of the old cluster are a majority of it, and take the new first member for their own.
async fn old_members_are_not_heard(cluster: &mut Cluster) {
    let before = status(cluster);
    for node in [2, 3] {
        cluster.coordinator_mut(node).start();
    }
    // They serve their own cluster, whose first member they do not find.
    let leader = cluster.ready(&[2, 3]).await;
    assert!([2, 3].contains(&leader), "{leader}");
    let old = cluster.coordinator(leader).log();
    eventually(SETTLED, "the old leader is turned away", || async {
        let status = cluster.coordinator(leader).api.json("/api/v1/cluster").await?;
        let first = status["members"]
            .as_array()
            .and_then(|members| members.iter().find(|member| member["node"] == 1).cloned());
        match first {
            Some(first) if first["state"].is_null() => Ok(()),
            other => Err(format!("{other:?} {old}")),
        }
    })
    .await;
    for node in [2, 3] {
        cluster.coordinator_mut(node).kill();
    }
    let after = status(cluster);
    for what in ["cluster", "leader", "term"] {
        assert_eq!(after[what], before[what], "{what}");
    }
    assert_eq!(numbers(&after), [1]);
}
