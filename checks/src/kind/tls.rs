//! `tls`: shakes hands with a TLS server and judges its certificate, whatever is spoken inside.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustls_pki_types::ServerName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::{Check, Defaults, Kind, SettingsError};
use crate::dial::{self, Timer};
use crate::env::Env;
use crate::gather::Endpoint;
use crate::resolve::Failure;
use crate::text::{Address, List, Span};
use crate::tls::{self, Certificate, Identity};

/// Judges a TLS server's certificate.
#[derive(Clone, Copy, Debug)]
pub struct Tls;

/// The settings as people write them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where to connect: `mail.example.com:993`.
    address: Address,
    /// The name to ask for and to find in the certificate. Default: the address's host.
    server_name: Option<String>,
    /// A PEM file of the only roots to trust. Default: the system's.
    ca: Option<String>,
    /// A client certificate to show.
    client: Option<Identity>,
    /// The versions of TLS.
    #[serde(default)]
    versions: Versions,
    /// Degraded when the certificate expires within this many days.
    #[serde(default = "default_warn_days")]
    warn_days: u16,
    /// The address family of a name; v4 when left out.
    family: Option<Family>,
    /// A run that takes longer is degraded.
    slower_than: Option<Span>,
    /// Further names that the certificate must be for.
    #[serde(default)]
    names: List<String>,
}

/// Three weeks: certificates of 90 days are renewed 30 days before their end, so by then it has
/// failed for more than a week.
const fn default_warn_days() -> u16 {
    21
}

/// The versions of TLS that count.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Versions {
    /// The oldest; 1.2 when left out.
    min: Option<Oldest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Oldest {
    Tls12,
    Tls13,
}

impl<'de> Deserialize<'de> for Oldest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Oldest;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`\"1.2\"` or `\"1.3\"`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Oldest, E> {
                match text {
                    "1.2" => Ok(Oldest::Tls12),
                    "1.3" => Ok(Oldest::Tls13),
                    _ => Err(E::custom(format!("`{text}` is not offered; write `1.2` or `1.3`"))),
                }
            }
            // YAML reads an unquoted `1.2` as a number.
            fn visit_f64<E: Error>(self, number: f64) -> Result<Oldest, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl JsonSchema for Oldest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TlsVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "a version of TLS", "enum": ["1.2", "1.3", 1.2, 1.3] })
    }
}

/// How long a server may take to protest against the client's certificate after the handshake
/// (RFC 8446 4.4.2.4): a round trip and some computing.
const PROTEST_WITHIN: Duration = Duration::from_secs(1);

impl Kind for Tls {
    fn name(&self) -> &'static str {
        "tls"
    }

    fn about(&self) -> &'static str {
        "Shakes hands with a TLS server and judges its certificate: trust, names, versions, expiry."
    }

    fn defaults(&self) -> Defaults {
        // Certificates change in days, but handshakes break at any time.
        Defaults { interval: Duration::from_secs(300), ..Defaults::default() }
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let check = TlsCheck::new(super::read(settings)?)?;
        Ok(Box::new(check))
    }
}

/// A `tls` check.
struct TlsCheck {
    address: Address,
    family: Family,
    name: ServerName<'static>,
    names: Vec<ServerName<'static>>,
    wanted: tls::Wanted,
    warn_days: u16,
    slower_than: Option<Duration>,
    /// Built at the first run, where the files are.
    tls: OnceLock<tls::Tls>,
}

impl TlsCheck {
    fn new(settings: Settings) -> Result<Self, Vec<SettingsError>> {
        let mut errors = Vec::new();
        let mut fault = |path: &[&str], message: String| {
            let path = path.iter().map(|key| (*key).to_owned()).collect();
            errors.push(SettingsError { path, message, hint: None });
        };
        let family = settings.address.family(settings.family).unwrap_or_else(|refused| {
            fault(&["family"], refused.to_string());
            Family::default()
        });
        let mut parse = |path: &[&str], text: &str| {
            let name = ServerName::try_from(text.to_owned()).ok();
            if name.is_none() {
                fault(path, format!("`{text}` is no name that TLS can ask for"));
            }
            name
        };
        let name = match &settings.server_name {
            Some(name) => parse(&["server_name"], name),
            None => parse(&["address"], settings.address.host()),
        };
        let mut names = Vec::with_capacity(settings.names.len());
        for (index, text) in settings.names.iter().enumerate() {
            names.extend(parse(&["names", &index.to_string()], text));
        }
        let Some(name) = name.filter(|_| errors.is_empty()) else { return Err(errors) };
        Ok(Self {
            address: settings.address,
            family,
            name,
            names,
            wanted: tls::Wanted {
                ca: settings.ca,
                client: settings.client,
                alpn: Vec::new(),
                only_1_3: settings.versions.min == Some(Oldest::Tls13),
            },
            warn_days: settings.warn_days,
            slower_than: settings.slower_than.map(Span::get),
            tls: OnceLock::new(),
        })
    }

