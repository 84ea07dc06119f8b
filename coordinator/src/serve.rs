//! Listeners: bound with a clear word when they cannot be, bounded while they are open, closed
//! when the process ends.

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

/// Connections of one listener at the same time. Beyond it new ones wait.
const CONNECTIONS: usize = 4096;

/// Whoever takes longer for the head of a request, the first or the next, is let go.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

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
    let ended = stop.clone();
    tokio::spawn(accept(listener, ended, move |stream, from| {
        let routes = routes.clone().layer(Extension(ConnectInfo(from)));
        let stop = stop.clone();
        async move { converse(stream, Version::Http1, routes, CONNECTION_LIFETIME, &stop).await }
    }))
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
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn routes() -> Router {
        let never = get(std::future::pending::<&'static str>);
        Router::new().route("/", get(async || "here")).route("/never", never)
    }

    /// The client's end of a conversation, and the conversation.
    fn talk(version: Version, lifetime: Duration) -> (DuplexStream, JoinHandle<()>) {
        let (client, server) = duplex(4096);
        let never = CancellationToken::new();
        let held = async move { converse(server, version, routes(), lifetime, &never).await };
        (client, tokio::spawn(held))
    }

    /// Time is paused: it passes only while everything waits, so this ends only with the
    /// conversation or after a day of it.
    async fn ends(held: JoinHandle<()>) -> bool {
        tokio::time::timeout(DAY, held).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_finish_a_request_is_let_go() {
        for said in ["", "G", "GET / HTTP/1.1\r\nHost: here\r\nX"] {
            let (mut client, held) = talk(Version::Http1, 2 * DAY);
            client.write_all(said.as_bytes()).await.expect("sent");
            assert!(ends(held).await, "{said:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_is_answered_and_who_does_not_is_let_go() {
        let (mut client, held) = talk(Version::Http1, 2 * DAY);
        for _ in 0..2 {
            client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.expect("sent");
            let mut answer = vec![0; 4096];
            let read = client.read(&mut answer).await.expect("answered");
            assert!(answer[..read].ends_with(b"here"));
        }
        assert!(ends(held).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_answers_no_ping_is_let_go() {
        let (mut client, held) = talk(Version::Http2, 2 * DAY);
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");
        client.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("its settings");
        assert!(ends(held).await);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_stays_beyond_a_lifetime() {
        let (mut client, held) = talk(Version::Http1, Duration::from_secs(5));
        client.write_all(b"GET /never HTTP/1.1\r\nHost: here\r\n\r\n").await.expect("sent");
        assert!(ends(held).await);
    }
}
