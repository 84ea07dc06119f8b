//! Three replicas in one process, over real listeners on loopback.

mod backup;
mod joining;
mod keys;
mod membership;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_core::{Command, Reply};
use crosscheck_model::config::{Maintenance, Site, Window};
use crosscheck_model::observation::{Firmness, Trigger};
use crosscheck_model::wire::{Health, Hello, WIRE_VERSION, Welcome};
use crosscheck_model::{CheckId, Config, Observation, Outcome, ProbeId, SiteId, Status, Timestamp};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::leader::SystemClock;

/// Nothing here takes nearly as long; a test that gets here has hung.
const LIMIT: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

struct Member {
    replica: Replica,
    server: JoinHandle<()>,
}

struct Cluster {
    members: BTreeMap<u64, Member>,
    directories: BTreeMap<u64, TempDir>,
    addresses: BTreeMap<u64, std::net::SocketAddr>,
}

/// A machine's clocks, with a wall clock that is a day ahead.
struct DayAhead(SystemClock);

impl Clock for DayAhead {
    fn wall(&self) -> Timestamp {
        self.0.wall().plus(Duration::from_secs(24 * 60 * 60))
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The one member whose wall clock is wrong.
const AHEAD: u64 = 2;

fn clock_of(id: u64) -> Arc<dyn Clock> {
    let clock = SystemClock::start();
    if id == AHEAD { Arc::new(DayAhead(clock)) } else { Arc::new(clock) }
}

fn config(id: u64, url: String, data: &Path) -> ReplicaConfig {
    ReplicaConfig {
        id,
        url,
        acquaintances: BTreeMap::new(),
        data: data.to_owned(),
        profile: Profile::Lan,
        credentials: None,
        snapshot_every: 20,
        clock: clock_of(id),
        fatal: Fatal::new(|reason| panic!("{reason}")),
        surroundings: Surroundings::default(),
        program: crate::cluster::Program::this(),
    }
}

impl Cluster {
    async fn start(size: u64) -> Self {
        let mut listeners = BTreeMap::new();
        for id in 1..=size {
            listeners.insert(id, TcpListener::bind("127.0.0.1:0").await.expect("a port"));
        }
        let addresses = listeners
            .iter()
            .map(|(id, listener)| (*id, listener.local_addr().expect("bound")))
            .collect();
        let directories =
            (1..=size).map(|id| (id, tempfile::tempdir().expect("a directory"))).collect();
        let mut cluster = Self { members: BTreeMap::new(), directories, addresses };
        for (id, listener) in listeners {
            cluster.join(id, listener).await;
        }
        let formed = cluster.replica(1).form_of(&cluster.urls()).await;
        formed.expect("forms the cluster");
        cluster
    }

    fn urls(&self) -> BTreeMap<u64, String> {
        self.addresses.iter().map(|(id, at)| (*id, format!("http://{at}"))).collect()
    }

    async fn join(&mut self, id: u64, listener: TcpListener) {
        let acquaintances = self.urls();
        let config = config(id, acquaintances[&id].clone(), self.directories[&id].path());
        let config = ReplicaConfig { acquaintances, ..config };
        let replica = Replica::start(config).await.expect("starts");
        let routes = replica.raft_routes();
        let server = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("serves");
        });
        self.members.insert(id, Member { replica, server });
    }

    async fn stop(&mut self, id: u64) {
        let member = self.members.remove(&id).expect("runs");
        member.server.abort();
        let _ = member.server.await;
        member.replica.shutdown().await;
    }

    /// Ends a member without a word to the others.
    async fn crash(&mut self, id: u64) {
        let member = self.members.remove(&id).expect("runs");
        member.server.abort();
        let _ = member.server.await;
        let Replica(inner) = member.replica;
        inner.stop.cancel();
        inner.tasks.close();
        inner.tasks.wait().await;
        inner.node.shutdown().await;
    }

    async fn restart(&mut self, id: u64) {
        let listener = TcpListener::bind(self.addresses[&id]).await.expect("the same port");
        self.join(id, listener).await;
    }

    fn replica(&self, id: u64) -> &Replica {
        &self.members[&id].replica
    }

