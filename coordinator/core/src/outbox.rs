//! Notifications owed: created with the decision that causes them, removed by their result only.
//!
//! `Queued -> Claimed(term, node, attempt, lease) -> Delivered | Retry(at) | Refused | GivenUp`.
//! The steps are in [`crate::claim`]; several may share a message, see [`crate::grouping`].

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crosscheck_model::{
    Cause, CheckId, ContactId, IncidentId, Severity, SiteId, Status, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::incident::{EventKind, Incident};
use crate::state::State;

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

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = u128::from_str_radix(text, 16).ok().filter(|_| is_hex);
        let value = value.ok_or("a notification's key has 32 hexadecimal digits")?;
        Ok(Self(value.to_be_bytes()))
    }
}

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Edge {
    /// It became this bad (Degraded, Unknown or Down).
    Alarm(Status),
    /// It is well again.
    Recovery,
    /// The check was taken out of the configuration while it was not well.
    Removed,
}

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
    /// Nothing is sent before these are settled (the alarms of this recovery).
    pub after: Vec<Key>,
    /// Addresses of the contact that have it already, where a contact has several and the
    /// receiving side put some off: they are not written to again.
    pub reached: Vec<String>,
    /// Addresses from which it came back, in small letters; see [`crate::bounce`].
    pub bounced: BTreeSet<String>,
    /// What the last attempt met, for operators.
    pub last_error: Option<String>,
    /// It was told by other ways, too; see [`crate::reroute`].
    pub rerouted: bool,
    /// The notification in whose message it is told; see [`crate::grouping`].
    pub told_in: Option<Key>,
    /// Those that its own message tells, too.
    pub tells: Vec<Key>,
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
    /// It was not needed any more: a worse alarm, or the next one after this recovery, says it all.
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
    /// Some of the contact's addresses were reached, the others not for now.
    Partly {
        /// Those that were.
        reached: Vec<String>,
        /// What the others met.
        why: String,
    },
    /// The content was handed over and the answer was lost: it may have been taken.
    Ambiguous(String),
}

impl SendResult {
    /// A word for it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry(_) => "retry",
            Self::Refused(_) => "refused",
            Self::Partly { .. } => "partly",
            Self::Ambiguous(_) => "ambiguous",
        }
    }
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
    /// What the fault looks like, in one sentence, as far as it was known.
    pub finding: Option<String>,
    /// Since when: the first failing run.
    pub since: Timestamp,
    /// When it was decided.
    pub decided: Timestamp,
    /// When it ended, for a recovery.
    pub ended: Option<Timestamp>,
    /// What each site says.
    pub sites: Vec<SiteOpinion>,
    /// The checks that depend on it, for a sentence: of these the reader is not told meanwhile.
    pub dependents: Option<String>,
    /// What to do.
    pub runbook: Option<String>,
    /// Where to read more and acknowledge.
    pub link: Option<String>,
    /// The notification that opened the thread, for a mail program to put this one under.
    pub thread: Option<Key>,
    /// The alarm of this recovery never reached the contact: say it all in one.
    pub alarm_was_lost: bool,
    /// The check comes and goes: the next word comes when it has been well for long.
    pub flapping: bool,
    /// It is none of this: a failure is simulated.
    pub drill: bool,
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
    /// How long the run took, in microseconds.
    pub duration_us: u64,
    /// When the run ended.
    pub at: Timestamp,
}

/// How long settled notifications of resolved incidents, and then the incidents, are kept in the
/// state: long enough to answer "did it go out?" over a holiday.
const KEEP_SETTLED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The most resolved incidents kept in the state, which is snapshotted whole: the flapping of one
/// check must not fill the memory of all.
const KEEP_RESOLVED: usize = 2_000;

impl Progress {
    /// It will never have reached anyone.
    pub const fn is_lost(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::GivenUp { .. } | Self::Merged { .. })
    }
}