    async fn observe(&self, env: &Env, deadline: Duration) -> Outcome {
        let tls = self.tls(); // Its time is not the target's.
        let mut timer = Timer::start(deadline);
        let mut values = BTreeMap::new();
        let result = match tls {
            Ok(tls) => self.shake(env, tls, &mut timer, &mut values).await,
            Err(failure) => Err(failure),
        };
        let mut outcome = timer.outcome(&env.secrets, result.err());
        outcome.values = values;
        outcome
    }

    fn tls(&self) -> Result<&tls::Tls, Failure> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        // A missing file is looked for again at the next run; TLS once built stays.
        let tls = tls::Tls::new(&self.wanted)
            .map_err(|error| Failure::new(Cause::Setup, error.to_string()))?;
        Ok(self.tls.get_or_init(|| tls))
    }

    async fn shake(
        &self,
        env: &Env,
        tls: &tls::Tls,
        timer: &mut Timer,
        values: &mut BTreeMap<String, f64>,
    ) -> Result<(), Failure> {
        let (host, port) = (self.address.host(), self.address.port());
        let connected = dial::connect(env, host, port, self.family, timer).await?;
        let session = tls.handshake(connected.stream, &self.name, timer).await?;
        let took = timer.elapsed();
        let certificate = session.certificate().cloned();
        if let Some(certificate) = &certificate {
            values.insert("certificate_days".to_owned(), certificate.days_left);
        }
        let stream = session.trusted()?;
        if let Some(certificate) = &certificate {
            self.judge_names(certificate)?;
        }
        if self.wanted.client.is_some() {
            await_protest(stream, timer).await?;
        }
        self.judge_flaws(certificate.as_ref(), took)
    }

    fn judge_names(&self, certificate: &Certificate) -> Result<(), Failure> {
        let missing = self.names.iter().filter(|name| !certificate.covers(name));
        let missing: Vec<_> = missing.map(|name| format!("`{}`", name.to_str())).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(", ");
        let detail = format!("the certificate is not for {missing}; {certificate}");
        Err(Failure::new(Cause::TlsName, detail))
    }

    fn judge_flaws(
        &self,
        certificate: Option<&Certificate>,
        took: Duration,
    ) -> Result<(), Failure> {
        let warn = f64::from(self.warn_days);
        if let Some(certificate) = certificate.filter(|certificate| certificate.days_left <= warn) {
            let days = certificate.days_left;
            let detail =
                format!("expires in {days:.1} days, wanted more than {warn}; {certificate}");
            return Err(Failure::new(Cause::CertificateExpiring, detail));
        }
        match self.slower_than {
            Some(limit) if took > limit => {
                let detail = format!("took {took:.1?}, wanted at most {limit:?}");
                Err(Failure::new(Cause::Slow, detail))
            }
            _ => Ok(()),
        }
    }
}

