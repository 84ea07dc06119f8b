//! `/api/v1/tokens`: whom administrators let in.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::HeaderMap;
use crosscheck_core::State;
use crosscheck_core::command::{Command, Reply};
use crosscheck_core::operator::{self as core, NewToken, Role};
use crosscheck_model::{CustomerId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::answer::{Answer, ApiError, Told, read};
use crate::operator::{Caller, Fresh};
use crate::page::ask;

/// The longest life that is not for ever: ten years.
const TTL_LIMIT_S: u64 = 10 * 366 * 24 * 60 * 60;

/// A token that is asked for.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// What to call it: letters, digits, `-`, `_`, `.` and `@`.
    pub(crate) name: String,
    /// `viewer`, `operator` or `administrator`.
    #[schemars(with = "String")]
    pub(crate) role: Role,
    /// Only for these customers; left out: for all.
    #[serde(default)]
    pub(crate) customers: Option<BTreeSet<String>>,
    /// For so many seconds; left out: until it is revoked.
    #[serde(default)]
    pub(crate) ttl_s: Option<u64>,
}

/// A token that was made.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Made {
    /// What finds it.
    pub(crate) id: String,
    /// The token itself. It is kept nowhere: this is the only time that it is shown.
    pub(crate) token: String,
    /// What it is called.
    pub(crate) name: String,
}

/// A token, without what proves it.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Token {
    /// What finds it.
    pub(crate) id: String,
    /// What it is called.
    pub(crate) name: String,
    /// What it lets do.
    #[schemars(with = "String")]
    pub(crate) role: Role,
    /// Whose rows it lets see; null: everybody's.
    pub(crate) customers: Option<Vec<String>>,
    /// When it was made.
    #[schemars(with = "String")]
    pub(crate) created_at: Timestamp,
    /// Who made it.
    pub(crate) created_by: String,
    /// When it ends; null: when it is revoked.
    #[schemars(with = "Option<String>")]
    pub(crate) expires_at: Option<Timestamp>,
    /// That moment is past.
    pub(crate) expired: bool,
}

/// A token that lets nobody in any more.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Revoked {
    /// Its id.
    pub(crate) revoked: String,
}

impl Token {
    fn new(id: &str, token: &core::Token, now: Timestamp) -> Self {
        let names =
            |customers: &BTreeSet<CustomerId>| customers.iter().map(ToString::to_string).collect();
        Self {
            id: id.to_owned(),
            name: token.name.clone(),
            role: token.role,
            customers: token.customers.as_ref().map(names),
            created_at: token.created_at,
            created_by: token.created_by.clone(),
            expires_at: token.expires_at,
            expired: token.is_expired(now),
        }
    }
}

/// `GET /api/v1/tokens`.
pub(super) async fn list(
    Shared(api): Shared<Api>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    read(api, move |reader| {
        let tokens = ask(reader, |state| {
            let mine = state.tokens.iter().filter(|(_, t)| caller.reaches(t.customers.as_ref()));
            mine.map(|(id, token)| Token::new(id, token, state.now)).collect::<Vec<_>>()
        });
        Answer::new(&tokens, &headers)
    })
    .await
}

/// `POST /api/v1/tokens`.
pub(super) async fn create(
    Shared(api): Shared<Api>,
    caller: Caller,
    Told(wanted): Told<Wanted>,
) -> Result<Json<Made>, ApiError> {
    let customers: Option<BTreeSet<CustomerId>> =
        wanted.customers.map(|names| names.into_iter().map(CustomerId::new).collect());
    if !caller.reaches(customers.as_ref()) {
        return Err(ApiError::beyond(&caller));
    }
    if wanted.ttl_s.is_some_and(|ttl| ttl == 0 || ttl > TTL_LIMIT_S) {
        return Err(ApiError::bad("`ttl_s` is out of bounds", "from a second to ten years"));
    }
    let fresh = tokio::task::spawn_blocking(Fresh::new).await;
    let fresh = fresh.map_err(|_| ApiError::internal())?.map_err(|error| {
        tracing::error!(%error, "cannot make a token");
        ApiError::internal()
    })?;
    let command = Command::CreateToken(NewToken {
        id: fresh.id.clone(),
        name: wanted.name.clone(),
        role: wanted.role,
        customers,
        hash: fresh.hash,
        ttl: wanted.ttl_s.map(Duration::from_secs),
        by: caller.actor.name.clone(),
    });
    match api.submit(caller.act(&command)).await? {
        Reply::Rejected(reason) => Err(ApiError::refused(reason, "nothing was changed")),
        _ => Ok(Json(Made { id: fresh.id, token: fresh.text, name: wanted.name })),
    }
}

/// `POST /api/v1/tokens/{token}/revoke`.
pub(super) async fn revoke(
    Shared(api): Shared<Api>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<Json<Revoked>, ApiError> {
    let missing = || ApiError::missing("token", &name, "GET /api/v1/tokens lists them");
    let id = ask(api.reader.as_ref(), |state| find(state, &caller, &name)).ok_or_else(missing)?;
    match api.submit(caller.act(&Command::RevokeToken { id: id.clone() })).await? {
        Reply::Rejected(_) => Err(missing()),
        _ => Ok(Json(Revoked { revoked: id })),
    }
}

/// The id of a token that the caller may revoke, by its id or its name.
fn find(state: &State, caller: &Caller, name: &str) -> Option<String> {
    let named = |(id, token): &(&String, &core::Token)| *id == name || token.name == name;
    let mine = |(_, token): &(&String, &core::Token)| caller.reaches(token.customers.as_ref());
    state.tokens.iter().filter(mine).find(named).map(|(id, _)| id.clone())
}
