//! The audit trail: what operators did, each entry chained to the one before by its hash.
//!
//! ```text
//! Command::Act { actor, command } -> carried out -> Entry { .., previous, hash } -> tail, history
//! ```
//!
//! **Invariants**
//! - An act that changes something leaves an entry in the same log entry; one that is rejected or
//!   changes nothing leaves none.
//! - Nothing but `State::act`, and the first entry of a restored cluster, adds to the trail, and no
//!   command takes from it. The state keeps
//!   the newest entries, the history all of them.
//! - The hash covers every field and the hash before, so no entry can be changed, left out or
//!   slipped in without every later hash being another.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use crosscheck_model::join::Fingerprint;
use crosscheck_model::{ProbeId, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::command::{Command, Enclosed, Reply};
use crate::drill::Occasion;
use crate::effect::Effect;
use crate::operator::{Actor, Role};
use crate::outbox::Key;
use crate::state::State;

/// Entries that the state keeps: what a reader may be ahead of the history by, many times over.
pub const TAIL_LIMIT: usize = 64;

/// A SHA-256; hexadecimal where people read it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// What stands before the first entry.
    pub const NONE: Self = Self([0; 32]);

    /// Of a value's binary form.
    fn of<T: Serialize>(value: &T) -> Option<Self> {
        postcard::to_stdvec(value).ok().map(|bytes| Self(Sha256::digest(bytes).into()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a SHA-256 has 64 hexadecimal digits".to_owned();
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

/// One act of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number: 1, 2, 3 ..
    pub index: u64,
    /// When: log time.
    pub at: Timestamp,
    /// Who: a token's name, or the word for who needs none.
    pub actor: String,
    /// In which role.
    pub role: Role,
    /// From which address.
    pub from: String,
    /// What was done: `configure`, `acknowledge`, `create token`, `revoke token` ..
    pub act: String,
    /// To what.
    pub subject: String,
    /// The hash of what it was done to, before; `None`: it was not there.
    pub before: Option<Digest>,
    /// The same, after.
    pub after: Option<Digest>,
    /// The hash of the entry before; zeros in the first.
    pub previous: Digest,
    /// The hash of this entry.
    pub hash: Digest,
}

impl Entry {
    /// What its hash must be: SHA-256 over its fields in order as decimal text, words or
    /// hexadecimal digits (nothing for what is not there; the time in milliseconds since the Unix
    /// epoch), each as `length:text,` (a netstring), so that anyone can compute it in any language.
    pub fn expected_hash(&self) -> Digest {
        let digest = |digest: &Option<Digest>| digest.map_or(String::new(), |d| d.to_string());
        let fields = [
            self.index.to_string(),
            self.at.as_millis().to_string(),
            self.actor.clone(),
            self.role.to_string(),
            self.from.clone(),
            self.act.clone(),
            self.subject.clone(),
            digest(&self.before),
            digest(&self.after),
            self.previous.to_string(),
        ];
        let mut hasher = Sha256::new();
        for field in fields {
            hasher.update(format!("{}:{field},", field.len()));
        }
        Digest(hasher.finalize().into())
    }
}

/// Where and how a trail is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// Entries are missing, doubled or out of order.
    #[error("entry {expected} is missing: entry {found} stands in its place")]
    Missing {
        /// The number that should come.
        expected: u64,
        /// The number that comes.
        found: u64,
    },
    /// An entry was changed after it was written.
    #[error("entry {0} was changed: its hash does not fit its content")]
    Changed(u64),
    /// An entry follows another than the one before it.
    #[error("entry {0} does not follow the entry before it: the chain was cut and joined again")]
    Unlinked(u64),
    /// The end was cut off.
    #[error("the trail ends at entry {found}, but {expected} were written")]
    Short {
        /// The last entry there is.
        found: u64,
        /// The last entry there was.
        expected: u64,
    },
    /// The last entry is another than the one that was written.
    #[error("entry {0} is not the one that was written: the whole trail was made anew")]
    Replaced(u64),
}

/// Follows a trail from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The number of the last entry followed; 0 before the first.
    pub index: u64,
    /// Its hash.
    pub hash: Digest,
}

impl Chain {
    /// Goes on to the next entry.
    ///
    /// # Errors
    /// It is not the next entry, or not as it was written.
    pub fn follow(&mut self, entry: &Entry) -> Result<(), Break> {
        let expected = self.index + 1;
        if entry.index != expected {
            return Err(Break::Missing { expected, found: entry.index });
        }
        if entry.hash != entry.expected_hash() {
            return Err(Break::Changed(entry.index));
        }
        if entry.previous != self.hash {
            return Err(Break::Unlinked(entry.index));
        }
        *self = Self { index: entry.index, hash: entry.hash };
        Ok(())
    }

    /// Whether this is the end that the cluster agrees on.
    ///
    /// # Errors
    /// Entries are missing at the end, or it is another end.
    pub fn ends_at(self, head: Self) -> Result<(), Break> {
        match self.index.cmp(&head.index) {
            std::cmp::Ordering::Less => {
                Err(Break::Short { found: self.index, expected: head.index })
            }
            std::cmp::Ordering::Equal if self.hash != head.hash => Err(Break::Replaced(self.index)),
            _ => Ok(()),
        }
    }
}

/// The newest entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail(VecDeque<Entry>);

impl Trail {
    /// The newest entries, oldest first; at most [`TAIL_LIMIT`].
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// Where the trail ends.
    pub fn head(&self) -> Chain {
        self.0
            .back()
            .map_or_else(Chain::default, |last| Chain { index: last.index, hash: last.hash })
    }

    fn push(&mut self, entry: Entry) {
        if self.0.len() >= TAIL_LIMIT {
            self.0.pop_front();
        }
        self.0.push_back(entry);
    }
}

impl Command {
    /// What an operator's act is called, and what it is done to; `None`: no act of an operator.
    fn act(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Configure(_) => Some(("configure", "configuration".to_owned())),
            Self::Acknowledge { incident, by, .. } => {
                Some(("acknowledge", format!("incident {incident}, by {by}")))
            }
            Self::CreateToken(new) => {
                let whose = match &new.customers {
                    None => "everyone's".to_owned(),
                    Some(customers) => {
                        customers.iter().map(|c| c.as_str()).collect::<Vec<_>>().join(", ")
                    }
                };
                let (id, name, role) = (&new.id, &new.name, new.role);
                Some(("create token", format!("{name} ({id}), {role}, {whose}")))
            }
            Self::RevokeToken { id } => Some(("revoke token", id.clone())),
            Self::IssueJoinToken { grant, .. } => Some(("issue join token", grant.to_string())),
            Self::Revoke { probe, .. } => Some(("revoke probe", probe.to_string())),
            Self::Reinstate { probe, .. } => Some(("reinstate probe", probe.to_string())),
            Self::Dismiss { node } => Some(("remove coordinator", node.to_string())),
            Self::HandOver { to } => Some(("transfer leadership", format!("coordinator {to}"))),
            Self::Drill(Occasion::Asked { check, .. }) => {
                let what = check.as_ref().map_or("the operators' alarm", |id| id.as_str());
                Some(("drill", format!("of {what}")))
            }
            Self::Bounce { key, recipient, .. } => {
                Some(("bounce", format!("of {key}, from {recipient}")))
            }
            Self::BackUp { node } => Some(("back up", format!("from coordinator {node}"))),
            _ => None,
        }
    }
}

