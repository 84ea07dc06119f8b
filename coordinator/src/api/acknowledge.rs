//! `POST /api/v1/incidents/{incident}/acknowledge`: somebody takes an incident on.

use axum::Json;
use axum::extract::{Path, State as Shared};
use crosscheck_core::command::{Command, Reply};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::answer::{ApiError, Told, line};
use super::incident::{missing, parse};
use crate::operator::Caller;
use crate::page::ask;

/// The longest name: it stands in every snapshot and on a phone's screen.
const BY_LIMIT_CHARS: usize = 200;
/// The longest note.
const NOTE_LIMIT_CHARS: usize = 2_000;

/// Who takes it on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledge {
    /// A name, at most 200 characters.
    by: String,
    /// What they say, at most 2000 characters.
    #[serde(default)]
    note: String,
}

/// It is taken on.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Acknowledged {
    /// The incident's number.
    acknowledged: u64,
}

/// The route.
pub(super) async fn acknowledge(
    Shared(api): Shared<Api>,
    Path(id): Path<String>,
    caller: Caller,
    Told(told): Told<Acknowledge>,
) -> Result<Json<Acknowledged>, ApiError> {
    let incident = parse(&id)?;
    let by = line(&told.by, "by", BY_LIMIT_CHARS)?;
    let note = line(&told.note, "note", NOTE_LIMIT_CHARS)?;
    if by.is_empty() {
        return Err(ApiError::bad("`by` is empty", "say who takes the incident on"));
    }
    let seen = ask(api.reader.as_ref(), |state| {
        state.incidents.get(&incident).is_some_and(|found| caller.sight.sees_incident(found))
    });
    if !seen {
        return Err(missing(&id));
    }
    let command = Command::Acknowledge { incident, by, note };
    match api.submit(caller.act(&command)).await? {
        Reply::Rejected(reason) => Err(ApiError::conflict(reason)),
        _ => Ok(Json(Acknowledged { acknowledged: incident.0 })),
    }
}
