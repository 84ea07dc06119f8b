//! The shop that the visitor breaks, and a stock room beside it that always works.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::switchboard::{Mood, Switches};

/// Longer than the check calls slow, and shorter than it waits.
const SLOWNESS: Duration = Duration::from_millis(1600);

/// Between two tries to open a port that something else has taken meanwhile.
const AGAIN: Duration = Duration::from_secs(1);

/// Where the targets are.
#[derive(Debug)]
pub(super) struct Target {
    /// The one that breaks.
    pub(super) shop: SocketAddr,
    /// The one that works.
    pub(super) stock: SocketAddr,
}

impl Target {
    /// Serves both until `stop`.
    pub(super) async fn start(
        switches: watch::Receiver<Switches>,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (shop, stock) =
            (TcpListener::bind(loopback).await?, TcpListener::bind(loopback).await?);
        let target = Self { shop: shop.local_addr()?, stock: stock.local_addr()? };
        let articles = || async {
            ([(header::CONTENT_TYPE, "application/json")], "{\"articles\": 1204}").into_response()
        };
        let routes = Router::new().route("/stock.json", get(articles));
        drop(crate::serve::serve(stock, routes, stop.clone()));
        let address = target.shop;
        tokio::spawn(async move {
            stop.run_until_cancelled(keep_shop(shop, address, switches)).await;
        });
        Ok(target)
    }
}

/// Opens and closes the shop's port as the switch says.
async fn keep_shop(
    listener: TcpListener,
    address: SocketAddr,
    mut switches: watch::Receiver<Switches>,
) {
    let mut open = Some(listener);
    loop {
        if switches.wait_for(|switches| switches.target != Mood::Closed).await.is_err() {
            return;
        }
        let listener = match open.take() {
            Some(listener) => listener,
            None => match TcpListener::bind(address).await {
                Ok(listener) => listener,
                Err(error) => {
                    tracing::warn!(%error, %address, "the shop's port is taken");
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            },
        };
        let closed = CancellationToken::new();
        let shop = crate::serve::serve(listener, routes(switches.clone()), closed.clone());
        let end = switches.wait_for(|switches| switches.target == Mood::Closed).await.is_err();
        closed.cancel();
        // Whatever came of requests under way, the port is closed after this.
        let _ = shop.await;
        if end {
            return;
        }
    }
}

fn routes(switches: watch::Receiver<Switches>) -> Router {
    Router::new().route("/", get(move || answer(switches.clone())))
}

async fn answer(mut switches: watch::Receiver<Switches>) -> Response {
    let mood = switches.borrow().target;
    match mood {
        Mood::Works => {}
        Mood::Slow => tokio::time::sleep(SLOWNESS).await,
        Mood::Errors => {
            let sorry = "<h1>Something went wrong</h1><p>The database does not answer.</p>";
            return (StatusCode::INTERNAL_SERVER_ERROR, axum::response::Html(sorry))
                .into_response();
        }
        Mood::Hangs | Mood::Closed => {
            // The visitor ends this, or the client does.
            let ended = |switches: &Switches| switches.target != mood;
            if switches.wait_for(ended).await.is_err() {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
        }
    }
    axum::response::Html("<h1>Welcome</h1><p>The corner shop is open.</p>").into_response()
}
