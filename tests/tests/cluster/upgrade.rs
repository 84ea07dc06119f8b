//! A cluster goes from one release to the next, machine by machine, while it works.

use std::collections::BTreeMap;
use std::process::Command;

use crosscheck_tests::binary;
use crosscheck_tests::cluster::coordinator::Coordinator;
use crosscheck_tests::cluster::{
    CONTACTS, Cluster, NODES, Plan, SETTLED, SITES, record, run_earlier,
};
use crosscheck_tests::eventually::eventually;
use serde_json::Value;

/// Rounds in which a second alarm, or a false one, would have come.
const ROUNDS_AFTER: u32 = 5;

/// All probes.
const ALL: usize = SITES.len();

#[test]
fn members_upgraded_one_by_one_in_an_outage_tell_it_once_and_lose_nothing() {
    run_earlier(Plan::USUAL, async |cluster| {
        cluster.ready(&NODES).await;
        let before = status(cluster.coordinator(1));
        assert_eq!(before["level"], 1, "{before}");
        assert_eq!(versions(&before), ["0.0.9"; 3], "{before}");

        cluster.target.fail();
        upgrade(cluster, 1).await;
        // The newer one leads the older ones, and writes what they read.
        cluster.coordinator(1).operate(&["cluster", "transfer", "1"]);
        assert_eq!(cluster.ready(&NODES).await, 1);
        cluster.told("alarm", CONTACTS.len()).await;
        let between = status(cluster.coordinator(2));
        assert_eq!(between["level"], 1, "{between}");
        let said = between["warnings"].to_string();
        assert!(said.contains("still to come: 2, 3"), "{said}");

        upgrade(cluster, 2).await;
        cluster.target.recover().await;
        upgrade(cluster, 3).await;
        eventually(SETTLED, "the cluster writes the formats that all read", || async {
            let status = status(cluster.coordinator(3));
            if status["level"] == 2 { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
        let after = status(cluster.coordinator(1));
        assert_eq!(after["warnings"], Value::Array(Vec::new()), "{after}");

        cluster.told("recovery", CONTACTS.len()).await;
        cluster.shows(1, "up", "up", ALL).await;
        cluster.rounds(1, ROUNDS_AFTER).await;
        cluster.assert_told_of(1);
        no_gap(cluster).await;
        no_way_back(cluster).await;
    });
}

/// As people do it: stop, install, start, wait until it serves.
async fn upgrade(cluster: &mut Cluster, node: usize) {
    let member = cluster.coordinator_mut(node);
    member.stop().await;
    member.install(binary::crosscheck());
    member.start();
    cluster.ready(&NODES).await;
}

/// Every run of every probe, from the first to the last, is in the history of every member.
async fn no_gap(cluster: &Cluster) {
    for node in NODES {
        let history = cluster.coordinator(node).history();
        eventually(SETTLED, "every run of every probe", || async {
            let rows = record::observations(&history).map_err(|error| error.to_string())?;
            let mut runs: BTreeMap<(String, u64), Vec<u64>> = BTreeMap::new();
            for (probe, boot, seq) in rows.keys().cloned() {
                runs.entry((probe, boot)).or_default().push(seq);
            }
            let holes = runs.iter().filter(|(_, seqs)| {
                let (first, last) = (seqs.iter().min(), seqs.iter().max());
                let all = last.zip(first).map_or(0, |(last, first)| last - first + 1);
                seqs.len() as u64 != all
            });
            let holes: Vec<_> = holes.map(|(probe, seqs)| format!("{probe:?}: {seqs:?}")).collect();
            let complete = runs.len() == ALL && holes.is_empty();
            if complete { Ok(()) } else { Err(format!("{} probes; {holes:?}", runs.len())) }
        })
        .await;
    }
}

/// The release before does not read what the cluster writes now, and says so, and nothing breaks.
async fn no_way_back(cluster: &mut Cluster) {
    let member = cluster.coordinator_mut(3);
    member.stop().await;
    member.install(binary::earlier());
    let mut earlier = member.program();
    let said = refused(earlier.args(["coordinator", "--config"]).arg(member.settings()));
    assert!(said.contains("update crosscheck"), "{said}");
    // A new machine with the release before is not let in, and its token stays good.
    let token = cluster.coordinator(1).token();
    let place = cluster.another();
    cluster.coordinator_mut(place).install(binary::earlier());
    let newcomer = cluster.coordinator(place);
    let mut join = newcomer.program();
    join.args(["cluster", "join", "--token", &token, "--config"]).arg(newcomer.settings());
    let said = refused(join.arg(cluster.coordinator(1).raft_url()));
    assert!(said.contains("level 2") && said.contains("install"), "{said}");
    cluster.coordinator_mut(place).install(binary::crosscheck());
    std::fs::remove_dir_all(cluster.coordinator(place).data()).expect("what the attempt left");
    assert_eq!(cluster.coordinator(place).join(cluster.coordinator(1), &token), 4);

    cluster.coordinator_mut(3).install(binary::crosscheck());
    cluster.coordinator_mut(3).start();
    cluster.ready(&NODES).await;
}

fn status(coordinator: &Coordinator) -> Value {
    let command = &mut coordinator.operation(&["cluster", "status", "--json"]);
    let output = command.output().expect("crosscheck runs");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn versions(status: &Value) -> Vec<&str> {
    let members = status["members"].as_array().expect("a list");
    members.iter().filter_map(|member| member["version"].as_str()).collect()
}

/// Runs a command that must fail: what it says.
fn refused(command: &mut Command) -> String {
    let output = command.output().expect("crosscheck runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{command:?}: {said}");
    said
}
