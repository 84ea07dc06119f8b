//! Commands on their way to the leader, wherever it is.

use std::time::Duration;

use crosscheck_core::command::Stamped;
use crosscheck_core::level::Level;
use crosscheck_core::{Command, Reply, State};
use crosscheck_model::Timestamp;
use crosscheck_model::join::Fingerprint;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Inner, Replica};
use crate::cluster::report::Own;
use crate::cluster::{self, Change, Changed};
use crate::history::{Page, Want};
use crate::raft::{Asked, ProposeError, Submitted};

/// Between two tries while nobody is known to lead.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Why a command brought no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// It was not carried out: nobody leads, or the leader cannot be reached.
    #[error("the cluster has no leader at present; try again")]
    NoLeader,
    /// It may or may not have been carried out, and may still be.
    #[error("nobody knows yet whether it was carried out; look before you try again")]
    Unknown,
    /// It was not carried out: some coordinator runs a program that does not know it.
    #[error("not every coordinator understands this yet: {0}")]
    Early(String),
    /// This node is stopping.
    #[error("this coordinator is stopping: {0}")]
    Stopped(String),
}

impl Inner {
    pub(crate) async fn submit(&self, command: Command) -> Result<Reply, SubmitError> {
        let (needed, cluster) = (command.level(), self.shared.read(State::level));
        if needed > cluster && !matches!(command, Command::Raise { .. }) {
            let early = ProposeError::Early { needed, cluster };
            return Err(SubmitError::Early(early.to_string()));
        }
        let deadline = Instant::now() + self.profile.submit_limit();
        loop {
            let leader = self.leadership.borrow().leader;
            let outcome = match leader {
                Some(id) if id == self.id => self.submit_here(&command, deadline).await?,
                Some(id) => self.submit_to(id, &command, deadline).await,
                None => Submitted::NotLeader(None),
            };
            match outcome {
                Submitted::Done(reply) => return Ok(reply),
                Submitted::Unknown => return Err(SubmitError::Unknown),
                Submitted::NotLeader(_) => {}
            }
            sleep_until((Instant::now() + RETRY_PAUSE).min(deadline)).await;
            if Instant::now() >= deadline {
                return Err(SubmitError::NoLeader);
            }
        }
    }

    async fn submit_here(
        &self,
        command: &Command,
        deadline: Instant,
    ) -> Result<Submitted, SubmitError> {
        let Some(at) = self.gate.stamp() else { return Ok(Submitted::NotLeader(None)) };
        let stamped = Stamped { at, command: command.clone() };
        match timeout_at(deadline, self.node.propose(&stamped)).await {
            Ok(Ok(reply)) => Ok(Submitted::Done(reply)),
            Ok(Err(ProposeError::NotLeader(leader))) => Ok(Submitted::NotLeader(leader)),
            Ok(Err(ProposeError::Unknown)) | Err(_) => Ok(Submitted::Unknown),
            Ok(Err(early @ ProposeError::Early { .. })) => {
                Err(SubmitError::Early(early.to_string()))
            }
            Ok(Err(ProposeError::Stopped(reason))) => Err(SubmitError::Stopped(reason)),
        }
    }

    async fn submit_to(&self, leader: u64, command: &Command, deadline: Instant) -> Submitted {
        let Some(base) = self.node.urls().remove(&leader) else {
            return Submitted::NotLeader(None);
        };
        let limit = deadline.saturating_duration_since(Instant::now());
        let (to, level) = ((leader, base.as_str()), command.level());
        let answer = self.peers.call_at(level, to, "submit", command, limit).await;
        answer.unwrap_or_else(|error| match error {
            crate::raft::CallError::NotTaken { .. } => Submitted::NotLeader(None),
            _ => Submitted::Unknown,
        })
    }
}

impl Asked for Replica {
    async fn submit(&self, command: Command) -> Submitted {
        // Not passed on: two nodes that take each other for the leader would never end.
        let deadline = Instant::now() + self.0.profile.submit_limit();
        self.0.submit_here(&command, deadline).await.unwrap_or(Submitted::NotLeader(None))
    }

    async fn page(&self, want: Want) -> Option<Page> {
        let history = self.history().clone();
        let storage = history.storage().clone();
        let page = storage.run(move || history.page(&want)).await;
        match page {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot read the history for another node");
                None
            }
            Err(_) => None,
        }
    }

    fn known(&self) -> Level {
        self.0.shared.known()
    }

    fn wall(&self) -> Timestamp {
        self.0.gate.clock().wall()
    }

    async fn change(&self, change: Change) -> Changed {
        cluster::change::carry_out(&self.0, change).await
    }

    fn belongs(&self, node: u64) -> Option<bool> {
        self.belongs_here(node)
    }

    fn key(&self, node: u64) -> Option<Fingerprint> {
        // Not of one that was removed: whoever asks has not heard of it, and need not follow it.
        self.read(|state| state.members.get(&node).and_then(|member| member.key))
    }

    fn report(&self) -> Own {
        self.own()
    }
}
