//! Notifications owed: created with the decision that causes them, removed by their result only.
//!
//! `Queued -> Claimed(term, node, attempt, lease) -> Delivered | Retry(at) | Refused | GivenUp`.
//! A lease that runs out unanswered is an ambiguous attempt: it is sent again, under the same
//! Message-ID, so that the receiving side can tell (RFC 1047 is why exactly once cannot be had).

use std::fmt;
use std::time::Duration;

use crosscheck_model::{
    Cause, CheckId, ContactId, IncidentId, Severity, SiteId, Status, Timestamp,
};
use serde::{Deserialize, Serialize};

/// Identifies a notification for ever: the hash of (cluster, incident, edge, contact, channel).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key(pub [u8; 16]);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Edge {
    /// It became this bad (Degraded, Unknown or Down).
    Alarm(Status),
    /// It is well again.
    Recovery,
}

/// How long a claim is good for. The whole of a send must end well within it.
pub const CLAIM_LEASE: Duration = Duration::from_secs(90);
/// When a notification that could not be delivered is given up (RFC 5321: 4 to 5 days).
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(5 * 24 * 60 * 60);
/// Pauses before the second, third .. attempt; the last one repeats (RFC 6647 on greylisting).
pub const BACK_OFF_MINUTES: [u64; 6] = [1, 2, 5, 10, 15, 30];

/// A notification owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// Identifies it.
    pub key: Key,
    /// To whom.
    pub contact: ContactId,
    /// By which channel (its name in the configuration).
    pub channel: String,
    /// What to say: frozen, so that every copy is the same.
    pub notice: Notice,
    /// How far it is.
    pub progress: Progress,
    /// Attempts begun so far.
    pub attempts: u32,
    /// Attempts of which nobody knows how they ended.
    pub ambiguous: u32,
    /// Since when it is owed.
    pub created: Timestamp,
    /// Nothing is sent before this one is settled (the alarm of this recovery).
    pub after: Option<Key>,
    /// What the last attempt met, for operators.
    pub last_error: Option<String>,
}

/// How far a notification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// To be sent.
    Queued,
    /// Being sent by a leader, until the lease ends.
    Claimed {
        /// The leader's term.
        term: u64,
        /// The leader.
        node: u64,
        /// When the claim ends.
        until: Timestamp,
    },
    /// To be sent again.
    Retry {
        /// Not before.
        at: Timestamp,
    },
    /// The receiving side took it.
    Delivered {
        /// When.
        at: Timestamp,
    },
    /// The receiving side will never take it.
    Refused {
        /// When.
        at: Timestamp,
    },
    /// It could not be delivered for days.
    GivenUp {
        /// When.
        at: Timestamp,
    },
    /// It was not needed any more: its alarm never went out, and the recovery said it all.
    Merged {
        /// When.
        at: Timestamp,
    },
}

impl Progress {
    /// Nothing more will happen to it.
    pub const fn is_settled(&self) -> bool {
        matches!(
            self,
            Self::Delivered { .. }
                | Self::Refused { .. }
                | Self::GivenUp { .. }
                | Self::Merged { .. }
        )
    }
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SendResult {
    /// The receiving side took it.
    Delivered,
    /// It did not, for now.
    Retry(String),
    /// It never will.
    Refused(String),
    /// The content was handed over and the answer was lost: it may have been taken.
    Ambiguous(String),
}

/// What a notification says. Everything that a mail needs stands in it, so that the same mail can
/// be written again, by another node, after any change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The incident.
    pub incident: IncidentId,
    /// What about it.
    pub edge: Edge,
    /// How bad.
    pub severity: Severity,
    /// The check; `None` for the installation's own trouble.
    pub check: Option<CheckId>,
    /// What is checked.
    pub target: String,
    /// What is the case, in one sentence.
    pub summary: String,
    /// Since when: the first failing run.
    pub since: Timestamp,
    /// When it was decided.
    pub decided: Timestamp,
    /// When it ended, for a recovery.
    pub ended: Option<Timestamp>,
    /// What each site says.
    pub sites: Vec<SiteOpinion>,
    /// What to do.
    pub runbook: Option<String>,
    /// Where to read more and acknowledge.
    pub link: Option<String>,
    /// The notification that opened the thread, for a mail program to put this one under.
    pub thread: Option<Key>,
    /// The alarm of this recovery never reached the contact: say it all in one.
    pub alarm_was_lost: bool,
}

/// What one site said when a decision was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteOpinion {
    /// The site.
    pub site: SiteId,
    /// Its region.
    pub region: String,
    /// Its carrier.
    pub carrier: String,
    /// What it said.
    pub status: Status,
    /// Why.
    pub cause: Option<Cause>,
    /// In its words.
    pub detail: String,
    /// How long the run took, in milliseconds.
    pub duration_ms: u64,
    /// When the run ended.
    pub at: Timestamp,
}
