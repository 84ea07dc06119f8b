//! Whether all name servers of a zone have the same version of it: each is asked for the SOA
//! record, without recursion, and must answer with authority.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::time::Instant;

use super::answers::without_dot;
use super::judge::is_referral;
use super::{DnsCheck, Seen};
use crate::dial::{self, Timer};
use crate::env::Env;
use crate::kind::Check;
use crate::kind::presence::{Presence, Sighting};
use crate::resolve::Failure;
use crate::resolve::exchange::{self, Query, Transport};

/// RFC 1035 section 4.2.
const PORT: u16 = 53;

/// More name servers than any zone has: 13 fit into an answer of the root.
const SERVERS_LIMIT: usize = 32;

/// The check; what is asked says which zone, and where its servers' names are found.
pub(super) struct Agreement {
    check: DnsCheck,
    /// Where name servers listen.
    port: u16,
}

/// What a server of the zone said.
struct Said {
    /// Its name and address.
    server: String,
    serial: Result<u32, Failure>,
}

impl Agreement {
    pub(super) fn new(check: DnsCheck) -> Self {
        Self { check, port: PORT }
    }

    #[cfg(test)]
    pub(super) fn at_port(check: DnsCheck, port: u16) -> Self {
        Self { check, port }
    }

    async fn ask(&self, env: &Env, seen: &mut Seen) -> Result<Vec<Said>, Failure> {
        let servers = self.check.servers(env, seen).await?;
        seen.address = servers.first().copied();
        let zone = &self.check.asked.name;
        let query = self.check.query(zone.clone(), RecordType::NS);
        // Names are found within a third of the time: the servers get the rest.
        let timer = Timer::start(seen.remaining() / 3);
        let (reply, _) = self.check.send(env, &servers, &query, (timer, &seen.wait)).await?;
        seen.phases = reply.phases;
        let names = names(zone, &reply.message)?;
        let limit = seen.remaining();
        Ok(join_all(names.iter().map(|name| self.ask_one(env, name, limit))).await)
    }

    /// The serial number that one server has. Of several addresses the first that answers counts.
    async fn ask_one(&self, env: &Env, server: &Name, limit: Duration) -> Said {
        let shown = server.to_ascii();
        let shown = without_dot(&shown).to_owned();
        let started = Instant::now();
        let found = env.resolver.lookup(&shown, self.check.family(), limit / 2).await;
        let found = found.map(|ips| ips.into_iter().map(|ip| SocketAddr::new(ip, self.port)));
        let allowed = found.and_then(|found| dial::allowed(&env.guard, &found.collect::<Vec<_>>()));
        let addresses = match allowed {
            Ok(addresses) => addresses,
            Err(failure) => return Said { server: shown, serial: Err(failure) },
        };
        let zone = self.check.asked.name.clone();
        let query = Query::new(zone.clone(), RecordType::SOA).without_recursion();
        let left = limit.saturating_sub(started.elapsed());
        let any = |_: &_| Ok(());
        let reply = exchange::ask(&addresses, &query, Transport::Udp, left, any).await;
        match reply {
            Ok(reply) => Said {
                server: format!("{shown} ({})", reply.server.ip()),
                serial: serial(&zone, &reply.message),
            },
            Err(failure) => Said { server: shown, serial: Err(failure) },
        }
    }
}

impl Check for Agreement {
    fn target(&self) -> String {
        let name = self.check.asked.name.to_ascii();
        format!("{} SOA of all name servers", without_dot(&name))
    }

    fn family(&self) -> Family {
        self.check.family()
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        async move {
            let mut seen = Seen::new(deadline);
            let said = self.ask(env, &mut seen).await;
            let duration = seen.started.elapsed();
            let (failure, values) = match said {
                Err(failure) => (Some(failure), BTreeMap::new()),
                Ok(said) => {
                    let judged = judge(&said).err();
                    (judged.or_else(|| self.check.too_slow(duration)), values(&said))
                }
            };
            let mut outcome = self.check.failed(env, failure);
            outcome.duration = duration;
            outcome.phases = seen.phases;
            outcome.address = seen.address.map(|address| address.to_string());
            outcome.values = values;
            outcome.values.extend(seen.asks_to_wait());
            outcome.place = self.check.failed_at(&seen, &outcome);
            outcome
        }
        .boxed()
    }

