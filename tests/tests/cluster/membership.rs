//! Coordinators that come and go while the cluster works, as people have them do it: with the
//! real programs.

use std::fs;
use std::path::Path;
use std::process::Command;

use crosscheck_tests::cluster::coordinator::Coordinator;
use crosscheck_tests::cluster::record;
use crosscheck_tests::cluster::{CONTACTS, Cluster, NODES, Plan, SETTLED, SITES, run};
use crosscheck_tests::eventually::eventually;
use serde_json::Value;

/// Rounds in which a second alarm, or a false one, would have come.
const ROUNDS_AFTER: u32 = 5;

/// All probes.
const ALL: usize = SITES.len();

#[test]
fn a_lost_member_is_replaced_under_a_new_number_during_an_outage() {
    run(Plan::USUAL, async |cluster| {
        cluster.coordinator_mut(3).kill();
        cluster.target.fail();
        let lost = cluster.coordinator(3);
        fs::remove_file(lost.data().join("log.db")).expect("it had a log");
        let said = refused(&mut run_it(lost), 2);
        assert!(said.contains("cluster remove 3"), "{said}");
        fs::remove_dir_all(lost.data()).expect("it had data");
        let said = refused(&mut run_it(lost), 2);
        assert!(said.contains("crosscheck cluster join"), "{said}");
        cluster.told("alarm", CONTACTS.len()).await;

        let token = cluster.coordinator(1).token();
        let joined = cluster.coordinator(3).join(cluster.coordinator(1), &token);
        assert_eq!(joined, 4, "a new number");
        let said = refused(&mut run_it(cluster.coordinator(3)), 2);
        assert!(said.contains("remove it first"), "{said}");
        cluster.coordinator(1).operate(&["cluster", "remove", "3"]);
        cluster.coordinator_mut(3).start();
        cluster.ready(&NODES).await;
        assert_eq!(numbers(cluster.coordinator(2)), [1, 2, 4]);

        let mut again = cluster.coordinator(1).operation(&["cluster", "remove", "3"]);
        assert!(refused(&mut again, 1).contains("no coordinator 3"));
        let empty = cluster.coordinator(3).data().with_file_name("empty");
        let said = refused(&mut join_into(cluster.coordinator(3), &empty, &token), 2);
        assert!(said.contains("the token has been used"), "{said}");

        same_history(cluster, 1, 3).await;
        cluster.target.recover().await;
        cluster.told("recovery", CONTACTS.len()).await;
        cluster.shows(3, "up", "up", ALL).await;
        cluster.rounds(3, ROUNDS_AFTER).await;
        cluster.assert_told_of(1);
    });
}

#[test]
#[ignore = "the gate replaces a member: cargo sim --tier 4 runs it"]
fn a_removed_member_stops_and_says_why_and_what_is_left_goes_on() {
    run(Plan::USUAL, async |cluster| {
        cluster.ready(&NODES).await;
        cluster.coordinator(1).operate(&["cluster", "transfer", "2"]);
        assert_eq!(cluster.ready(&NODES).await, 2);
        // The leader, and it is asked itself; then one that was not running.
        cluster.coordinator(2).operate(&["cluster", "remove", "2"]);
        ends(cluster, 2, "coordinator 2 was removed").await;
        let said = refused(&mut run_it(cluster.coordinator(2)), 2);
        assert!(said.contains("never used again"), "{said}");
        cluster.ready(&[1, 3]).await;
        let status = status(cluster.coordinator(1));
        assert!(status["warnings"].to_string().contains("2 voters"), "{status}");

        cluster.coordinator(1).operate(&["cluster", "transfer", "1"]);
        cluster.coordinator_mut(3).stop().await;
        let mut remove = cluster.coordinator(1).operation(&["cluster", "remove", "1"]);
        // Alone of two it cannot change anything, whether it still leads or not.
        refused(&mut remove, 1);
        cluster.coordinator_mut(3).start();
        cluster.ready(&[1, 3]).await;
        assert_eq!(numbers(cluster.coordinator(1)), [1, 3]);
        cluster.coordinator(1).operate(&["cluster", "remove", "3"]);
        ends(cluster, 3, "coordinator 3 was removed").await;
        let mut last = cluster.coordinator(1).operation(&["cluster", "remove", "1"]);
        assert!(refused(&mut last, 1).contains("the only one"));

        cluster.target.fail();
        cluster.told("alarm", CONTACTS.len()).await;
        cluster.target.recover().await;
        cluster.told("recovery", CONTACTS.len()).await;
        cluster.rounds(1, ROUNDS_AFTER).await;
        cluster.assert_told_of(1);
    });
}