/// Waits for what the server says to the client's certificate. In TLS 1.3 the client's handshake
/// ends before the server has looked at it, so a refusal comes as an alert afterwards, and
/// consent not at all: the client says goodbye, and a content server does the same.
async fn await_protest(mut stream: TlsStream<TcpStream>, timer: &Timer) -> Result<(), Failure> {
    let farewell = async {
        stream.shutdown().await?;
        stream.read(&mut [0; 1]).await
    };
    match timeout(timer.remaining().min(PROTEST_WITHIN), farewell).await {
        Ok(Err(error)) => {
            let failure = tls::stream_failure(&error);
            if failure.cause == Cause::TlsHandshake { Err(failure) } else { Ok(()) }
        }
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

impl Check for TlsCheck {
    fn target(&self) -> String {
        self.address.to_string()
    }

    fn family(&self) -> Family {
        self.family
    }

    fn endpoint(&self) -> Option<Endpoint> {
        Some(Endpoint {
            host: self.address.host().to_owned(),
            port: Some(self.address.port()),
            family: self.family,
            tls: Some(self.name.clone()),
        })
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.observe(env, deadline).boxed()
    }
}

#[cfg(test)]
mod tests {
    use crosscheck_model::{Phase, Status};
    use serde_json::{Value, json};

    use super::*;
    use crate::env::Secrets;
    use crate::guard::Guard;
    use crate::programs::Programs;
    use crate::resolve::Resolver;
    use crate::tls::scripted::{Authority, Leaf, Server};

    const AMPLE: Duration = Duration::from_secs(30);
    const NAMES: &[&str] = &["127.0.0.1", "mail.test", "*.shop.test"];

    /// A server that waits for the client to go.
    async fn server(authority: &Authority, leaf: &Leaf, clients: bool) -> Server {
        let config = authority.server(leaf, &[], clients);
        let until_closed = |mut stream: tokio_rustls::server::TlsStream<TcpStream>| async move {
            let _ = stream.read(&mut [0; 1]).await;
        };
        Server::tls(config, until_closed).await
    }

    async fn run(server: &Server, authority: &Authority, mut more: Value) -> Outcome {
        more["address"] = json!(server.address.to_string());
        if more.get("ca").is_none() {
            more["ca"] = json!(authority.file());
        }
        let env = Env {
            guard: Guard::Internal,
            resolver: Resolver::new(Vec::new()),
            secrets: Secrets::default(),
            programs: Programs::default(),
        };
        Tls.parse(&more).expect("well-formed").run(&env, AMPLE).await
    }

    #[tokio::test]
    async fn a_certificate_as_wanted_is_up() {
        let authority = Authority::new();
        let server = server(&authority, &authority.leaf(NAMES), false).await;
        for more in [
            json!({}),
            json!({ "server_name": "mail.test" }),
            json!({ "names": ["mail.test", "a.shop.test", "127.0.0.1"] }),
            json!({ "names": "mail.test", "versions": { "min": "1.3" } }),
            json!({ "versions": { "min": 1.2 }, "warn_days": 365, "slower_than": "1h" }),
        ] {
            let outcome = run(&server, &authority, more.clone()).await;
            assert_eq!(outcome.status, Status::Up, "{more}: {}", outcome.detail);
            assert!(outcome.values["certificate_days"] > 365_000.0);
            let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| phase).collect();
            assert_eq!(phases, [Phase::Connect, Phase::Tls]);
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_certificate_is_told_apart() {
        let authority = Authority::new();
        let good = authority.leaf(NAMES);
        let expired = authority.leaf_until(NAMES, 2025, 1, 1);
        let stranger = Authority::new();
        let table = [
            (&good, json!({ "ca": stranger.file() }), Cause::TlsUntrusted),
            (&good, json!({ "server_name": "other.test" }), Cause::TlsName),
            (&good, json!({ "names": ["mail.test", "a.b.shop.test"] }), Cause::TlsName),
            (&expired, json!({}), Cause::TlsExpired),
        ];
        for (leaf, more, cause) in table {
            let server = server(&authority, leaf, false).await;
            let outcome = run(&server, &authority, more).await;
            assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(cause)));
            assert!(outcome.detail.contains("issued by Scripted Root"), "{}", outcome.detail);
            assert!(outcome.values.contains_key("certificate_days"), "{cause}");
        }
    }

    #[tokio::test]
    async fn an_end_in_sight_and_slowness_are_flaws() {
        let authority = Authority::new();
        let today = jiff::Zoned::now().date();
        let soon = today.checked_add(jiff::Span::new().days(10)).expect("a date");
        let month = u8::try_from(soon.month()).expect("a month");
        let day = u8::try_from(soon.day()).expect("a day");
        let leaf = authority.leaf_until(NAMES, i32::from(soon.year()), month, day);
        let server = server(&authority, &leaf, false).await;
        for (more, cause) in [
            (json!({}), Some(Cause::CertificateExpiring)),
            (json!({ "warn_days": 3 }), None),
            (json!({ "warn_days": 3, "slower_than": "0s" }), Some(Cause::Slow)),
        ] {
            let outcome = run(&server, &authority, more).await;
            assert_eq!(outcome.cause, cause, "{}", outcome.detail);
            let status = if cause.is_some() { Status::Degraded } else { Status::Up };
            assert_eq!(outcome.status, status);
        }
    }

    #[tokio::test]
    async fn a_client_certificate_that_is_refused_is_noticed() {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let server = server(&authority, &authority.leaf(NAMES), true).await;
        for (issuer, cause) in [(&authority, None), (&stranger, Some(Cause::TlsHandshake))] {
            let (certificate, key) = issuer.client_files();
            let client = json!({ "client": { "certificate": certificate, "key": key } });
            let outcome = run(&server, &authority, client).await;
            assert_eq!(outcome.cause, cause, "{}", outcome.detail);
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_told_with_their_path() {
        let table = [
            (json!({ "address": "mail.test" }), "address"),
            (json!({ "address": "mail.test:993", "versions": { "min": "1.1" } }), "versions.min"),
            (json!({ "address": "mail.test:993", "server_name": "a b" }), "server_name"),
            (json!({ "address": "mail.test:993", "names": ["ok.test", "a b"] }), "names.1"),
            (json!({ "address": "127.0.0.1:993", "family": "v6" }), "family"),
            (json!({ "address": "mail.test:993", "warn_day": 3 }), "warn_day"),
        ];
        for (settings, path) in table {
            let errors = Tls.parse(&settings).err().expect("is refused");
            assert_eq!(errors[0].path.join("."), path, "{settings}: {errors:?}");
        }
    }
}
