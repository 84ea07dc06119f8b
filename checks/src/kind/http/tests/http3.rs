//! HTTP/3: the version that is measured, who is trusted, and servers that misbehave on purpose.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use crosscheck_model::{Cause, Phase, Status};
use futures_util::future::join_all;
use http::Response;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, SendStream, ServerConfig};
use serde_json::json;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::*;
use crate::tls::scripted::{Authority, Leaf};

const LOOPBACK: &[&str] = &["127.0.0.1", "::1", "shop.test"];
const H3: &[&[u8]] = &[b"h3"];

/// A server of QUIC; it ends when dropped.
struct Quic {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Quic {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Quic {
    async fn at<F>(
        own: &str,
        config: Arc<rustls::ServerConfig>,
        serve: impl Fn(Connection) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let crypto = QuicServerConfig::try_from(config).expect("TLS 1.3 is there");
        let config = ServerConfig::with_crypto(Arc::new(crypto));
        let endpoint = Endpoint::server(config, own.parse().expect("an address"));
        let endpoint = endpoint.expect("a port");
        let address = endpoint.local_addr().expect("bound");
        let task = tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                if let Ok(connection) = incoming.await {
                    tokio::spawn(serve(connection));
                }
            }
        });
        Self { address, task }
    }

    fn settings(&self, authority: &Authority, mut more: Value) -> Value {
        more["url"] = json!(format!("https://{}/", self.address));
        more["version"] = json!(3);
        more["ca"] = json!(authority.file());
        more
    }
}

/// Answers with what it was asked, by a library of servers.
async fn echo(connection: Connection, heard: Heard) {
    let quic = h3_quinn::Connection::new(connection);
    let Ok(mut server) = h3::server::Connection::<_, Bytes>::new(quic).await else { return };
    while let Ok(Some(asked)) = server.accept().await {
        let Ok((request, mut stream)) = asked.resolve_request().await else { return };
        let mut body = Vec::new();
        while let Ok(Some(mut piece)) = stream.recv_data().await {
            body.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
        }
        let told = format!(
            "{:?} {} {} user-agent {:?} body {}",
            request.version(),
            request.method(),
            request.uri(),
            request.headers().get("user-agent"),
            String::from_utf8_lossy(&body)
        );
        heard.0.lock().expect("no test panics with it").push(told.clone());
        let _ = stream.send_response(Response::new(())).await;
        let _ = stream.send_data(Bytes::from(told)).await;
        let _ = stream.finish().await;
    }
}

async fn echoing(own: &str, authority: &Authority, leaf: &Leaf) -> (Quic, Heard) {
    let heard = Heard::default();
    let hears = heard.clone();
    let serve = move |connection| echo(connection, hears.clone());
    (Quic::at(own, authority.server(leaf, H3, false), serve).await, heard)
}

#[tokio::test]
async fn http_3_is_spoken_and_its_phases_are_timed() {
    let authority = Authority::new();
    let leaf = authority.leaf(LOOPBACK);
    for (own, family) in [("127.0.0.1:0", "v4"), ("[::1]:0", "v6")] {
        let (server, _) = echoing(own, &authority, &leaf).await;
        let more = json!({
            "family": family,
            "send": "x=1",
            "host": "shop.test",
            "body": { "matches": "^HTTP/3.0 POST https://shop.test/ user-agent .* body x=1$" },
            "expect": "http_version == 3.0 && ms.connect > 0.0 && ms.tls == 0.0",
        });
        let outcome = run(&server.settings(&authority, more)).await;
        assert_up(&outcome);
        assert_eq!(outcome.values["http_version"], 3.0);
        assert!(outcome.values["certificate_days"] > 365_000.0);
        assert_eq!(outcome.address, Some(server.address.to_string()));
        for phase in [Phase::Connect, Phase::Send, Phase::FirstByte, Phase::Transfer] {
            assert!(outcome.phases.get(phase).is_some(), "{phase:?}");
        }
        assert_eq!(outcome.phases.get(Phase::Tls), None, "it is one with the connection");
    }
}

