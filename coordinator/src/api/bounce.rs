//! `POST /api/v1/bounces`: a mail has come back.

use axum::Json;
use axum::extract::State as Shared;
use crosscheck_core::command::{Command, Reply};
use crosscheck_core::outbox::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::answer::{ApiError, Told, line};
use crate::operator::Caller;
use crate::page::ask;

/// The longest address (RFC 5321, 4.5.3.1: 64 and 255 octets and a sign between them).
const RECIPIENT_LIMIT_CHARS: usize = 320;
/// The longest reason.
const WHY_LIMIT_CHARS: usize = 500;

/// What has come back.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CameBack {
    /// The notification's key: what stands before the `@` of its mail's Message-ID.
    key: String,
    /// The address that did not get it.
    recipient: String,
    /// In the words of the server that could not deliver it.
    #[serde(default)]
    why: String,
}

/// It is known now.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Known {
    /// Whether there is such a notification; of what is over for long nothing is left.
    pub(crate) known: bool,
}

/// The route.
pub(super) async fn take(
    Shared(api): Shared<Api>,
    caller: Caller,
    Told(told): Told<CameBack>,
) -> Result<Json<Known>, ApiError> {
    let key: Key = told.key.parse().map_err(|error| {
        ApiError::bad(format!("`key`: {error}"), "it stands in the Message-ID of the mail")
    })?;
    let recipient = line(&told.recipient, "recipient", RECIPIENT_LIMIT_CHARS)?;
    let why = line(&told.why, "why", WHY_LIMIT_CHARS)?;
    if !ask(api.reader.as_ref(), |state| state.outbox.contains_key(&key)) {
        return Ok(Json(Known { known: false }));
    }
    let command = Command::Bounce { key, recipient, why };
    match api.submit(caller.act(&command)).await? {
        Reply::Rejected(reason) => Err(ApiError::refused(reason, "try again in a minute")),
        _ => Ok(Json(Known { known: true })),
    }
}
