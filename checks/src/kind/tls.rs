//! `tls`: shakes hands with a TLS server and judges its certificates, whatever is spoken inside.

mod old;
mod settings;
pub(crate) mod starttls;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome, Place, Status};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustls_pki_types::ServerName;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use self::settings::{Ocsp, Old, Oldest, Settings};
use self::starttls::Starttls;
use super::{Check, Defaults, Kind, SettingsError, causes};
use crate::dial::{self, Timer};
use crate::env::Env;
use crate::excerpt;
use crate::gather::Endpoint;
use crate::resolve::Failure;
use crate::text::{Address, Span};
use crate::tls::{self, Certificate, Session, Standing};

/// Judges a TLS server's certificates.
#[derive(Clone, Copy, Debug)]
pub struct Tls;

/// How long a server may take to protest against the client's certificate after the handshake
/// (RFC 8446 4.4.2.4): a round trip and some computing.
const PROTEST_WITHIN: Duration = Duration::from_secs(1);

impl Kind for Tls {
    fn name(&self) -> &'static str {
        "tls"
    }

    fn about(&self) -> &'static str {
        "Shakes hands with a TLS server and judges its certificates: trust, names, versions, expiry, revocation."
    }

    fn defaults(&self) -> Defaults {
        // Certificates change in days, but handshakes break at any time.
        Defaults { interval: Duration::from_secs(300), ..Defaults::default() }
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[
            causes::NAMES,
            causes::REACH,
            causes::TLS,
            &[Cause::Protocol, Cause::Ocsp, Cause::WeakTls, Cause::Slow],
        ]
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
    starttls: Option<Starttls>,
    forbidden: Vec<Old>,
    wants_staple: bool,
    wanted: tls::Wanted,
    warn_days: u16,
    slower_than: Option<Duration>,
    /// Built at the first run, where the files are.
    tls: OnceLock<tls::Tls>,
}

