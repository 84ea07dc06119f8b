//! Listeners: bound with a clear word when they cannot be, bounded while they are open, closed
//! when the process ends.

mod patient;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::timeout::RequestBodyDeadlineLayer;

use self::patient::Patient;
use crate::operator::Guests;

/// Connections of one listener at the same time. Beyond it new ones wait.
const CONNECTIONS: usize = 4096;

/// Connections of one address in clear text at the same time: nobody takes the places of all
/// others. Loopback is exempt; see [`Guests`].
const CONNECTIONS_OF_ADDRESS: usize = 128;

/// Whoever takes longer for the head of a request, the first or the next, is let go.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// Whoever takes longer for the body of a request is let go: the largest is a configuration of some
/// megabytes.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// Whoever takes nothing of an answer for this long is let go.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// HTTP/2 has no such limit of hyper's: a peer that does not answer a ping is let go.
const PING_EVERY: Duration = Duration::from_secs(20);

/// A page that is watched live comes back by itself.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// How long requests under way may go on after the end of their connection was asked for. Streams
/// have no end of their own, so they are cut.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// A pause after the system gave no connection: it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {purpose}: {source}")]
pub struct BindError {
    address: SocketAddr,
    purpose: &'static str,
    source: std::io::Error,
}

/// Binds a listener for what it is to serve.
///
/// # Errors
/// The address is taken or not this host's.
pub async fn bind(address: SocketAddr, purpose: &'static str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { address, purpose, source })
}

/// Serves the routes in clear text until `stop`.
pub fn serve(listener: TcpListener, routes: Router, stop: CancellationToken) -> JoinHandle<()> {
    serve_guests(listener, routes, Guests::new(CONNECTIONS_OF_ADDRESS), stop)
}

fn serve_guests(
    listener: TcpListener,
    routes: Router,
    guests: Guests,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let (ended, routes) = (stop.clone(), bounded(routes));
    tokio::spawn(accept(listener, ended, move |stream, from| {
        let routes = routes.clone().layer(Extension(ConnectInfo(from)));
        let (stop, seat) = (stop.clone(), guests.enter(Some(from.ip())));
        async move {
            let Ok(_seat) = seat else {
                return tracing::debug!(%from, "too many connections of one address");
            };
            let stream = Patient::new(stream, READ_LIMIT);
            converse(stream, Version::Http1, routes, CONNECTION_LIFETIME, &stop).await;
        }
    }))
}

/// Routes that nobody keeps waiting for a body.
fn bounded(routes: Router) -> Router {
    routes.layer(RequestBodyDeadlineLayer::new(BODY_LIMIT))
}

/// Holds each connection that comes, until `stop` and the end of all of them.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    stop: CancellationToken,
    hold: impl Fn(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = next(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, from, place)) => {
                let _ = stream.set_nodelay(true);
                let held = hold(stream, from);
                connections.spawn(async move {
                    held.await;
                    drop(place);
                });
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

type Place = tokio::sync::OwnedSemaphorePermit;

async fn next(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, Place)> {
    let place = room.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, from) = listener.accept().await?;
    Ok((stream, from, place))
}

/// Which HTTP a connection speaks: known before the first byte, so that nobody can keep it open
/// by leaving that in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// Answers one connection's requests until it ends, or `lifetime` is over, or `stop`.
pub(crate) async fn converse<S>(
    stream: S,
    version: Version,
    routes: Router,
    lifetime: Duration,
    stop: &CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(routes));
    match version {
        Version::Http1 => {
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
            until(server.serve_connection(io, service), lifetime, stop).await;
        }
        Version::Http2 => {
            let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            server.timer(TokioTimer::new()).keep_alive_interval(PING_EVERY);
            until(server.serve_connection(io, service), lifetime, stop).await;
        }
    }
}

async fn until(connection: impl GracefulConnection, lifetime: Duration, stop: &CancellationToken) {
    tokio::pin!(connection);
    tokio::select! {
        // What goes wrong here is the other side's end.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = tokio::time::sleep(lifetime) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(LAST_REQUESTS, connection).await;
}

#[cfg(test)]
mod tests;
