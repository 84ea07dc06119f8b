//! `grpc`: asks a gRPC server whether it serves, by the health checking protocol
//! (`grpc.health.v1.Health/Check` over HTTP/2, with TLS or without).

mod health;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use crosscheck_model::observation::RETRY_AFTER;
use crosscheck_model::{Cause, Family, Outcome, Status, Text};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::http::exchange;
use super::retry_after::Throttled;
use super::service::{Place, settings};
use super::{Check, Defaults, Kind, SettingsError, causes};
use crate::clock;
use crate::dial::{self, Timer};
use crate::env::{Env, Secrets};
use crate::excerpt;
use crate::gather::Endpoint;
use crate::resolve::Failure;
use crate::tls::Certificate;

/// Asks a gRPC server.
#[derive(Clone, Copy, Debug)]
pub struct Grpc;

/// The ports of HTTP, with TLS and without.
const TLS_PORT: u16 = 443;
const PLAIN_PORT: u16 = 80;

/// The method that is called.
const METHOD: &str = "/grpc.health.v1.Health/Check";

/// The answer has two bytes; servers that send far more do not speak this protocol.
const ANSWER_LIMIT_BYTES: usize = 64 << 10;

settings!(tls {
    /// The service whose health is asked for; left out: that of the server as a whole.
    #[serde(default)]
    service: String,
    /// Metadata to send with the call, such as `authorization`.
    #[serde(default)]
    metadata: BTreeMap<String, Text>,
    /// The `:authority` to ask for. Default: the address.
    authority: Option<String>,
});

impl Kind for Grpc {
    fn name(&self) -> &'static str {
        "grpc"
    }

    fn about(&self) -> &'static str {
        "Asks a gRPC server's health service whether the server, or one of its services, serves."
    }

    fn defaults(&self) -> Defaults {
        Defaults { after: 3, ..Defaults::default() }
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[
            causes::NAMES,
            causes::REACH,
            causes::TLS,
            &[
                Cause::NotServing,
                Cause::ServiceUnknown,
                Cause::NotOffered,
                Cause::Login,
                Cause::ServerError,
                Cause::Status,
                Cause::Throttled,
                Cause::Protocol,
                Cause::TooLarge,
                Cause::Slow,
            ],
        ]
    }

    fn turned_round(&self) -> &'static str {
        "what is described here must not be there; an answer of 5xx (but 501 and 505) proves nothing"
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let settings: Settings = super::read(settings)?;
        let mut errors = Vec::new();
        for name in settings.metadata.keys() {
            if let Some(message) = unfit(name) {
                let path = vec!["metadata".to_owned(), name.clone()];
                errors.push(SettingsError { path, message, hint: None });
            }
        }
        let authority = settings.authority.as_deref().map(http::uri::Authority::from_str);
        if let Some(Err(_)) = authority {
            let path = vec!["authority".to_owned()];
            let message = "it is no host or `host:port`".to_owned();
            errors.push(SettingsError { path, message, hint: None });
        }
        match settings.place(PLAIN_PORT, TLS_PORT) {
            Ok(place) if errors.is_empty() => {
                Ok(Box::new(GrpcCheck { place: place.offering(&[b"h2"]), settings }))
            }
            Ok(_) => Err(errors),
            Err(more) => Err(errors.into_iter().chain(more).collect()),
        }
    }
}

/// Why a name cannot be one of metadata.
fn unfit(name: &str) -> Option<String> {
    const OWN: [&str; 4] = ["te", "content-type", "host", "connection"];
    let parsed = HeaderName::from_str(name);
    let own = OWN.contains(&name) || name.starts_with("grpc-");
    match parsed {
        Ok(_) if own => Some(format!("`{name}` belongs to the protocol itself")),
        Ok(_) if name.ends_with("-bin") => Some(format!("`{name}` is binary; only text is sent")),
        Ok(parsed) if parsed.as_str() == name => None,
        _ => Some(format!("`{name}` is no name of metadata; write small letters and `-`")),
    }
}

struct GrpcCheck {
    place: Place,
    settings: Settings,
}

/// What a run has seen.
#[derive(Default)]
struct Seen {
    certificate: Option<Certificate>,
    values: BTreeMap<String, f64>,
    body: Vec<u8>,
}

impl Check for GrpcCheck {
    fn target(&self) -> String {
        match self.settings.service.as_str() {
            "" => self.place.address.to_string(),
            service => format!("{} {service}", self.place.address),
        }
    }

    fn family(&self) -> Family {
        self.place.family
    }

    fn endpoint(&self) -> Option<Endpoint> {
        Some(self.place.endpoint())
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.observe(env, deadline).boxed()
    }
}

