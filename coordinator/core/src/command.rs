//! Every input of the state machine: the vocabulary of the Raft log. A stored format: add only.

use std::fmt;
use std::time::Duration;

use crosscheck_model::join::{Fingerprint, JoinRefusal};
use crosscheck_model::wire::{Hello, Receipt, Refusal, Report, Welcome};
use crosscheck_model::{CheckId, Config, IncidentId, ProbeId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Effect;
use crate::drill::Occasion;
use crate::follower::Following;
use crate::heartbeat::Standing;
use crate::identity::Certified;
use crate::level::Level;
use crate::operator::{Actor, NewToken};
use crate::outbox::{Key, SendResult};
use crate::push::PushReport;
use crate::token::Grant;

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
    Windows {
        /// The revision of the configuration that they were computed from; refused when that is
        /// not the present one any more.
        revision: u64,
        /// The windows.
        windows: Vec<Window>,
    },
    /// A probe asks for a session, of which nobody has proof: it runs in this process, or on this
    /// host.
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
    /// Somebody may join, once.
    IssueJoinToken {
        /// The digest of the token's secret.
        token: Fingerprint,
        /// What for.
        grant: Grant,
        /// For how long; at most [`crate::token::LONGEST_LIFETIME`].
        lifetime: Duration,
        /// Who issues it.
        by: String,
    },
    /// A probe joins by a token.
    Enrol {
        /// The digest of the token's secret.
        token: Fingerprint,
        /// The name that it wants.
        probe: ProbeId,
        /// Where it believes to stand.
        site: SiteId,
        /// Its public key.
        key: Fingerprint,
    },
    /// A probe that has joined asks for its next certificate.
    Renew {
        /// Who.
        probe: ProbeId,
        /// The key that it has proved to hold.
        key: Fingerprint,
    },
    /// A probe that has joined asks for a session.
    OpenAs {
        /// Who, and the rest of what it says.
        hello: Hello,
        /// The key that it has proved to hold.
        key: Fingerprint,
    },
    /// A probe that has joined is shut out.
    Revoke {
        /// Which.
        probe: ProbeId,
        /// Who says so.
        by: String,
    },
    /// A new coordinator gets its number by a token.
    EnrolMember {
        /// The digest of the token's secret.
        token: Fingerprint,
        /// Its public key.
        key: Fingerprint,
        /// The largest number in Raft's membership.
        above: u64,
    },
    /// A coordinator does not belong to the cluster any more.
    Dismiss {
        /// Its number.
        node: u64,
    },
    /// A coordinator tells how full its disk is.
    Disk {
        /// Its number.
        node: u64,
        /// How much is in use, in percent.
        percent: u8,
    },
    /// A quarantined probe is believed again.
    Reinstate {
        /// Which.
        probe: ProbeId,
        /// Who says so.
        by: String,
    },
    /// An operator does something: the command is carried out, and leaves an entry in the audit
    /// trail. Which commands can be acts: see [`crate::audit`].
    Act {
        /// Who.
        actor: Actor,
        /// What.
        command: Enclosed,
    },
    /// Somebody is to be let in.
    CreateToken(NewToken),
    /// Somebody is not to be let in any more.
    RevokeToken {
        /// The token's id.
        id: String,
    },
    /// What came of the leader's heartbeats to a receiver, when that changes.
    Heartbeat {
        /// Which: its name, without what is secret in its address.
        receiver: String,
        /// What came of them.
        standing: Standing,
    },
    /// An operator wants a coordinator to lead. Who does is no part of the state: this is for the
    /// audit trail.
    HandOver {
        /// Which.
        to: u64,
    },
    /// A coordinator's wall clock, when it begins or ceases to differ from the others'.
    Clock {
        /// Its number.
        node: u64,
        /// How far it is ahead of the median of all, in milliseconds.
        off_ms: i64,
    },
    /// A job reports by itself; see [`crate::push`].
    Push {
        /// The digest of the token that it showed.
        token: Fingerprint,
        /// What it says.
        report: PushReport,
    },
    /// Every coordinator reads this level of the formats from now on; see [`crate::level`].
    Raise {
        /// The level.
        level: Level,
    },
    /// A claim comes to nothing: who made it is certain that nothing was sent, so nobody need wait
    /// for the end of its lease.
    Release {
        /// Of what.
        key: Key,
        /// The attempt that the claim's reply named.
        attempt: u32,
    },
    /// The coordinator that founded the cluster tells its public key; those that join it have told
    /// theirs by [`Command::EnrolMember`].
    Introduce {
        /// Its number.
        node: u64,
        /// Its public key.
        key: Fingerprint,
    },
    /// An operator takes a backup. That is no part of the state: this is for the audit trail.
    BackUp {
        /// The coordinator that it is taken from.
        node: u64,
    },
    /// Whether a coordinator follows the log, when that changes; see [`crate::follower`].
    Follower {
        /// Its number.
        node: u64,
        /// Whether it does.
        following: Following,
    },
    /// A failure is to be simulated; see [`crate::drill`].
    Drill(Occasion),
    /// A mail has come back; see [`crate::bounce`].
    Bounce {
        /// Which.
        key: Key,
        /// From which address.
        recipient: String,
        /// In the words of the server that could not deliver it.
        why: String,
    },
}

/// A command within another, as bytes that are read when it is carried out: so bytes from
/// elsewhere cannot nest commands deeper than the stack is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enclosed(Vec<u8>);

impl Enclosed {
    /// Encloses a command.
    pub fn new(command: &Command) -> Self {
        // Every command has a binary form; no bytes are no command, and are refused as such.
        Self(postcard::to_stdvec(command).unwrap_or_default())
    }

    /// The command, if the bytes are one.
    pub fn open(&self) -> Option<Command> {
        postcard::from_bytes(&self.0).ok()
    }
}

impl fmt::Debug for Enclosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.open())
    }
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
    /// To [`Command::Enrol`] and [`Command::Renew`]: what the certificate is to say.
    Certified(Result<Certified, JoinRefusal>),
    /// To [`Command::EnrolMember`]: the new coordinator's number.
    Member(Result<u64, JoinRefusal>),
    /// To [`Command::Drill`]: its incident.
    Drill(IncidentId),
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
