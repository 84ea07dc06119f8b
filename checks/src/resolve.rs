//! Names to addresses, one fresh query per run.
//!
//! A check must not be answered by what another run learned, so this is a stub resolver of its
//! own over hickory's wire format: no cache, and no two runs share a packet. What it leaves to the
//! name servers is recursion; what it does itself is retrying, asking the next server and
//! following aliases. Search domains are not applied: a check names its target in full.

pub(crate) mod chain;
pub(crate) mod exchange;
mod system;

#[cfg(test)]
pub(crate) mod scripted;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crosscheck_model::{Cause, Family};
use hickory_proto::rr::{Name, RecordType};
use tokio::time::Instant;

use crate::resolve::chain::{Aliases, Step};
use crate::resolve::exchange::{Query, Transport};
use crate::resolve::system::System;

/// A lookup ends this much before its time, so that what it says about the servers comes before
/// its caller's own end.
const MARGIN: Duration = Duration::from_millis(2);

/// Resolves names with packets of its own: nothing is cached and no two runs share an answer.
#[derive(Clone, Debug)]
pub struct Resolver {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Servers(Arc<[SocketAddr]>),
    System(Arc<System>),
}

/// Why there is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// As a cause.
    pub cause: Cause,
    /// In this case's words.
    pub detail: String,
}

impl Failure {
    /// A failure in these words.
    pub fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self { cause, detail: detail.into() }
    }
}

impl Resolver {
    /// Asks these servers, one after the other.
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self { source: Source::Servers(servers.into()) }
    }

    /// Asks the servers of `/etc/resolv.conf`, after `/etc/hosts`. Both are read again when they
    /// change. Without a server, lookups of names say so; literal addresses still pass.
    pub fn system() -> Self {
        Self { source: Source::System(Arc::new(System::of_host())) }
    }

    /// The name servers, in the order in which they are asked.
    ///
    /// # Errors
    /// There is none.
    pub fn servers(&self) -> Result<Vec<SocketAddr>, Failure> {
        let servers = match &self.source {
            Source::Servers(servers) => servers.to_vec(),
            Source::System(system) => system.tables().servers.clone(),
        };
        if servers.is_empty() {
            return Err(Failure::new(
                Cause::Setup,
                "this host has no name server; add `nameserver 192.0.2.53` with your server's \
                 address to `/etc/resolv.conf`",
            ));
        }
        Ok(servers)
    }

    /// The addresses of `host` in one family, in the server's order. A literal address is itself.
    ///
    /// # Errors
    /// What the name servers said, or that none answered within `timeout`.
    pub async fn lookup(
        &self,
        host: &str,
        family: Family,
        timeout: Duration,
    ) -> Result<Vec<IpAddr>, Failure> {
        let deadline = Instant::now() + timeout.saturating_sub(MARGIN);
        if let Some(addresses) = self.known(host, family) {
            return addresses;
        }
        let servers = self.servers()?;
        let mut aliases = Aliases::of(name(host)?);
        loop {
            let query = Query::new(aliases.current().clone(), record_type(family));
            let left = deadline.saturating_duration_since(Instant::now());
            let answered = |message: &_| chain::answered(message);
            let reply = exchange::ask(&servers, &query, Transport::Udp, left, answered)
                .await
                .map_err(no_answer)?;
            match aliases.follow(&reply.message, record_type(family))? {
                Step::Addresses(addresses) => return Ok(addresses),
                Step::AskAgain => {}
            }
        }
    }

    /// What is known without asking: literal addresses, `/etc/hosts`, and `localhost`, which is
    /// never to be asked for (RFC 6761 section 6.3).
    fn known(&self, host: &str, family: Family) -> Option<Result<Vec<IpAddr>, Failure>> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(literal(address, family).map(|address| vec![address]));
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if let Source::System(system) = &self.source {
            let listed = system.tables().hosts.get(&host).cloned().unwrap_or_default();
            let fitting: Vec<_> = listed.into_iter().filter(|a| is_of(*a, family)).collect();
            if !fitting.is_empty() {
                return Some(Ok(fitting));
            }
        }
        (host == "localhost" || host.ends_with(".localhost")).then(|| Ok(vec![loopback(family)]))
    }
}

/// The address, if it is of the family.
///
/// # Errors
/// It is of the other.
pub(crate) fn literal(address: IpAddr, family: Family) -> Result<IpAddr, Failure> {
    if is_of(address, family) {
        return Ok(address);
    }
    let (is, asked) = match family {
        Family::V4 => ("IPv6", "v4"),
        Family::V6 => ("IPv4", "v6"),
    };
    Err(Failure::new(
        Cause::DnsNoAddress,
        format!("{address} is an {is} address, but the check's family is {asked}"),
    ))
}

const fn is_of(address: IpAddr, family: Family) -> bool {
    matches!((address, family), (IpAddr::V4(_), Family::V4) | (IpAddr::V6(_), Family::V6))
}

const fn loopback(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}

const fn record_type(family: Family) -> RecordType {
    match family {
        Family::V4 => RecordType::A,
        Family::V6 => RecordType::AAAA,
    }
}

/// The name as it is asked for: fully qualified.
fn name(host: &str) -> Result<Name, Failure> {
    let refused =
        |why| Failure::new(Cause::DnsNxdomain, format!("`{host}` is no host name: {why}"));
    let mut name = Name::from_str_relaxed(host).map_err(|error| refused(error.to_string()))?;
    if name.iter().next().is_none() {
        return Err(refused("it is empty".to_owned()));
    }
    name.set_fqdn(true);
    Ok(name)
}

/// A name server that cannot be reached has not answered. Its own words (connection refused, no
/// route) stay in the detail; as a cause they would seem to be about the target.
fn no_answer(failure: Failure) -> Failure {
    match failure.cause {
        Cause::Refused | Cause::Unreachable | Cause::Reset | Cause::DnsTruncated => {
            Failure { cause: Cause::DnsTimeout, ..failure }
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests;
