//! What is raced over: one kind of check, as every racer is told it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use crosscheck_model::spec::{Rule, Schedule, SiteChoice, Source};
use crosscheck_model::wire::Assigned;
use crosscheck_model::{CheckSpec, Family, Severity, SiteQuorum};
use serde::Serialize;
use serde_json::{Value, json};

/// Addresses of the targets, so that the pairs of ports last although the kernel keeps each
/// closed pair for a minute.
const ADDRESSES: u32 = 64;

/// The name that the targets' certificate is for.
pub(crate) const NAME: &str = "target.test";

/// A kind of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    /// `GET /` over a new connection, answered with two bytes.
    Http,
    /// The same after a full TLS 1.3 handshake, the chain verified.
    Https,
    /// A connection opened and closed.
    Tcp,
    /// One echo.
    Icmp,
    /// One question over UDP from a new socket.
    Dns,
    /// `GET /` over HTTP/3: a QUIC connection of its own, the chain verified.
    Http3,
    /// A journey of two requests of plain HTTP, the second made of what the first was answered.
    Journey,
}

/// Where the targets listen.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Ports {
    /// HTTP, and plain connections.
    #[arg(long, default_value_t = 0)]
    pub(crate) http: u16,
    /// HTTPS.
    #[arg(long, default_value_t = 0)]
    pub(crate) https: u16,
    /// HTTP/3, so of UDP.
    #[arg(long, default_value_t = 0)]
    pub(crate) http3: u16,
    /// The name server.
    #[arg(long, default_value_t = 0)]
    pub(crate) dns: u16,
}

/// The target of the check of this number.
pub(crate) fn address(number: u32) -> Ipv4Addr {
    let low = u8::try_from(number % ADDRESSES).expect("below 64");
    Ipv4Addr::new(127, 0, 1, low + 1)
}

/// All of them, and the one that every system has.
pub(crate) fn addresses() -> impl Iterator<Item = Ipv4Addr> {
    (0..ADDRESSES).map(address).chain([Ipv4Addr::LOCALHOST])
}

impl Work {
    /// All of them.
    pub(crate) const ALL: [Self; 7] =
        [Self::Http, Self::Https, Self::Tcp, Self::Icmp, Self::Dns, Self::Http3, Self::Journey];

    /// As people know it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tcp => "TCP",
            Self::Icmp => "ICMP",
            Self::Dns => "DNS",
            Self::Http3 => "HTTP/3",
            Self::Journey => "journey",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Http | Self::Https | Self::Http3 => "http",
            Self::Tcp => "tcp",
            Self::Icmp => "icmp",
            Self::Dns => "dns",
            Self::Journey => "journey",
        }
    }

    fn settings(self, number: u32, ports: Ports, ca: &Path) -> Value {
        let at = address(number);
        match self {
            Self::Http => json!({ "url": format!("http://{at}:{}/", ports.http) }),
            Self::Https => json!({
                "url": format!("https://{at}:{}/", ports.https),
                "server_name": NAME, "ca": ca, "version": "1.1",
            }),
            Self::Tcp => json!({ "address": format!("{at}:{}", ports.http) }),
            Self::Icmp => json!({ "host": at, "count": 1 }),
            Self::Dns => json!({
                "name": format!("n{number}.{NAME}"), "server": format!("{at}:{}", ports.dns),
            }),
            Self::Http3 => json!({
                "url": format!("https://{at}:{}/", ports.http3),
                "server_name": NAME, "ca": ca, "version": 3,
            }),
            Self::Journey => json!({
                "base": format!("http://{at}:{}", ports.http),
                "steps": [
                    { "name": "first", "url": "/", "save": { "word": { "matches": "(ok)" } } },
                    { "name": "second", "url": "/{{word}}" },
                ],
            }),
        }
    }

    /// The probe's check of this number, run once an interval.
    pub(crate) fn check(
        self,
        number: u32,
        interval: Duration,
        ports: Ports,
        ca: &Path,
    ) -> Assigned {
        let name = format!("{} {number}", self.kind());
        let settings = self.settings(number, ports, ca);
        assigned(&name, self.kind(), &settings, interval)
    }
}

/// A check as a coordinator assigns it.
pub(crate) fn assigned(name: &str, kind: &str, settings: &Value, interval: Duration) -> Assigned {
    let schedule = Schedule {
        interval,
        retry_interval: interval,
        timeout: Duration::from_secs(5),
        attempts: 2,
        attempt_gap: Duration::from_secs(1),
    };
    let spec = CheckSpec {
        id: name.into(),
        name: name.to_owned(),
        customer: None,
        kind: kind.to_owned(),
        settings: settings.to_string(),
        target: name.to_owned(),
        family: Family::V4,
        source: Source::Probes,
        schedule,
        rule: Rule::Consecutive(1),
        recovery_hold: Duration::from_secs(60),
        severity: Severity::High,
        sites: SiteChoice::All,
        quorum: SiteQuorum::Diverse,
        runbook: None,
        depends_on: Vec::new(),
    };
    Assigned { rev: 1, spec }
}
