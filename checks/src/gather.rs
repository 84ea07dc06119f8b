//! Evidence, gathered once when a check begins to fail: what resolvers say of the name, what becomes
//! of a connection to each address, the certificates shown, the way of packets.
//!
//! Everything is bounded in time and size, and no address is touched that the guard forbids.
//! Nothing of a check's own request is sent: no header, no credential, no client certificate.

mod path;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crosscheck_model::evidence::{
    ADDRESSES_LIMIT, CHAIN_LIMIT, Found, KNOCKS_LIMIT, Knock, Resolution, Shown, TEXT_LIMIT_BYTES,
};
use crosscheck_model::place::About;
use crosscheck_model::{Family, Place, Timestamp};
use futures_util::future::join_all;
use rustls_pki_types::ServerName;
use tokio::time::Instant;

use crate::dial::{self, Timer};
use crate::env::{Env, Secrets};
use crate::excerpt;
use crate::guard::Guard;
use crate::kind::tls::starttls::Starttls;
use crate::resolve::Resolver;
use crate::tls::{Tls, Wanted};

/// A gathering ends within this: its parts' times, and a moment.
pub const LIMIT: Duration = Duration::from_secs(7);

/// A resolver that takes longer has not answered.
const NAME_WITHIN: Duration = Duration::from_secs(2);

/// An address that takes longer is dead.
const KNOCK_WITHIN: Duration = Duration::from_secs(2);

/// For a handshake.
const TLS_WITHIN: Duration = Duration::from_secs(2);

/// Where a check looks, as far as evidence can be gathered there.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The place.
    pub place: Place,
    /// What is spoken until TLS begins; `None`: it begins at once.
    pub(crate) starttls: Option<Starttls>,
}

impl From<Place> for Endpoint {
    fn from(place: Place) -> Self {
        Self { place, starttls: None }
    }
}

/// Gathers what can be found about an endpoint. A second resolver is asked beside the probe's own.
pub async fn gather(env: &Env, second: Option<&Resolver>, endpoint: &Endpoint) -> Found {
    let place = &endpoint.place;
    let env = &Env { secrets: env.secrets.of_run(), ..env.clone() };
    if place.is_secret {
        env.secrets.remember(&place.host);
    }
    // A name that was told in confidence is nobody else's business.
    let second = second.filter(|_| !place.is_secret);
    let (names, addresses) = resolve(env, second, place).await;
    let (knocked, path) = tokio::join!(
        async {
            let knocks = knock(&env.guard, &addresses, place.tcp_port()).await;
            let chain = shown(env, &knocks, endpoint).await;
            (knocks, chain)
        },
        async {
            let first = addresses.iter().find(|ip| is_of(**ip, place.family))?;
            env.guard.allows(*first).ok()?;
            Some(path::trace(*first, place.tcp_port()).await)
        }
    );
    let (knocks, chain) = knocked;
    let shown = short(&place.shown(), &env.secrets);
    let about = Some(About { role: place.role, way: place.way, place: shown });
    Found { about, names, knocks, chain, path, ..Found::default() }
}

const fn is_of(ip: IpAddr, family: Family) -> bool {
    matches!((ip, family), (IpAddr::V4(_), Family::V4) | (IpAddr::V6(_), Family::V6))
}

/// What the resolvers say in both families, and all addresses, those of the check's family first. Of
/// a server that has an address, what they say of the name that it was asked for.
async fn resolve(
    env: &Env,
    second: Option<&Resolver>,
    place: &Place,
) -> (Vec<Resolution>, Vec<IpAddr>) {
    let resolvers = std::iter::once(&env.resolver).chain(second);
    if let Ok(address) = place.host.parse() {
        let asked = place.asks.iter().flat_map(|(name, family)| {
            resolvers.clone().map(move |resolver| ask(env, resolver, name, *family))
        });
        return (join_all(asked).await, vec![address]);
    }
    let other = match place.family {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    };
    let asked = [place.family, other]
        .into_iter()
        .flat_map(|family| resolvers.clone().map(move |resolver| (resolver, family)));
    let names =
        join_all(asked.map(|(resolver, family)| ask(env, resolver, &place.host, family))).await;
    let mut addresses = Vec::new();
    for ip in names.iter().flat_map(|resolution| &resolution.addresses) {
        if addresses.len() < KNOCKS_LIMIT && !addresses.contains(ip) {
            addresses.push(*ip);
        }
    }
    (names, addresses)
}

async fn ask(env: &Env, resolver: &Resolver, name: &str, family: Family) -> Resolution {
    let begun = Instant::now();
    let answer = resolver.lookup(name, family, NAME_WITHIN).await;
    let (mut addresses, cause) = match answer {
        Ok(addresses) => (addresses, None),
        Err(failure) => (Vec::new(), Some(failure.cause)),
    };
    addresses.truncate(ADDRESSES_LIMIT);
    Resolution {
        resolver: label(resolver),
        name: short(name, &env.secrets),
        family,
        addresses,
        cause,
        took_us: micros(begun.elapsed()),
    }
}

/// What a resolver is called: its first server, without the usual port.
fn label(resolver: &Resolver) -> String {
    match resolver.servers().ok().and_then(|servers| servers.first().copied()) {
        Some(server) if server.port() == 53 => server.ip().to_string(),
        Some(server) => server.to_string(),
        None => "system".to_owned(),
    }
}

/// Connects to every address at the same time, and to no forbidden one.
async fn knock(guard: &Guard, addresses: &[IpAddr], port: Option<u16>) -> Vec<Knock> {
    let Some(port) = port else { return Vec::new() };
    join_all(addresses.iter().map(|ip| async move {
        let (address, begun) = (SocketAddr::new(*ip, port), Instant::now());
        let mut timer = Timer::start(KNOCK_WITHIN);
        let connected = dial::connect_to(guard, &[address], &mut timer).await;
        let cause = connected.err().map(|failure| failure.cause);
        Knock { address, cause, took_us: micros(begun.elapsed()) }
    }))
    .await
}

/// The certificates that the first address shows that takes a connection.
async fn shown(env: &Env, knocks: &[Knock], endpoint: &Endpoint) -> Vec<Shown> {
    let place = &endpoint.place;
    let open = |knock: &&Knock| knock.cause.is_none() && is_of(knock.address.ip(), place.family);
    let name = place.tls.as_ref().and_then(|name| ServerName::try_from(name.clone()).ok());
    let (Some(name), Some(knock)) = (name, knocks.iter().find(open)) else {
        return Vec::new();
    };
    let mut timer = Timer::start(TLS_WITHIN);
    let handshake = async {
        let tls = Tls::new(&Wanted::default()).ok()?;
        let connected = dial::connect_to(&env.guard, &[knock.address], &mut timer).await.ok()?;
        let stream = match endpoint.starttls {
            Some(protocol) => {
                protocol.begin(connected.stream, &name.to_str(), &mut timer).await.ok()?
            }
            None => connected.stream,
        };
        tls.handshake(stream, &name, &mut timer).await.ok()
    };
    let Some(session) = handshake.await else { return Vec::new() };
    let chain = session.chain();
    let facts = chain.iter().take(CHAIN_LIMIT).map(|certificate| Shown {
        subject: short(&certificate.subject, &env.secrets),
        issuer: short(&certificate.issuer, &env.secrets),
        from: moment(certificate.not_before),
        until: moment(certificate.not_after),
    });
    facts.collect()
}

fn short(text: &str, secrets: &Secrets) -> String {
    excerpt::shorten(&excerpt::plain(&secrets.redact(text)), TEXT_LIMIT_BYTES)
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
