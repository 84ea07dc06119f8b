//! `dns`: asks a name server and judges its answer. Each run sends its own packets, for an answer
//! from a cache would say nothing about the server.

mod agreement;
mod answers;
mod dnssec;
mod judge;
mod place;
mod secure;
mod settings;

use std::net::SocketAddr;
use std::time::Duration;

use crosscheck_model::observation::RETRY_AFTER;
use crosscheck_model::{Cause, Family, Outcome, Phase, Phases, Status};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tokio::time::Instant;

use self::agreement::Agreement;
use self::judge::Wanted;
use self::secure::Wait;
use self::settings::{Asked, Settings, Way};
use super::presence::{Presence, Sighting};
use super::{Check, Kind, SettingsError, causes};
use crate::clock;
use crate::dial::{Timer, status_of};
use crate::env::Env;
use crate::excerpt;
use crate::gather::Endpoint;
use crate::resolve::exchange::{self, Query, Reply};
use crate::resolve::{self, Failure, Resolver};
use crate::text::{Address, Span};
use crate::tls::Certificate;

/// Asks a name server.
#[derive(Clone, Copy, Debug)]
pub struct Dns;

impl Kind for Dns {
    fn name(&self) -> &'static str {
        "dns"
    }

    fn about(&self) -> &'static str {
        "Asks a name server for records and judges the answer, its sections, signatures and time; or \
         asks all servers of a zone whether they agree."
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[
            causes::NAMES,
            causes::REACH,
            causes::TLS,
            &[
                Cause::DnsTruncated,
                Cause::Answer,
                Cause::LameServer,
                Cause::SerialDisagreement,
                Cause::DnssecUnsigned,
                Cause::DnssecBogus,
                Cause::DnssecExpiring,
                Cause::Protocol,
                Cause::Status,
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
        let agreement = settings.wants_agreement()?;
        let (asked, wanted) = settings.into_parts()?;
        let check = DnsCheck { asked, wanted };
        Ok(if agreement { Box::new(Agreement::new(check)) } else { Box::new(check) })
    }
}

/// The most of a detail: it quotes the answer, which may be 64 KiB, and goes into a log entry.
const DETAIL_LIMIT_BYTES: usize = 512;

struct DnsCheck {
    asked: Asked,
    wanted: Wanted,
}

/// An answer, and what is wrong with it beyond its records.
struct Answered {
    reply: Reply,
    certificate: Option<Certificate>,
    flaw: Option<Failure>,
}

/// What a run has seen so far; it outlives the run's failure.
struct Seen {
    started: Instant,
    limit: Duration,
    phases: Phases,
    address: Option<SocketAddr>,
    wait: Wait,
}

impl Seen {
    fn new(limit: Duration) -> Self {
        Self {
            started: Instant::now(),
            limit,
            phases: Phases::default(),
            address: None,
            wait: Wait::new(),
        }
    }

    fn remaining(&self) -> Duration {
        self.limit.saturating_sub(self.started.elapsed())
    }

    /// For how long the server asks to be left alone, as a value.
    fn asks_to_wait(&self) -> Option<(String, f64)> {
        self.wait.get().map(|wait| (RETRY_AFTER.to_owned(), wait.as_secs_f64()))
    }

    /// The run's clock.
    fn timer(&self) -> Timer {
        Timer::since(self.started, self.limit)
    }
}

impl Check for DnsCheck {
    fn target(&self) -> String {
        let name = self.asked.name.to_ascii();
        let name = if name == "." { "." } else { name.trim_end_matches('.') };
        match &self.asked.server {
            Some(server) => format!("{name} {} @{server}", self.asked.record_type),
            None => format!("{name} {}", self.asked.record_type),
        }
    }

    fn family(&self) -> Family {
        self.asked.family.unwrap_or_default()
    }

    fn endpoint(&self) -> Option<Endpoint> {
        let server = self.asked.server.as_ref()?;
        Some(self.place(server.host().to_owned(), server.port()).into())
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.observe(env, deadline).map(|sighting| sighting.outcome).boxed()
    }

    fn look<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Sighting> {
        self.observe(env, deadline).boxed()
    }
}

