//! Who may operate the installation: tokens, their roles, and whose rows they may see.
//!
//! A token is stored as the hash of its secret; whoever made it saw the secret once. What a role
//! may do is the business of the API's table of operations.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crosscheck_model::{CustomerId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::Reply;
use crate::state::State;

/// The most tokens: each stands in every snapshot.
pub const TOKENS_LIMIT: usize = 1_000;
/// The longest name of a token, in characters.
pub const NAME_LIMIT: usize = 64;
/// The longest text of a hash, in bytes: a PHC string has about 100.
const HASH_LIMIT: usize = 512;
/// How long an expired token stays listed, so that people see why it is refused.
const EXPIRED_SHOWN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The name, in the audit trail, of who shows the key of a coordinator's settings.
pub const KEY: &str = "operator_key";
/// The name of who reached a listener that lets in everybody of its host.
pub const LOCAL: &str = "local";
/// The name of the files that a standalone coordinator reads its configuration from.
pub const FILES: &str = "files";
/// Names that no token may have.
const RESERVED: [&str; 3] = [KEY, LOCAL, FILES];

/// What an operator may do. Each role may do all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Acts on what happens: acknowledges.
    Operator,
    /// Configures, and lets others in.
    Administrator,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Administrator];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == word);
        found.ok_or_else(|| format!("`{word}` is no role: viewer, operator or administrator"))
    }
}

/// Who does something, for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The token's name, or the word for who needs none.
    pub name: String,
    /// The role acted in.
    pub role: Role,
    /// The address it came from, or another word for where.
    pub from: String,
}

/// A token as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// Its public half: never given to another.
    pub id: String,
    /// What people call it; no two are alike at a time.
    pub name: String,
    /// What it lets do.
    pub role: Role,
    /// Whose rows it lets see; `None`: everything.
    pub customers: Option<BTreeSet<CustomerId>>,
    /// The hash of its secret half, as a PHC string.
    pub hash: String,
    /// How long it is good for; `None`: until revoked.
    pub ttl: Option<Duration>,
    /// Who asks for it.
    pub by: String,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What people call it.
    pub name: String,
    /// What it lets do.
    pub role: Role,
    /// Whose rows it lets see; `None`: everything.
    pub customers: Option<BTreeSet<CustomerId>>,
    /// The hash of its secret half, as a PHC string.
    pub hash: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// From when on it is not good any more.
    pub expires_at: Option<Timestamp>,
}

impl Token {
    /// Whether it is not good any more at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

impl State {
    /// The token of this id, if it is good now.
    pub fn token(&self, id: &str) -> Option<&Token> {
        self.tokens.get(id).filter(|token| !token.is_expired(self.now))
    }

    pub(crate) fn create_token(&mut self, new: NewToken) -> Reply {
        if let Some(reason) = self.wrong_with(&new) {
            return Reply::Rejected(reason);
        }
        let token = Token {
            name: new.name,
            role: new.role,
            customers: new.customers,
            hash: new.hash,
            created_at: self.now,
            created_by: new.by,
            expires_at: new.ttl.map(|ttl| self.now.plus(ttl)),
        };
        self.tokens.insert(new.id, token);
        Reply::Done
    }

    fn wrong_with(&self, new: &NewToken) -> Option<String> {
        let name = &new.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
        if name.is_empty() || name.chars().count() > NAME_LIMIT || !name.chars().all(plain) {
            return Some(format!(
                "`{}` is no name for a token: letters, digits, `-`, `_`, `.` and `@`, at most {NAME_LIMIT}",
                name.escape_default()
            ));
        }
        if RESERVED.contains(&name.as_str()) {
            return Some(format!(
                "`{name}` stands in the audit trail for who shows no token; choose another name"
            ));
        }
        if new.hash.len() > HASH_LIMIT || new.id.len() > NAME_LIMIT {
            return Some("the token's hash or id is too long".to_owned());
        }
        if new.customers.as_ref().is_some_and(BTreeSet::is_empty) {
            return Some("a token for no customer lets see nothing".to_owned());
        }
        if self.tokens.contains_key(&new.id) {
            return Some("a token of this id is there; try again".to_owned());
        }
        if self.tokens.values().any(|token| token.name == *name) {
            return Some(format!("there is a token `{name}`; revoke it first"));
        }
        (self.tokens.len() >= TOKENS_LIMIT)
            .then(|| format!("there are {TOKENS_LIMIT} tokens; revoke those that nobody uses"))
    }

    pub(crate) fn revoke_token(&mut self, id: &str) -> Reply {
        match self.tokens.remove(id) {
            Some(_) => Reply::Done,
            None => Reply::Rejected(format!("no token `{}`", id.escape_default())),
        }
    }

    /// Expired tokens go after a while.
    pub(crate) fn forget_expired_tokens(&mut self) {
        let now = self.now;
        self.tokens
            .retain(|_, token| token.expires_at.is_none_or(|end| now.since(end) < EXPIRED_SHOWN));
    }
}
