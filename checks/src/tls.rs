//! TLS for checks and mail: a handshake that tells *why* a certificate is refused, and what it says.
//!
//! The handshake itself accepts every chain, so that a refused certificate can be reported with
//! its names and dates; it still verifies that the server holds the key. The chain is judged
//! right after it, and [`Session::trusted`] is the way to the stream: no byte of a request, and no
//! credential in it, reaches a server that is not trusted. [`Session::of_anyone`] is for mail that
//! would travel in clear otherwise.
//!
//! Nothing is resumed: a resumed session shows no certificate and hides the handshake's time.

mod certificate;
mod chain;
mod files;
mod quic;
#[cfg(test)]
pub(crate) mod scripted;
mod staple;
mod verifier;

use std::io;
use std::sync::{Arc, OnceLock};

use crosscheck_model::{Cause, Phase};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ProtocolVersion, RootCertStore,
    SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub use certificate::Certificate;
pub use chain::Link;
pub use files::FileError;
pub use staple::{Standing, Staple};

use self::verifier::{SignaturesOnly, Stapled};
use crate::dial::{self, Timer};
use crate::resolve::Failure;

/// What a check wants of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A PEM file of the only roots to trust; `None`: the system's.
    pub ca: Option<String>,
    /// The client's certificate chain and private key, two PEM files.
    pub client: Option<Identity>,
    /// Protocols to offer (RFC 7301), the preferred first.
    pub alpn: &'static [&'static [u8]],
    /// TLS 1.3 only.
    pub only_1_3: bool,
}

/// The PEM files of a client certificate.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The file of the certificate chain, the leaf first.
    pub certificate: String,
    /// The file of the private key.
    pub key: String,
}

/// What a certificate must be beyond trusted.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateWanted {
    /// Degraded when it expires within this many days.
    pub warn_days: u16,
}

/// TLS as one check uses it. Building it reads files and costs far more than a run, so a check
/// builds it once.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    judge: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that cannot be read or does not hold what it should.
    pub fn new(wanted: &Wanted) -> Result<Self, FileError> {
        let provider = provider();
        let roots = match &wanted.ca {
            Some(path) => Arc::new(files::roots(path)?),
            None => system_roots(),
        };
        let judge = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| FileError::Unusable(error.to_string()))?;
        let algorithms = provider.signature_verification_algorithms;
        let verifier = SignaturesOnly { algorithms, stapled: None };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(wanted.only_1_3))
            .map_err(|error| FileError::Unusable(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &wanted.client {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = files::identity(identity)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| FileError::Unusable(error.to_string()))?
            }
        };
        config.alpn_protocols = wanted.alpn.iter().map(|name| name.to_vec()).collect();
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), judge, roots, algorithms })
    }

    /// Shakes hands as a client of `name`, and judges the certificate.
    ///
    /// # Errors
    /// There is no session. A session that must not be trusted is no error here.
    pub async fn handshake(
        &self,
        stream: TcpStream,
        name: &ServerName<'static>,
        timer: &mut Timer,
    ) -> Result<Session, Failure> {
        self.handshake_by(self.config.clone(), stream, name, timer).await
    }

    /// The same, with what the server staples of the certificate's status (RFC 6066 section 8):
    /// [`Session::staple`].
    ///
    /// # Errors
    /// As of [`Self::handshake`].
    pub async fn handshake_with_staple(
        &self,
        stream: TcpStream,
        name: &ServerName<'static>,
        timer: &mut Timer,
    ) -> Result<Session, Failure> {
        let stapled = Stapled::default();
        let mut config = ClientConfig::clone(&self.config);
        let verifier =
            SignaturesOnly { algorithms: self.algorithms, stapled: Some(stapled.clone()) };
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        let mut session = self.handshake_by(Arc::new(config), stream, name, timer).await?;
        let response = std::mem::take(&mut *stapled.lock());
        if !response.is_empty() {
            let (_, connection) = session.stream.get_ref();
            let chain = connection.peer_certificates().unwrap_or_default();
            session.staple = Some(Staple::read(&response, chain, UnixTime::now()));
        }
        Ok(session)
    }

    async fn handshake_by(
        &self,
        config: Arc<ClientConfig>,
        stream: TcpStream,
        name: &ServerName<'static>,
        timer: &mut Timer,
    ) -> Result<Session, Failure> {
        let connector = TlsConnector::from(config);
        // Runs that never get here keep no room for it.
        let shaking = Box::pin(connector.connect(name.clone(), stream));
        let shaken = timer.phase(Phase::Tls, shaking).await?;
        let stream = shaken.map_err(|error| handshake_failure(&error))?;
        let now = UnixTime::now();
        let (_, connection) = stream.get_ref();
        let chain = connection.peer_certificates().unwrap_or_default();
        let verdict = self.judge(chain, name, now);
        Ok(Session { stream, roots: Arc::clone(&self.roots), at: now, verdict, staple: None })
    }

    fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Failure> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            let detail = "the server shows no certificate".to_owned();
            return Err(Failure { cause: Cause::TlsHandshake, detail });
        };
        match self.judge.verify_server_cert(leaf, intermediates, name, &[], now) {
            Ok(_) => Ok(()),
            Err(error) => {
                let mut detail = in_words(&error, name);
                if let Some(certificate) = Certificate::read(chain, &self.roots, now) {
                    detail = format!("{detail}; {certificate}");
                }
                Err(Failure { cause: cause_of(&error), detail })
            }
        }
    }
}

