//! Answers and errors: JSON, validators, and what to do about it.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use crosscheck_checks::excerpt::is_harmful;
use crosscheck_core::operator::Role;
use crosscheck_model::{CheckId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Api, SubmitError};
use crate::operator::Caller;
use crate::page::{ReadError, Reader, is_known, tag, weak};

/// What an error says.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ErrorBody {
    /// What is wrong.
    error: String,
    /// What to do about it.
    hint: String,
}

/// An error of the API.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    error: String,
    hint: String,
}

impl ApiError {
    fn new(status: StatusCode, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, error: error.into(), hint: hint.into() }
    }

    /// The request cannot be understood.
    pub(crate) fn bad(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, hint)
    }

    /// There is no such thing.
    pub(crate) fn missing(what: &str, name: &str, hint: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("no {what} `{name}`"), hint)
    }

    /// There is no check of that name.
    pub(crate) fn no_check(id: &CheckId) -> Self {
        Self::missing("check", id.as_str(), "GET /api/v1/checks lists them by `id`")
    }

    /// It cannot be done as things stand.
    pub(crate) fn conflict(error: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error, "GET the incident to see how it stands")
    }

    /// It cannot be done as things stand; the hint says where to look.
    pub(crate) fn refused(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error, hint)
    }

    /// The cluster does not answer at present.
    pub(crate) fn unavailable(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error, hint)
    }

    /// No such path.
    pub(crate) fn no_route() -> Self {
        let hint = "GET /api/v1/openapi.json lists what there is";
        Self::new(StatusCode::NOT_FOUND, "there is nothing at this path", hint)
    }

    /// The path exists, the method does not.
    pub(crate) fn wrong_method() -> Self {
        let hint = "the Allow header names those that it has";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "the path has no such method", hint)
    }

    /// Nobody known asks.
    pub(crate) fn nobody() -> Self {
        let hint = "show an operator's token: `Authorization: Bearer ..`, --token, or \
                    CROSSCHECK_TOKEN; an administrator makes one by `crosscheck token create`";
        Self::new(StatusCode::UNAUTHORIZED, "this needs an operator's token", hint)
    }

    /// The token is not good.
    pub(crate) fn stranger() -> Self {
        let hint = "it may be mistyped, expired or revoked: `crosscheck token list` shows those \
                    that are good";
        Self::new(StatusCode::UNAUTHORIZED, "the token is not good", hint)
    }

    /// A page of another site sends it through the browser of somebody on this host.
    pub(crate) fn foreign() -> Self {
        let hint = "act from this host itself, by `crosscheck` or curl, or show an operator's \
                    token: `Authorization: Bearer ..`";
        Self::new(StatusCode::FORBIDDEN, "a page of another site may change nothing here", hint)
    }

    /// The caller's role is not enough.
    pub(crate) fn role(caller: &Caller, needed: Role) -> Self {
        let (name, has) = (&caller.actor.name, caller.actor.role);
        let error = format!("this needs the role {needed}; `{name}` has {has}");
        let hint = format!("ask an administrator for a token: --role {needed}");
        Self::new(StatusCode::FORBIDDEN, error, hint)
    }

    /// The caller is for some customers, and this concerns all.
    pub(crate) fn whole(caller: &Caller) -> Self {
        let error = format!("this concerns all customers; `{}` is for some", caller.actor.name);
        let hint = "ask an administrator who is for all of them";
        Self::new(StatusCode::FORBIDDEN, error, hint)
    }

    /// The caller may not give or take this.
    pub(crate) fn beyond(caller: &Caller) -> Self {
        let error =
            format!("`{}` is for some customers and may let in to no others", caller.actor.name);
        let hint = "name customers among your own: --customer";
        Self::new(StatusCode::FORBIDDEN, error, hint)
    }

    /// There is no quorum, so nothing can be changed.
    pub(crate) fn read_only(as_of: Timestamp) -> Self {
        let error = format!(
            "this coordinator has no quorum: it shows what was true at {as_of}, and nothing was \
             changed"
        );
        let hint = "ask another coordinator; if none has a quorum, see to the coordinators first";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error, hint)
    }

    /// Our own fault.
    pub(crate) fn internal() -> Self {
        let hint = "try again, or another coordinator; the log of this one says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "this coordinator cannot answer", hint)
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        tracing::error!(%error, "cannot answer a request");
        Self::internal()
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        let (status, hint) = match error {
            SubmitError::NoLeader => {
                (StatusCode::SERVICE_UNAVAILABLE, "try again in a few seconds, or elsewhere")
            }
            SubmitError::Lost => {
                (StatusCode::GATEWAY_TIMEOUT, "it may have been done: look before trying again")
            }
        };
        Self::new(status, error.to_string(), hint)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { error: self.error, hint: self.hint };
        let fresh = [(header::CACHE_CONTROL, "no-store")];
        let mut response = (self.status, fresh, axum::Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            for challenge in ["Bearer", "Basic realm=\"crosscheck: a token as password\""] {
                let challenge = HeaderValue::from_static(challenge);
                response.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
            }
        }
        response
    }
}