impl DnsCheck {
    async fn observe(&self, env: &Env, deadline: Duration) -> Sighting {
        let mut seen = Seen::new(deadline);
        let reply = self.ask(env, &mut seen).await;
        self.sighting(env, seen, reply)
    }

    async fn ask(&self, env: &Env, seen: &mut Seen) -> Result<Answered, Failure> {
        let servers = self.servers(env, seen).await?;
        seen.address = servers.first().copied();
        let query = self.query(self.asked.name.clone(), self.asked.record_type);
        let (reply, certificate) =
            self.send(env, &servers, &query, (seen.timer(), &seen.wait)).await?;
        let expiring = match (&self.asked.way, &certificate) {
            (Way::Secure(secure), Some(certificate)) => secure.flaw(certificate),
            _ => None,
        };
        let signed = match &self.asked.dnssec {
            Some(_) => Box::pin(self.judge_signatures(env, &servers, &reply.message, seen)).await,
            None => Ok(()),
        };
        Ok(Answered { reply, certificate, flaw: signed.err().or(expiring) })
    }

    async fn servers(&self, env: &Env, seen: &mut Seen) -> Result<Vec<SocketAddr>, Failure> {
        match &self.asked.server {
            Some(server) => self.find(env, server, seen).await,
            None => own_servers(&env.resolver, self.asked.family),
        }
    }

    fn query(&self, name: Name, record_type: RecordType) -> Query {
        let mut query = Query::new(name, record_type);
        if !self.asked.recursion {
            query = query.without_recursion();
        }
        if self.wanted.wants_authenticity() {
            query = query.wanting_authenticity();
        }
        match &self.asked.dnssec {
            // What a validating server would hold back as SERVFAIL is told here by its cause.
            Some(dnssec) if dnssec.validate => query.wanting_signatures().unchecked(),
            Some(_) => query.wanting_signatures(),
            None => query,
        }
    }

    async fn send(
        &self,
        env: &Env,
        servers: &[SocketAddr],
        query: &Query,
        (timer, wait): (Timer, &Wait),
    ) -> Result<(Reply, Option<Certificate>), Failure> {
        match &self.asked.way {
            // Boxed, as what is seldom needed is below: what a plain question keeps is small.
            Way::Secure(secure) => {
                Box::pin(secure.ask(&env.guard, servers, query, (timer, wait))).await
            }
            Way::Clear(transport) => {
                // Whatever a server says is the result: only silence and broken exchanges go on.
                let any = |_: &_| Ok(());
                let reply =
                    exchange::ask(servers, query, *transport, timer.remaining(), any).await?;
                Ok((reply, None))
            }
        }
    }

    /// Where an answer is wanted that is signed: whether it is.
    async fn judge_signatures(
        &self,
        env: &Env,
        servers: &[SocketAddr],
        message: &Message,
        seen: &Seen,
    ) -> Result<(), Failure> {
        let Some(dnssec) = &self.asked.dnssec else { return Ok(()) };
        let now = seconds_now();
        let fetch = move |name: Name, record_type: RecordType| {
            async move {
                let query = self.query(name, record_type);
                let (reply, _) =
                    self.send(env, servers, &query, (seen.timer(), &seen.wait)).await?;
                Ok(reply.message)
            }
            .boxed()
        };
        dnssec.judge(message, now, &fetch).await
    }

    /// The addresses of the server under test that this probe may send to.
    async fn find(
        &self,
        env: &Env,
        server: &Address,
        seen: &mut Seen,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let found = match server.ip() {
            Some(address) => resolve::literal(address, self.family()).map(|address| vec![address]),
            None => {
                let began = Instant::now();
                // Boxed: what asking for a name needs would lie in every run's memory.
                let lookup = env.resolver.lookup(server.host(), self.family(), seen.remaining());
                let found = Box::pin(lookup).await;
                seen.phases.add(Phase::Dns, began.elapsed());
                found
            }
        };
        let mut blocked = None;
        let mut allowed = Vec::new();
        let found = found.map_err(|failure| {
            let detail = format!("cannot find the server: {}", failure.detail);
            Failure { detail, ..failure }
        });
        for ip in found? {
            let address = SocketAddr::new(ip, server.port());
            match env.guard.allows_port(address) {
                Ok(()) => allowed.push(address),
                Err(why) => blocked = Some(format!("{ip} must not be asked from here: {why}")),
            }
        }
        match blocked {
            Some(detail) if allowed.is_empty() => Err(Failure::new(Cause::BlockedAddress, detail)),
            _ => Ok(allowed),
        }
    }

