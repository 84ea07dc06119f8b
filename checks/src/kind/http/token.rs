//! Access tokens by the client credentials grant (RFC 6749 4.4): fetched where they are given out,
//! kept until shortly before their end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crosscheck_model::place::Role;
use crosscheck_model::{self as model, Cause, Secret, Text};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{Client, Seen, Visit};
use super::login::Login;
use super::plan::{Faults, Plan};
use super::settings::Settings;
use super::target::Target;
use super::words::Words;
use crate::dial::{Timer, status_of};
use crate::env::{Env, Secrets};
use crate::excerpt;
use crate::kind;
use crate::kind::retry_after::Throttled;
use crate::proxy::ProxyWanted;
use crate::resolve::Failure;
use crate::text::List;

/// A token is fetched anew so long before its end: longer than nearly every run.
const BEFORE_END: Duration = Duration::from_secs(30);

/// How long a token is kept that comes without its lifetime (RFC 6749 5.1 only recommends it). A
/// 401 ends it sooner.
const UNTOLD: Duration = Duration::from_secs(300);

/// An access token by client credentials.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OAuth2 {
    /// Where tokens are given out, `https://` as a rule.
    token_url: Target,
    /// The client's identifier.
    client_id: Text,
    /// The client's secret.
    client_secret: Secret,
    /// The scopes asked for.
    #[serde(default)]
    scopes: List<String>,
    /// How the client shows who it is: in a Basic header, which is the default, or in the body.
    #[serde(default)]
    auth: Place,
    /// Further parameters that the server wants, such as `audience`.
    #[serde(default)]
    parameters: BTreeMap<String, Text>,
    /// A PEM file of the only roots to trust there. Default: the check's own `ca`.
    ca: Option<String>,
}

/// Where the client's credentials stand (RFC 6749 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// In the Authorization header.
    #[default]
    Header,
    /// In the form.
    Body,
}

/// Names of parameters that the settings themselves set.
const OWN: [&str; 4] = ["grant_type", "scope", "client_id", "client_secret"];

/// Where a check's tokens come from. Steps of a journey with the same settings share one.
pub(in crate::kind) struct TokenSource {
    /// What tokens depend on.
    settings: (OAuth2, Option<ProxyWanted>),
    client: Client,
    kept: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    text: String,
    until: Instant,
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSource").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl TokenSource {
    /// Compiles the settings of a check whose tokens these are.
    pub(super) fn new(
        settings: &Settings,
        wanted: &OAuth2,
        faults: &mut Faults,
    ) -> Option<Arc<Self>> {
        for name in wanted.parameters.keys().filter(|name| OWN.contains(&name.as_str())) {
            let message = format!("`{name}` is set by the probe");
            faults.add(&["oauth2", "parameters", name], message, Some("leave it out"));
        }
        if wanted.scopes.iter().any(|scope| scope.is_empty() || scope.contains([' ', '"', '\\'])) {
            let hint = Some("one scope an item of the list");
            faults.add(&["oauth2", "scopes"], "a scope is one word (RFC 6749 3.3)", hint);
        }
        let mut form = wanted.parameters.clone();
        let mut put = |name: &str, text: &str| {
            if let Ok(text) = Text::new(text) {
                form.insert(name.to_owned(), text);
            }
        };
        put("grant_type", "client_credentials");
        if !wanted.scopes.is_empty() {
            put("scope", &wanted.scopes.join(" "));
        }
        if wanted.auth == Place::Body {
            put("client_id", wanted.client_id.as_written());
            put("client_secret", wanted.client_secret.text().as_written());
        }
        let request = json!({
            "url": &wanted.token_url,
            "form": form,
            "headers": { "Accept": "application/json" },
            "status": ["100-599"],
            "body_limit": "64KiB",
            "family": settings.family,
        });
        let request = kind::read(&request).map(|request: Settings| Settings {
            proxy: settings.proxy.clone(),
            ca: wanted
                .ca
                .clone()
                .or_else(|| settings.ca.clone().filter(|_| wanted.token_url.is_https())),
            ..request
        });
        match request.and_then(Plan::new) {
            Ok(mut plan) => {
                if wanted.auth == Place::Header {
                    let (id, secret) = (wanted.client_id.clone(), wanted.client_secret.clone());
                    plan.login = Some(Login::Client(id, secret));
                }
                let settings = (wanted.clone(), settings.proxy.clone());
                let client = Client::new(plan);
                Some(Arc::new(Self { settings, client, kept: Mutex::default() }))
            }
            Err(errors) => {
                for error in errors {
                    let key = match error.path.first().map(String::as_str) {
                        Some("ca") => &["oauth2", "ca"][..],
                        Some("family") => &["family"],
                        _ => &["oauth2", "token_url"],
                    };
                    faults.add(key, error.message, error.hint.as_deref());
                }
                None
            }
        }
    }

