//! `http`: a request to an `http://` or `https://` URL, and what its answer must be.
//!
//! Each hop resolves, asks the guard, connects, shakes hands and asks on a connection of its
//! own. One deadline bounds it all; the phase in which it falls names the cause.

mod assertions;
mod body;
mod exchange;
mod json;
mod plan;
mod request;
mod settings;
mod target;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::OnceLock;
use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome, Status};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustls_pki_types::ServerName;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use self::body::Body;
use self::exchange::Answer;
use self::plan::Plan;
use self::request::{Hop, Prepared};
use self::settings::{Settings, Version};
use super::{Check, Defaults, Kind, SettingsError};
use crate::dial::{self, Timer};
use crate::env::Env;
use crate::excerpt;
use crate::resolve::Failure;
use crate::tls::Tls;

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

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let plan = Plan::new(super::read(settings)?)?;
        Ok(Box::new(HttpCheck { plan, home: OnceLock::new(), abroad: OnceLock::new() }))
    }
}

/// An `http` check.
struct HttpCheck {
    plan: Plan,
    /// TLS as configured; built at the first run, where the files are.
    home: OnceLock<Tls>,
    /// TLS without the client's certificate, for other origins.
    abroad: OnceLock<Tls>,
}

/// What a run learned on its way, kept also when it failed.
#[derive(Default)]
struct Seen {
    status: Option<u16>,
    version: Option<f64>,
    redirects: u32,
    certificate_days: Option<f64>,
    body: Option<Body>,
}

impl Check for HttpCheck {
    fn target(&self) -> String {
        self.plan.target.to_string()
    }

    fn family(&self) -> Family {
        self.plan.family
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.observe(env, deadline).boxed()
    }
}

impl HttpCheck {
    async fn observe(&self, env: &Env, deadline: Duration) -> Outcome {
        let prepared = self.prepare(env); // Its time is not the target's.
        let mut timer = Timer::start(deadline);
        let mut seen = Seen::default();
        let result = match &prepared {
            Ok(prepared) => self.walk(env, prepared, &mut timer, &mut seen).await,
            Err(failure) => Err(failure.clone()),
        };
        let mut outcome = timer.outcome(&env.secrets, result.err());
        let named = [
            ("status", seen.status.map(f64::from)),
            ("http_version", seen.version),
            ("certificate_days", seen.certificate_days),
            ("bytes", seen.body.as_mut().map(|body| body.decoded() as f64)),
            ("redirects", seen.status.map(|_| f64::from(seen.redirects))),
        ];
        for (name, value) in named {
            outcome.values.extend(value.map(|value| (name.to_owned(), value)));
        }
        if let (true, Some(body)) = (outcome.status != Status::Up, seen.body.as_mut()) {
            outcome.excerpt = excerpt::of(body.kept(), &env.secrets);
        }
        outcome
    }

    /// Reads the secrets, and the files of TLS at the first run.
    fn prepare(&self, env: &Env) -> Result<Prepared, Failure> {
        if self.plan.target.is_https() || self.plan.redirects > 0 {
            self.tls(true)?;
        }
        Prepared::new(&self.plan, &env.secrets)
    }

    /// Follows the redirects to the answer that is judged.
    async fn walk(
        &self,
        env: &Env,
        prepared: &Prepared,
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let mut hop = Hop::first(&self.plan);
        let mut asked = Vec::new();
        loop {
            asked.push(hop.question());
            let answer = self.ask(env, &hop, prepared, timer, seen).await.map_err(|failure| {
                if seen.redirects == 0 { failure } else { after_redirect(failure, &hop) }
            })?;
            seen.status = Some(answer.head.status.as_u16());
            seen.version = Some(if answer.is_http2 { 2.0 } else { 1.1 });
            let next =
                if self.plan.redirects == 0 { None } else { hop.next(&answer.head, prepared) };
            let Some(next) = next else { return self.judge(env, answer, timer, seen).await };
            if seen.redirects == self.plan.redirects && self.plan.wanted.accepts(answer.head.status)
            {
                return self.judge(env, answer, timer, seen).await;
            }
            hop = next?;
            let detail = if asked.iter().any(|question| hop.repeats(question)) {
                format!("the redirects go in a circle, back to {}", hop.target)
            } else if seen.redirects == self.plan.redirects {
                format!("more than {} redirects, the next to {}", seen.redirects, hop.target)
            } else {
                seen.redirects += 1;
                continue;
            };
            return Err(Failure { cause: Cause::Redirect, detail });
        }
    }