    /// What must not be is agreement: servers that do not say leave it open.
    fn look<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Sighting> {
        let told = |outcome: Outcome| match outcome.cause {
            Some(Cause::SerialDisagreement) => Sighting::told(outcome, Presence::NotThere),
            _ => Sighting::told(outcome, Presence::Unclear),
        };
        self.run(env, deadline).map(told).boxed()
    }
}

/// The names of a zone's servers.
fn names(zone: &Name, message: &Message) -> Result<Vec<Name>, Failure> {
    let cause = match message.response_code {
        ResponseCode::NoError => Cause::Answer,
        ResponseCode::NXDomain => Cause::DnsNxdomain,
        ResponseCode::ServFail => Cause::DnsServfail,
        ResponseCode::Refused => Cause::DnsRefused,
        _ => Cause::Answer,
    };
    let records = message.answers.iter().chain(&message.authorities);
    let mut names: Vec<Name> = records
        .filter(|record| record.name == *zone)
        .filter_map(|record| match &record.data {
            RData::NS(ns) => Some(ns.0.clone()),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names.truncate(SERVERS_LIMIT);
    if names.is_empty() || cause != Cause::Answer {
        let shown = zone.to_ascii();
        let code = message.response_code;
        let detail = format!("no name servers of `{}` are known: {code}", without_dot(&shown));
        return Err(Failure::new(cause, detail));
    }
    Ok(names)
}

/// The serial number in a server's answer.
fn serial(zone: &Name, message: &Message) -> Result<u32, Failure> {
    let lame = |why: String| Err(Failure::new(Cause::LameServer, why));
    match message.response_code {
        ResponseCode::NoError => {}
        ResponseCode::ServFail => {
            return Err(Failure::new(Cause::DnsServfail, "it answers SERVFAIL"));
        }
        code => return lame(format!("it does not hold the zone: it answers {code}")),
    }
    if is_referral(message) {
        return lame("it does not hold the zone: it refers to others".to_owned());
    }
    if !message.authoritative {
        return lame("it answers without authority (AA)".to_owned());
    }
    let soa = message.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) if record.name == *zone => Some(soa.serial),
        _ => None,
    });
    soa.map_or_else(|| lame("it has no SOA record of the zone".to_owned()), Ok)
}

/// All must have answered, with the same number. A lame server is the worst news: it never will.
fn judge(said: &[Said]) -> Result<(), Failure> {
    let mut failures: Vec<(&Said, &Failure)> =
        said.iter().filter_map(|one| Some((one, one.serial.as_ref().err()?))).collect();
    failures.sort_by_key(|(_, failure)| failure.cause != Cause::LameServer);
    let mut words: Vec<String> =
        failures.iter().map(|(one, why)| format!("{}: {}", one.server, why.detail)).collect();
    let mut serials = BTreeMap::<u32, Vec<&str>>::new();
    for one in said {
        if let Ok(serial) = one.serial {
            serials.entry(serial).or_default().push(&one.server);
        }
    }
    let disagree = serials.len() > 1;
    if disagree {
        let each =
            serials.iter().map(|(serial, names)| format!("{serial} at {}", names.join(", ")));
        words.insert(0, format!("serial numbers differ: {}", each.collect::<Vec<_>>().join("; ")));
    }
    let cause = match failures.first() {
        Some((_, failure)) if failure.cause == Cause::LameServer || !disagree => failure.cause,
        _ if disagree => Cause::SerialDisagreement,
        _ => return Ok(()),
    };
    Err(Failure::new(cause, words.join("; ")))
}

fn values(said: &[Said]) -> BTreeMap<String, f64> {
    let serials: Vec<u32> =
        said.iter().filter_map(|one| one.serial.as_ref().ok().copied()).collect();
    let newest = serials.iter().max().copied();
    let agreeing = serials.iter().filter(|serial| Some(**serial) == newest).count();
    let mut values = BTreeMap::from([
        ("servers".to_owned(), said.len() as f64),
        ("servers_agreeing".to_owned(), agreeing as f64),
    ]);
    values.extend(newest.map(|serial| ("serial".to_owned(), f64::from(serial))));
    values
}
