//! The replicated state machine's shell: applies entries, hands effects on, keeps snapshots.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use crosscheck_core::command::Stamped;
use crosscheck_core::level::{Level, NEWEST};
use crosscheck_core::{Command, Effect, Reply, State};
use crosscheck_model::Timestamp;
use futures_util::{Stream, TryStreamExt};
use openraft::alias::{SnapshotOf, StoredMembershipOf};
use openraft::entry::EntryPayload;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{OptionalSend, Snapshot};
use tokio::sync::{Notify, broadcast, watch};

use super::log::{Entry, LogId};
use super::snapshot::{Content, Meta, SnapshotError, Snapshots};
use super::wire::{Answered, Proposal, Types};
use crate::fatal::Fatal;
use crate::history::{History, HistoryError};
use crate::metrics::counts::Counter;

/// How many entries' effects a subscriber may be behind before it is told that it missed some.
const EFFECTS_QUEUE: usize = 1_024;
/// How often old measurements are forgotten, in log time.
const RETAIN_EVERY_MILLIS: u64 = 60 * 60 * 1_000;

type Membership = StoredMembershipOf<Types>;

/// What the state machine shares with those who read and follow it.
pub struct Shared {
    applied: RwLock<Applied>,
    /// The last applied entry's index and the log time.
    pub(crate) progress: watch::Sender<(u64, Timestamp)>,
    pub(crate) effects: broadcast::Sender<Arc<Vec<Effect>>>,
    pub(crate) history: History,
    /// A snapshot was installed, so the history may lack something.
    pub(crate) installed: Notify,
    /// What is counted of all that is applied and served.
    pub(crate) counter: Counter,
    fatal: Fatal,
    /// The newest format level that this program knows.
    known: Level,
}

#[derive(Clone, Default)]
struct Applied {
    state: State,
    last: Option<LogId>,
    membership: Membership,
}

impl Shared {
    /// An empty state, whose measurements go to `history`.
    pub fn new(history: History, fatal: Fatal) -> Arc<Self> {
        Self::knowing(NEWEST, history, fatal)
    }

    /// As [`Self::new`], of a program that knows the format levels up to `known`.
    pub fn knowing(known: Level, history: History, fatal: Fatal) -> Arc<Self> {
        Arc::new(Self {
            applied: RwLock::default(),
            progress: watch::Sender::new((0, Timestamp::ZERO)),
            effects: broadcast::Sender::new(EFFECTS_QUEUE),
            history,
            installed: Notify::new(),
            counter: Counter::default(),
            fatal,
            known,
        })
    }

    /// Looks at the applied state.
    pub fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.lock().state)
    }

    /// The newest format level that this program knows.
    pub(crate) const fn known(&self) -> Level {
        self.known
    }

    /// A copy of the applied state and the last entry in it.
    pub(crate) fn view(&self) -> (State, u64) {
        let applied = self.lock();
        (applied.state.clone(), applied.last.map_or(0, |last| last.index))
    }

    fn lock(&self) -> RwLockReadGuard<'_, Applied> {
        self.applied.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// `crosscheck_core::apply` is total; should it panic all the same, the node stops with it.
    fn lock_for_change(&self) -> RwLockWriteGuard<'_, Applied> {
        self.applied.write().unwrap_or_else(|_| {
            self.fatal.stop("the state machine panicked");
            std::process::abort()
        })
    }

    fn stop<E: Into<io::Error> + std::fmt::Display>(&self, error: E) -> io::Error {
        self.fatal.stop(&error);
        error.into()
    }
}

/// openraft's view of the state machine.
#[derive(Clone)]
pub struct Machine {
    shared: Arc<Shared>,
    snapshots: Snapshots,
}

impl Machine {
    /// With the snapshots of the directory `data`; openraft installs the newest at its start.
    pub fn open(data: &Path, shared: Arc<Shared>) -> Result<Self, SnapshotError> {
        Ok(Self { shared, snapshots: Snapshots::open(data)? })
    }

