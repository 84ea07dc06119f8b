//! Services that say and hear by turns what a test tells, on loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_model::Outcome;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::env::{Env, Secrets};
use crate::guard::Guard;
use crate::kind::Kind;
use crate::programs::Programs;
use crate::resolve::Resolver;
use crate::tls::scripted::{Authority, Server};

/// Long beside everything that a test does.
const PLENTY: Duration = Duration::from_secs(20);

/// What the service does next.
#[derive(Clone, Copy)]
pub(in crate::kind) enum Turn {
    /// Says this.
    Says(&'static str),
    /// Says these bytes.
    SaysBytes(&'static [u8]),
    /// Must hear this next.
    Hears(&'static str),
    /// Must hear these bytes next.
    HearsBytes(&'static [u8]),
    /// Hears as many bytes, whatever they are.
    HearsSome(usize),
    /// Shakes hands for TLS.
    BeginsTls,
}

/// Takes the turns up to where TLS begins; gives those left.
async fn take<'t, S>(stream: &mut S, turns: &'t [Turn]) -> &'t [Turn]
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for (at, turn) in turns.iter().enumerate() {
        // A check that is content or disappointed goes: what is said to it then is lost.
        match turn {
            Turn::Says(text) => drop(stream.write_all(text.as_bytes()).await),
            Turn::SaysBytes(bytes) => drop(stream.write_all(bytes).await),
            Turn::Hears(text) if !hears(stream, text.as_bytes()).await => return &[],
            Turn::HearsBytes(bytes) if !hears(stream, bytes).await => return &[],
            Turn::Hears(_) | Turn::HearsBytes(_) => {}
            Turn::HearsSome(count) => drop(stream.read_exact(&mut vec![0; *count]).await),
            Turn::BeginsTls => return &turns[at + 1..],
        }
        drop(stream.flush().await);
    }
    drop(stream.shutdown().await);
    // Not closed while words are unread: that would be a reset, and could overtake the answer.
    drop(stream.read_to_end(&mut Vec::new()).await);
    &[]
}

/// Whether these bytes come next; if not, the check sees an end instead of the next turn.
async fn hears(stream: &mut (impl AsyncRead + Unpin), bytes: &[u8]) -> bool {
    let mut heard = vec![0; bytes.len()];
    stream.read_exact(&mut heard).await.is_ok() && heard == bytes
}

async fn serve(turns: Vec<Turn>, tls: Option<Arc<ServerConfig>>) -> Server {
    Server::plain("127.0.0.1:0", move |mut stream| {
        let (turns, tls) = (turns.clone(), tls.clone());
        async move {
            let rest = take(&mut stream, &turns).await;
            if let Some(config) = tls.filter(|_| !rest.is_empty())
                && let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await
            {
                take(&mut stream, rest).await;
            }
        }
    })
    .await
}

/// Runs a check once against a service that takes these turns and then goes.
pub(in crate::kind) async fn run(kind: &dyn Kind, settings: Value, turns: &[Turn]) -> Outcome {
    let server = serve(turns.to_vec(), None).await;
    check(kind, settings, server.address, PLENTY).await
}

/// The same with a certificate that the check trusts.
pub(in crate::kind) async fn run_over_tls(
    kind: &dyn Kind,
    mut settings: Value,
    turns: &[Turn],
) -> Outcome {
    let authority = Authority::new();
    let config = authority.server(&authority.leaf(&["127.0.0.1"]), &[], false);
    let server = serve(turns.to_vec(), Some(config)).await;
    settings["ca"] = json!(authority.file());
    check(kind, settings, server.address, PLENTY).await
}

/// Runs a check once against what is at an address, which stands for `ADDRESS` in a URL.
pub(in crate::kind) async fn check(
    kind: &dyn Kind,
    mut settings: Value,
    address: SocketAddr,
    limit: Duration,
) -> Outcome {
    match settings.get("url").and_then(Value::as_str) {
        Some(url) => settings["url"] = json!(url.replace("ADDRESS", &address.to_string())),
        None => settings["address"] = json!(address.to_string()),
    }
    let variables = BTreeMap::from([("PASSWORD".to_owned(), "hunter22".to_owned())]);
    let env = Env {
        guard: Guard::Internal,
        resolver: Resolver::new(Vec::new()),
        secrets: Secrets::fixed(variables),
        programs: Programs::default(),
    };
    let check = kind.parse(&settings).unwrap_or_else(|errors| panic!("{settings}: {errors:?}"));
    check.run(&env, limit).await
}

/// Settings that a kind must refuse, with the place and a part of the message.
pub(in crate::kind) fn refusals(kind: &dyn Kind, table: &[(Value, &str, &str)]) {
    for (settings, path, message) in table {
        let errors = kind.parse(settings).err().unwrap_or_else(|| panic!("{settings} fits"));
        assert_eq!(errors[0].path.join("."), *path, "{settings}: {errors:?}");
        assert!(errors[0].message.contains(message), "{settings}: {}", errors[0].message);
    }
}
