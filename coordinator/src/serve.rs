//! Listeners: bound with a clear word when they cannot be, closed when the process ends.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long requests under way may go on after the end was asked for. Streams have no end of
/// their own, so they are cut.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

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

/// Serves the routes until `stop`.
pub fn serve(listener: TcpListener, routes: Router, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        let asked = stop.clone();
        let graceful = async move { asked.cancelled().await };
        let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
        let server = axum::serve(listener, routes).with_graceful_shutdown(graceful);
        let cut = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_REQUESTS).await;
        };
        tokio::select! {
            result = async { server.await } => if let Err(error) = result {
                tracing::error!(%error, "a listener ended");
            },
            () = cut => {}
        }
    })
}