impl State {
    /// Carries out what an operator asks for, by `carry_out`, and keeps a record of it.
    pub(crate) fn act(
        &mut self,
        actor: Actor,
        command: &Enclosed,
        effects: &mut Vec<Effect>,
        carry_out: fn(&mut Self, Command, &mut Vec<Effect>) -> Reply,
    ) -> Reply {
        let Some(command) = command.open() else {
            return Reply::Rejected("this is no command".to_owned());
        };
        let Some((act, mut subject)) = command.act() else {
            return Reply::Rejected("this is no act of an operator".to_owned());
        };
        if let Command::RevokeToken { id } = &command
            && let Some(token) = self.tokens.get(id)
        {
            subject = format!("{} ({id})", token.name);
        }
        let look = Look::of(&command);
        let before = look.at(self);
        let reply = carry_out(self, command, effects);
        let after = look.at(self);
        let is_nothing = before == after && look != Look::Outside;
        if matches!(reply, Reply::Rejected(_)) || is_nothing {
            return reply;
        }
        if let Reply::Configured(revision) = reply {
            subject = format!("configuration, revision {revision}");
        }
        self.enter(actor, (act, subject), (before, after), effects);
        reply
    }

    /// Adds an entry to the trail.
    pub(crate) fn enter(
        &mut self,
        actor: Actor,
        (act, subject): (&str, String),
        (before, after): (Option<Digest>, Option<Digest>),
        effects: &mut Vec<Effect>,
    ) {
        let Actor { name, role, from } = actor;
        let head = self.audit.head();
        let mut entry = Entry {
            index: head.index + 1,
            at: self.now,
            actor: name,
            role,
            from,
            act: act.to_owned(),
            subject,
            before,
            after,
            previous: head.hash,
            hash: Digest::NONE,
        };
        entry.hash = entry.expected_hash();
        effects.push(Effect::Audited(Box::new(entry.clone())));
        self.audit.push(entry);
    }
}

/// The part of the state that an act is about.
#[derive(PartialEq, Eq)]
enum Look {
    Configuration,
    Acknowledgement(crosscheck_model::IncidentId),
    Token(String),
    JoinToken(Fingerprint),
    Probe(ProbeId),
    Member(u64),
    Notification(Key),
    /// What is no part of the state: the act is recorded for its own sake.
    Outside,
    Nothing,
}

impl Look {
    fn of(command: &Command) -> Self {
        match command {
            Command::Configure(_) => Self::Configuration,
            Command::Acknowledge { incident, .. } => Self::Acknowledgement(*incident),
            Command::CreateToken(new) => Self::Token(new.id.clone()),
            Command::RevokeToken { id } => Self::Token(id.clone()),
            Command::IssueJoinToken { token, .. } => Self::JoinToken(*token),
            Command::Revoke { probe, .. } | Command::Reinstate { probe, .. } => {
                Self::Probe(probe.clone())
            }
            Command::Dismiss { node } => Self::Member(*node),
            Command::Bounce { key, .. } => Self::Notification(*key),
            Command::HandOver { .. } | Command::BackUp { .. } | Command::Drill(_) => Self::Outside,
            _ => Self::Nothing,
        }
    }

    /// Its hash; `None`: it is not there.
    fn at(&self, state: &State) -> Option<Digest> {
        match self {
            Self::Configuration => (state.revision > 0).then(|| Digest::of(&state.config))?,
            Self::Acknowledgement(id) => {
                Digest::of(state.incidents.get(id)?.acknowledged.as_ref()?)
            }
            Self::Token(id) => Digest::of(state.tokens.get(id)?),
            Self::JoinToken(token) => Digest::of(state.join_tokens.get(token)?),
            Self::Probe(id) => Digest::of(&(
                state.identities.get(id),
                state.rivals.get(id),
                state.suspicions.get(id),
            )),
            Self::Notification(key) => Digest::of(&state.outbox.get(key)?.bounced),
            Self::Member(node) => Digest::of(state.members.get(node)?),
            Self::Outside | Self::Nothing => None,
        }
    }
}
