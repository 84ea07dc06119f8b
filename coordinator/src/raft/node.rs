//! One member of the Raft group: started, asked, told, stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crosscheck_core::command::Stamped;
use crosscheck_core::level::Level;
use crosscheck_core::{Command, Reply, State};
use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::impls::BasicNode;
use openraft::metrics::RaftServerMetrics;
use openraft::{Config, Raft, ReadPolicy, SnapshotPolicy};

use super::log::{Log, LogError, LogId};
use super::machine::{Machine, Shared};
use super::membership::Role;
use super::network::{Asked, Peers, routes};
use super::snapshot::SnapshotError;
use super::wire::{Proposal, Types};
use crate::fatal::Fatal;
use crate::surroundings::Storage;

/// How patient the nodes are with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// All within one network: a new leader within 2 s.
    Lan,
    /// Over several regions: a new leader within 6.5 s.
    Wan,
}

/// A profile's times, in milliseconds.
struct Timing {
    heartbeat: u64,
    election_min: u64,
    election_max: u64,
    snapshot: u64,
    append: u64,
}

impl Profile {
    const fn timing(self) -> Timing {
        match self {
            Self::Lan => Timing {
                heartbeat: 75,
                election_min: 400,
                election_max: 700,
                snapshot: 10_000,
                append: 1_000,
            },
            Self::Wan => Timing {
                heartbeat: 300,
                election_min: 1_500,
                election_max: 3_000,
                snapshot: 30_000,
                append: 5_000,
            },
        }
    }

    /// How long an entry on the way to a follower may take.
    pub(crate) const fn append_limit(self) -> Duration {
        Duration::from_millis(self.timing().append)
    }

    /// How long a command may take until its fate is called unknown: two elections and some more.
    pub(crate) const fn submit_limit(self) -> Duration {
        Duration::from_millis(self.timing().election_max * 4 + self.timing().append)
    }

    /// Without anything applied for this long (the leader ticks every second) the cluster does
    /// not work as seen from here.
    pub(crate) const fn progress_limit(self) -> Duration {
        Duration::from_millis(self.timing().election_max * 2 + 2_000)
    }
}

/// The most entries in one append: each has 9 MB at worst (`ingest/bounds.rs`, a thousand times,
/// and what was gathered before it), within the routes' limit.
const APPEND_ENTRIES: u64 = 16;
/// Entries kept behind a snapshot, so that a node that was away for a moment needs no snapshot.
const KEPT_ENTRIES: u64 = 1_000;

/// How long a leader that stops waits for its successor.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(1);

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the coordinator: {0}")]
pub struct StartError(String);

impl StartError {
    pub(crate) fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl From<LogError> for StartError {
    fn from(error: LogError) -> Self {
        Self::new(error)
    }
}

impl From<SnapshotError> for StartError {
    fn from(error: SnapshotError) -> Self {
        Self::new(error)
    }
}

/// Why a proposal brought no reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProposeError {
    /// It is not in the log; who leads, if known.
    #[error("this node does not lead")]
    NotLeader(Option<u64>),
    /// It may or may not be in the log.
    #[error("nobody knows whether it was committed")]
    Unknown,
    /// The cluster is not at the level of that command yet: some coordinator would not read it.
    #[error("the cluster is at format level {cluster}, and this needs {needed}")]
    Early {
        /// The command's level.
        needed: Level,
        /// The cluster's.
        cluster: Level,
    },
    /// The node has stopped, or the command cannot be encoded.
    #[error("the node cannot take it: {0}")]
    Stopped(String),
}

/// What a node needs.
pub(crate) struct NodeOptions {
    pub(crate) id: u64,
    pub(crate) data: PathBuf,
    pub(crate) profile: Profile,
    /// A snapshot after each so many entries.
    pub(crate) snapshot_every: u64,
    pub(crate) fatal: Fatal,
    pub(crate) storage: Storage,
}

/// A running member.
#[derive(Clone)]
pub(crate) struct Node {
    pub(super) raft: Raft<Types, Machine>,
    pub(super) id: u64,
    shared: Arc<Shared>,
}

/// Who leads, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) leader: Option<u64>,
    pub(crate) term: u64,
    pub(crate) is_leader: bool,
}

impl Node {
    pub(crate) async fn start(
        options: NodeOptions,
        shared: Arc<Shared>,
        peers: Peers,
    ) -> Result<Self, StartError> {
        let NodeOptions { id, data, profile, snapshot_every, fatal, storage } = options;
        let config = config(profile, snapshot_every).validate().map_err(StartError::new)?;
        let (path, fate) = (data.clone(), fatal.clone());
        let of_kind = storage.clone();
        let opened = storage.run(move || Log::open_on(&path, fate, &of_kind)).await;
        let log = opened.map_err(StartError::new)??;
        let machine = Machine::open(&data, shared.clone())?;
        let raft =
            Raft::new(id, Arc::new(config), peers, log, machine).await.map_err(StartError::new)?;
        Ok(Self { raft, id, shared })
    }

    /// Forms the cluster of these members, unless there is one already.
    pub(crate) async fn initialize(
        &self,
        members: &BTreeMap<u64, String>,
    ) -> Result<(), StartError> {
        if self.raft.is_initialized().await.map_err(StartError::new)? {
            return Ok(());
        }
        let nodes: BTreeMap<u64, BasicNode> =
            members.iter().map(|(id, url)| (*id, BasicNode::new(url))).collect();
        match self.raft.initialize(nodes).await {
            // Not allowed: another node was faster.
            Ok(()) | Err(RaftError::APIError(openraft::errors::InitializeError::NotAllowed(_))) => {
                Ok(())
            }
            Err(error) => Err(StartError::new(error)),
        }
    }

