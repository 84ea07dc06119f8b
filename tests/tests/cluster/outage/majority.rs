//! Five coordinators, of which two are lost.

use crosscheck_tests::cluster::replicas::assert_same_state;
use crosscheck_tests::cluster::{CONTACTS, Plan, SETTLED, run_of};
use crosscheck_tests::eventually::eventually;

use super::{ALL, begins, ends, told_once};

#[test]
fn five_coordinators_without_two_decide_and_the_two_catch_up_to_the_same_state() {
    run_of(5, Plan::USUAL, async |cluster| {
        let all = cluster.members();
        assert_eq!(all, [1, 2, 3, 4, 5]);
        begins(cluster).await;
        let leader = cluster.ready(&all).await;
        let other = cluster.members_without(&[leader])[0];
        let lost = [leader, other];
        lost.iter().for_each(|node| cluster.coordinator_mut(*node).kill());
        cluster.target.fail();
        let rest = cluster.members_without(&lost);
        cluster.told("alarm", CONTACTS.len()).await;
        let next = cluster.succeeded(&lost).await;
        for node in &rest {
            cluster.shows(*node, "down", "down", ALL).await;
            let (status, page) = cluster.coordinator(*node).page.get("/").await.expect("a page");
            assert_eq!(status, 200);
            assert!(!page.contains("Stale"), "{node} has a quorum: {page}");
        }
        let seen = cluster.coordinator(next).operation(&["cluster", "status", "--json"]).output();
        let seen = String::from_utf8(seen.expect("crosscheck runs").stdout).expect("text");
        assert_eq!(seen.matches("\"reachable\": false").count(), lost.len(), "{seen}");

        ends(cluster).await;
        told_once(cluster, next).await;
        lost.iter().for_each(|node| cluster.coordinator_mut(*node).start());
        cluster.ready(&all).await;
        for node in lost {
            eventually(SETTLED, "who was lost knows what it missed", || async {
                let told = cluster.coordinator(node).api.list("/api/v1/outbox").await?;
                let delivered = told.iter().filter(|mail| mail["progress"] == "delivered").count();
                if delivered == 2 * CONTACTS.len() { Ok(()) } else { Err(format!("{told:?}")) }
            })
            .await;
        }
        assert_same_state(cluster).await;
    });
}
