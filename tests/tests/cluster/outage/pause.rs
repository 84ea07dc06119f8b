//! A leader that stands still for longer than an election, and goes on: an overloaded host, a
//! virtual machine that is moved.

use crosscheck_tests::cluster::{CONTACTS, Cluster, Plan, SETTLED, run};

use super::{ROUNDS_AFTER, begins, ends, told_once};

#[test]
fn a_leader_that_stood_still_in_an_outage_follows_the_next_one_and_sends_nothing_more() {
    run(Plan::USUAL, async |cluster| {
        begins(cluster).await;
        let leader = paused(cluster).await;
        cluster.target.fail();
        cluster.told("alarm", CONTACTS.len()).await;
        resumes(cluster, leader).await;

        // The same before the recovery, when nothing is on its way to anybody.
        cluster.coordinator(1).api.all_settled(SETTLED).await;
        let leader = paused(cluster).await;
        ends(cluster).await;
        cluster.told("recovery", CONTACTS.len()).await;
        resumes(cluster, leader).await;
        told_once(cluster, leader).await;
    });
}

/// Stops the leader, and waits until the others have another one: the one that was stopped.
async fn paused(cluster: &mut Cluster) -> usize {
    let leader = cluster.ready(&cluster.members()).await;
    cluster.coordinator_mut(leader).pause();
    cluster.succeeded(&[leader]).await;
    leader
}

/// Lets it go on; it joins the others, and has told nobody anything since.
async fn resumes(cluster: &mut Cluster, node: usize) {
    let host = cluster.coordinator(node).host().address();
    let sent = |cluster: &Cluster| {
        cluster.mails.arrivals().iter().filter(|mail| mail.from == host).count()
    };
    let before = sent(cluster);
    cluster.coordinator_mut(node).resume();
    let members = cluster.members();
    cluster.ready(&members).await;
    cluster.rounds(node, ROUNDS_AFTER).await;
    assert_eq!(sent(cluster), before, "{node} sends what another has sent");
}
