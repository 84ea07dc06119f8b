//! `POST /api/v1/drills`: somebody wants to know whether an alarm would arrive.

use axum::Json;
use axum::extract::State as Shared;
use crosscheck_core::command::{Command, Reply};
use crosscheck_core::drill::Occasion;
use crosscheck_model::CheckId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::answer::{ApiError, Told};
use crate::operator::{Caller, Sight};
use crate::page::ask;

const HINT: &str = "`GET /api/v1/incidents` shows drills, `crosscheck validate` who is told";

/// What to simulate.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// As if this check were down, by its id; left out: as if the installation itself had trouble.
    check: Option<String>,
}

/// It has begun.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Begun {
    /// The number of its incident, which ends when everybody has been told, within a quarter of an
    /// hour at most.
    incident: u64,
}

/// The route.
pub(super) async fn begin(
    Shared(api): Shared<Api>,
    caller: Caller,
    Told(wanted): Told<Wanted>,
) -> Result<Json<Begun>, ApiError> {
    let check = wanted.check.map(CheckId::new);
    match &check {
        None if caller.sight != Sight::Everything => {
            let hint = "name one of your checks: `check`";
            return Err(ApiError::bad("the operators' alarm is not yours to try out", hint));
        }
        None => {}
        Some(id) => {
            let seen = ask(api.reader.as_ref(), |state| {
                state.checks.get(id).is_some_and(|check| caller.sight.sees(check))
            });
            if !seen {
                return Err(ApiError::no_check(id));
            }
        }
    }
    let by = caller.actor.name.clone();
    let command = Command::Drill(Occasion::Asked { check, by });
    match api.submit(caller.act(&command)).await? {
        Reply::Drill(incident) => Ok(Json(Begun { incident: incident.0 })),
        Reply::Rejected(reason) => Err(ApiError::refused(reason, HINT)),
        other => Err(ApiError::refused(format!("an unexpected answer: {other:?}"), HINT)),
    }
}
