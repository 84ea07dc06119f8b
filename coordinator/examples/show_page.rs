//! Serves the status page in every fixture state, each on a port of its own, to look at and to
//! run the browser's checks against. Prints one line per state, then `ready`, and serves until stdin
//! closes.

#[path = "../tests/page/fixture.rs"]
mod fixture;

use std::io::Write as _;
use std::sync::Arc;

use crosscheck_coordinator::{api, page};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    for (name, state) in fixture::by_name() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        writeln!(std::io::stdout(), "{name} http://{address}")?;
        let reader: Arc<dyn page::Reader> = Arc::new(state);
        let routes = page::routes(reader.clone()).merge(api::public_routes(reader));
        tokio::spawn(async move { axum::serve(listener, routes).await });
    }
    writeln!(std::io::stdout(), "ready")?;
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
        .await??;
    Ok(())
}
