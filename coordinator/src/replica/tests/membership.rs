//! Coordinators that join and go while reports arrive.

use crosscheck_core::operator::{self, Actor};
use crosscheck_core::token::Grant;
use crosscheck_model::join::Fingerprint;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::cluster::{Change, Changed};
use crate::raft::Role;

impl Cluster {
    /// A new member with an empty directory asks to be let in; its number.
    async fn newcomer(&mut self, token: u8) -> u64 {
        let id = enrol(self.replica(self.leader().await), token).await;
        self.directories.insert(id, tempfile::tempdir().expect("a directory"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        self.addresses.insert(id, listener.local_addr().expect("bound"));
        self.join(id, listener).await;
        self.replica(id).ask_for_admission();
        id
    }
}

fn ada() -> Actor {
    Actor { name: "ada".into(), role: operator::Role::Administrator, from: "here".into() }
}

pub(super) fn removal(node: u64) -> Change {
    Change::Remove { node, by: ada() }
}

async fn enrol(replica: &Replica, token: u8) -> u64 {
    let above = replica.0.node.urls().into_keys().max().unwrap_or_default();
    let token = Fingerprint([token; 32]);
    let (lifetime, by) = (60 * SECOND, "ada".to_owned());
    let issue = Command::IssueJoinToken { token, grant: Grant::Member, lifetime, by };
    assert_eq!(submit(replica, issue).await, Reply::Done);
    match submit(replica, Command::EnrolMember { token, key: token, above }).await {
        Reply::Member(Ok(node)) => node,
        other => panic!("no number: {other:?}"),
    }
}

/// Waits until a replica knows exactly these voters.
pub(super) async fn votes(replica: &Replica, wanted: &[u64]) {
    let mut news = replica.0.node.watch();
    within(async {
        loop {
            let group = replica.0.node.group();
            let voters = group.iter().filter(|(_, known)| known.role == Role::Voter);
            if voters.map(|(id, _)| *id).eq(wanted.iter().copied()) {
                break;
            }
            replica.0.node.next_standing(&mut news).await.expect("runs");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_gets_a_snapshot_while_reports_arrive_and_then_votes() {
    let mut cluster = Cluster::start(1).await;
    cluster.leader().await;
    let first = cluster.replica(1).clone();
    let welcome = session(&first).await;
    let stop = CancellationToken::new();
    let (loaded, stopped) = (first.clone(), stop.clone());
    let load = tokio::spawn(async move {
        let mut seq = 0;
        while !stopped.is_cancelled() {
            seq += 1;
            let report = report(welcome.epoch, seq, loaded.applied().1);
            let receipt = within(loaded.submit_report(report)).await;
            assert_eq!(receipt.map(|receipt| receipt.seq), Ok(seq));
        }
        seq
    });
    within(first.0.node.purged_beyond(40)).await;
    let id = cluster.newcomer(1).await;
    assert_eq!(id, 2);
    votes(&first, &[1, 2]).await;
    stop.cancel();
    let reports = within(load).await.expect("every report was taken");

    let newcomer = cluster.replica(id);
    applied(newcomer, first.applied().0).await;
    votes(newcomer, &[1, 2]).await;
    within(async {
        while newcomer.unready().is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for replica in [&first, newcomer] {
        replica.history().flush().await.expect("flushed");
    }
    assert_eq!(rows(&first).len() as u64, 10 * reports);
    assert!(rows(&first) == rows(newcomer), "the rows differ");
    let probes = |replica: &Replica| replica.read(|state| state.probes.clone());
    assert_eq!(probes(&first), probes(newcomer));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_removed_hears_of_it_also_when_it_was_away_and_never_comes_back() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let [away, present] =
        cluster.members.keys().copied().filter(|id| *id != leader).collect::<Vec<_>>()[..]
    else {
        panic!("two others")
    };
    cluster.crash(away).await;
    let replica = cluster.replica(leader).clone();
    // The one that is left would be no majority of two.
    assert!(matches!(replica.change(removal(9)).await, Changed::Refused(_)));
    assert_eq!(replica.change(removal(away)).await, Changed::Done);
    votes(&replica, &{
        let mut left = [leader, present];
        left.sort_unstable();
        left
    })
    .await;
    cluster.restart(away).await;
    let ending = within(cluster.replica(away).ended()).await;
    assert!(matches!(&ending, Ending::Removed(reason) if reason.contains("never used again")));

    // Whoever asks under the old number is refused, and the next one gets another.
    let asked = replica
        .change(Change::Admit { node: away, url: "http://127.0.0.1:9".into(), level: 2 })
        .await;
    assert!(matches!(asked, Changed::Removed(_)), "{asked:?}");
    cluster.stop(away).await;
    let id = cluster.newcomer(1).await;
    assert_eq!(id, 4);
    let mut left = [leader, present, id];
    left.sort_unstable();
    votes(&replica, &left).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lead_moves_on_demand_and_with_a_leader_that_is_removed() {
    let cluster = Cluster::start(3).await;
    let first = cluster.leader().await;
    let others: Vec<u64> = cluster.members.keys().copied().filter(|id| *id != first).collect();
    let replica = cluster.replica(others[1]);
    let transfer = Change::Transfer { node: others[0], by: ada() };
    assert_eq!(replica.change(transfer).await, Changed::Done);
    let mut leadership = replica.leadership();
    let moved = leadership.wait_for(|leadership| leadership.leader == Some(others[0]));
    drop(within(moved).await.expect("runs"));
    let last = cluster.replica(first).read(|state| state.audit.entries().last().cloned());
    let last = last.expect("it is on record");
    assert_eq!((last.actor.as_str(), last.act.as_str()), ("ada", "transfer leadership"));
    // By way of a follower, which must find who leads then.
    assert_eq!(replica.change(removal(others[0])).await, Changed::Done);
    let ending = within(cluster.replica(others[0]).ended()).await;
    assert!(matches!(ending, Ending::Removed(_)), "{ending:?}");
    submit(replica, Command::Tick).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_is_on_record_first_and_a_later_leader_brings_it_to_its_end() {
    let cluster = Cluster::start(3).await;
    let first = cluster.leader().await;
    let others: Vec<u64> = cluster.members.keys().copied().filter(|id| *id != first).collect();
    let replica = cluster.replica(first);
    // As far as a leader had come that was lost then: nobody was taken out of the group yet.
    let dismiss = Command::Dismiss { node: others[0] };
    let act =
        Command::Act { actor: ada(), command: crosscheck_core::command::Enclosed::new(&dismiss) };
    assert_eq!(submit(replica, act).await, Reply::Done);
    let mut left = [first, others[1]];
    left.sort_unstable();
    votes(replica, &left).await;
    let ending = within(cluster.replica(others[0]).ended()).await;
    assert!(matches!(ending, Ending::Removed(_)), "{ending:?}");
    assert_eq!(replica.read(|state| state.member_belongs(others[0])), Some(false));
}