/// What a run saw, kept also when it failed.
#[derive(Default)]
struct Seen {
    values: BTreeMap<String, f64>,
    /// The connection's terms and the chain, a line each.
    lines: Vec<String>,
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
            starttls: settings.starttls,
            forbidden: settings.versions.forbid.to_vec(),
            wants_staple: settings.ocsp == Some(Ocsp::Required),
            wanted: tls::Wanted {
                ca: settings.ca,
                client: settings.client,
                alpn: &[],
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
        let mut seen = Seen::default();
        let result = match tls {
            Ok(tls) => self.judge(env, tls, &mut timer, &mut seen).await,
            Err(failure) => Err(failure),
        };
        let mut outcome = timer.outcome(&env.secrets, result.err());
        outcome.values = seen.values;
        if outcome.status != Status::Up {
            outcome.excerpt = excerpt::of(seen.lines.join("; ").as_bytes(), &env.secrets);
        }
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

    async fn judge(
        &self,
        env: &Env,
        tls: &tls::Tls,
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let stream = self.reach(env, timer).await?;
        let session = tls.handshake_with_staple(stream, &self.name, timer).await?;
        let took = timer.elapsed();
        seen.note(&session);
        let certificate = session.certificate();
        let staple = self.judge_staple(&session);
        let stream = session.trusted()?;
        if let Some(certificate) = &certificate {
            self.judge_names(certificate)?;
        }
        staple?;
        match self.wanted.client {
            Some(_) => await_protest(stream, timer).await?,
            None => drop(stream), // Before others are opened: some servers serve one at a time.
        }
        let old = self.judge_old_versions(env, timer).await?;
        self.judge_flaws(certificate.as_ref(), took, old)
    }

    /// A connection on which TLS may begin.
    async fn reach(&self, env: &Env, timer: &mut Timer) -> Result<TcpStream, Failure> {
        let (host, port) = (self.address.host(), self.address.port());
        let connected = dial::connect(env, host, port, self.family, timer).await?;
        match self.starttls {
            None => Ok(connected.stream),
            Some(protocol) => protocol.begin(connected.stream, &self.name.to_str(), timer).await,
        }
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

    /// A status that is stapled must be good and not late: browsers refuse it otherwise.
    fn judge_staple(&self, session: &Session) -> Result<(), Failure> {
        let wrong = |what: &str| Err(Failure::new(Cause::Ocsp, what));
        match session.staple() {
            None if self.wants_staple => wrong("the server staples no certificate status"),
            None => Ok(()),
            Some(Err(why)) => wrong(&format!("the stapled certificate status says nothing: {why}")),
            Some(Ok(staple)) => match (staple.standing, staple.hours_left) {
                (Standing::Revoked, _) => wrong("the certificate is revoked"),
                (Standing::Unknown, _) => wrong("the certificate's status is not known"),
                (Standing::Good, Some(hours)) if hours < 0.0 => {
                    wrong(&format!("the stapled certificate status is {:.1} hours late", -hours))
                }
                (Standing::Good, _) => Ok(()),
            },
        }
    }

    /// Old versions that the server accepts and must not. Their time counts to no phase.
    async fn judge_old_versions(&self, env: &Env, timer: &Timer) -> Result<Vec<Old>, Failure> {
        let mut accepted = Vec::new();
        for version in &self.forbidden {
            let mut part = timer.part(Duration::ZERO);
            let stream = self.reach(env, &mut part).await?;
            if old::is_accepted(stream, *version, &self.name, &mut part).await? {
                accepted.push(*version);
            }
        }
        Ok(accepted)
    }

    fn judge_flaws(
        &self,
        certificate: Option<&Certificate>,
        took: Duration,
        old: Vec<Old>,
    ) -> Result<(), Failure> {
        let mut flaws = Vec::new();
        let warn = f64::from(self.warn_days);
        if let Some(certificate) = certificate.filter(|certificate| certificate.days_left <= warn) {
            flaws.push((Cause::CertificateExpiring, expiring(certificate, warn)));
        }
        if !old.is_empty() {
            let old: Vec<&str> = old.into_iter().map(Old::as_str).collect();
            let detail = format!("the server accepts TLS {}, and must not", old.join(" and "));
            flaws.push((Cause::WeakTls, detail));
        }
        if let Some(limit) = self.slower_than
            && took > limit
        {
            flaws.push((Cause::Slow, format!("took {took:.1?}, wanted at most {limit:?}")));
        }
        let Some((cause, _)) = flaws.first() else { return Ok(()) };
        let details: Vec<&str> = flaws.iter().map(|(_, detail)| detail.as_str()).collect();
        Err(Failure::new(*cause, details.join("; ")))
    }
}

/// Which certificate ends first, where it is not the server's own.
fn expiring(certificate: &Certificate, warn: f64) -> String {
    let days = certificate.days_left;
    let first = certificate.chain.iter().find(|link| link.needed && link.days_left <= days);
    match first {
        Some(link) if certificate.chain.first() != Some(link) => format!(
            "the chain's certificate of {} expires in {days:.1} days, wanted more than {warn}",
            link.subject
        ),
        _ => format!("expires in {days:.1} days, wanted more than {warn}; {certificate}"),
    }
}

impl Seen {
    fn note(&mut self, session: &Session) {
        let mut put = |name: &str, value: f64| self.values.insert(name.to_owned(), value);
        if let Ok(version) = session.version().parse() {
            put("tls_version", version);
        }
        let mut terms = format!("TLS {}", session.version());
        for (key, term) in [("cipher_suite", session.cipher()), ("group", session.group())] {
            let Some((name, number)) = term else { continue };
            put(key, f64::from(number));
            terms.push_str(&format!(", {name}"));
        }
        if let Some(Ok(staple)) = session.staple() {
            put("ocsp_good", if staple.standing == Standing::Good { 1.0 } else { 0.0 });
            if let Some(hours) = staple.hours_left {
                put("ocsp_hours", hours);
            }
        }
        self.lines.push(terms);
        let Some(certificate) = session.certificate() else { return };
        put("certificate_days", certificate.days_left);
        put("chain_length", certificate.chain.len() as f64);
        for (at, link) in certificate.chain.iter().enumerate() {
            self.values.insert(format!("chain_{}_days", at + 1), link.days_left);
            self.lines.push(format!("{}: {link}", at + 1));
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
        let place = Place::tcp(self.address.host().to_owned(), self.address.port(), self.family);
        let place = Place { tls: Some(self.name.to_str().into_owned()), ..place };
        Some(Endpoint { place, starttls: self.starttls })
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.observe(env, deadline).boxed()
    }
}