    /// Whether the other gives the same tokens.
    pub(in crate::kind) fn gives_the_same(&self, other: &Self) -> bool {
        self.settings == other.settings
    }

    /// Reads the files of TLS.
    pub(super) fn prepare(&self) -> Result<(), Failure> {
        self.client.prepare().map_err(|failure| self.named(failure))
    }

    /// A token, and whether it was kept from before.
    pub(super) fn token<'a>(
        &'a self,
        env: &'a Env,
        secrets: &'a Secrets,
        timer: &'a mut Timer,
        seen: &'a mut Seen,
    ) -> BoxFuture<'a, Result<(String, bool), Failure>> {
        // Boxed, as the request for a token is one that could want a token.
        async move {
            let kept = self.lock().clone();
            if let Some(token) = kept.filter(|token| token.until > Instant::now()) {
                secrets.remember(&token.text);
                return Ok((token.text, true));
            }
            let token = self.fetch(env, secrets, timer, seen).await?;
            *self.lock() = Some(token.clone());
            Ok((token.text, false))
        }
        .boxed()
    }

    /// Forgets a token that is refused.
    pub(super) fn forget(&self, refused: &str) {
        let mut kept = self.lock();
        if kept.as_ref().is_some_and(|token| token.text == refused) {
            *kept = None;
        }
    }

    async fn fetch(
        &self,
        env: &Env,
        secrets: &Secrets,
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<Token, Failure> {
        let mut part = timer.part(Duration::ZERO);
        let words = Words { secrets, host: &env.programs, saved: None };
        let mut there = Seen::default();
        let mut given = None;
        let mut glance = |_: &Target, headers: &HeaderMap, body: &[u8]| {
            given = Some(Given::read(headers, body, secrets));
        };
        let target = self.client.target().clone();
        let mut visit = Visit { target, words, jar: None, glance: Some(&mut glance) };
        let asked = match self.client.fill(&words) {
            Ok(prepared) => {
                self.client.walk(env, &prepared, &mut visit, &mut part, &mut there).await
            }
            Err(failure) => Err(failure),
        };
        seen.note_token(part.elapsed(), &there);
        let asked = asked.map_err(|failure| self.named(failure));
        let given = asked.and_then(|()| {
            let given = given.unwrap_or_else(|| Given::read(&HeaderMap::new(), &[], secrets));
            given.token(there.status(), Instant::now()).map_err(|failure| self.named(failure))
        });
        if given.is_err() {
            seen.place = Some(self.place(there.place.take()));
        }
        given
    }

    /// Where evidence is gathered when there is no token: where the request for it failed.
    fn place(&self, failed: Option<model::Place>) -> model::Place {
        let place = failed.unwrap_or_else(|| self.client.endpoint().place);
        match place.role {
            Role::Proxy => place,
            _ => place.as_role(Role::TokenEndpoint),
        }
    }

    /// The failure as one of the token endpoint's.
    fn named(&self, failure: Failure) -> Failure {
        let detail = format!("token endpoint {}: {}", self.client.target(), failure.detail);
        let cause = match status_of(failure.cause) {
            // What the target is not to blame for stays what it is.
            crosscheck_model::Status::Unknown => failure.cause,
            _ => Cause::Token,
        };
        Failure { cause, detail }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Token>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a token endpoint answered (RFC 6749 5.1, 5.2).
struct Given {
    headers: HeaderMap,
    token: Option<String>,
    kind: Option<String>,
    lifetime: Option<Duration>,
    error: Option<String>,
}

impl Given {
    fn read(headers: &HeaderMap, body: &[u8], secrets: &Secrets) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
        let token = text("access_token").filter(|token| !token.is_empty());
        if let Some(token) = &token {
            secrets.remember(token);
        }
        // Some servers write the number as text.
        let lifetime = json.get("expires_in").and_then(|value| match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        });
        let shown = |name: &str| text(name).map(|text| excerpt::value(&text, secrets));
        let error = shown("error").map(|error| match shown("error_description") {
            Some(description) => format!("`{error}` ({description})"),
            None => format!("`{error}`"),
        });
        Self {
            headers: headers.clone(),
            token,
            kind: text("token_type"),
            lifetime: lifetime.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok()),
            error,
        }
    }

    fn token(self, status: Option<u16>, now: Instant) -> Result<Token, Failure> {
        let status = status.unwrap_or_default();
        let after = self.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        if let Some(throttled) = Throttled::with(status, after) {
            return Err(throttled.failure());
        }
        let refused = |what: String| Err(Failure::new(Cause::Token, what));
        if !(200..300).contains(&status) || self.error.is_some() {
            return refused(match self.error {
                Some(error) => format!("status {status}, error {error}"),
                None => format!("status {status}, wanted a token"),
            });
        }
        let Some(text) = self.token else {
            return refused("the answer has no `access_token`".to_owned());
        };
        match self.kind {
            Some(kind) if !kind.eq_ignore_ascii_case("bearer") => {
                return refused(format!("a token of type `{kind}`, wanted `Bearer`"));
            }
            _ => {}
        }
        let lifetime = self.lifetime.unwrap_or(UNTOLD);
        // A token that lives shorter than that is used for half of its life.
        let kept = lifetime.checked_sub(BEFORE_END).unwrap_or_default().max(lifetime / 2);
        let until = now.checked_add(kept).unwrap_or(now + UNTOLD);
        Ok(Token { text, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(body: &str, status: u16) -> Result<Duration, Failure> {
        let now = Instant::now();
        let given = Given::read(&HeaderMap::new(), body.as_bytes(), &Secrets::default());
        given.token(Some(status), now).map(|token| token.until.duration_since(now))
    }

    #[test]
    fn a_token_is_kept_until_shortly_before_its_end() {
        for (lifetime, kept) in [
            ("3600", 3570),
            ("\"3600\"", 3570),
            ("40", 20),
            ("0", 0),
            ("null", 270),
            ("-5", 270),
            ("1e300", 270),
        ] {
            let body = format!(r#"{{ "access_token": "abcd", "expires_in": {lifetime} }}"#);
            let known = given(&body, 200).expect("a token");
            assert_eq!(known, Duration::from_secs(kept), "{lifetime}");
        }
    }

    #[test]
    fn an_answer_without_a_token_says_why() {
        for (body, status, cause, words) in [
            ("", 200, Cause::Token, "has no `access_token`"),
            ("<html>", 502, Cause::Token, "status 502, wanted a token"),
            (
                r#"{"error": "invalid_client", "error_description": "who?"}"#,
                401,
                Cause::Token,
                "status 401, error `invalid_client` (who?)",
            ),
            (r#"{"access_token": "a", "token_type": "mac"}"#, 200, Cause::Token, "type `mac`"),
            ("", 429, Cause::Throttled, "too many requests"),
        ] {
            let failure = given(body, status).expect_err("no token");
            assert_eq!(failure.cause, cause);
            assert!(failure.detail.contains(words), "{}", failure.detail);
        }
    }
}
