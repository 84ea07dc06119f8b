//! This node's replica: the one handle that the rest of the coordinator uses.
//!
//! ```text
//! submit -> leader stamps -> Raft log -> apply -> state (read), history, effects (subscribe)
//! ```
//!
//! **Invariants**
//! - A reply means: committed, and applied here or on the leader.
//! - What is read may be behind the leader; [`Replica::applied`] says how far it is.

#[cfg(test)]
mod alone;
mod batch;
mod catch_up;
mod occupied;
mod readiness;
mod recognition;
mod submit;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crosscheck_core::{Command, Effect, Reply, State};
use crosscheck_model::Timestamp;
use crosscheck_model::wire::{Receipt, Refusal, Report};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[cfg(test)]
pub(crate) use self::alone::alone;
pub use self::submit::SubmitError;
use crate::access::{Credentials, Keyring};
use crate::cluster::{Program, acquaint, admission, removal, upgrade};
use crate::fatal::Fatal;
use crate::history::History;
use crate::leader::{self, Clock, Gate};
use crate::raft::{Marks, Node, NodeOptions, Peers, Shared};
pub use crate::raft::{Profile, StartError};
use crate::surroundings::Surroundings;
use batch::Batcher;
use occupied::Occupied;

/// Entries between two snapshots: some minutes of a full load, an hour of an idle cluster.
pub const SNAPSHOT_EVERY: u64 = 5_000;

/// What a replica needs.
#[derive(Clone)]
pub struct ReplicaConfig {
    /// This node's id; never given to another node.
    pub id: u64,
    /// Where the other members reach this one: the base URL of its Raft listener.
    pub url: String,
    /// Members that a newcomer can ask as long as its log does not name them: the base URLs of
    /// their Raft listeners.
    pub acquaintances: BTreeMap<u64, String>,
    /// The directory of the log, the snapshots and the history.
    pub data: PathBuf,
    /// How patient the members are with each other.
    pub profile: Profile,
    /// What this member proves itself by to others; `None` only where nobody else can reach its
    /// listeners.
    pub credentials: Option<Arc<Credentials>>,
    /// Entries between two snapshots.
    pub snapshot_every: u64,
    /// The leader's clock.
    pub clock: Arc<dyn Clock>,
    /// What ends the node when the disk cannot be trusted.
    pub fatal: Fatal,
    /// Threads and the network, or a simulation of both.
    pub surroundings: Surroundings,
    /// What runs: [`Program::this`], unless another release is to be seen at work.
    pub program: Program,
}

/// Who leads, as far as this node knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leader's id.
    pub leader: Option<u64>,
    /// The newest term known.
    pub term: u64,
    /// This node leads, and its taking over ([`Command::Lead`]) is committed.
    pub is_leader: bool,
}

/// Why a member must stop though nobody has asked it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was removed from the cluster: it must never run again.
    Removed(String),
    /// The cluster does not let it in as things stand.
    Refused(String),
    /// Its disk is full.
    DiskFull(String),
}