    /// Applies one entry to the state: the reply, what the history keeps, what others carry out.
    fn change(&self, entry: Entry) -> Result<(Answered, Vec<Effect>, Timestamp), ApplyError> {
        let stamped = match &entry.payload {
            EntryPayload::Normal(proposal) => Some(self.decode(entry.log_id.index, proposal)?),
            _ => None,
        };
        let mut applied = self.shared.lock_for_change();
        applied.last = Some(entry.log_id);
        if let EntryPayload::Membership(membership) = entry.payload {
            applied.membership = Membership::new(Some(entry.log_id), membership);
        }
        let Some(stamped) = stamped else {
            return Ok((Answered(None), Vec::new(), applied.state.now));
        };
        let is_tick = matches!(stamped.command, Command::Tick);
        let done = crosscheck_core::apply(&mut applied.state, stamped.at, stamped.command);
        let now = applied.state.now;
        drop(applied);
        self.shared.counter.applied(now, is_tick, &done.reply, &done.effects);
        Ok((Answered(Some(done.reply)), done.effects, now))
    }

    fn decode(&self, index: u64, proposal: &Proposal) -> Result<Stamped, ApplyError> {
        let stamped = proposal.decode(self.shared.known);
        stamped.map_err(|error| ApplyError::Format { index, error })
    }

    async fn apply_one(&self, entry: Entry) -> Result<Answered, ApplyError> {
        let index = entry.log_id.index;
        let before = self.shared.progress.borrow().1;
        let (answer, effects, now) = self.change(entry)?;
        let is_record = |effect: &Effect| matches!(effect, Effect::Record { .. });
        let others: Vec<Effect> = effects.iter().filter(|e| !is_record(e)).cloned().collect();
        let is_kept = |effect: &Effect| {
            is_record(effect) || matches!(effect, Effect::Span { .. } | Effect::Audited(_))
        };
        let kept: Vec<Effect> = effects.into_iter().filter(is_kept).collect();
        self.shared.history.append(index, Arc::new(kept)).await?;
        let hour = |at: Timestamp| at.as_millis() / RETAIN_EVERY_MILLIS;
        if hour(now) != hour(before) {
            // At the same entry on every node, so that all forget the same.
            let retention = self.shared.read(|state| state.config.retention.clone());
            self.shared.history.retain(now, &retention).await?;
        }
        self.shared.progress.send_replace((index, now));
        if !others.is_empty() {
            // Without subscribers nobody misses it.
            let _ = self.shared.effects.send(Arc::new(others));
        }
        Ok(answer)
    }
}

