//! Every input of the state machine: the vocabulary of the Raft log. A stored format: add only.

use crosscheck_model::wire::{Hello, Receipt, Refusal, Report, Welcome};
use crosscheck_model::{CheckId, Config, IncidentId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Effect;
use crate::heartbeat::Standing;
use crate::outbox::{Key, SendResult};

/// A command, as it stands in the log: the moment is stamped by the leader that proposed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// The log time.
    pub at: Timestamp,
    /// What to do.
    pub command: Command,
}

/// What can be asked of the state machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// A node has become leader: the first command of its term.
    Lead {
        /// The node.
        node: u64,
        /// Its term.
        term: u64,
        /// A name for the cluster, random; the first one given stays.
        cluster: String,
    },
    /// Time passes; deadlines fire.
    Tick,
    /// From now on this is the configuration.
    Configure(Box<Config>),
    /// The maintenance windows of the near future, as moments. The leader expands the
    /// configuration's civil times; see [`crate::maintenance`].
    Windows(Vec<Window>),
    /// A probe asks for a session.
    Open(Hello),
    /// What probes reported within the last fraction of a second.
    Batch(Vec<Report>),
    /// The leader is about to send a notification.
    Claim {
        /// Which.
        key: Key,
        /// The leader's term.
        term: u64,
        /// The leader.
        node: u64,
    },
    /// What came of sending it.
    Settle {
        /// Which.
        key: Key,
        /// The attempt that the claim's reply named.
        attempt: u32,
        /// What came of it.
        result: SendResult,
    },
    /// Somebody takes an incident on.
    Acknowledge {
        /// Which.
        incident: IncidentId,
        /// Who.
        by: String,
        /// What they say.
        note: String,
    },
    /// What came of the leader's heartbeats to a receiver, when that changes.
    Heartbeat {
        /// Which: its name, without what is secret in its address.
        receiver: String,
        /// What came of them.
        standing: Standing,
    },
}

/// A maintenance window as moments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    /// The index in [`Config::maintenance`].
    pub rule: u32,
    /// The start.
    pub from: Timestamp,
    /// The end.
    pub to: Timestamp,
}

/// What a command comes back with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// The configuration holds; its revision.
    Configured(u64),
    /// To [`Command::Open`].
    Opened(Result<Welcome, Refusal>),
    /// To [`Command::Batch`], in order.
    Batch(Vec<Result<Receipt, Refusal>>),
    /// To [`Command::Claim`]: the attempt's number; send it now.
    Claimed(u32),
    /// Nothing was changed, and why.
    Rejected(String),
}

/// What applying a command gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// For who proposed it.
    pub reply: Reply,
    /// For every replica's shell.
    pub effects: Vec<Effect>,
}

/// A check's id with its confirmation order, for a probe's stream of orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmOrder {
    /// Which check.
    pub check: CheckId,
    /// Differs for each order.
    pub nonce: u64,
}
