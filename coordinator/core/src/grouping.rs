//! Grouping: what one contact is to hear by one channel, of one kind and one cause, within seconds
//! goes out in one message. In a mass outage nobody reads a thousand mails.
//!
//! ```text
//! first of its kind: claimed at once | those like it wait for WITHIN | the next claim takes them along
//! ```
//!
//! Each stays a notification of its own; claims, attempts and results of the one that carries the
//! message are those of all told in it.
//!
//! **Invariants**
//! - Every copy of a message tells the same: as long as somebody may have one, its notifications
//!   stay together. They part when it has certainly reached nobody.
//! - Nothing joins a message of which somebody may have a copy.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_model::{Cause, ContactId, Severity, Status};
use serde::{Deserialize, Serialize};

use crate::outbox::{Edge, Key, Notice, Owed, Progress};
use crate::state::State;

/// How long those like a notification that has just gone out wait for each other. Of an outage of
/// everything the first mail comes at once, and the rest of a minute's in six.
pub const WITHIN: Duration = Duration::from_secs(10);

/// The most that one message tells: with more a mail program on a telephone gives up.
pub const MOST_IN_ONE: usize = 500;

/// Notifications of the same group may share a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// To whom.
    pub contact: ContactId,
    /// By which channel.
    pub channel: String,
    /// What happened: nobody looks for the outage among recoveries.
    pub edge: Edge,
    /// How bad: the worst is not to be read behind the rest.
    pub severity: Severity,
    /// Why, as most of the sites that complain say.
    pub cause: Option<Cause>,
}

impl Owed {
    /// It shares a message that somebody may have.
    pub const fn is_bound(&self) -> bool {
        self.told_in.is_some() || !self.tells.is_empty()
    }

    /// Nobody has it, for certain.
    pub(crate) fn is_unsent(&self) -> bool {
        let waits = matches!(self.progress, Progress::Queued | Progress::Retry { .. });
        waits && self.ambiguous == 0 && self.reached.is_empty()
    }
}

impl State {
    /// What the message of a notification tells: it, and those that it carries.
    pub fn told_by<'a>(&'a self, carrier: &'a Owed) -> Vec<&'a Owed> {
        let carried = carrier.tells.iter().filter_map(|key| self.outbox.get(key));
        std::iter::once(carrier).chain(carried).collect()
    }

    /// The group of a notification; `None` for the installation's own trouble, which is grouped by
    /// what has failed already, and for who wants each by itself.
    fn group_of(&self, owed: &Owed) -> Option<Group> {
        owed.notice.check.as_ref()?;
        let apart = self.config.contacts.get(&owed.contact).is_some_and(|contact| contact.apart);
        (!apart).then(|| Group {
            contact: owed.contact.clone(),
            channel: owed.channel.clone(),
            edge: owed.notice.edge,
            severity: owed.notice.severity,
            cause: leading_cause(&owed.notice),
        })
    }

    /// One like it has just gone out, and it waits for others.
    pub(crate) fn waits_for_its_like(&self, owed: &Owed) -> bool {
        let is_new = owed.attempts == 0 && matches!(owed.progress, Progress::Queued);
        let spoken = || self.spoken.get(&self.group_of(owed)?).copied();
        is_new && spoken().is_some_and(|at| self.now.since(at) < WITHIN)
    }

    /// A notification is about to be claimed: those that its message is to tell, too.
    pub(crate) fn gather_its_like(&mut self, key: Key) {
        let Some(carrier) = self.outbox.get(&key).filter(|owed| owed.is_unsent()) else { return };
        let Some(group) = self.group_of(carrier).filter(|_| !carrier.is_bound()) else { return };
        let joins = |owed: &&Owed| {
            owed.key != key
                && owed.is_unsent()
                && self.could_send(owed)
                && self.group_of(owed).is_some_and(|other| other == group)
        };
        let mut like: Vec<&Owed> = self.outbox.values().filter(joins).collect();
        like.sort_by_key(|owed| (owed.created, owed.key));
        let like: Vec<Key> = like.into_iter().map(|owed| owed.key).collect();
        let mut tells = Vec::new();
        for other in like {
            if tells.len() + 1 < MOST_IN_ONE && !self.merge_superseded(other) {
                tells.push(other);
            }
        }
        for other in &tells {
            if let Some(owed) = self.outbox.get_mut(other) {
                owed.told_in = Some(key);
            }
        }
        if let Some(carrier) = self.outbox.get_mut(&key) {
            carrier.tells = tells;
        }
        let now = self.now;
        self.spoken.retain(|_, at| now.since(*at) < WITHIN);
        self.spoken.insert(group, now);
    }

    /// A reply stands under the message that its alarm was told in.
    pub(crate) fn thread_to_its_message(&mut self, key: Key) {
        let Some(owed) = self.outbox.get(&key).filter(|owed| owed.is_unsent()) else { return };
        let first = owed.notice.thread.and_then(|first| self.outbox.get(&first));
        let Some(message) = first.and_then(|first| first.told_in) else { return };
        if let Some(owed) = self.outbox.get_mut(&key) {
            owed.notice.thread = Some(message);
        }
    }

    /// A message has come to nothing, or to an end: those told in it part, as far as there is
    /// anything left to do for them and nobody may have it.
    pub(crate) fn part(&mut self, carrier: Key) {
        let Some(owed) = self.outbox.get(&carrier) else { return };
        let is_over = owed.progress.is_settled();
        if !is_over && !owed.is_unsent() {
            return;
        }
        let is_left = |key: &Key| {
            self.outbox.get(key).is_some_and(|owed| !is_over || !owed.progress.is_settled())
        };
        let (left, kept): (Vec<Key>, Vec<Key>) = owed.tells.iter().partition(|key| is_left(key));
        for key in left {
            if let Some(owed) = self.outbox.get_mut(&key) {
                owed.told_in = None;
            }
        }
        if let Some(owed) = self.outbox.get_mut(&carrier) {
            owed.tells = kept;
        }
    }
}

/// What most of the sites that complain name; of several the first in the list of causes.
pub fn leading_cause(notice: &Notice) -> Option<Cause> {
    let mut said: BTreeMap<Cause, usize> = BTreeMap::new();
    let complain = notice.sites.iter().filter(|site| site.status != Status::Up);
    for cause in complain.filter_map(|site| site.cause) {
        *said.entry(cause).or_default() += 1;
    }
    said.into_iter().rev().max_by_key(|(_, sites)| *sites).map(|(cause, _)| cause)
}