/// Why an entry could not be applied; the node stops.
#[derive(Debug, thiserror::Error)]
enum ApplyError {
    #[error("entry {index} of the log cannot be applied: {error}")]
    Format { index: u64, error: super::wire::FormatError },
    #[error(transparent)]
    History(#[from] HistoryError),
}

impl From<ApplyError> for io::Error {
    fn from(error: ApplyError) -> Self {
        Self::other(error)
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, Membership)> {
        let applied = self.shared.lock();
        Ok((applied.last, applied.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let answer = self.apply_one(entry).await.map_err(|error| self.shared.stop(error))?;
            if let Some(responder) = responder {
                responder.send(answer);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let view = self.shared.lock().clone();
        Builder { machine: self.clone(), view }
    }

    async fn install_snapshot(&mut self, meta: &Meta, bytes: Bytes) -> io::Result<()> {
        let index = meta.last_log_id.map_or(0, |last| last.index);
        let (snapshots, known) = (self.snapshots.clone(), self.shared.known);
        let storage = self.shared.history.storage();
        let content = storage
            .run(move || {
                let content = Content::decode(index, &bytes, known)?;
                snapshots.write(index, &bytes)?;
                Ok::<_, SnapshotError>(content)
            })
            .await?
            .map_err(|error| self.shared.stop(error))?;
        let lack = self.shared.history.lack(index).await;
        lack.map_err(|error| self.shared.stop(io::Error::other(error)))?;
        let now = content.state.now;
        let applied = Applied {
            state: content.state,
            last: content.meta.last_log_id,
            membership: content.meta.last_membership,
        };
        let news = news(&self.shared.lock().state, &applied.state);
        *self.shared.lock_for_change() = applied;
        self.shared.progress.send_replace((index, now));
        // Without subscribers nobody misses it.
        let _ = self.shared.effects.send(Arc::new(news));
        self.shared.installed.notify_one();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Types, Bytes>>> {
        let (snapshots, known) = (self.snapshots.clone(), self.shared.known);
        let storage = self.shared.history.storage();
        let newest = storage.run(move || snapshots.newest(known)).await?;
        let newest = newest.map_err(|error| self.shared.stop(error))?;
        Ok(newest.map(|(bytes, content)| Snapshot { meta: content.meta, snapshot: bytes }))
    }
}

/// What those who follow the effects must hear of entries that came as a snapshot: which probes
/// have other work, and that the outbox may have changed. Confirmations asked for meanwhile are
/// over.
fn news(before: &State, after: &State) -> Vec<Effect> {
    let changed = after.probes.iter().filter(|(id, probe)| {
        before.probes.get(*id).is_none_or(|known| known.assignment != probe.assignment)
    });
    vec![Effect::Reassigned(changed.map(|(id, _)| id.clone()).collect()), Effect::Owed]
}

/// A view of the state at one entry, on its way to a file.
pub struct Builder {
    machine: Machine,
    view: Applied,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, Bytes>> {
        let shared = self.machine.shared.clone();
        let index = self.view.last.map_or(0, |last| last.index);
        // Once the snapshot is there the log may be purged up to it: the measurements of those
        // entries must be on the disk before.
        let kept = shared.history.flush().await.map_err(|e| shared.stop(io::Error::other(e)))?;
        if kept < index {
            let missing = format!("the history ends at entry {kept}, the state at {index}");
            return Err(shared.stop(io::Error::other(missing)));
        }
        let meta =
            Meta { last_log_id: self.view.last, last_membership: self.view.membership.clone() };
        let content = Content { meta: meta.clone(), state: std::mem::take(&mut self.view.state) };
        let snapshots = self.machine.snapshots.clone();
        let bytes = shared
            .history
            .storage()
            .run(move || {
                let bytes = content.encode()?;
                snapshots.write(index, &bytes)?;
                Ok::<_, SnapshotError>(bytes)
            })
            .await?
            .map_err(|error| shared.stop(error))?;
        Ok(Snapshot { meta, snapshot: bytes })
    }
}

impl Answered {
    /// The reply, which every command has.
    pub(super) fn into_reply(self) -> Option<Reply> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use crosscheck_model::config::Site;
    use crosscheck_model::wire::{Hello, WIRE_VERSION};
    use crosscheck_model::{ProbeId, SiteId};
    use openraft::LogId as RaftLogId;
    use openraft::vote::leader_id_std::CommittedLeaderId;

    use super::*;

    /// A state in which probe `p` has a session, and has been given other work so many times.
    fn state(changes: u64) -> State {
        let mut state = State::default();
        let site = Site { region: "north".into(), carrier: "one".into() };
        state.config.sites.insert(SiteId::new("a"), site);
        for probe in ["p", "q"] {
            let hello = Hello {
                wire: WIRE_VERSION,
                probe: ProbeId::new(probe),
                site: SiteId::new("a"),
                boot: 1,
                version: String::new(),
            };
            let command = Command::Open(hello);
            crosscheck_core::apply(&mut state, Timestamp::from_millis(1), command);
        }
        state.probes.get_mut(&ProbeId::new("p")).expect("it has a session").assignment = changes;
        state
    }

    #[tokio::test]
    async fn who_follows_hears_of_work_that_changed_while_a_snapshot_was_installed() {
        let directory = tempfile::tempdir().expect("a directory");
        let fatal = Fatal::new(|reason| panic!("{reason}"));
        let history = History::open(directory.path(), fatal.clone()).expect("a history");
        let shared = Shared::new(history, fatal);
        let mut machine = Machine::open(directory.path(), shared.clone()).expect("opens");
        let mut effects = shared.effects.subscribe();
        for (index, changes, told) in [(5, 7, vec!["p", "q"]), (9, 8, vec!["p"]), (12, 8, vec![])] {
            let last_log_id = Some(RaftLogId::new(CommittedLeaderId::new(1), index));
            let meta = Meta { last_log_id, ..Meta::default() };
            let content = Content { meta: meta.clone(), state: state(changes) };
            let bytes = content.encode().expect("encodes");
            machine.install_snapshot(&meta, bytes).await.expect("installed");
            let heard = effects.try_recv().expect("it is told");
            let told: Vec<ProbeId> = told.into_iter().map(ProbeId::from).collect();
            assert_eq!(*heard, [Effect::Reassigned(told), Effect::Owed], "entry {index}");
        }
    }
}