    pub(crate) fn routes<A: Asked>(&self, asked: A) -> axum::Router {
        routes(self.raft.clone(), asked, self.id)
    }

    /// Puts a command into the log, on the leader only.
    pub(crate) async fn propose(&self, stamped: &Stamped) -> Result<Reply, ProposeError> {
        let (needed, cluster) = (stamped.command.level(), self.shared.read(State::level));
        // Only the command that raises the level may be ahead of it.
        if needed > cluster && !matches!(stamped.command, Command::Raise { .. }) {
            return Err(ProposeError::Early { needed, cluster });
        }
        let proposal =
            Proposal::encode(stamped).map_err(|e| ProposeError::Stopped(e.to_string()))?;
        match self.raft.client_write(proposal).await {
            Ok(done) => done.data.into_reply().ok_or(ProposeError::Unknown),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
                Err(ProposeError::NotLeader(to.leader_id))
            }
            Err(RaftError::APIError(_)) => Err(ProposeError::Unknown),
            Err(RaftError::Fatal(error)) => Err(ProposeError::Stopped(error.to_string())),
        }
    }

    /// Whether this node still leads, and has applied all that was committed before the question.
    pub(crate) async fn confirm_leadership(&self) -> bool {
        self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await.is_ok()
    }

    /// Lets the member that is least behind lead from now on, if this one does: a planned stop
    /// should not cost an election's time.
    pub(crate) async fn hand_over(&self) {
        if !self.standing().is_leader {
            return;
        }
        let group = self.group();
        let votes = |id: &u64| group.get(id).is_some_and(|known| known.role == Role::Voter);
        let others = self.followed().into_iter().filter(|(id, _)| votes(id));
        let Some((target, _)) = others.max_by_key(|(_, matched)| *matched) else { return };
        if !self.transfer(target, HAND_OVER_LIMIT).await {
            tracing::info!("stopping without a successor: the others will elect one");
        }
    }

    /// The last entry of the log here, and the last that is known to be committed.
    pub(crate) fn ends(&self) -> (u64, u64) {
        let metrics = self.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let index = |last: Option<LogId>| last.map_or(0, |last| last.index);
        (index(metrics.last_log), index(metrics.cluster_committed))
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing_of(&self.raft.server_metrics().borrow_watched())
    }

    /// Waits for something that may have changed the standing; `None` when Raft has stopped.
    pub(crate) async fn next_standing(&self, metrics: &mut ServerMetrics) -> Option<Standing> {
        metrics.0.changed().await.ok()?;
        Some(self.standing_of(&metrics.0.borrow_watched()))
    }

    pub(crate) fn watch(&self) -> ServerMetrics {
        ServerMetrics(self.raft.server_metrics())
    }

    fn standing_of(&self, metrics: &RaftServerMetrics<Types>) -> Standing {
        let leader = metrics.current_leader;
        Standing {
            leader,
            term: metrics.vote.leader_id.term,
            is_leader: leader == Some(self.id) && metrics.state.is_leader(),
        }
    }

    /// Commits bytes that no replica can read.
    #[cfg(test)]
    pub(crate) async fn propose_nonsense(&self) {
        let _ = self.raft.client_write(Proposal::nonsense()).await;
    }

    /// Waits until entry `index` is gone from the log.
    #[cfg(test)]
    pub(crate) async fn purged_beyond(&self, index: u64) {
        let mut metrics = self.raft.data_metrics();
        while metrics.borrow_watched().purged.is_none_or(|purged| purged.index < index) {
            metrics.changed().await.expect("runs");
        }
    }

    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "Raft did not stop in order");
        }
    }
}

/// Makes the empty log of a new node in its data directory.
pub(crate) async fn create_log(data: &Path) -> Result<(), StartError> {
    let data = data.to_owned();
    let made = tokio::task::spawn_blocking(move || {
        // Nothing is promised yet that a failing disk could break.
        Log::open(&data, Fatal::new(|_| {})).map(drop)
    });
    Ok(made.await.map_err(StartError::new)??)
}

/// openraft's news about who leads.
pub(crate) struct ServerMetrics(WatchReceiverOf<Types, RaftServerMetrics<Types>>);

fn config(profile: Profile, snapshot_every: u64) -> Config {
    let timing = profile.timing();
    Config {
        cluster_name: "crosscheck".into(),
        heartbeat_interval: timing.heartbeat,
        election_timeout_min: timing.election_min,
        election_timeout_max: timing.election_max,
        install_snapshot_timeout: timing.snapshot,
        max_payload_entries: APPEND_ENTRIES,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_every),
        max_in_snapshot_log_to_keep: KEPT_ENTRIES.min(snapshot_every),
        replication_lag_threshold: 2 * snapshot_every,
        // A node that was cut off must not depose a leader that all others are content with.
        enable_pre_vote: Some(true),
        // A leader may have sent entries that a crash took from its own disk. Were it to go on in
        // the same term, it would write others under their ids: it must be elected anew.
        enable_leader_restore: Some(false),
        ..Config::default()
    }
}