    /// The member that leads, as soon as there is one among those that run.
    async fn leader(&self) -> u64 {
        let leading = self.members.iter().map(|(id, member)| {
            let mut leadership = member.replica.leadership();
            Box::pin(async move {
                let led = leadership.wait_for(|leadership| leadership.is_leader).await;
                led.map(|_| *id).expect("runs")
            })
        });
        within(futures_util::future::select_all(leading)).await.0
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("an end in time")
}

async fn applied(replica: &Replica, index: u64) {
    let mut progress = replica.0.shared.progress.subscribe();
    within(progress.wait_for(|progress| progress.0 >= index)).await.expect("runs");
}

/// What a command was answered with, tried again when a leader was lost on the way.
async fn submit(replica: &Replica, command: Command) -> Reply {
    within(async {
        loop {
            match replica.submit(command.clone()).await {
                Ok(reply) => break reply,
                Err(SubmitError::NoLeader | SubmitError::Unknown) => {}
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_forwards_and_all_apply() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for (id, member) in &cluster.members {
        assert_eq!(submit(&member.replica, Command::Tick).await, Reply::Done, "by {id}");
    }
    let (index, now) = cluster.replica(leader).applied();
    assert!(now > Timestamp::ZERO);
    for member in cluster.members.values() {
        applied(&member.replica, index).await;
        assert!(member.replica.applied().1 >= now);
        assert!(member.replica.has_quorum() && member.replica.is_caught_up());
    }
    assert!(cluster.replica(leader).confirm_leadership().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_leads_when_the_leader_crashes_and_time_goes_on() {
    let mut cluster = Cluster::start(3).await;
    let first = cluster.leader().await;
    submit(cluster.replica(first), Command::Tick).await;
    let (index, now) = cluster.replica(first).applied();
    cluster.crash(first).await;
    let second = cluster.leader().await;
    assert_ne!(first, second);
    submit(cluster.replica(second), Command::Tick).await;
    let after = cluster.replica(second).applied();
    assert!(after.0 > index && after.1 >= now, "{after:?} after {index} {now}");
    cluster.restart(first).await;
    applied(cluster.replica(first), after.0).await;
    let term = cluster.replica(second).leadership().borrow().term;
    assert!(term > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_shut_down_hands_over() {
    let mut cluster = Cluster::start(3).await;
    let first = cluster.leader().await;
    // It must know a follower to be up to date.
    submit(cluster.replica(first), Command::Tick).await;
    let member = cluster.members.remove(&first).expect("runs");
    let leadership = member.replica.leadership();
    let term = leadership.borrow().term;
    within(member.replica.clone().shutdown()).await;
    let second = cluster.leader().await;
    assert_ne!(second, first);
    assert_eq!(cluster.replica(second).leadership().borrow().term, term + 1, "one election");
    member.server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_clock_is_wrong_takes_the_time_from_the_others() {
    let cluster = Cluster::start(3).await;
    loop {
        let leader = cluster.leader().await;
        submit(cluster.replica(leader), Command::Tick).await;
        if leader == AHEAD {
            break;
        }
        within(cluster.replica(leader).0.node.hand_over()).await;
    }
    let (_, now) = cluster.replica(AHEAD).applied();
    let hour = Duration::from_secs(60 * 60);
    assert!(now < SystemClock::start().wall().plus(hour), "{now} is tomorrow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minority_commits_nothing_and_says_so() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let others: Vec<u64> = cluster.members.keys().copied().filter(|id| *id != leader).collect();
    for id in others {
        cluster.stop(id).await;
    }
    let replica = cluster.replica(leader);
    let before = replica.applied().0;
    let error = within(replica.submit(Command::Tick)).await.expect_err("no majority");
    assert!(matches!(error, SubmitError::Unknown | SubmitError::NoLeader), "{error}");
    assert_eq!(replica.applied().0, before);
    assert!(!replica.confirm_leadership().await);
}

/// A site and the check `shop` are configured, and a probe has a session there.
async fn session(replica: &Replica) -> Welcome {
    let site = Site { region: "north".into(), carrier: "one".into() };
    let checks = vec![crate::ingest::tests::check()];
    let config = Config { sites: [(SiteId::new("a"), site)].into(), checks, ..Config::default() };
    submit(replica, Command::Configure(Box::new(config))).await;
    let hello = Hello {
        wire: WIRE_VERSION,
        probe: ProbeId::new("p"),
        site: SiteId::new("a"),
        boot: 1,
        version: String::new(),
    };
    match submit(replica, Command::Open(hello)).await {
        Reply::Opened(Ok(welcome)) => welcome,
        other => panic!("no session: {other:?}"),
    }
}

/// A report of ten runs, after `seq - 1` others like it.
fn report(epoch: u64, seq: u64, now: Timestamp) -> Report {
    let observations = (seq * 10..seq * 10 + 10).map(|run| Observation {
        check: CheckId::new("shop"),
        rev: 1,
        boot: 1,
        seq: run,
        started: now.minus(Duration::from_millis(run)),
        at: now,
        clock: crosscheck_model::observation::Clock::Leader,
        trigger: Trigger::Schedule,
        firmness: Firmness::Hard,
        failing_since: None,
        outcome: Outcome::new(Status::Up, None, ""),
    });
    Report {
        probe: ProbeId::new("p"),
        epoch,
        seq,
        echo: now,
        health: Health::UNTESTED,
        observations: observations.collect(),
        evidence: Vec::new(),
        spooled: 0,
        dropped: 0,
        running: 1,
    }
}

fn rows(replica: &Replica) -> Vec<crate::history::Row> {
    let (from, to) = (Timestamp::ZERO, Timestamp::from_millis(u64::MAX));
    let history = replica.history();
    history.observations(&CheckId::new("shop"), None, from, to, 10_000).expect("reads")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_was_away_gets_a_snapshot_and_the_measurements() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let away = *cluster.members.keys().find(|id| **id != leader).expect("three");
    submit(cluster.replica(away), Command::Tick).await;
    let left_at = cluster.replica(away).applied().0;
    cluster.stop(away).await;

    let replica = cluster.replica(leader);
    let welcome = session(replica).await;
    for seq in 1..=30 {
        let receipt = within(replica.submit_report(report(welcome.epoch, seq, welcome.now))).await;
        assert_eq!(receipt.map(|receipt| receipt.seq), Ok(seq));
        submit(replica, Command::Tick).await;
        submit(replica, Command::Tick).await;
    }
    within(replica.0.node.purged_beyond(left_at + 1)).await;

    cluster.restart(away).await;
    let (leader, away) = (cluster.replica(leader), cluster.replica(away));
    applied(away, leader.applied().0).await;
    within(async {
        while !away.is_caught_up() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for replica in [leader, away] {
        replica.history().flush().await.expect("flushed");
    }
    assert_eq!(rows(leader).len(), 300);
    assert!(rows(leader) == rows(away), "the rows differ");
    assert_eq!(leader.read(|state| state.probes.clone()), away.read(|state| state.probes.clone()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_maintenance_becomes_windows_everywhere() {
    let cluster = Cluster::start(3).await;
    let daily = Maintenance {
        checks: vec!["*".into()],
        customer: None,
        when: Window::Every { days: (1..=7).collect(), from_minute: 60, to_minute: 120 },
        zone: "Asia/Shanghai".into(),
        reason: "release".into(),
    };
    let config = Config { maintenance: vec![daily], ..Config::default() };
    submit(cluster.replica(1), Command::Configure(Box::new(config))).await;
    for member in cluster.members.values() {
        let replica = &member.replica;
        let mut progress = replica.0.shared.progress.subscribe();
        let expanded = progress.wait_for(|_| replica.read(|state| !state.windows.is_empty()));
        drop(within(expanded).await.expect("runs"));
        let (now, windows) = replica.read(|state| (state.now, state.windows.clone()));
        assert!(windows.len() >= 8, "{windows:?}");
        assert!(windows.iter().all(|window| window.to.since(window.from) == 3_600 * SECOND));
        assert!(windows[0].to > now.minus(24 * 3_600 * SECOND));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_cannot_be_understood_ends_the_node() {
    let directory = tempfile::tempdir().expect("a directory");
    let (sender, mut reasons) = tokio::sync::mpsc::unbounded_channel();
    let fatal = Fatal::new(move |reason| drop(sender.send(reason.to_owned())));
    let url = "http://127.0.0.1:9".to_owned();
    let config = ReplicaConfig { fatal, ..config(1, url, directory.path()) };
    let replica = Replica::start(config).await.expect("starts");
    replica.form().await.expect("forms a cluster of one");
    submit(&replica, Command::Tick).await;
    replica.0.node.propose_nonsense().await;
    let reason = within(reasons.recv()).await.expect("a reason");
    assert!(reason.contains("cannot be applied"), "{reason}");
    let reason = within(reasons.recv()).await.expect("another");
    assert!(reason.contains("Raft has ended"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_another_member_is_not_taken() {
    let cluster = Cluster::start(1).await;
    cluster.leader().await;
    let address = cluster.addresses[&1];
    let client = client();
    // The first byte is the format level: one that is not known is named as what it is.
    for (node, body, status) in
        [("2", "\u{1}nonsense", 421), ("1", "\u{1}nonsense", 400), ("1", "\u{9}nonsense", 426)]
    {
        let request =
            client.post(format!("http://{address}/raft/v1/vote")).header("x-crosscheck-node", node);
        let response = within(request.body(body).send()).await.expect("answers");
        assert_eq!(response.status().as_u16(), status, "{node}");
    }
}

/// A client that needs no certificates.
fn client() -> reqwest::Client {
    // An error means that another test was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}
