//! Where a service is, and how TLS is spoken there.

use std::sync::OnceLock;
use std::time::Duration;

use crosscheck_model::{self as model, Cause, Family};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;

use crate::dial::Timer;
use crate::dialogue::Dialogue;
use crate::gather::Endpoint;
use crate::kind::SettingsError;
use crate::resolve::Failure;
use crate::text::{Address, Span};
use crate::tls::{self, Certificate, CertificateWanted, Identity, Session, Tls};

/// Where a service is.
#[derive(Debug)]
pub(crate) struct Place {
    /// The address.
    pub(crate) address: Address,
    /// Of a name.
    pub(crate) family: Family,
    slower_than: Option<Duration>,
    /// Boxed: most have none, and a probe keeps many places.
    security: Option<Box<Security>>,
}

/// How TLS is spoken.
#[derive(Debug)]
struct Security {
    at_once: bool,
    name: ServerName<'static>,
    wanted: tls::Wanted,
    warn_days: Option<u16>,
    /// Built at the first run, where the files are.
    tls: OnceLock<Tls>,
}

/// The words about TLS, as people write them.
#[derive(Debug, Default)]
pub(crate) struct TlsWords {
    /// From the start.
    pub(crate) tls: bool,
    /// In the midst, when the server has consented.
    pub(crate) starttls: bool,
    /// Another name than the address's.
    pub(crate) server_name: Option<String>,
    /// The only roots to trust.
    pub(crate) ca: Option<String>,
    /// A client certificate.
    pub(crate) client: Option<Identity>,
    /// What the certificate must be.
    pub(crate) certificate: Option<CertificateWanted>,
}

fn error(path: &str, message: impl Into<String>, hint: Option<&str>) -> SettingsError {
    let hint = hint.map(str::to_owned);
    SettingsError { path: vec![path.to_owned()], message: message.into(), hint }
}

