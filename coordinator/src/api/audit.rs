//! `/api/v1/audit`: what operators did, to be read and checked, and never to be changed.

use axum::extract::State as Shared;
use axum::http::HeaderMap;
use crosscheck_core::audit::{Chain, Digest, Entry};
use crosscheck_core::operator::Role;
use crosscheck_model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::answer::{Answer, ApiError, Asked, read};
use crate::page::{Reader, ask};

/// Entries in one answer unless another number is asked for.
const LIMIT: usize = 100;
/// The most entries in one answer.
const LIMIT_MOST: usize = crate::history::AUDIT_LIMIT;

/// Which entries are wanted.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct AuditQuery {
    /// Those behind this number; from the first on unless given.
    after: Option<u64>,
    /// Only the newest so many, at most 1000; without `after`.
    last: Option<usize>,
    /// How many, at most 1000.
    limit: Option<usize>,
}

/// A part of the trail, and where the whole of it ends.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Trail {
    /// The newest entry, as the cluster agrees on it.
    pub(crate) head: Head,
    /// Entries in order.
    pub(crate) entries: Vec<Act>,
}

/// The end of the trail.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Head {
    /// The number of the newest entry; 0: there is none.
    pub(crate) index: u64,
    /// Its hash.
    #[schemars(with = "String")]
    pub(crate) hash: Digest,
}

/// An act of an operator. `hash` is the SHA-256 of the other fields in order (`at` in milliseconds
/// since 1970, what is null as nothing), each as `length:text,`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Act {
    /// Its number: 1, 2, 3 ..
    index: u64,
    /// When, in the cluster's own time.
    #[schemars(with = "String")]
    at: Timestamp,
    /// Who: a token's name, `operator_key`, `local`, or `files`.
    actor: String,
    /// In which role.
    #[schemars(with = "String")]
    role: Role,
    /// From which address.
    from: String,
    /// What was done.
    act: String,
    /// To what.
    subject: String,
    /// The SHA-256 of what it was done to, before.
    #[schemars(with = "Option<String>")]
    before: Option<Digest>,
    /// The same, after.
    #[schemars(with = "Option<String>")]
    after: Option<Digest>,
    /// The hash of the entry before.
    #[schemars(with = "String")]
    previous: Digest,
    /// The hash of this entry.
    #[schemars(with = "String")]
    hash: Digest,
}

impl From<Entry> for Act {
    fn from(entry: Entry) -> Self {
        let Entry { index, at, actor, role, from, act, subject, before, after, previous, hash } =
            entry;
        Self { index, at, actor, role, from, act, subject, before, after, previous, hash }
    }
}

impl From<Act> for Entry {
    fn from(entry: Act) -> Self {
        let Act { index, at, actor, role, from, act, subject, before, after, previous, hash } =
            entry;
        Self { index, at, actor, role, from, act, subject, before, after, previous, hash }
    }
}

impl From<Chain> for Head {
    fn from(Chain { index, hash }: Chain) -> Self {
        Self { index, hash }
    }
}

impl From<Head> for Chain {
    fn from(Head { index, hash }: Head) -> Self {
        Self { index, hash }
    }
}

/// `GET /api/v1/audit`.
pub(super) async fn list(
    Shared(api): Shared<Api>,
    Asked(query): Asked<AuditQuery>,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    read(api, move |reader| Answer::new(&trail(reader, &query)?, &headers)).await
}

/// Entries from the history, and behind them those of the state that are not there yet.
fn trail(reader: &dyn Reader, query: &AuditQuery) -> Result<Trail, ApiError> {
    let (head, tail): (Chain, Vec<Entry>) =
        ask(reader, |state| (state.audit.head(), state.audit.entries().cloned().collect()));
    let newest = |last: usize| head.index.saturating_sub(last as u64);
    let after = query.after.or(query.last.map(newest)).unwrap_or_default();
    let limit = query.limit.or(query.last).unwrap_or(LIMIT).clamp(1, LIMIT_MOST);
    let mut entries = reader.readings().audit(after, limit)?;
    // What was applied after the head was looked at comes with the next look.
    entries.retain(|entry| entry.index <= head.index);
    let reached = entries.last().map_or(after, |last| last.index);
    let room = limit.saturating_sub(entries.len());
    let whole = tail.first().is_none_or(|first| first.index <= reached + 1);
    if whole {
        entries.extend(tail.into_iter().filter(|entry| entry.index > reached).take(room));
    }
    Ok(Trail { head: head.into(), entries: entries.into_iter().map(Act::from).collect() })
}