/// A handshake that ended.
#[derive(Debug)]
pub struct Session {
    stream: TlsStream<TcpStream>,
    roots: Arc<RootCertStore>,
    /// When it was judged.
    at: UnixTime,
    verdict: Result<(), Failure>,
    staple: Option<Result<Staple, String>>,
}

impl Session {
    /// The server's certificate, trusted or not; `None` when it cannot be parsed. It is read at each
    /// call.
    pub fn certificate(&self) -> Option<Certificate> {
        Certificate::read(self.shown(), &self.roots, self.at)
    }

    /// `Certificate::days_left` alone.
    pub fn days_left(&self) -> Option<f64> {
        Certificate::days_left(self.shown(), &self.roots, self.at)
    }

    fn shown(&self) -> &[CertificateDer<'static>] {
        self.stream.get_ref().1.peer_certificates().unwrap_or_default()
    }

    /// The status that was stapled to the certificate, or why it says nothing; `None`: none was, or
    /// nobody asked.
    pub fn staple(&self) -> Option<&Result<Staple, String>> {
        self.staple.as_ref()
    }

    /// The cipher suite, by its name and number (IANA's registry).
    pub fn cipher(&self) -> Option<(String, u16)> {
        let suite = self.stream.get_ref().1.negotiated_cipher_suite()?.suite();
        Some((suite.as_str().unwrap_or("unknown").to_owned(), u16::from(suite)))
    }

    /// The group of the key exchange, by its name and number.
    pub fn group(&self) -> Option<(String, u16)> {
        let group = self.stream.get_ref().1.negotiated_key_exchange_group()?.name();
        Some((group.as_str().unwrap_or("unknown").to_owned(), u16::from(group)))
    }

    /// Every certificate that the server shows, trusted or not, the leaf first; without those that
    /// cannot be parsed.
    pub fn chain(&self) -> Vec<Certificate> {
        let now = UnixTime::now();
        self.shown().iter().filter_map(|der| Certificate::of(der, now)).collect()
    }

    /// The protocol agreed on by ALPN.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.stream.get_ref().1.alpn_protocol()
    }

    /// The TLS version (`1.3`).
    pub fn version(&self) -> &'static str {
        match self.stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "1.3",
            Some(ProtocolVersion::TLSv1_2) => "1.2",
            _ => "unknown",
        }
    }

    /// The stream, if the server is who it must be.
    ///
    /// # Errors
    /// Why the certificate is refused.
    pub fn trusted(self) -> Result<TlsStream<TcpStream>, Failure> {
        self.verdict.map(|()| self.stream)
    }

    /// The stream, whoever the server is: better than clear text, and no more (RFC 7435). Nothing
    /// secret may be written to it.
    pub fn of_anyone(self) -> TlsStream<TcpStream> {
        self.stream
    }
}

/// The failure that an error of an open TLS stream, or of a plain one, stands for.
pub fn stream_failure(error: &io::Error) -> Failure {
    match tls_error(error) {
        Some(inner) => Failure { cause: cause_of(inner), detail: alert_or_error(inner) },
        None => Failure { cause: dial::broken(error), detail: error.to_string() },
    }
}

fn handshake_failure(error: &io::Error) -> Failure {
    let mut failure = stream_failure(error);
    failure.detail = match failure.cause {
        Cause::Reset => "the server closed the connection during the TLS handshake".to_owned(),
        _ => format!("TLS handshake: {}", failure.detail),
    };
    failure
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// The cause of a TLS error. A chain that cannot be built and one that is broken are both
/// "untrusted": the remedy is the same.
fn cause_of(error: &rustls::Error) -> Cause {
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. } => Cause::TlsExpired,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Cause::TlsName,
            _ => Cause::TlsUntrusted,
        },
        // TLS is in order, and the protocol asked for within it is not spoken.
        rustls::Error::NoApplicationProtocol
        | rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => Cause::Protocol,
        _ => Cause::TlsHandshake,
    }
}

fn in_words(error: &rustls::Error, name: &ServerName<'_>) -> String {
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => "a certificate has expired".to_owned(),
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "a certificate is not valid yet".to_owned()
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                format!("the certificate is not for `{}`", name.to_str())
            }
            Bad::UnknownIssuer => "the chain leads to no trusted root".to_owned(),
            other => format!("the chain is refused: {other}"),
        },
        other => alert_or_error(other),
    }
}

fn alert_or_error(error: &rustls::Error) -> String {
    match error {
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a client certificate".to_owned()
        }
        rustls::Error::AlertReceived(alert) => format!("the server sent the alert {alert:?}"),
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        other => other.to_string(),
    }
}

fn versions(only_1_3: bool) -> &'static [&'static SupportedProtocolVersion] {
    static ONLY_1_3: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
    if only_1_3 { &ONLY_1_3 } else { rustls::ALL_VERSIONS }
}

/// One provider per process: its tables are the same for every check.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(ring::default_provider())).clone()
}

/// The system's roots, read once per process; Mozilla's where the system has none.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "a root certificate of the system cannot be read");
        }
        roots.add_parsable_certificates(native.certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Arc::new(roots)
    };
    ROOTS.get_or_init(read).clone()
}