impl State {
    /// The notifications that may be sent now, oldest first.
    pub fn due(&self) -> Vec<&Owed> {
        let mut due: Vec<&Owed> = self.outbox.values().filter(|owed| self.may_send(owed)).collect();
        due.sort_by_key(|owed| (owed.created, owed.key));
        due
    }

    /// Whether a notification may be sent now, in a message of its own.
    pub fn may_send(&self, owed: &Owed) -> bool {
        self.could_send(owed)
            && owed.told_in.is_none()
            && !self.waits_for_its_like(owed)
            && self.told_by(owed).into_iter().all(|told| self.is_its_turn(told))
    }

    /// Whether it may be sent now, be it in another's message.
    pub(crate) fn could_send(&self, owed: &Owed) -> bool {
        let free = match owed.progress {
            Progress::Queued => true,
            Progress::Claimed { until, .. } => self.now >= until,
            Progress::Retry { at } => self.now >= at,
            _ => false,
        };
        free && self.is_its_turn(owed)
    }

    /// What is to be read before it is settled.
    fn is_its_turn(&self, owed: &Owed) -> bool {
        let settled = |key| self.outbox.get(key).is_none_or(|first| first.progress.is_settled());
        owed.after.iter().all(settled)
    }

    /// A recovery whose alarm never reached its contact says it all in one.
    pub(crate) fn mark_lost_alarms(&mut self, alarm: Key) {
        if !self.outbox.get(&alarm).is_some_and(|owed| owed.progress.is_lost()) {
            return;
        }
        let lost: BTreeSet<Key> = self
            .outbox
            .values()
            .filter(|owed| owed.progress.is_lost())
            .map(|owed| owed.key)
            .collect();
        for owed in self.outbox.values_mut() {
            let untouched = matches!(owed.progress, Progress::Queued) && owed.attempts == 0;
            if untouched
                && owed.after.contains(&alarm)
                && owed.after.iter().all(|key| lost.contains(key))
            {
                owed.notice.alarm_was_lost = true;
            }
        }
    }

    /// What is over for long leaves the state.
    pub(crate) fn forget_the_old(&mut self) {
        let now = self.now;
        let old = |incident: &Incident| {
            incident.resolved_at.is_some_and(|at| now.since(at) > KEEP_SETTLED)
        };
        let over: Vec<IncidentId> = self
            .incidents
            .values()
            .filter(|incident| incident.resolved_at.is_some())
            .map(|incident| incident.id)
            .collect();
        let surplus: BTreeSet<IncidentId> =
            over[..over.len().saturating_sub(KEEP_RESOLVED)].iter().copied().collect();
        let owing: BTreeSet<IncidentId> = self
            .outbox
            .values()
            .filter(|owed| !owed.progress.is_settled())
            .map(|owed| owed.notice.incident)
            .collect();
        self.incidents.retain(|id, incident| {
            let forgettable = old(incident) || surplus.contains(id);
            !forgettable || owing.contains(id)
        });
        let incidents = &self.incidents;
        self.outbox.retain(|_, owed| incidents.contains_key(&owed.notice.incident));
    }
}

impl Owed {
    /// What the incident's timeline says of the result.
    pub(crate) fn event(&self) -> Option<(EventKind, String)> {
        let whom = format!("{} by {}", self.contact, self.channel);
        let why = self.last_error.as_deref().unwrap_or_default();
        match self.progress {
            Progress::Delivered { .. } if self.is_bound() => {
                Some((EventKind::Delivered, format!("{whom}, in one message with others")))
            }
            Progress::Delivered { .. } => Some((EventKind::Delivered, whom)),
            Progress::Refused { .. } => Some((EventKind::Undelivered, format!("{whom}: {why}"))),
            Progress::GivenUp { .. } => {
                Some((EventKind::Undelivered, format!("{whom}: given up; {why}")))
            }
            // The first failed attempt is worth knowing, the twentieth is not.
            Progress::Retry { .. } if self.attempts == 1 => {
                Some((EventKind::Undelivered, format!("{whom}: will be tried again; {why}")))
            }
            _ => None,
        }
    }
}
