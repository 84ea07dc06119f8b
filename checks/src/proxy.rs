//! Reaching a target by way of a proxy: HTTP (RFC 9110 9.3.6, RFC 9112 3.2.2) or SOCKS5
//! (RFC 1928), each timed and told apart from the target.
//!
//! The guard judges the proxy's address as any other, and every literal address that the proxy is
//! asked for. A name that the proxy resolves is its network's matter; with `resolve: probe` the
//! addresses are judged here.

mod connect;
mod socks;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use crosscheck_model::place::Role;
use crosscheck_model::{self as model, Cause, Family, Phase, Secret, Status, Text};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use tokio::net::TcpStream;

use crate::dial::{self, Timer};
use crate::env::{Env, Secrets};
use crate::resolve::Failure;
use crate::text::{Address, Host};

/// A proxy to go through.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyWanted {
    /// Where it is: `http://proxy.example.com:3128`, or `socks5://proxy.example.com:1080`.
    url: ProxyUrl,
    /// The user to log in with there.
    user: Option<Text>,
    /// The password.
    password: Option<Secret>,
    /// Who resolves the target's name, with SOCKS5: the proxy, which is the default, or the probe.
    resolve: Option<Resolve>,
}

/// Who resolves names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Resolve {
    /// The proxy.
    Proxy,
    /// The probe.
    Probe,
}

/// What is spoken with a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    Http,
    Socks5,
}

/// A proxy's address, with what is spoken there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ProxyUrl {
    speech: Speech,
    address: Address,
}

impl ProxyUrl {
    fn parse(text: &str) -> Result<Self, String> {
        let example = "write `http://proxy.example.com:3128` or `socks5://proxy.example.com:1080`";
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("`{text}` is no proxy; {example}"));
        };
        // The common ports of either.
        let (speech, port) = match scheme {
            "http" => (Speech::Http, 3128),
            "socks5" | "socks5h" => (Speech::Socks5, 1080),
            _ => return Err(format!("`{scheme}://` is no proxy known here; {example}")),
        };
        if rest.contains('@') {
            return Err(
                "a proxy with a user or password; write them in `user` and `password`".to_owned()
            );
        }
        let address = Address::or_port(rest.strip_suffix('/').unwrap_or(rest), port);
        Ok(Self { speech, address: address.map_err(|refused| refused.to_string())? })
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.speech {
            Speech::Http => "http",
            Speech::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}", self.address)
    }
}

impl<'de> Deserialize<'de> for ProxyUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(String::deserialize(deserializer)?.trim()).map_err(D::Error::custom)
    }
}

impl JsonSchema for ProxyUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ProxyUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^\\s*(http|socks5h?)://",
            "description": "an `http://` or `socks5://` URL with a host and a port"
        })
    }
}

/// A proxy, ready to be used.
#[derive(Clone, Debug)]
pub struct Proxy {
    at: ProxyUrl,
    account: Option<(Text, Secret)>,
    resolve: Resolve,
}

/// A user and password for a proxy, read.
pub struct Account {
    user: String,
    password: String,
}

/// What a way through a proxy took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// To the proxy: its name and the connection.
    pub reached: Duration,
    /// From there until it consented; `None` where no consent is asked for.
    pub consented: Option<Duration>,
    /// Whether it was the target's end that turned it away, by the proxy's word.
    pub turned_away: bool,
}

impl Proxy {
    /// Compiles the settings.
    ///
    /// # Errors
    /// A key and what is wrong with it.
    pub fn new(wanted: &ProxyWanted) -> Result<Self, (&'static str, String)> {
        let account = match (&wanted.user, &wanted.password) {
            (Some(user), Some(password)) => Some((user.clone(), password.clone())),
            (None, None) => None,
            (Some(_), None) => return Err(("user", "a user without a password".to_owned())),
            (None, Some(_)) => return Err(("password", "a password without a user".to_owned())),
        };
        if wanted.resolve == Some(Resolve::Probe) && wanted.url.speech == Speech::Http {
            let message = "an HTTP proxy resolves names itself; leave it out, or use SOCKS5";
            return Err(("resolve", message.to_owned()));
        }
        let resolve = wanted.resolve.unwrap_or(Resolve::Proxy);
        Ok(Self { at: wanted.url.clone(), account, resolve })
    }

    /// Whether it takes requests for `http://` targets itself, in absolute form.
    pub fn forwards(&self) -> bool {
        self.at.speech == Speech::Http
    }

    /// Where it is, for a target of this family.
    pub fn place(&self, family: Family) -> model::Place {
        let address = &self.at.address;
        let (host, port) = (address.host().to_owned(), address.port());
        model::Place::tcp(host, port, self.own_family(family)).as_role(Role::Proxy)
    }

    fn own_family(&self, family: Family) -> Family {
        match self.at.address.ip() {
            Some(ip) if ip.is_ipv4() => Family::V4,
            Some(_) => Family::V6,
            None => family,
        }
    }

    /// Reads the user and password.
    ///
    /// # Errors
    /// A secret that is not there.
    pub fn account(&self, secrets: &Secrets) -> Result<Option<Account>, Failure> {
        let Some((user, password)) = &self.account else { return Ok(None) };
        let read = |text| {
            let read = secrets.resolve(text);
            read.map_err(|error| Failure::new(Cause::Setup, error.to_string()))
        };
        let account = Account { user: read(user)?, password: read(password.text())? };
        secrets.remember(&account.encoded());
        Ok(Some(account))
    }