impl Place {
    /// Of settings.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn new(
        address: Address,
        family: Option<Family>,
        slower_than: Option<Span>,
        words: TlsWords,
    ) -> Result<Self, Vec<SettingsError>> {
        let mut errors = Vec::new();
        let family = address.family(family).unwrap_or_else(|refused| {
            errors.push(error("family", refused.to_string(), None));
            Family::default()
        });
        let security = Security::new(&address, words, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let security = security.map(Box::new);
        Ok(Self { address, family, slower_than: slower_than.map(Span::get), security })
    }

    /// Refuses what must not travel in clear text.
    ///
    /// # Errors
    /// It is there, and TLS is not.
    pub(crate) fn only_over_tls(
        &self,
        key: &str,
        is_there: bool,
    ) -> Result<(), Vec<SettingsError>> {
        if !is_there || self.security.is_some() {
            return Ok(());
        }
        let hint = "say how TLS begins: `starttls: true` or `tls: true`";
        Err(vec![error(key, format!("`{key}` is sent over TLS only"), Some(hint))])
    }

    /// Whether TLS begins with the connection.
    pub(crate) fn is_secure_at_once(&self) -> bool {
        self.security.as_ref().is_some_and(|security| security.at_once)
    }

    /// Where evidence is gathered.
    pub(crate) fn endpoint(&self) -> Endpoint {
        let (host, port) = (self.address.host().to_owned(), self.address.port());
        let name = self.security.as_ref().map(|security| security.name.to_str().into_owned());
        model::Place { tls: name, ..model::Place::tcp(host, port, self.family) }.into()
    }

    /// Whether TLS begins in the midst.
    pub(crate) fn is_secure_later(&self) -> bool {
        self.security.as_ref().is_some_and(|security| !security.at_once)
    }

    /// Builds TLS, which reads files.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn prepare_tls(&self) -> Result<(), Failure> {
        self.security.as_ref().map_or(Ok(()), |security| security.tls().map(drop))
    }

    /// Shakes hands, and trusts the server from here on.
    ///
    /// # Errors
    /// As of [`Dialogue::secure`].
    pub(crate) async fn secure(&self, dialogue: &mut Dialogue) -> Result<(), Failure> {
        match &self.security {
            Some(security) => Box::pin(dialogue.secure(security.tls()?, &security.name)).await,
            None => Ok(()),
        }
    }

    /// The same over a bare connection, for whoever speaks no [`Dialogue`]: an encrypted stream in
    /// which one of these protocols was agreed on by ALPN (RFC 7301) is not known yet.
    ///
    /// # Errors
    /// There is no session, or no TLS here.
    pub(crate) async fn shake(
        &self,
        stream: TcpStream,
        timer: &mut Timer,
    ) -> Result<Session, Failure> {
        let security = self.security.as_ref();
        let security =
            security.ok_or_else(|| Failure::new(Cause::Setup, "no TLS is configured"))?;
        security.tls()?.handshake(stream, &security.name, timer).await
    }

    /// The same place, where these protocols are offered by ALPN.
    pub(crate) fn offering(mut self, alpn: &'static [&'static [u8]]) -> Self {
        if let Some(security) = &mut self.security {
            security.wanted.alpn = alpn;
        }
        self
    }

    /// What does not stop users: an end of the certificate in sight, slowness.
    ///
    /// # Errors
    /// The flaw.
    pub(crate) fn flaws(
        &self,
        certificate: Option<&Certificate>,
        took: Duration,
    ) -> Result<(), Failure> {
        let warn = self.security.as_ref().and_then(|security| security.warn_days);
        if let (Some(warn), Some(certificate)) = (warn.map(f64::from), certificate) {
            let days = certificate.days_left;
            if days <= warn {
                let detail =
                    format!("expires in {days:.1} days, wanted more than {warn}; {certificate}");
                return Err(Failure::new(Cause::CertificateExpiring, detail));
            }
        }
        match self.slower_than {
            Some(limit) if took > limit => {
                let (took, limit) = (took.as_millis(), limit.as_millis());
                Err(Failure::new(Cause::Slow, format!("took {took} ms, more than {limit} ms")))
            }
            _ => Ok(()),
        }
    }
}

impl Security {
    fn new(address: &Address, words: TlsWords, errors: &mut Vec<SettingsError>) -> Option<Self> {
        if words.tls && words.starttls {
            let hint = "leave one out: `tls` is from the start, `starttls` in the midst";
            errors.push(error("starttls", "`starttls` beside `tls`", Some(hint)));
        }
        if !words.tls && !words.starttls {
            for (key, is_there) in [
                ("server_name", words.server_name.is_some()),
                ("ca", words.ca.is_some()),
                ("client", words.client.is_some()),
                ("certificate", words.certificate.is_some()),
            ] {
                if is_there {
                    let message = format!("`{key}` without TLS");
                    errors.push(error(key, message, Some("say how TLS begins: `tls: true`")));
                }
            }
            return None;
        }
        let (key, name) = match &words.server_name {
            Some(name) => ("server_name", name.as_str()),
            None => ("address", address.host()),
        };
        let Ok(parsed) = ServerName::try_from(name.to_owned()) else {
            errors.push(error(key, format!("`{name}` is no name that TLS can ask for"), None));
            return None;
        };
        Some(Self {
            at_once: words.tls,
            name: parsed,
            wanted: tls::Wanted { ca: words.ca, client: words.client, ..tls::Wanted::default() },
            warn_days: words.certificate.map(|wanted| wanted.warn_days),
            tls: OnceLock::new(),
        })
    }

    fn tls(&self) -> Result<&Tls, Failure> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        // A missing file is looked for again at the next run; TLS once built stays.
        let tls = Tls::new(&self.wanted)
            .map_err(|error| Failure::new(Cause::Setup, error.to_string()))?;
        Ok(self.tls.get_or_init(|| tls))
    }
}
