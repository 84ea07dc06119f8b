//! Two coordinators of which one does not hear the other, while both reach the third.

use crosscheck_tests::cluster::network::Way;
use crosscheck_tests::cluster::replicas::assert_same_state;
use crosscheck_tests::cluster::{CONTACTS, Cluster, Plan, run};

use super::{begins, ends, told_once};

#[test]
fn a_leader_and_a_follower_that_hear_each_other_one_way_only_disturb_no_outage() {
    run(Plan::USUAL, async |cluster| {
        begins(cluster).await;
        let follower = half_cut(cluster, Way::Out).await;
        cluster.target.fail();
        cluster.told("alarm", CONTACTS.len()).await;
        heal(cluster).await;
        cluster.shows(follower, "down", "down", super::ALL).await;

        let follower = half_cut(cluster, Way::In).await;
        ends(cluster).await;
        told_once(cluster, cluster.members_without(&[follower])[0]).await;
        heal(cluster).await;
        assert_same_state(cluster).await;
    });
}

/// Cuts one way between the leader and a follower: the follower.
async fn half_cut(cluster: &Cluster, way: Way) -> usize {
    let leader = cluster.ready(&cluster.members()).await;
    let follower = cluster.members_without(&[leader])[0];
    let address = cluster.coordinator(follower).host().address();
    cluster.coordinator(leader).host().cut(way, &[address]);
    follower
}

/// All paths between coordinators work again, and all coordinators with them.
async fn heal(cluster: &Cluster) {
    cluster.members().iter().for_each(|node| cluster.coordinator(*node).host().heal());
    cluster.ready(&cluster.members()).await;
}