    /// A connection to the proxy itself. Whatever hinders it is no fault of the target.
    ///
    /// # Errors
    /// The proxy cannot be reached, or must not be; the target is a forbidden address.
    pub async fn reach(
        &self,
        env: &Env,
        target: &str,
        family: Family,
        timer: &mut Timer,
        cost: &mut Cost,
    ) -> Result<TcpStream, Failure> {
        judge(env, target)?;
        let address = &self.at.address;
        let own_family = self.own_family(family);
        let before = timer.elapsed();
        let connecting = dial::connect(env, address.host(), address.port(), own_family, timer);
        let connected = connecting.await.map_err(|failure| self.named(failure))?;
        cost.reached += timer.elapsed().saturating_sub(before);
        Ok(connected.stream)
    }

    /// A connection to the target through it. Its time is part of the phase `connect`.
    ///
    /// # Errors
    /// As of [`Self::reach`]; the proxy does not consent, or cannot reach the target.
    pub async fn tunnel(
        &self,
        env: &Env,
        (host, port): (&str, u16),
        (family, account): (Family, Option<&Account>),
        timer: &mut Timer,
        cost: &mut Cost,
    ) -> Result<TcpStream, Failure> {
        cost.turned_away = false;
        let place = match self.resolve {
            Resolve::Proxy => host.parse().map_or(Place::Name(host), Place::Address),
            Resolve::Probe => Place::Address(resolved(env, host, family, timer).await?),
        };
        let mut stream = self.reach(env, host, family, timer, cost).await?;
        let before = timer.elapsed();
        let asking = async {
            match self.at.speech {
                Speech::Http => connect::ask(&mut stream, (host, port), account).await,
                Speech::Socks5 => socks::ask(&mut stream, (place, port), account).await,
            }
        };
        let asked = timer.phase(Phase::Connect, asking).await.map_err(|failure| {
            let detail = format!(
                "the proxy {} has no connection to the target; {}",
                self.at, failure.detail
            );
            Failure::new(Cause::ConnectTimeout, detail)
        })?;
        let consented = timer.elapsed().saturating_sub(before);
        cost.consented = Some(cost.consented.unwrap_or_default() + consented);
        cost.turned_away = matches!(asked, Err(Refusal::TurnedAway(..)));
        asked.map_err(|refusal| refusal.failure(&self.at))?;
        Ok(stream)
    }

    /// What broke on the connection to a proxy that forwards, before an answer's head came: the proxy
    /// itself answers in any case, be it that it has none of the target (RFC 9110 15.6.3).
    pub fn broke_off(&self, failure: Failure) -> Failure {
        match failure.cause {
            Cause::Reset | Cause::Protocol => self.named(failure),
            _ => failure,
        }
    }

    /// The failure as one of the proxy.
    fn named(&self, failure: Failure) -> Failure {
        let cause = match dial::status_of(failure.cause) {
            Status::Unknown => failure.cause,
            _ => Cause::Proxy,
        };
        Failure { cause, detail: format!("the proxy {}: {}", self.at, failure.detail) }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at.fmt(f)
    }
}

impl Account {
    /// The value of a `Proxy-Authorization` header (RFC 7617).
    pub fn basic(&self) -> String {
        format!("Basic {}", self.encoded())
    }

    fn encoded(&self) -> String {
        BASE64.encode(format!("{}:{}", self.user, self.password))
    }
}

/// Where a proxy is asked to go.
#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    Name(&'a str),
    Address(IpAddr),
}

/// Why there is no way through.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// The proxy does not want to.
    Refuses(String),
    /// It speaks another protocol, or broke off.
    Broken(String),
    /// It wanted to, and this came of it: through the target's fault, or its own.
    Target(Cause, String),
    /// It wanted to, and the target's end turned it away.
    TurnedAway(Cause, String),
}

impl Refusal {
    fn failure(self, proxy: &ProxyUrl) -> Failure {
        match self {
            Self::Refuses(why) => {
                Failure::new(Cause::Proxy, format!("the proxy {proxy} refuses: {why}"))
            }
            Self::Broken(why) => Failure::new(Cause::Proxy, format!("the proxy {proxy}: {why}")),
            Self::Target(cause, what) | Self::TurnedAway(cause, what) => {
                Failure::new(cause, format!("the proxy {proxy} cannot reach the target: {what}"))
            }
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
            _ => dial::plain(&error),
        })
    }
}

/// Refuses what the probe itself must not connect to: an address, or the proxy's own host.
fn judge(env: &Env, target: &str) -> Result<(), Failure> {
    let forbidden = match target.parse::<IpAddr>() {
        Ok(ip) => env.guard.allows(ip).err(),
        Err(_) if is_loopback_name(target) => {
            env.guard.allows(IpAddr::from(std::net::Ipv4Addr::LOCALHOST)).err()
        }
        Err(_) => None,
    };
    match forbidden {
        None => Ok(()),
        Some(why) => {
            let detail = format!("{target} must not be asked of a proxy from this probe ({why})");
            Err(Failure::new(Cause::BlockedAddress, detail))
        }
    }
}

/// RFC 6761 6.3.
fn is_loopback_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// The target's first address that may be connected to.
async fn resolved(
    env: &Env,
    host: &str,
    family: Family,
    timer: &mut Timer,
) -> Result<IpAddr, Failure> {
    let lookup = env.resolver.lookup(host, family, timer.remaining());
    let addresses = if host.parse::<Host>().is_ok_and(|host| host.ip().is_some()) {
        lookup.await?
    } else {
        timer.phase(Phase::Dns, lookup).await??
    };
    let addresses: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
    let allowed = dial::allowed(&env.guard, &addresses)?;
    allowed.first().map(SocketAddr::ip).ok_or_else(|| {
        let detail = format!("`{host}` has no address to give to the proxy");
        Failure::new(Cause::DnsNoAddress, detail)
    })
}
