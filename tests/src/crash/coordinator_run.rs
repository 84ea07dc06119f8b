//! The recorded coordinator: its log, machine and history, driven as openraft drives them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use crosscheck_coordinator::fatal::Fatal;
use crosscheck_coordinator::history::History;
use crosscheck_coordinator::raft::{Log, Machine, Shared, Types};
use openraft::storage::{IOFlushed, RaftLogStorage, RaftStateMachine};
use openraft::type_config::TypeConfigExt;
use openraft::type_config::alias::OneshotReceiverOf;
use openraft::{RaftSnapshotBuilder, StorageHelper};

use super::coordinator_script::{Entry, NODE, Script, Step};
use super::mark::Marks;

type Flushed = OneshotReceiverOf<Types, Result<(), std::io::Error>>;

/// What a member has open.
pub(super) struct Parts {
    pub(super) log: Log,
    pub(super) machine: Machine,
    pub(super) shared: Arc<Shared>,
    pub(super) history: History,
}

impl Parts {
    /// Opens a data directory as a member does.
    pub(super) fn open(data: &Path, fatal: Fatal) -> Result<Self, String> {
        let history = History::open(data, fatal.clone()).map_err(|error| error.to_string())?;
        let shared = Shared::new(history.clone(), fatal.clone());
        let log = Log::open(data, fatal).map_err(|error| error.to_string())?;
        let machine = Machine::open(data, shared.clone()).map_err(|error| error.to_string())?;
        Ok(Self { log, machine, shared, history })
    }

    /// What openraft does first: the newest snapshot, then the entries known to be committed.
    pub(super) async fn restore(&mut self) -> Result<(), String> {
        let mut start = StorageHelper::new(&mut self.log, &mut self.machine).with_id(NODE);
        start.get_initial_state().await.map(drop).map_err(|error| error.to_string())
    }

    pub(super) async fn apply(&mut self, entries: Vec<Entry>) -> std::io::Result<()> {
        let entries = entries.into_iter().map(|entry| Ok((entry, None)));
        self.machine.apply(futures_util::stream::iter(entries)).await
    }
}

struct Run {
    data: PathBuf,
    script: Script,
    marks: Marks,
    parts: Option<Parts>,
    applied: usize,
    waiting: Vec<Flushed>,
}

/// Runs the script; what it does is in the trace of its system calls.
pub(super) async fn record(script: Script, data: &Path, marks: Marks) -> anyhow::Result<()> {
    let mut run =
        Run { data: data.to_owned(), script, marks, parts: None, applied: 0, waiting: Vec::new() };
    run.open().await?;
    for at in 0..run.script.steps.len() {
        run.marks.begun(at + 1)?;
        let step = run.script.steps[at].clone();
        if run.step(step).await.with_context(|| format!("step {at}"))? {
            run.marks.done(at + 1)?;
        }
    }
    Ok(())
}

impl Run {
    async fn open(&mut self) -> anyhow::Result<()> {
        self.parts = None;
        let mut parts = Parts::open(&self.data, Fatal::exit()).map_err(anyhow::Error::msg)?;
        parts.restore().await.map_err(anyhow::Error::msg)?;
        self.parts = Some(parts);
        Ok(())
    }

    /// Whether everything up to this step is acknowledged.
    async fn step(&mut self, step: Step) -> anyhow::Result<bool> {
        let parts = self.parts.as_mut().context("it is open")?;
        match step {
            Step::Append { entries, wait } => {
                let (sender, done) = Types::oneshot();
                self.waiting.push(done);
                parts.log.append(entries, IOFlushed::signal(sender)).await?;
                if !wait {
                    return Ok(false);
                }
            }
            Step::Vote(vote) => parts.log.save_vote(&vote).await?,
            Step::Committed(id) => parts.log.save_committed(Some(id)).await?,
            Step::Truncate(last) => parts.log.truncate_after(last).await?,
            Step::Purge(id) => parts.log.purge(id).await?,
            Step::Apply(to) => {
                let to = usize::try_from(to)? + 1;
                let entries = &self.script.committed[self.applied..to];
                parts.apply(entries.iter().map(|one| one.entry.clone()).collect()).await?;
                self.applied = to;
            }
            Step::Settle => {
                while parts.history.applied() + 1 < self.applied as u64 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            Step::Build => {
                parts.machine.get_snapshot_builder().await.build_snapshot().await?;
            }
            Step::Install(index) => self.install(index).await?,
            Step::Reopen => self.open().await?,
        }
        for flushed in self.waiting.drain(..) {
            flushed.await??;
        }
        Ok(true)
    }

    /// Another member's snapshot, which that member builds elsewhere.
    async fn install(&mut self, index: u64) -> anyhow::Result<()> {
        let elsewhere = tempfile::tempdir()?;
        let mut other = Parts::open(elsewhere.path(), Fatal::exit()).map_err(anyhow::Error::msg)?;
        let to = usize::try_from(index)? + 1;
        let entries = self.script.committed[..to].iter().map(|one| one.entry.clone()).collect();
        other.apply(entries).await?;
        let snapshot = other.machine.get_snapshot_builder().await.build_snapshot().await?;
        let parts = self.parts.as_mut().context("it is open")?;
        parts.machine.install_snapshot(&snapshot.meta, snapshot.snapshot).await?;
        self.applied = to;
        Ok(())
    }
}