#[test]
fn members_restarted_one_after_the_other_in_an_outage_lose_and_double_no_mail() {
    run(Plan::USUAL, async |cluster| {
        cluster.target.fail();
        restart_each(cluster).await;
        cluster.told("alarm", CONTACTS.len()).await;
        cluster.rounds(1, ROUNDS_AFTER).await;
        cluster.target.recover().await;
        restart_each(cluster).await;
        cluster.told("recovery", CONTACTS.len()).await;
        cluster.shows(1, "up", "up", ALL).await;
        cluster.rounds(1, ROUNDS_AFTER).await;
        cluster.assert_told_of(1);
    });
}

/// As an upgrade of each machine does it.
async fn restart_each(cluster: &mut Cluster) {
    for node in NODES {
        cluster.coordinator_mut(node).stop().await;
        cluster.coordinator_mut(node).start();
        cluster.ready(&NODES).await;
    }
}

/// Waits until a member has ended by itself, in order, and for the given reason.
async fn ends(cluster: &mut Cluster, node: usize, reason: &str) {
    let (status, log) = cluster.coordinator_mut(node).ended().await;
    assert!(status.success(), "{status}");
    assert!(log.contains(reason), "{log}");
}

/// Waits until two members have the same measurements.
async fn same_history(cluster: &Cluster, one: usize, other: usize) {
    let [one, other] = [one, other].map(|node| cluster.coordinator(node).history());
    eventually(SETTLED, "all of the history", || async {
        let read = |path: &Path| record::observations(path).map_err(|error| error.to_string());
        let (one, other) = (read(&one)?, read(&other)?);
        // What came between the two looks is at the end.
        let missing = one.keys().filter(|identity| !other.contains_key(*identity)).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} of {} missing", one.len())) }
    })
    .await;
}

fn run_it(coordinator: &Coordinator) -> Command {
    let mut command = coordinator.crosscheck();
    command.args(["coordinator", "--config"]).arg(coordinator.settings());
    command
}

fn join_into(coordinator: &Coordinator, data: &Path, token: &str) -> Command {
    let settings = fs::read_to_string(coordinator.settings()).expect("settings");
    let own = format!("data: {}\n", coordinator.data().display());
    let settings = settings.replace(&own, &format!("data: {}\n", data.display()));
    let file = data.with_extension("yaml");
    fs::write(&file, settings).expect("a file");
    let mut command = coordinator.crosscheck();
    command.args(["cluster", "join", "--token", token, "--config"]).arg(file);
    command.arg("https://10.77.0.1:7401");
    command
}

/// Runs a command that must fail with this exit status: what it says.
fn refused(command: &mut Command, status: i32) -> String {
    let output = command.output().expect("crosscheck runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{command:?}: {said}");
    said
}

fn status(coordinator: &Coordinator) -> Value {
    let command = &mut coordinator.operation(&["cluster", "status", "--json"]);
    let output = command.output().expect("crosscheck runs");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The numbers of those that vote.
fn numbers(coordinator: &Coordinator) -> Vec<u64> {
    let status = status(coordinator);
    let members = status["members"].as_array().expect("a list");
    let votes = |member: &&Value| member["role"] == "leader" || member["role"] == "voter";
    members.iter().filter(votes).filter_map(|member| member["node"].as_u64()).collect()
}
