//! From the death of a leader to the next commit.

use std::time::{Duration, Instant};

use futures_util::future::{join_all, select_all};
use tokio::time::sleep;

use crate::cluster::proposer::{Member, Proposer};
use crate::cluster::{Cluster, SETTLED};
use crate::eventually::eventually;

/// Before a refused request is made again: short beside an election.
const PAUSE: Duration = Duration::from_millis(5);

/// Kills the leader so many times with SIGKILL: how long it was each time until one of the others
/// told a client that an entry, asked for after the death, is committed.
pub(super) async fn failovers(
    cluster: &mut Cluster,
    proposer: &Proposer,
    times: usize,
) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..times {
        let leader = cluster.ready(&cluster.members()).await;
        let rest = cluster.members_without(&[leader]).into_iter();
        let rest: Vec<Member> =
            rest.map(|node| Member::new(node, cluster.coordinator(node))).collect();
        // Connected, as those who ask all the time are.
        join_all(rest.iter().map(|member| proposer.commit(member))).await;
        let led = Member::new(leader, cluster.coordinator(leader));
        eventually(SETTLED, "a commit while all is well", || async {
            proposer.commit(&led).await.then_some(()).ok_or_else(|| "none".to_owned())
        })
        .await;
        let began = Instant::now();
        cluster.coordinator_mut(leader).kill();
        select_all(rest.iter().map(|member| Box::pin(committed(proposer, member)))).await;
        took.push(began.elapsed());
        cluster.coordinator_mut(leader).start();
    }
    took
}

async fn committed(proposer: &Proposer, member: &Member) {
    while !proposer.commit(member).await {
        sleep(PAUSE).await;
    }
}
