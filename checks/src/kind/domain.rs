//! `domain`: asks the registry by RDAP (RFC 9082, RFC 9083) how long a domain is registered, and
//! whether it is on hold.

mod registration;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crosscheck_model::place::Role;
use crosscheck_model::{Cause, Family, Outcome};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::json;

use self::registration::{Registration, State, server_of};
use super::http::client::{Client, Seen, Visit};
use super::http::plan::Plan;
use super::http::target::Target;
use super::http::words::Words;
use super::presence::{Presence, Sighting};
use super::{Check, Defaults, Kind, SettingsError, causes};
use crate::clock;
use crate::dial::Timer;
use crate::env::Env;
use crate::gather::Endpoint;
use crate::resolve::Failure;
use crate::text::{Host, List, Span};

/// Asks a registry.
#[derive(Clone, Copy, Debug)]
pub struct Domain;

/// Where IANA lists the servers of all top-level domains (RFC 9224 section 4).
const BOOTSTRAP: &str = "https://data.iana.org/rdap/dns.json";

/// The settings as people write them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The registered domain: `example.com`.
    name: Host,
    /// The base URL of the registry's RDAP server. Left out, it is looked up in `bootstrap` at
    /// each run.
    server: Option<Target>,
    /// The list of all registries' servers (RFC 9224). Default: IANA's,
    /// `https://data.iana.org/rdap/dns.json`.
    bootstrap: Option<Target>,
    /// Degraded when the registration ends within this many days.
    #[serde(default = "usual_days")]
    warn_days: u16,
    /// Down when the domain has one of these states, written as in RDAP (`client hold`) or in EPP
    /// (`clientHold`). Left out: those in which it does not resolve or is about to be lost.
    #[serde(default = "usual_unwanted")]
    unwanted: List<State>,
    /// Down when the domain lacks one of these states, such as `client transfer prohibited`.
    #[serde(default)]
    wanted: List<State>,
    /// The address family to reach the servers with; v4 when left out.
    family: Option<Family>,
    /// A PEM file of the only roots to trust. Default: the system's.
    ca: Option<String>,
    /// A run that takes longer is degraded.
    slower_than: Option<Span>,
}

/// Time enough to find whoever pays the bill.
const fn usual_days() -> u16 {
    30
}

/// On hold, it has no delegation (RFC 5731 section 2.3); the others are its last weeks (RFC 3915).
fn usual_unwanted() -> List<State> {
    ["client hold", "server hold", "redemption period", "pending delete"]
        .map(State::of)
        .to_vec()
        .into()
}

impl Kind for Domain {
    fn name(&self) -> &'static str {
        "domain"
    }

    fn about(&self) -> &'static str {
        "Asks the registry (RDAP) when a domain's registration ends, and whether it is on hold."
    }

    /// Registrations change in days, and registries turn away who asks often.
    fn defaults(&self) -> Defaults {
        Defaults {
            interval: Duration::from_secs(3600),
            retry_interval: Duration::from_secs(600),
            timeout: Duration::from_secs(30),
            after: 2,
            ..Defaults::default()
        }
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[
            causes::NAMES,
            causes::REACH,
            causes::TLS,
            &[
                Cause::DomainUnregistered,
                Cause::DomainExpired,
                Cause::DomainExpiring,
                Cause::DomainStatus,
                Cause::NotOffered,
                Cause::Protocol,
                Cause::Status,
                Cause::Redirect,
                Cause::TooLarge,
                Cause::Throttled,
                Cause::Slow,
            ],
        ]
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let settings: Settings = super::read(settings)?;
        if settings.name.ip().is_some() || !settings.name.as_str().contains('.') {
            let message = format!("`{}` is no domain; write `example.com`", settings.name);
            return Err(vec![SettingsError { path: vec!["name".to_owned()], message, hint: None }]);
        }
        let first = settings.server.as_ref().or(settings.bootstrap.as_ref());
        let mut request = json!({
            "url": first.map_or_else(|| BOOTSTRAP.to_owned(), Target::to_string),
            "headers": { "Accept": "application/rdap+json, application/json" },
            "status": [200, 404],
            "redirects": 5,
            "family": settings.family,
            "ca": settings.ca,
        });
        if let (Some(limit), Some(request)) = (settings.slower_than, request.as_object_mut()) {
            request.insert("slower_than".to_owned(), json!(limit.to_string()));
        }
        let client = Client::new(Plan::new(super::read(&request)?)?);
        Ok(Box::new(DomainCheck { client, settings }))
    }
}

struct DomainCheck {
    client: Client,
    settings: Settings,
}

impl Check for DomainCheck {
    fn target(&self) -> String {
        self.settings.name.to_string()
    }

    fn family(&self) -> Family {
        self.client.family()
    }

    fn endpoint(&self) -> Option<Endpoint> {
        Some(self.client.place(self.client.target(), Role::Registry).into())
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.observe(env, deadline).boxed()
    }

