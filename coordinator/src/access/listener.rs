//! A TLS listener: handshake, then HTTP with the [`Peer`] as an extension of each request.

use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use crosscheck_model::join::Fingerprint;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::credentials::Credentials;
use super::peer::Peer;

/// Who takes longer is no part of an installation.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// The same, for the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// Connections at the same time: each of a few hundred probes and a handful of members has two or
/// three. Beyond it new ones wait.
const CONNECTIONS: usize = 4096;

/// A connection ends after this, so that nobody stays on what an ended certificate proved. Peers
/// come back at once.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// How long requests under way may go on after the end of their connection was asked for. Streams
/// have no end of their own, so they are cut.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// A pause after the system gave no connection: it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

struct Door {
    acceptor: TlsAcceptor,
    authority: Fingerprint,
    routes: Router,
    stop: CancellationToken,
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
    let door = Arc::new(Door { acceptor, authority, routes, stop: stop.clone() });
    Ok(tokio::spawn(accept(listener, door)))
}

async fn accept(listener: TcpListener, door: Arc<Door>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = door.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(door.clone().hold(stream, place));
            }
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

impl Door {
    async fn hold(self: Arc<Self>, stream: TcpStream, _place: OwnedSemaphorePermit) {
        let from = stream.peer_addr().ok();
        let _ = stream.set_nodelay(true);
        let shaken = tokio::select! {
            () = self.stop.cancelled() => return,
            shaken = tokio::time::timeout(HANDSHAKE_LIMIT, self.acceptor.accept(stream)) => shaken,
        };
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::info!(?from, %error, "a connection was refused"),
            Err(_) => return tracing::debug!(?from, "a handshake took too long"),
        };
        let Some(peer) = Peer::of(stream.get_ref().1.peer_certificates(), &self.authority) else {
            return tracing::warn!(?from, "a certificate of ours names nobody");
        };
        let routes = self.routes.clone().layer(Extension(peer));
        let mut server = auto::Builder::new(TokioExecutor::new());
        server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
        let service = TowerToHyperService::new(routes);
        let connection = server.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            // What goes wrong here is the other side's end.
            _ = connection.as_mut() => return,
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(CONNECTION_LIFETIME) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(LAST_REQUESTS, connection).await;
    }
}