    fn sighting(&self, env: &Env, seen: Seen, answered: Result<Answered, Failure>) -> Sighting {
        let duration = seen.started.elapsed();
        let (mut outcome, down) = match answered {
            Ok(answered) => {
                let mut outcome = self.judged(env, &answered, duration);
                outcome.address = Some(answered.reply.server.to_string());
                outcome.phases = answered.reply.phases;
                let down = outcome.cause.map_or(Presence::There, by_answer);
                (outcome, down)
            }
            // Whoever does not answer leaves it open.
            Err(failure) => (self.failed(env, Some(failure)), Presence::Unclear),
        };
        outcome.duration = duration;
        outcome.address = outcome.address.or_else(|| seen.address.map(|a| a.to_string()));
        outcome.place = self.failed_at(&seen, &outcome);
        outcome.values.extend(seen.asks_to_wait());
        if let Some(time) = seen.phases.get(Phase::Dns) {
            outcome.phases.add(Phase::Dns, time);
        }
        Sighting::told(outcome, down)
    }

    fn judged(&self, env: &Env, answered: &Answered, duration: Duration) -> Outcome {
        let reply = &answered.reply;
        let judged = self.wanted.judge(&reply.message).err();
        let failure = judged.or_else(|| answered.flaw.clone()).or_else(|| self.too_slow(duration));
        let mut outcome = self.failed(env, failure);
        if outcome.status != Status::Up {
            outcome.excerpt = excerpt::of(judge::listing(&reply.message).as_bytes(), &env.secrets);
        }
        outcome.values = self.wanted.values(&reply.message);
        outcome.values.insert("bytes".to_owned(), reply.bytes as f64);
        outcome.values.insert("sent".to_owned(), f64::from(reply.sent));
        if let Some(certificate) = &answered.certificate {
            outcome.values.insert("certificate_days".to_owned(), certificate.days_left);
        }
        if let Some(seconds) = dnssec::seconds_left(&reply.message, seconds_now()) {
            outcome.values.insert("signature_days".to_owned(), seconds as f64 / 86_400.0);
        }
        outcome
    }

    /// An outcome with this failure, if it is one.
    fn failed(&self, env: &Env, failure: Option<Failure>) -> Outcome {
        let Some(failure) = failure else { return Outcome::new(Status::Up, None, "") };
        let detail = excerpt::harmless(&failure.detail, &env.secrets);
        let detail = excerpt::shorten(&detail, DETAIL_LIMIT_BYTES);
        Outcome::new(status_of(failure.cause), Some(failure.cause), detail)
    }

    fn too_slow(&self, duration: Duration) -> Option<Failure> {
        let limit = self.asked.slower_than.map(Span::get).filter(|limit| duration > *limit)?;
        let detail =
            format!("took {} ms, more than {} ms", duration.as_millis(), limit.as_millis());
        Some(Failure::new(Cause::Slow, detail))
    }
}

/// What a server's answer says that is judged so: it may say that there is no such thing, or that it
/// does not know.
fn by_answer(cause: Cause) -> Presence {
    match cause {
        Cause::DnsNxdomain
        | Cause::DnsNoAddress
        | Cause::Answer
        | Cause::DnssecUnsigned
        | Cause::DnssecBogus => Presence::NotThere,
        _ => Presence::Unclear,
    }
}

/// Signatures are dated in seconds of 32 bits (RFC 4034 section 3.1.5).
fn seconds_now() -> u32 {
    let seconds = clock::since_1970().as_secs() & u64::from(u32::MAX);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// The probe's own name servers, of one family if the check names one.
fn own_servers(resolver: &Resolver, family: Option<Family>) -> Result<Vec<SocketAddr>, Failure> {
    let mut servers = resolver.servers()?;
    if let Some(family) = family {
        servers.retain(|server| server.is_ipv4() == (family == Family::V4));
    }
    if servers.is_empty() {
        return Err(Failure::new(
            Cause::Setup,
            "none of this host's name servers is of the check's family; name a `server`",
        ));
    }
    Ok(servers)
}

#[cfg(test)]
mod tests;