/// A member of the cluster. A handle: clones are the same replica.
#[derive(Clone)]
pub struct Replica(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) id: u64,
    pub(crate) node: Node,
    pub(crate) shared: Arc<Shared>,
    pub(crate) leadership: watch::Sender<Leadership>,
    pub(crate) gate: Gate,
    pub(crate) fatal: Fatal,
    /// The data directory is this replica's alone.
    occupied: Occupied,
    pub(crate) peers: Peers,
    pub(crate) url: String,
    acquaintances: BTreeMap<u64, String>,
    /// Held while the membership is changed, by the leader.
    pub(crate) changes: tokio::sync::Mutex<()>,
    pub(crate) profile: Profile,
    pub(crate) secured: Option<(Arc<Credentials>, Arc<Keyring>)>,
    pub(crate) program: Program,
    batcher: Batcher,
    ending: watch::Sender<Option<Ending>>,
    /// How much of the disk is in use, in percent, when it was last looked at.
    pub(crate) disk: watch::Sender<Option<u8>>,
    /// When something was last applied here.
    progressed: Mutex<Option<Instant>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Replica {
    /// Opens the data directory and starts this member. Its routes must then be served.
    pub async fn start(config: ReplicaConfig) -> Result<Self, StartError> {
        let ReplicaConfig {
            id,
            url,
            acquaintances,
            data,
            profile,
            credentials,
            snapshot_every,
            program,
            ..
        } = config;
        let (fatal, path) = (config.fatal, data.clone());
        let Surroundings { storage, network } = config.surroundings;
        let (fate, of_kind) = (fatal.clone(), storage.clone());
        let opened = storage.run(move || {
            std::fs::create_dir_all(&path).map_err(StartError::new)?;
            let occupied = Occupied::new(&path).map_err(StartError::new)?;
            let history = History::open_on(&path, fate, of_kind).map_err(StartError::new)?;
            Ok::<_, StartError>((occupied, history))
        });
        let (occupied, history) = opened.await.map_err(StartError::new)??;
        let shared = Shared::knowing(program.level, history, fatal.clone());
        let secured = credentials.map(|credentials| recognition::secure(credentials, &shared));
        let peers = Peers::new(id, secured.clone(), network, profile.append_limit());
        let options =
            NodeOptions { id, data, profile, snapshot_every, fatal: fatal.clone(), storage };
        let node = Node::start(options, shared.clone(), peers.clone()).await?;
        if let Some((_, keyring)) = &secured {
            keyring.find(node.group().into_keys());
        }
        let (batcher, reports) = Batcher::new();
        let inner = Arc::new(Inner {
            id,
            node,
            shared,
            leadership: watch::Sender::default(),
            gate: Gate::new(config.clock),
            fatal,
            occupied,
            peers,
            url,
            acquaintances,
            changes: tokio::sync::Mutex::default(),
            profile,
            secured,
            program,
            batcher,
            ending: watch::Sender::default(),
            disk: watch::Sender::default(),
            progressed: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        inner.spawn(leader::follow(inner.clone()));
        inner.spawn(batch::run(inner.clone(), reports));
        inner.spawn(catch_up::run(inner.clone()));
        inner.spawn(watch_progress(inner.clone()));
        inner.spawn(removal::watch(inner.clone()));
        inner.spawn(removal::finish(inner.clone()));
        inner.spawn(upgrade::run(inner.clone()));
        if let Some((_, keyring)) = &inner.secured {
            inner.spawn(acquaint::run(inner.clone(), keyring.clone()));
        }
        Ok(Self(inner))
    }

    /// Forms a cluster of this member alone, once; on a node that has a log already it does
    /// nothing. Others join it.
    pub async fn form(&self) -> Result<(), StartError> {
        self.form_of(&BTreeMap::from([(self.0.id, self.0.url.clone())])).await
    }

    /// As [`Self::form`], of several members that are all new: their ids and Raft URLs.
    pub async fn form_of(&self, members: &BTreeMap<u64, String>) -> Result<(), StartError> {
        self.0.node.initialize(members).await
    }

    /// Has the others let this member in, and reach it where it is now; goes on until they do.
    pub fn ask_for_admission(&self) {
        self.0.spawn(admission::run(self.0.clone()));
    }

    /// Waits until this member must stop, and says why; the caller then shuts it down.
    pub async fn ended(&self) -> Ending {
        let mut ending = self.0.ending.subscribe();
        loop {
            if let Some(ending) = ending.borrow_and_update().clone() {
                return ending;
            }
            if ending.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Has the leader put a command into the log, wherever it is, and waits until it is applied
    /// there.
    pub async fn submit(&self, command: Command) -> Result<Reply, SubmitError> {
        self.0.submit(command).await
    }

    /// Takes a probe's report; answers when it is on a majority of disks.
    pub async fn submit_report(&self, report: Report) -> Result<Receipt, Refusal> {
        self.0.batcher.submit(report).await
    }

    /// Waits until the applied state is as `look` wants it, at most `limit`; whether it is. What
    /// another member has answered may not have been applied here yet.
    pub async fn learns(&self, limit: Duration, look: impl Fn(&State) -> bool) -> bool {
        let mut progress = self.0.shared.progress.subscribe();
        let learned = async {
            while !self.read(&look) {
                if progress.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(limit, learned).await.unwrap_or(false)
    }

    /// How far this member's log has come.
    pub fn marks(&self) -> Marks {
        self.0.node.marks()
    }

    /// How many members come before this one: whoever comes first speaks first.
    pub fn rank(&self) -> u32 {
        let before = self.0.node.urls().into_keys().filter(|id| *id < self.0.id).count();
        u32::try_from(before).unwrap_or(u32::MAX)
    }

    /// This member's id.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Looks at the applied state. Be quick: nothing is applied meanwhile.
    pub fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        self.0.shared.read(look)
    }

    /// A copy of the applied state, and the index of the last entry in it. While that entry's
    /// measurements are on their way into the history, [`Self::applied`] still names the one before.
    pub fn view(&self) -> (State, u64) {
        self.0.shared.view()
    }

    /// The effects of entries applied from now on, one message an entry, without the
    /// measurements. A subscriber that is too slow hears that it lags and must look at the
    /// state instead.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Vec<Effect>>> {
        self.0.shared.effects.subscribe()
    }

    /// Who leads.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.0.leadership.subscribe()
    }

    /// The last applied entry's index and the log time after it.
    pub fn applied(&self) -> (u64, Timestamp) {
        *self.0.shared.progress.borrow()
    }

    /// The same, followed: it changes with whatever is committed.
    pub fn commits(&self) -> watch::Receiver<(u64, Timestamp)> {
        self.0.shared.progress.subscribe()
    }

    /// The measurements.
    pub fn history(&self) -> &History {
        &self.0.shared.history
    }

    /// Whether the cluster works, as seen from here: something was committed lately.
    pub fn has_quorum(&self) -> bool {
        self.0.has_quorum()
    }

    /// Whether this member still leads, asked of a majority: before something is done that only
    /// the leader may do.
    pub async fn confirm_leadership(&self) -> bool {
        let limit = self.0.profile.submit_limit();
        tokio::time::timeout(limit, self.0.node.confirm_leadership()).await.unwrap_or(false)
    }

    /// Hands the leadership over, stops the loops and Raft, and writes what is left of the
    /// history. The routes must be served until then.
    pub async fn shutdown(self) {
        self.0.node.hand_over().await;
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.node.shutdown().await;
        if let Err(error) = self.0.shared.history.flush().await {
            tracing::warn!(%error, "the history was not flushed at the end");
        }
        self.0.occupied.leave();
    }
}

impl Inner {
    /// Runs a loop until it ends or the replica is shut down.
    pub(crate) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(work).await;
        });
    }

    pub(crate) fn has_quorum(&self) -> bool {
        let progressed = *self.progressed.lock().unwrap_or_else(PoisonError::into_inner);
        progressed.is_some_and(|at| at.elapsed() < self.profile.progress_limit())
            && self.leadership.borrow().leader.is_some()
    }

    /// Asks for the end of this node; the first reason counts.
    pub(crate) fn end(&self, ending: Ending) {
        self.ending.send_if_modified(|told| {
            let first = told.is_none();
            told.get_or_insert(ending);
            first
        });
    }

    /// The other members that can be asked: those of the log, or else those known from joining.
    pub(crate) fn acquaintances(&self) -> BTreeMap<u64, String> {
        let mut others = self.node.urls();
        if others.is_empty() {
            others = self.acquaintances.clone();
        }
        others.remove(&self.id);
        others
    }

    /// Waits `time`, or less when the replica is shut down.
    pub(crate) async fn pause(&self, time: Duration) {
        self.stop.run_until_cancelled(tokio::time::sleep(time)).await;
    }
}

async fn watch_progress(inner: Arc<Inner>) {
    let mut progress = inner.shared.progress.subscribe();
    while progress.changed().await.is_ok() {
        *inner.progressed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}
