//! `dns`: asks a name server and judges its answer. Each run sends its own packets, for an answer
//! from a cache would say nothing about the server.

mod answers;
mod judge;
mod settings;

use std::net::SocketAddr;
use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome, Phase, Phases, Status};
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tokio::time::Instant;

use self::judge::Wanted;
use self::settings::{Asked, Settings};
use super::{Check, Kind, SettingsError};
use crate::dial::status_of;
use crate::env::Env;
use crate::excerpt;
use crate::gather::Endpoint;
use crate::resolve::exchange::{self, Query, Reply};
use crate::resolve::{Failure, Resolver};
use crate::text::{Address, Span};

/// Asks a name server.
#[derive(Clone, Copy, Debug)]
pub struct Dns;

impl Kind for Dns {
    fn name(&self) -> &'static str {
        "dns"
    }

    fn about(&self) -> &'static str {
        "Asks a name server for records and judges the answer, its flags, TTL and time."
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let (asked, wanted) = super::read::<Settings>(settings)?.into_parts()?;
        Ok(Box::new(DnsCheck { asked, wanted }))
    }
}

/// The most of a detail: it quotes the answer, which may be 64 KiB, and goes into a log entry.
const DETAIL_LIMIT_BYTES: usize = 512;

struct DnsCheck {
    asked: Asked,
    wanted: Wanted,
}

/// What a run has seen so far; it outlives the run's failure.
struct Seen {
    started: Instant,
    limit: Duration,
    phases: Phases,
    address: Option<SocketAddr>,
}

impl Seen {
    fn remaining(&self) -> Duration {
        self.limit.saturating_sub(self.started.elapsed())
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
        // It is asked over UDP, so there is no port to knock at.
        let host = self.asked.server.as_ref()?.host().to_owned();
        Some(Endpoint { host, port: None, family: self.family(), tls: None })
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let mut seen = Seen {
                started: Instant::now(),
                limit: deadline,
                phases: Phases::default(),
                address: None,
            };
            let reply = self.ask(env, &mut seen).await;
            self.outcome(env, seen, reply)
        })
    }
}

impl DnsCheck {
    async fn ask(&self, env: &Env, seen: &mut Seen) -> Result<Reply, Failure> {
        let servers = match &self.asked.server {
            Some(server) => self.find(env, server, seen).await?,
            None => own_servers(&env.resolver, self.asked.family)?,
        };
        seen.address = servers.first().copied();
        let mut query = Query::new(self.asked.name.clone(), self.asked.record_type);
        if !self.asked.recursion {
            query = query.without_recursion();
        }
        if self.wanted.wants_authenticity() {
            query = query.wanting_authenticity();
        }
        // Whatever a server says is the result: only silence and broken exchanges go on.
        let any = |_: &_| Ok(());
        exchange::ask(&servers, &query, self.asked.transport, seen.remaining(), any).await
    }

    /// The addresses of the server under test that this probe may send to.
    async fn find(
        &self,
        env: &Env,
        server: &Address,
        seen: &mut Seen,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let began = Instant::now();
        let found = env.resolver.lookup(server.host(), self.family(), seen.remaining()).await;
        if server.ip().is_none() {
            seen.phases.add(Phase::Dns, began.elapsed());
        }
        let mut blocked = None;
        let mut allowed = Vec::new();
        let found = found.map_err(|failure| {
            let detail = format!("cannot find the server: {}", failure.detail);
            Failure { detail, ..failure }
        });
        for ip in found? {
            match env.guard.allows(ip) {
                Ok(()) => allowed.push(SocketAddr::new(ip, server.port())),
                Err(why) => blocked = Some(format!("{ip} must not be asked from here: {why}")),
            }
        }
        match blocked {
            Some(detail) if allowed.is_empty() => Err(Failure::new(Cause::BlockedAddress, detail)),
            _ => Ok(allowed),
        }
    }

    fn outcome(&self, env: &Env, seen: Seen, reply: Result<Reply, Failure>) -> Outcome {
        let duration = seen.started.elapsed();
        let mut outcome = match reply {
            Ok(reply) => {
                let mut outcome = self.judged(env, &reply, duration);
                outcome.address = Some(reply.server.to_string());
                outcome.phases = reply.phases;
                outcome
            }
            Err(failure) => {
                let detail = env.secrets.redact(&failure.detail);
                Outcome::new(status_of(failure.cause), Some(failure.cause), detail)
            }
        };
        outcome.duration = duration;
        outcome.address = outcome.address.or_else(|| seen.address.map(|a| a.to_string()));
        if let Some(time) = seen.phases.get(Phase::Dns) {
            outcome.phases.add(Phase::Dns, time);
        }
        outcome
    }

    fn judged(&self, env: &Env, reply: &Reply, duration: Duration) -> Outcome {
        let failure = self.wanted.judge(&reply.message).err().or_else(|| self.too_slow(duration));
        let mut outcome = match failure {
            None => Outcome::new(Status::Up, None, ""),
            Some(failure) => {
                let detail = excerpt::plain(&env.secrets.redact(&failure.detail));
                let detail = excerpt::shorten(&detail, DETAIL_LIMIT_BYTES);
                let mut outcome =
                    Outcome::new(status_of(failure.cause), Some(failure.cause), detail);
                outcome.excerpt =
                    excerpt::of(judge::listing(&reply.message).as_bytes(), &env.secrets);
                outcome
            }
        };
        outcome.values = self.wanted.values(&reply.message);
        outcome.values.insert("bytes".to_owned(), reply.bytes as f64);
        outcome.values.insert("sent".to_owned(), f64::from(reply.sent));
        outcome
    }

    fn too_slow(&self, duration: Duration) -> Option<Failure> {
        let limit = self.asked.slower_than.map(Span::get).filter(|limit| duration > *limit)?;
        let detail =
            format!("took {} ms, more than {} ms", duration.as_millis(), limit.as_millis());
        Some(Failure::new(Cause::Slow, detail))
    }
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
