//! Three real coordinators over loopback, each of which can be stopped and started again on the
//! same address and data.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use crosscheck_checks::env::Secrets;
use crosscheck_model::Config;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::courier;
use crate::fatal::Fatal;
use crate::leader::SystemClock;
use crate::member::Member;
use crate::replica::{Profile, Replica, ReplicaConfig, SNAPSHOT_EVERY};
use crate::serve;
use crate::surroundings::Surroundings;

/// How many coordinators there are: the fewest that stand the loss of one.
const MEMBERS: u64 = 3;

/// The first election of an idle host takes a second; a busy one gets this long.
const FORMING_LIMIT: Duration = Duration::from_secs(60);

/// Between two looks whether the cluster has formed.
const FORMING_PAUSE: Duration = Duration::from_millis(100);

/// The coordinators.
pub(super) struct Cluster {
    seats: Vec<Seat>,
    peers: BTreeMap<u64, String>,
    /// Removed with everything in it at the end.
    data: TempDir,
}

/// A coordinator's place, whether it lives or not.
struct Seat {
    node: u64,
    raft: SocketAddr,
    probes: SocketAddr,
    /// Held while it is stopped or started, which happens one at a time.
    member: tokio::sync::Mutex<Option<Running>>,
    /// What others may use of it while it lives.
    alive: RwLock<Option<Alive>>,
}

struct Running {
    member: Member,
    served: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

/// A coordinator that lives.
#[derive(Clone)]
pub(super) struct Alive {
    /// Its number.
    pub(super) node: u64,
    /// Its replica.
    pub(super) replica: Replica,
    /// Its page and the public part of its API.
    pub(super) public: Router,
    /// Its page and its whole API.
    pub(super) operators: Router,
    /// Cancelled when it is stopped.
    pub(super) stop: CancellationToken,
}

/// The two listeners of a coordinator.
struct Doors {
    raft: TcpListener,
    probes: TcpListener,
}

impl Cluster {
    /// Starts the coordinators and waits until they have a leader.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let data = tempfile::Builder::new().prefix("crosscheck-demo-").tempdir();
        let data = data.context("make a temporary directory")?;
        let (mut seats, mut doors, mut peers) = (Vec::new(), Vec::new(), BTreeMap::new());
        for node in 1..=MEMBERS {
            let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let opened = Doors::open(free, free).await?;
            let (raft, probes) = (opened.raft.local_addr()?, opened.probes.local_addr()?);
            peers.insert(node, format!("http://{raft}"));
            let (member, alive) = (tokio::sync::Mutex::default(), RwLock::default());
            seats.push(Seat { node, raft, probes, member, alive });
            doors.push(opened);
        }
        let cluster = Self { seats, peers, data };
        for (seat, doors) in cluster.seats.iter().zip(doors) {
            let mut place = seat.member.lock().await;
            *place = Some(cluster.occupy(seat, doors).await?);
        }
        let formed = async {
            while cluster.leader().is_none() {
                tokio::time::sleep(FORMING_PAUSE).await;
            }
        };
        tokio::time::timeout(FORMING_LIMIT, formed).await.context("the coordinators elect none")?;
        Ok(cluster)
    }

    /// Has the cluster take a configuration over.
    pub(super) async fn configure(&self, config: Config) -> anyhow::Result<()> {
        let seat = self.seats.first().context("there are coordinators")?;
        let member = seat.member.lock().await;
        let running = member.as_ref().context("they have been started")?;
        running.member.configure(config).await.context("take the configuration over")?;
        Ok(())
    }

    /// Where probes reach the coordinators.
    pub(super) fn probe_urls(&self) -> Vec<String> {
        self.seats.iter().map(|seat| format!("http://{}", seat.probes)).collect()
    }

    /// Every coordinator's number, and it itself while it lives.
    pub(super) fn seats(&self) -> Vec<(u64, Option<Alive>)> {
        self.seats.iter().map(|seat| (seat.node, seat.alive())).collect()
    }

    /// Whom to ask: the leader; while there is none, any that lives.
    pub(super) fn spokesman(&self) -> Option<Alive> {
        let mut alive = self.seats.iter().filter_map(Seat::alive);
        let leader = self.leader();
        alive.clone().find(|alive| Some(alive.node) == leader).or_else(|| alive.next())
    }

    /// The coordinator that leads.
    pub(super) fn leader(&self) -> Option<u64> {
        let leads = |alive: &Alive| alive.replica.leadership().borrow().is_leader;
        self.seats.iter().filter_map(Seat::alive).find(leads).map(|alive| alive.node)
    }

    /// A coordinator that does not live.
    pub(super) fn dead(&self) -> Option<u64> {
        self.seats.iter().find(|seat| seat.alive().is_none()).map(|seat| seat.node)
    }

    /// Stops a coordinator.
    pub(super) async fn kill(&self, node: u64) {
        let Some(seat) = self.seat(node) else { return };
        let mut place = seat.member.lock().await;
        if let Some(running) = place.take() {
            seat.publish(None);
            running.stop().await;
        }
    }

    /// Starts a coordinator again where it was.
    pub(super) async fn revive(&self, node: u64) -> anyhow::Result<()> {
        let Some(seat) = self.seat(node) else { return Ok(()) };
        let mut place = seat.member.lock().await;
        if place.is_none() {
            let doors = Doors::open(seat.raft, seat.probes).await?;
            *place = Some(self.occupy(seat, doors).await?);
        }
        Ok(())
    }

    /// Stops all.
    pub(super) async fn stop(&self) {
        for seat in &self.seats {
            self.kill(seat.node).await;
        }
    }

    fn seat(&self, node: u64) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.node == node)
    }

    async fn occupy(&self, seat: &Seat, doors: Doors) -> anyhow::Result<Running> {
        let directory: PathBuf = self.data.path().join(seat.node.to_string());
        let config = ReplicaConfig {
            id: seat.node,
            url: format!("http://{}", seat.raft),
            acquaintances: self.peers.clone(),
            data: directory,
            profile: Profile::Lan,
            credentials: None,
            snapshot_every: SNAPSHOT_EVERY,
            clock: Arc::new(SystemClock::start()),
            fatal: Fatal::exit(),
            surroundings: Surroundings::default(),
            program: crate::cluster::Program::this(),
        };
        let member = Member::start(config, courier::by_channels(Secrets::of_process()))
            .await
            .with_context(|| format!("start coordinator {}", seat.node))?;
        let stop = CancellationToken::new();
        let served = vec![
            serve::serve(doors.raft, member.raft_routes(), stop.clone()),
            serve::serve(doors.probes, member.probe_routes(), stop.clone()),
        ];
        member.replica().form_of(&self.peers).await.context("form the cluster")?;
        seat.publish(Some(Alive {
            node: seat.node,
            replica: member.replica().clone(),
            public: member.public_routes(),
            operators: member.loopback_routes(),
            stop: stop.clone(),
        }));
        Ok(Running { member, served, stop })
    }
}

impl Seat {
    fn alive(&self) -> Option<Alive> {
        self.alive.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn publish(&self, alive: Option<Alive>) {
        *self.alive.write().unwrap_or_else(PoisonError::into_inner) = alive;
    }
}

impl Doors {
    async fn open(raft: SocketAddr, probes: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            raft: serve::bind(raft, "the other members").await?,
            probes: serve::bind(probes, "probes").await?,
        })
    }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.member.stop().await;
        for listener in self.served {
            if let Err(error) = listener.await {
                tracing::error!(%error, "a listener did not end well");
            }
        }
    }
}
