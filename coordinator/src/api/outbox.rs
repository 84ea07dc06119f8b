//! `/api/v1/outbox`: the delivery log. What is owed to whom, and what came of it.

use axum::extract::State as Shared;
use axum::http::HeaderMap;
use crosscheck_core::State;
use crosscheck_core::outbox::{Edge, Owed, Progress};
use crosscheck_model::{Status, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::answer::{Answer, ApiError, read};
use crate::operator::{Caller, Sight};
use crate::page::ask;

/// A notification.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Notification {
    /// Identifies it for ever; the Message-ID of its mail.
    key: String,
    /// The incident.
    incident: u64,
    /// The check.
    check: Option<String>,
    /// `alarm`, `recovery`, or `removed` with its check.
    event: &'static str,
    /// What an alarm tells.
    status: Option<Status>,
    /// To whom.
    contact: String,
    /// By what means.
    channel: String,
    /// The key of the notification in whose message it is told, where it shares one.
    told_in: Option<String>,
    /// How far it is.
    progress: Stage,
    /// When that began, or when it is tried again.
    #[schemars(with = "Option<String>")]
    progress_at: Option<Timestamp>,
    /// Attempts begun.
    attempts: u32,
    /// Attempts of which nobody knows how they ended.
    ambiguous: u32,
    /// Since when it is owed.
    #[schemars(with = "String")]
    created: Timestamp,
    /// What the last attempt met.
    last_error: Option<String>,
}

/// How far a notification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// To be sent.
    Queued,
    /// Being sent.
    Claimed,
    /// To be sent again.
    Retry,
    /// The receiving side took it.
    Delivered,
    /// The receiving side will never take it.
    Refused,
    /// It could not be delivered for days.
    GivenUp,
    /// Not needed any more: its alarm never went out, and the recovery said it all.
    Merged,
}

impl Stage {
    /// The stage, and its moment: the claim's end, the next attempt, or when it was settled.
    const fn of(progress: &Progress) -> (Self, Option<Timestamp>) {
        match *progress {
            Progress::Queued => (Self::Queued, None),
            Progress::Claimed { until, .. } => (Self::Claimed, Some(until)),
            Progress::Retry { at } => (Self::Retry, Some(at)),
            Progress::Delivered { at } => (Self::Delivered, Some(at)),
            Progress::Refused { at } => (Self::Refused, Some(at)),
            Progress::GivenUp { at } => (Self::GivenUp, Some(at)),
            Progress::Merged { at } => (Self::Merged, Some(at)),
        }
    }
}

impl Notification {
    fn new(owed: &Owed) -> Self {
        let (event, status) = match owed.notice.edge {
            Edge::Alarm(status) => ("alarm", Some(status)),
            Edge::Recovery => ("recovery", None),
            Edge::Removed => ("removed", None),
        };
        let (progress, progress_at) = Stage::of(&owed.progress);
        Self {
            key: owed.key.to_string(),
            incident: owed.notice.incident.0,
            check: owed.notice.check.as_ref().map(ToString::to_string),
            event,
            status,
            contact: owed.contact.to_string(),
            channel: owed.channel.clone(),
            told_in: owed.told_in.map(|key| key.to_string()),
            progress,
            progress_at,
            attempts: owed.attempts,
            ambiguous: owed.ambiguous,
            created: owed.created,
            last_error: owed.last_error.clone(),
        }
    }
}

/// `GET /api/v1/outbox`.
pub(super) async fn list(
    Shared(api): Shared<Api>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    read(api, move |reader| {
        Answer::new(&ask(reader, |state| notifications(state, &caller.sight)), &headers)
    })
    .await
}

/// The notifications that the state holds and the caller sees, newest first.
fn notifications(state: &State, sight: &Sight) -> Vec<Notification> {
    let seen = state.outbox.values().filter(|owed| sight.sees_owed(state, owed));
    let mut all: Vec<&Owed> = seen.collect();
    all.sort_by_key(|owed| std::cmp::Reverse((owed.created, owed.key)));
    all.into_iter().map(Notification::new).collect()
}