    /// One hop: to the answer's head.
    async fn ask(
        &self,
        env: &Env,
        hop: &Hop,
        prepared: &Prepared,
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<Answer, Failure> {
        let plan = &self.plan;
        let tls = if hop.target.is_https() { Some(self.tls(hop.at_home)?) } else { None };
        let host = hop.target.host();
        let connected = dial::connect(env, &host, hop.target.port(), plan.family, timer).await?;
        let Some(tls) = tls else {
            let is_http2 = plan.version == Some(Version::Http2);
            let request = prepared.request(plan, hop, is_http2)?;
            return exchange::ask(connected.stream, is_http2, request, timer).await;
        };
        let name = match &plan.server_name {
            Some(name) if hop.at_home => name.clone(),
            _ => ServerName::try_from(host).map_err(|error| Failure {
                cause: Cause::TlsName,
                detail: format!("TLS cannot ask for this host: {error}"),
            })?,
        };
        let session = tls.handshake(connected.stream, &name, timer).await?;
        if let Some(certificate) = session.certificate() {
            let days = certificate.days_left;
            seen.certificate_days =
                Some(seen.certificate_days.map_or(days, |least| least.min(days)));
        }
        let is_http2 = session.alpn() == Some(b"h2");
        if plan.version == Some(Version::Http2) && !is_http2 {
            let detail = "the server does not speak HTTP/2 (by ALPN)".to_owned();
            return Err(Failure { cause: Cause::Protocol, detail });
        }
        let stream = session.trusted()?;
        let request = prepared.request(plan, hop, is_http2)?;
        exchange::ask(stream, is_http2, request, timer).await
    }

    /// Reads the body and judges the whole.
    async fn judge(
        &self,
        env: &Env,
        answer: Answer,
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let wanted = &self.plan.wanted;
        let limit = self.plan.body_limit;
        let keep = if wanted.looks_at_body() { limit } else { excerpt::KEEP_BYTES as u64 };
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        let head = answer.head.clone();
        let received = match Body::new(answer.encoding(), keep, limit) {
            Ok(body) => answer.receive(seen.body.insert(body), timer).await,
            Err(failure) => Err(failure),
        };
        if !wanted.accepts(head.status) {
            // The error page may break off; the status that it came with is the better cause.
            return wanted.judge(&head, &[], &env.secrets).map_or(Ok(()), Err);
        }
        received?;
        let body = seen.body.as_mut().map_or(&[][..], |body| body.kept());
        if let Some(failure) = wanted.judge(&head, body, &env.secrets) {
            return Err(failure);
        }
        wanted.flaws(timer, seen.certificate_days).map_or(Ok(()), Err)
    }

    fn tls(&self, at_home: bool) -> Result<&Tls, Failure> {
        let with_client = at_home || self.plan.tls.client.is_none();
        let cell = if with_client { &self.home } else { &self.abroad };
        if let Some(tls) = cell.get() {
            return Ok(tls);
        }
        let mut wanted = self.plan.tls.clone();
        if !with_client {
            wanted.client = None;
        }
        // A missing file is looked for again at the next run; TLS once built stays.
        let tls = Tls::new(&wanted)
            .map_err(|error| Failure { cause: Cause::Setup, detail: error.to_string() })?;
        Ok(cell.get_or_init(|| tls))
    }
}

/// The failure with the place where a redirect has led.
fn after_redirect(failure: Failure, hop: &Hop) -> Failure {
    let detail = format!("after a redirect to {}: {}", hop.target, failure.detail);
    Failure { cause: failure.cause, detail }
}