impl GrpcCheck {
    async fn observe(&self, env: &Env, deadline: Duration) -> Outcome {
        let ready = self.place.prepare_tls().and_then(|()| self.metadata(&env.secrets));
        let mut timer = Timer::start(deadline);
        let mut seen = Seen::default();
        let result = match ready {
            Ok(metadata) => self.call(env, metadata, &mut timer, &mut seen).await,
            Err(failure) => Err(failure),
        };
        let judged =
            result.and_then(|()| self.place.flaws(seen.certificate.as_ref(), timer.elapsed()));
        let mut outcome = timer.outcome(&env.secrets, judged.err());
        outcome.values = seen.values;
        if let Some(certificate) = &seen.certificate {
            outcome.values.insert("certificate_days".to_owned(), certificate.days_left);
        }
        if outcome.status != Status::Up {
            outcome.excerpt = excerpt::of(&seen.body, &env.secrets);
        }
        outcome
    }

    /// What is sent with the call.
    fn metadata(&self, secrets: &Secrets) -> Result<HeaderMap, Failure> {
        let mut map = HeaderMap::new();
        for (name, text) in &self.settings.metadata {
            let value = secrets.resolve(text);
            let value = value.map_err(|error| Failure::new(Cause::Setup, error.to_string()))?;
            let unfit = |_| format!("the value of `{name}` cannot be sent");
            let name = HeaderName::from_str(name).map_err(|error| error.to_string());
            let mut value = HeaderValue::from_str(&value)
                .map_err(|error| Failure::new(Cause::Setup, unfit(error)))?;
            value.set_sensitive(text.references().next().is_some()); // Kept out of HTTP/2's compression table.
            map.insert(name.map_err(|why| Failure::new(Cause::Setup, why))?, value);
        }
        Ok(map)
    }

    async fn call(
        &self,
        env: &Env,
        metadata: HeaderMap,
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let (host, port) = (self.place.address.host(), self.place.address.port());
        let stream = dial::connect(env, host, port, self.place.family, timer).await?.stream;
        let mut answer = if self.place.is_secure_at_once() {
            let session = self.place.shake(stream, timer).await?;
            seen.certificate = session.certificate();
            if session.alpn() != Some(b"h2") {
                session.trusted()?; // The worse news comes first.
                let detail = "the server does not agree to speak HTTP/2 (ALPN)";
                return Err(Failure::new(Cause::Protocol, detail));
            }
            let request = self.request(metadata, timer.remaining())?;
            exchange::ask(session.trusted()?, true, request, timer).await?
        } else {
            let request = self.request(metadata, timer.remaining())?;
            exchange::ask(stream, true, request, timer).await?
        };
        let head = answer.head.clone();
        let ended = answer.message(ANSWER_LIMIT_BYTES, &mut seen.body, timer).await;
        if head.status != http::StatusCode::OK {
            let code = head.status.as_u16();
            seen.values.insert("status".to_owned(), f64::from(code));
            if let Some(throttled) = Throttled::by(head.status, &head.headers) {
                let wait = throttled.wait(clock::since_1970());
                let wait = wait.map(|wait| (RETRY_AFTER.to_owned(), wait.as_secs_f64()));
                seen.values.extend(wait);
                return Err(throttled.failure());
            }
            let detail = format!("the server answered {code}, wanted 200");
            return Err(Failure::new(Cause::Status, detail));
        }
        let media = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !media.is_some_and(|media| media.starts_with("application/grpc")) {
            let media = media.unwrap_or("nothing");
            let detail = format!("it is no gRPC server: its answer is of the type `{media}`");
            return Err(Failure::new(Cause::Protocol, detail));
        }
        // An answer of trailers alone has them in its head.
        let trailers = ended?;
        let trailers =
            if head.headers.contains_key(health::STATUS) { &head.headers } else { &trailers };
        health::judge(&self.settings.service, trailers, &seen.body, &mut seen.values)
    }

    fn request(&self, metadata: HeaderMap, left: Duration) -> Result<Request<Bytes>, Failure> {
        let scheme = if self.place.is_secure_at_once() { "https" } else { "http" };
        let address = self.place.address.to_string();
        let authority = self.settings.authority.as_deref().unwrap_or(&address);
        let built = Request::builder()
            .method("POST")
            .uri(format!("{scheme}://{authority}{METHOD}"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .header("grpc-timeout", format!("{}m", left.as_millis().clamp(1, 99_999_999)))
            .header(header::USER_AGENT, concat!("crosscheck/", env!("CARGO_PKG_VERSION")))
            .body(health::question(&self.settings.service).into());
        let mut request = built.map_err(|error| Failure::new(Cause::Setup, error.to_string()))?;
        for (name, value) in metadata {
            if let Some(name) = name {
                request.headers_mut().insert(name, value);
            }
        }
        Ok(request)
    }
}
