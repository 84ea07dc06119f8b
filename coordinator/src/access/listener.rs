//! A TLS listener: handshake, then HTTP with the [`Peer`] as an extension of each request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use crosscheck_model::join::Fingerprint;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::credentials::Credentials;
use super::peer::Peer;
use crate::operator::{Neighbour, Places};
use crate::serve::{self, Version};

/// Who takes longer is no part of an installation.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// A connection ends after this, so that nobody stays on what an ended certificate proved. Peers
/// come back at once.
const PEER_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Whoever has no certificate joins, which waits for a commit, and goes. Nobody else's place is
/// theirs to keep.
const STRANGER_LIFETIME: Duration = Duration::from_secs(60);

/// Connections of one address whose other end is not known (yet) at the same time: nobody takes the
/// places of members and probes, and all probes behind one gateway come back in a few turns.
const STRANGERS: usize = 64;

struct Door {
    acceptor: TlsAcceptor,
    authority: Fingerprint,
    routes: Router,
    stop: CancellationToken,
    /// Who has not proved who they are, by address.
    strangers: Places<Neighbour>,
}

/// Serves the routes until `stop`. Whoever has no certificate may connect, to join: the routes
/// say who else they are for.
///
/// # Errors
/// The authority's certificate cannot be used.
pub fn serve(
    listener: TcpListener,
    credentials: &Credentials,
    routes: Router,
    stop: &CancellationToken,
) -> Result<JoinHandle<()>, rustls::Error> {
    let acceptor = TlsAcceptor::from(Arc::new(credentials.server()?));
    let authority = credentials.authority().fingerprint();
    let door = Arc::new(Door {
        acceptor,
        authority,
        routes,
        stop: stop.clone(),
        strangers: Places::new(STRANGERS),
    });
    let hold = move |stream, from| door.clone().hold(stream, from);
    Ok(tokio::spawn(serve::accept(listener, stop.clone(), hold)))
}

impl Door {
    async fn hold(self: Arc<Self>, stream: TcpStream, from: SocketAddr) {
        let Some(place) = self.strangers.enter(Neighbour::of(Some(from.ip()))) else {
            return tracing::debug!(%from, "too many strangers of one address");
        };
        let shaken = tokio::select! {
            () = self.stop.cancelled() => return,
            shaken = tokio::time::timeout(HANDSHAKE_LIMIT, self.acceptor.accept(stream)) => shaken,
        };
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::info!(%from, %error, "a connection was refused"),
            Err(_) => return tracing::debug!(%from, "a handshake took too long"),
        };
        let session = stream.get_ref().1;
        let Some(peer) = Peer::of(session.peer_certificates(), &self.authority) else {
            return tracing::warn!(%from, "a certificate of ours names nobody");
        };
        let lifetime = match peer {
            Peer::Stranger => STRANGER_LIFETIME,
            _ => PEER_LIFETIME,
        };
        // Whoever is known is no stranger any more.
        let _place = (peer == Peer::Stranger).then_some(place);
        let version = match session.alpn_protocol() {
            Some(b"h2") => Version::Http2,
            _ => Version::Http1,
        };
        let routes = self.routes.clone().layer(Extension(peer));
        serve::converse(stream, version, routes, lifetime, &self.stop).await;
    }
}
