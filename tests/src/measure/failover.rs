//! From the death of a leader to the next commit.

use std::time::{Duration, Instant};

use futures_util::future::select_all;
use tokio::time::sleep;

use crate::cluster::load::Proposer;
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
        let urls: Vec<String> = rest.map(|node| cluster.coordinator(node).probes_url()).collect();
        for url in &urls {
            // Connected, as those who ask all the time are.
            eventually(SETTLED, "a commit while all is well", || async {
                proposer.commit(url).await.then_some(()).ok_or_else(|| "none".to_owned())
            })
            .await;
        }
        let began = Instant::now();
        cluster.coordinator_mut(leader).kill();
        select_all(urls.iter().map(|url| Box::pin(committed(proposer, url)))).await;
        took.push(began.elapsed());
        cluster.coordinator_mut(leader).start();
    }
    took
}

async fn committed(proposer: &Proposer, url: &str) {
    while !proposer.commit(url).await {
        sleep(PAUSE).await;
    }
}
