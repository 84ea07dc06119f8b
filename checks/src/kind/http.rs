//! `http`: a request to an `http://` or `https://` URL, and what its answer must be.
//!
//! Each hop resolves, asks the guard, connects, shakes hands and asks on a connection of its
//! own. One deadline bounds it all; the phase in which it falls names the cause.

mod assertions;
mod body;
pub(in crate::kind) mod client;
mod digest;
pub(in crate::kind) mod exchange;
mod expect;
mod hop;
mod http1;
mod http3;
pub(in crate::kind) mod jar;
pub(in crate::kind) mod json;
mod login;
mod multipart;
mod payload;
pub(in crate::kind) mod plan;
mod request;
mod seen;
pub(in crate::kind) mod settings;
pub(in crate::kind) mod target;
pub(in crate::kind) mod template;
pub(in crate::kind) mod token;
mod wire;
pub(in crate::kind) mod words;

#[cfg(test)]
pub(in crate::kind) mod tests;

use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use self::client::{Client, Seen, Visit};
use self::plan::Plan;
use self::settings::Settings;
use self::words::Words;
use super::presence::Sighting;
use super::{Check, Defaults, Kind, SettingsError, causes};
use crate::dial::Timer;
use crate::env::Env;
use crate::gather::Endpoint;

/// Asks a URL and judges the answer.
#[derive(Clone, Copy, Debug)]
pub struct Http;

impl Kind for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn about(&self) -> &'static str {
        "Sends an HTTP request and judges the answer's status, headers, body, time and certificate."
    }

    fn defaults(&self) -> Defaults {
        let two_minutes = Duration::from_secs(120);
        Defaults { interval: two_minutes, retry_interval: two_minutes, ..Defaults::default() }
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[
            causes::NAMES,
            causes::REACH,
            causes::TLS,
            &[
                Cause::Protocol,
                Cause::Status,
                Cause::Header,
                Cause::Body,
                Cause::Json,
                Cause::TooLarge,
                Cause::Redirect,
                Cause::Proxy,
                Cause::Token,
                Cause::Expect,
                Cause::Throttled,
                Cause::Slow,
            ],
        ]
    }

    fn turned_round(&self) -> &'static str {
        "what is described here must not be served; an answer of 5xx (but 501 and 505) proves nothing, \
         for whoever is broken may serve it again, nor does what a proxy on the way may have failed \
         at by itself"
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        Ok(Box::new(HttpCheck(Client::new(Plan::new(super::read(settings)?)?))))
    }
}

/// An `http` check.
struct HttpCheck(Client);

impl Check for HttpCheck {
    fn target(&self) -> String {
        self.0.target().to_string()
    }

    fn family(&self) -> Family {
        self.0.family()
    }

    fn endpoint(&self) -> Option<Endpoint> {
        Some(self.0.endpoint())
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.observe(env, deadline).map(|sighting| sighting.outcome).boxed()
    }

    fn look<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Sighting> {
        self.observe(env, deadline).boxed()
    }
}

impl HttpCheck {
    async fn observe(&self, env: &Env, deadline: Duration) -> Sighting {
        let client = &self.0;
        // A token is forgotten one day, and must not be looked for ever after.
        let own = client.may_learn_secrets().then(|| env.of_run());
        let env = own.as_ref().unwrap_or(env);
        let words = Words { secrets: &env.secrets, host: &env.programs, saved: None };
        // Its time is not the target's.
        let prepared = client.prepare().and_then(|()| client.fill(&words));
        let (mut timer, mut seen) = (Timer::start(deadline), Seen::default());
        let target = client.target().clone();
        let mut visit = Visit { target, words, jar: None, glance: None };
        let result = match &prepared {
            Ok(prepared) => client.walk(env, prepared, &mut visit, &mut timer, &mut seen).await,
            Err(failure) => Err(failure.clone()),
        };
        seen.sighting(&timer, &env.secrets, result.err())
    }
}