    /// The registry has said so; one that is not there says nothing of the domain.
    fn look<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Sighting> {
        let told = |outcome: Outcome| match outcome.cause {
            Some(Cause::DomainUnregistered | Cause::DomainExpired | Cause::DomainStatus) => {
                Sighting::told(outcome, Presence::NotThere)
            }
            _ => Sighting::told(outcome, Presence::Unclear),
        };
        self.observe(env, deadline).map(told).boxed()
    }
}

impl DomainCheck {
    async fn observe(&self, env: &Env, deadline: Duration) -> Outcome {
        let prepared = self.client.prepare(); // Its time is not the target's.
        let (mut timer, mut seen) = (Timer::start(deadline), Seen::default());
        let mut days = None;
        let result = match prepared {
            Ok(()) => self.ask(env, &mut timer, &mut seen).await,
            Err(failure) => Err(failure),
        };
        let (registration, flaw) = match result {
            Ok((registration, flaw)) => (Ok(registration), flaw),
            Err(failure) => (Err(failure), None),
        };
        let judged = registration.and_then(|registration| {
            days = registration.days_left(clock::wall());
            self.judge(&registration, days)
        });
        seen.place = seen.place.take().map(|place| match place.role {
            Role::Target => place.as_role(Role::Registry),
            _ => place,
        });
        let mut outcome = seen.outcome(&timer, &env.secrets, judged.err().or(flaw));
        outcome.values.extend(days.map(|days| ("domain_days".to_owned(), days)));
        outcome
    }

    /// The registration, and what was not as it should be on the way to it but stopped nobody.
    async fn ask(
        &self,
        env: &Env,
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<(Registration, Option<Failure>), Failure> {
        let base = match &self.settings.server {
            Some(server) => server.clone(),
            None => {
                let mut first = Seen::default();
                let bootstrap = self.client.target().clone();
                let found = self.get(env, bootstrap, timer, &mut first).await;
                seen.place = first.place.take();
                let (list, _) = found.map_err(|failure| {
                    let detail = format!("the list of registries: {}", failure.detail);
                    Failure::new(failure.cause, detail)
                })?;
                if !first.is_success() {
                    let detail = "the list of registries is not there (status 404)";
                    return Err(Failure::new(Cause::Status, detail));
                }
                server_of(self.settings.name.as_str(), &list)?
            }
        };
        let target = registration::question(&base, self.settings.name.as_str())
            .map_err(|why| Failure::new(Cause::Protocol, why))?;
        let registry = self.client.place(&target, Role::Registry);
        let (body, flaw) = self.get(env, target, timer, seen).await?;
        seen.place.get_or_insert(registry); // Whatever is wrong from here on, it has said so.
        if !seen.is_success() {
            let detail = format!("the registry knows no domain `{}`", self.settings.name);
            return Err(Failure::new(Cause::DomainUnregistered, detail));
        }
        Ok((Registration::read(&body, self.settings.name.as_str())?, flaw))
    }

    /// The body of an answer, and a flaw of it that stops nobody, such as slowness.
    async fn get(
        &self,
        env: &Env,
        target: Target,
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<(Vec<u8>, Option<Failure>), Failure> {
        let words = Words { secrets: &env.secrets, host: &env.programs, saved: None };
        let prepared = self.client.fill(&words)?;
        let mut body = Vec::new();
        let mut glance = |_: &Target, _: &HeaderMap, came: &[u8]| body = came.to_vec();
        let mut visit = Visit { target, words, jar: None, glance: Some(&mut glance) };
        match self.client.walk(env, &prepared, &mut visit, timer, seen).await {
            Ok(()) => Ok((body, None)),
            Err(failure) if failure.cause == Cause::Slow => Ok((body, Some(failure))),
            Err(failure) => Err(failure),
        }
    }

    fn judge(&self, registration: &Registration, days: Option<f64>) -> Result<(), Failure> {
        let (name, wanted) = (&self.settings.name, &self.settings);
        let refuse = |cause, detail: String| Err(Failure::new(cause, detail));
        if let Some(days) = days.filter(|days| *days < 0.0) {
            let detail = format!("the registration of `{name}` ended {:.1} days ago", -days);
            return refuse(Cause::DomainExpired, detail);
        }
        if let Some(state) = wanted.unwanted.iter().find(|state| registration.has(state)) {
            return refuse(Cause::DomainStatus, format!("`{name}` is in the state `{state}`"));
        }
        if let Some(state) = wanted.wanted.iter().find(|state| !registration.has(state)) {
            let shown = registration.states();
            let detail = format!("`{name}` is not in the state `{state}`, but in {shown}");
            return refuse(Cause::DomainStatus, detail);
        }
        match days {
            None => {
                let detail = format!("the registry does not say when `{name}` ends");
                refuse(Cause::Protocol, detail)
            }
            Some(days) if days < f64::from(wanted.warn_days) => {
                let warn = wanted.warn_days;
                let detail = format!("`{name}` ends in {days:.1} days, wanted more than {warn}");
                refuse(Cause::DomainExpiring, detail)
            }
            Some(_) => Ok(()),
        }
    }
}
