//! TLS within QUIC (RFC 9001): one handshake opens the connection and proves who the server is.
//!
//! As with TLS over TCP, every chain is accepted at first and judged right after the handshake;
//! [`QuicSession::trusted`] is the way to the connection.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crosscheck_model::Cause;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, ConnectError, Connection, ConnectionError, Endpoint, TransportConfig};
use rustls::{AlertDescription, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{Certificate, FileError, Tls, cause_of, in_words};
use crate::dial::{self, Timer};
use crate::env::Env;
use crate::resolve::Failure;

/// What the server may send before it is read: enough for the largest line at a probe's distance.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
/// The server's own streams: HTTP/3 has three (RFC 9114 6.2), and reserved ones besides.
const STREAMS_OF_SERVER: u32 = 8;
/// TLS alerts among the error codes of QUIC (RFC 9001 4.8).
const ALERTS: std::ops::Range<u64> = 0x100..0x200;

/// A connection whose handshake ended.
pub(crate) struct QuicSession {
    connection: Connection,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    /// When it was judged.
    at: UnixTime,
    verdict: Result<(), Failure>,
}

impl Tls {
    /// Opens a connection to the first of these addresses that answers, as a client of `name`, and
    /// judges the certificate.
    ///
    /// # Errors
    /// There is no connection. One that must not be trusted is no error here.
    pub(crate) async fn connect_quic(
        &self,
        env: &Env,
        addresses: &[SocketAddr],
        name: &ServerName<'static>,
        timer: &mut Timer,
    ) -> Result<QuicSession, Failure> {
        let crypto = QuicClientConfig::try_from(self.config.clone())
            .map_err(|error| FileError::Unusable(error.to_string()))
            .map_err(|error| Failure::new(Cause::Setup, error.to_string()))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport(timer.remaining())));
        let open = |address| open(config.clone(), address, name.clone());
        let reached = dial::reach_one(&env.guard, addresses, timer, open).await;
        let (connection, _) = reached.map_err(|mut failure| {
            if failure.cause == Cause::ConnectTimeout {
                failure.detail = format!("by QUIC, which is UDP: {}", failure.detail);
            }
            failure
        })?;
        let shown = connection.peer_identity().and_then(|shown| shown.downcast().ok());
        let chain = shown.map(|chain: Box<Vec<CertificateDer<'static>>>| *chain);
        let (chain, at) = (chain.unwrap_or_default(), UnixTime::now());
        let verdict = self.judge(&chain, name, at);
        Ok(QuicSession { connection, roots: Arc::clone(&self.roots), chain, at, verdict })
    }
}

impl QuicSession {
    /// How long the certificate lasts; see [`Certificate::days_left`].
    pub(crate) fn days_left(&self) -> Option<f64> {
        Certificate::days_left(&self.chain, &self.roots, self.at)
    }

    /// The connection, if the server is who it must be.
    ///
    /// # Errors
    /// Why the certificate is refused.
    pub(crate) fn trusted(self) -> Result<Connection, Failure> {
        self.verdict.map(|()| self.connection)
    }
}

/// Bounded like a run: nothing outlasts it, and nobody fills the probe's memory.
fn transport(limit: Duration) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(limit.max(Duration::from_millis(1)).try_into().ok())
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window((2 * STREAM_WINDOW_BYTES).into())
        .max_concurrent_bidi_streams(0_u32.into())
        .max_concurrent_uni_streams(STREAMS_OF_SERVER.into())
        .datagram_receive_buffer_size(None);
    transport
}

/// A connection from a socket of its own.
async fn open(
    config: ClientConfig,
    address: SocketAddr,
    name: ServerName<'static>,
) -> Result<Connection, Failure> {
    let own: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let endpoint = Endpoint::client(own).map_err(|error| dial::connect_failure(address, &error))?;
    let connecting = endpoint.connect_with(config, address, &name.to_str());
    let connecting = connecting.map_err(|error| refused_by_us(&error))?;
    connecting.await.map_err(|error| connection_failure(address, &error, &name))
}

fn refused_by_us(error: &ConnectError) -> Failure {
    let cause = match error {
        ConnectError::InvalidServerName(_) => Cause::TlsName,
        _ => Cause::Setup,
    };
    Failure::new(cause, format!("QUIC: {error}"))
}

/// The failure that the end of a handshake, or of a connection, stands for.
fn connection_failure(
    address: SocketAddr,
    error: &ConnectionError,
    name: &ServerName<'_>,
) -> Failure {
    let code = match error {
        ConnectionError::TransportError(error) => Some(u64::from(error.code)),
        ConnectionError::ConnectionClosed(close) => Some(u64::from(close.error_code)),
        _ => None,
    };
    let alert = code.filter(|code| ALERTS.contains(code)).map(|code| {
        // Within the range, the low byte is the alert.
        AlertDescription::from((code & 0xff) as u8)
    });
    match (error, alert) {
        (ConnectionError::TimedOut, _) => {
            dial::connect_failure(address, &io::ErrorKind::TimedOut.into())
        }
        (_, Some(AlertDescription::NoApplicationProtocol)) => Failure::new(
            Cause::Protocol,
            format!("{address}: the server does not speak HTTP/3 (by ALPN)"),
        ),
        (_, Some(alert)) => {
            let error = rustls::Error::AlertReceived(alert);
            let detail = format!("TLS handshake over QUIC: {}", in_words(&error, name));
            Failure::new(cause_of(&error), detail)
        }
        (ConnectionError::VersionMismatch, _) => {
            Failure::new(Cause::Protocol, format!("{address}: the server speaks another QUIC"))
        }
        (ConnectionError::ConnectionClosed(_) | ConnectionError::ApplicationClosed(_), _)
        | (ConnectionError::Reset, _) => {
            let detail = format!("{address}: the connection was closed: {error}");
            Failure::new(Cause::Reset, detail)
        }
        _ => Failure::new(Cause::Protocol, format!("{address}: QUIC: {error}")),
    }
}