#[tokio::test]
async fn who_is_not_trusted_over_quic_is_told_apart_and_gets_no_request() {
    let authority = Authority::new();
    let table = [
        (Authority::self_signed(LOOPBACK), Cause::TlsUntrusted),
        (authority.leaf(&["other.test"]), Cause::TlsName),
        (authority.leaf_until(LOOPBACK, 2024, 5, 1), Cause::TlsExpired),
    ];
    for (leaf, cause) in table {
        let (server, heard) = echoing("127.0.0.1:0", &authority, &leaf).await;
        let outcome = run(&server.settings(&authority, json!({}))).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(cause)));
        assert_eq!(heard.all(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_address_that_the_guard_forbids_gets_no_packet() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", socket.local_addr().expect("bound"));
    let env = Env { guard: Guard::public(), ..env() };
    let outcome = run_in(&env, &json!({ "url": url, "version": 3 }), SHORT).await;
    assert_eq!(outcome.cause, Some(Cause::BlockedAddress), "{}", outcome.detail);
    let nothing = socket.try_recv(&mut [0; 16]).expect_err("nothing came");
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn who_does_not_speak_http_3_is_told_apart_from_who_is_silent() {
    let authority = Authority::new();
    let leaf = authority.leaf(LOOPBACK);
    let other = authority.server(&leaf, &[b"doq"], false);
    let server = Quic::at("127.0.0.1:0", other, |_| std::future::ready(())).await;
    let outcome = run(&server.settings(&authority, json!({}))).await;
    assert_eq!(outcome.cause, Some(Cause::Protocol), "{}", outcome.detail);
    assert!(outcome.detail.contains("does not speak HTTP/3"), "{}", outcome.detail);

    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", silent.local_addr().expect("bound"));
    let outcome = run_in(&env(), &json!({ "url": url, "version": 3 }), SHORT).await;
    assert_eq!(outcome.cause, Some(Cause::ConnectTimeout), "{}", outcome.detail);
    assert!(outcome.detail.contains("UDP"), "{}", outcome.detail);
}

/// `:status`, from the static table (RFC 9204 appendix A), as a frame of headers.
const STATUS_200: &[u8] = &[1, 3, 0, 0, 0xd9];
const STATUS_103: &[u8] = &[1, 3, 0, 0, 0xd8];
/// A frame of headers as long as a length of four bytes can say.
const HEADERS_WITHOUT_END: &[u8] = &[1, 0xbf, 0xff, 0xff, 0xff];

/// What a server does with a request's stream once it has said something.
#[derive(Clone, Copy)]
enum End {
    Hold,
    Finish,
    /// Resets the stream: H3_INTERNAL_ERROR (RFC 9114 8.1).
    Reset,
    /// Closes the connection: the same code.
    Close,
    /// Says this again and again.
    Flood(&'static [u8]),
}

async fn misbehave(connection: Connection, says: Vec<u8>, end: End) {
    let Ok((mut answer, mut request)) = connection.accept_bi().await else { return };
    let _ = request.read_to_end(1 << 20).await;
    let _ = answer.write_all(&says).await;
    finish(&connection, &mut answer, end).await;
    connection.closed().await;
}

async fn finish(connection: &Connection, answer: &mut SendStream, end: End) {
    match end {
        End::Hold => {}
        End::Finish => drop(answer.finish()),
        End::Reset => drop(answer.reset(0x102_u32.into())),
        End::Close => connection.close(0x102_u32.into(), b"no more"),
        End::Flood(bytes) => {
            let bytes = bytes.repeat(4096);
            while answer.write_all(&bytes).await.is_ok() {}
        }
    }
}

#[tokio::test]
async fn streams_that_are_no_answer_are_told_apart() {
    let begun = [STATUS_200, &[0, 5, b'h', b'e']].concat();
    let rows: Vec<(&str, Vec<u8>, End, Option<Cause>)> = vec![
        ("an answer", STATUS_200.to_vec(), End::Finish, None),
        ("hints, and an answer", [STATUS_103, STATUS_200].concat(), End::Finish, None),
        ("nothing", Vec::new(), End::Hold, Some(Cause::FirstByteTimeout)),
        ("the end of nothing", Vec::new(), End::Finish, Some(Cause::Protocol)),
        ("a reset", Vec::new(), End::Reset, Some(Cause::Reset)),
        ("goodbye", Vec::new(), End::Close, Some(Cause::Reset)),
        ("stands still in its body", begun.clone(), End::Hold, Some(Cause::TransferTimeout)),
        ("a reset in its body", begun.clone(), End::Reset, Some(Cause::Reset)),
        ("ends in the middle of its body", begun, End::Finish, Some(Cause::Protocol)),
        ("a body without a head", vec![0, 1, b'x'], End::Hold, Some(Cause::Protocol)),
        (
            "headers that unpack to nothing",
            vec![1, 2, 0xff, 0xff],
            End::Hold,
            Some(Cause::Protocol),
        ),
        ("hints without end", Vec::new(), End::Flood(STATUS_103), Some(Cause::Protocol)),
        (
            "headers without end",
            HEADERS_WITHOUT_END.to_vec(),
            End::Flood(&[0; 64]),
            Some(Cause::TooLarge),
        ),
    ];
    let authority = Authority::new();
    let config = authority.server(&authority.leaf(LOOPBACK), H3, false);
    join_all(rows.into_iter().map(|(name, says, end, cause)| {
        let (config, authority) = (config.clone(), &authority);
        async move {
            let serve = move |connection| misbehave(connection, says.clone(), end);
            let server = Quic::at("127.0.0.1:0", config, serve).await;
            let is_timeout =
                matches!(cause, Some(Cause::FirstByteTimeout | Cause::TransferTimeout));
            let limit = if is_timeout { Duration::from_secs(2) } else { AMPLE };
            let settings = server.settings(authority, json!({}));
            let outcome = run_in(&env(), &settings, limit).await;
            assert_eq!(outcome.cause, cause, "{name}: {}", outcome.detail);
        }
    }))
    .await;
}

/// Answers at once, and reads nothing of what is sent after the head.
async fn answer_early(connection: Connection) {
    let Ok((mut answer, request)) = connection.accept_bi().await else { return };
    let _ = answer.write_all(STATUS_200).await;
    let _ = answer.finish();
    connection.closed().await;
    drop(request);
}

#[tokio::test]
async fn an_answer_before_the_request_is_read_counts() {
    let authority = Authority::new();
    let config = authority.server(&authority.leaf(LOOPBACK), H3, false);
    let server = Quic::at("127.0.0.1:0", config, answer_early).await;
    // More than a stream's window, so that it never gets through.
    let body = "x".repeat(4 << 20);
    let settings = server.settings(&authority, json!({ "method": "POST", "send": body }));
    let outcome = run_in(&env(), &settings, AMPLE).await;
    assert_eq!(outcome.cause, None, "{}", outcome.detail);
    assert!(outcome.phases.get(Phase::Send).is_some_and(|took| !took.is_zero()));
}
