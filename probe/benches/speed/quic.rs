//! HTTP/3: a target within the driver, and the bare loop's way to ask it, both by the libraries
//! that the probe uses.

use std::future::poll_fn;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, Incoming, ServerConfig, TransportConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::work::NAME;

/// What both ends must agree on.
const ALPN: &[u8] = b"h3";

/// The server's own streams: HTTP/3 has three (RFC 9114 6.2), and reserved ones besides.
const STREAMS_OF_SERVER: u32 = 8;

static ANSWERED: AtomicU64 = AtomicU64::new(0);

/// How many requests the target of this process has answered.
pub(crate) fn answered() -> u64 {
    ANSWERED.load(Ordering::Relaxed)
}

/// Answers each request with two bytes, on any address; `pem` is a certificate and its key.
///
/// # Panics
/// It cannot listen.
pub(crate) fn serve(port: u16, pem: &[Vec<u8>; 2]) {
    let certificate = CertificateDer::from_pem_slice(&pem[0]).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(&pem[1]).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("it is known")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they fit");
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    let config = QuicServerConfig::try_from(config).expect("TLS 1.3");
    let config = ServerConfig::with_crypto(Arc::new(config));
    let endpoint = Endpoint::server(config, (Ipv4Addr::UNSPECIFIED, port).into()).expect("a port");
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(answer(incoming));
        }
    });
}

/// Whoever asks may go at any time.
async fn answer(incoming: Incoming) -> Option<()> {
    let connection = h3_quinn::Connection::new(incoming.await.ok()?);
    let mut server = h3::server::Connection::<_, Bytes>::new(connection).await.ok()?;
    while let Some(asked) = server.accept().await.ok()? {
        let (_, mut stream) = asked.resolve_request().await.ok()?;
        stream.send_response(Response::new(())).await.ok()?;
        stream.send_data(Bytes::from_static(b"ok")).await.ok()?;
        stream.finish().await.ok()?;
        ANSWERED.fetch_add(1, Ordering::Relaxed);
    }
    Some(())
}

/// The bare loop's one socket, and how it speaks. The probe has a socket of its own for each
/// request, as each is a measurement; the least that a request can cost is without.
pub(crate) struct Client {
    endpoint: Endpoint,
    config: ClientConfig,
}

impl Client {
    /// Of whoever trusts so; within a runtime.
    ///
    /// # Errors
    /// The configuration is not good for QUIC, or there is no socket.
    pub(crate) fn new(mut tls: rustls::ClientConfig) -> io::Result<Self> {
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let tls = QuicClientConfig::try_from(tls).map_err(io::Error::other)?;
        let mut config = ClientConfig::new(Arc::new(tls));
        // Room is made at the handshake for each stream that the server may open: as few as the
        // probe allows.
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(0_u32.into())
            .max_concurrent_uni_streams(STREAMS_OF_SERVER.into())
            .datagram_receive_buffer_size(None);
        config.transport_config(Arc::new(transport));
        // The targets are all of this family.
        let endpoint = Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into())?;
        Ok(Self { endpoint, config })
    }
}

/// One request on a connection of its own, after a full handshake.
///
/// # Errors
/// It is not answered as it should be.
pub(crate) async fn get(client: &Client, at: Ipv4Addr, port: u16) -> io::Result<()> {
    let config = client.config.clone();
    let connecting = client.endpoint.connect_with(config, (at, port).into(), NAME);
    let connection = connecting.map_err(io::Error::other)?.await.map_err(io::Error::other)?;
    let quic = h3_quinn::Connection::new(connection.clone());
    let built = h3::client::builder().send_grease(false).build::<_, _, Bytes>(quic).await;
    let (mut driver, mut sender) = built.map_err(io::Error::other)?;
    let driving = tokio::spawn(async move { poll_fn(|context| driver.poll_close(context)).await });
    let request = Request::get(format!("https://{at}:{port}/"))
        .header("user-agent", "crosscheck/0.1.0")
        .header("accept", "*/*")
        .header("accept-encoding", "gzip, deflate, br, zstd")
        .body(())
        .map_err(io::Error::other)?;
    let mut stream = sender.send_request(request).await.map_err(io::Error::other)?;
    stream.finish().await.map_err(io::Error::other)?;
    let head = stream.recv_response().await.map_err(io::Error::other)?;
    let mut length = 0;
    while let Some(piece) = stream.recv_data().await.map_err(io::Error::other)? {
        length += piece.remaining();
    }
    driving.abort();
    connection.close(0_u32.into(), b"");
    if head.status() == StatusCode::OK && length == 2 {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}