/// The query string, with our errors.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let asked = Query::<T>::from_request_parts(parts, state).await;
        asked.map(|Query(query)| Self(query)).map_err(|error: QueryRejection| {
            ApiError::bad(error.body_text(), "times are RFC 3339, such as 2026-11-22T10:00:00Z")
        })
    }
}

/// A JSON body, with our errors.
pub(crate) struct Told<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Told<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let told = axum::Json::<T>::from_request(request, state).await;
        told.map(|axum::Json(body)| Self(body)).map_err(|error: JsonRejection| {
            let hint = "send JSON with `Content-Type: application/json`";
            ApiError::new(error.status(), error.body_text(), hint)
        })
    }
}

/// JSON with a validator: a client that has it already gets none.
pub(crate) struct Answer {
    body: Option<Vec<u8>>,
    tag: String,
    next: Option<HeaderValue>,
}

impl Answer {
    /// The answer to a request with these headers.
    pub(crate) fn new<T: Serialize>(content: &T, headers: &HeaderMap) -> Result<Self, ApiError> {
        let body = serde_json::to_vec(content).map_err(|error| {
            tracing::error!(%error, "cannot encode an answer");
            ApiError::internal()
        })?;
        let tag = tag(&body);
        let body = (!is_known(headers, &tag)).then_some(body);
        Ok(Self { body, tag, next: None })
    }

    /// Names the next page (RFC 8288).
    pub(crate) fn with_next(mut self, address: Option<String>) -> Self {
        let link = address.map(|address| format!("<{address}>; rel=\"next\""));
        self.next = link.and_then(|link| HeaderValue::from_str(&link).ok());
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            Some(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            None => StatusCode::NOT_MODIFIED.into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(tag) = HeaderValue::from_str(&weak(&self.tag)) {
            headers.insert(header::ETAG, tag);
        }
        if let Some(next) = self.next {
            headers.insert(header::LINK, next);
        }
        response
    }
}

/// Reads and encodes off the async threads.
pub(crate) async fn read(
    api: Api,
    work: impl FnOnce(&dyn Reader) -> Result<Answer, ApiError> + Send + 'static,
) -> Result<Answer, ApiError> {
    let answer = tokio::task::spawn_blocking(move || work(api.reader.as_ref())).await;
    answer.map_err(|_| ApiError::internal())?
}

/// Milliseconds with three decimals: what was measured in microseconds.
pub(crate) fn milliseconds(time: std::time::Duration) -> f64 {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}

/// What somebody says as one line without control characters (it goes into mails and logs), within
/// its limit.
pub(super) fn line(text: &str, field: &str, limit: usize) -> Result<String, ApiError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|c| !is_harmful(*c)).collect();
    if line.chars().count() > limit {
        let hint = format!("at most {limit} characters");
        return Err(ApiError::bad(format!("`{field}` is too long"), hint));
    }
    Ok(line)
}
