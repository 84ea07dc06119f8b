//! HTTP/3: the version that is measured, who is trusted, and servers that misbehave on purpose.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use crosscheck_model::observation::RETRY_AFTER;
use crosscheck_model::{Cause, Phase, Status};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use http::Response;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, SendStream, ServerConfig};
use serde_json::json;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};

use super::*;
use crate::kind::hostile::{assert_ended_by, assert_is};
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
    assert_is(&outcome, Some(Cause::Protocol), "another protocol");
    assert!(outcome.detail.contains("does not speak HTTP/3"), "{}", outcome.detail);

    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", silent.local_addr().expect("bound"));
    let outcome = run_in(&env(), &json!({ "url": url, "version": 3 }), SHORT).await;
    assert_is(&outcome, Some(Cause::ConnectTimeout), "silence");
    assert!(outcome.detail.contains("UDP"), "{}", outcome.detail);
}

/// `:status`, from the static table (RFC 9204 appendix A), as a frame of headers.
const STATUS_200: &[u8] = &[1, 3, 0, 0, 0xd9];
const STATUS_103: &[u8] = &[1, 3, 0, 0, 0xd8];
const STATUS_500: &[u8] = &[1, 4, 0, 0, 0xff, 8];
/// A frame of headers as long as a length of four bytes can say.
const HEADERS_WITHOUT_END: &[u8] = &[1, 0xbf, 0xff, 0xff, 0xff];

/// A number as QUIC writes it, in four bytes (RFC 9000 section 16).
fn number(number: usize) -> [u8; 4] {
    (u32::try_from(number).expect("fits") | 0x8000_0000).to_be_bytes()
}

/// A frame of this type.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind][..], &number(payload.len()), payload].concat()
}

fn data(bytes: &[u8]) -> Vec<u8> {
    frame(0, bytes)
}

/// A frame of headers: a status and these fields.
fn head(status: &[u8], fields: &[Vec<u8>]) -> Vec<u8> {
    frame(1, &[&[0, 0], status, &fields.concat()].concat())
}

/// `:status: 200`, and 429 with its name from the static table.
const OK: &[u8] = &[0xd9];
const TOO_MANY: &[u8] = b"\x5f\x09\x03429";

/// `content-encoding: gzip`, from the static table.
const GZIP: &[u8] = &[0xeb];

/// `content-length`, its name from the static table.
fn length(digits: &str) -> Vec<u8> {
    [&[0x54, u8::try_from(digits.len()).expect("short")], digits.as_bytes()].concat()
}

/// A field of whose name the table knows nothing.
fn field(name: &str, value: &str) -> Vec<u8> {
    let [long, short] = [name, value].map(|text| u8::try_from(text.len()).expect("short"));
    [&[0x27, long - 7], name.as_bytes(), &[short], value.as_bytes()].concat()
}

/// 16 MiB of zeros.
fn bomb() -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(&vec![0; 16 << 20]).expect("packs in memory");
    packer.finish().expect("packs in memory")
}

/// The beginning of a frame of headers that would have 16,383 bytes.
const HEAD_BEGUN: &[u8] = &[1, 0x7f, 0xff, 0, 0];

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
    /// The same, a byte at a time.
    Drip(&'static [u8]),
}

/// Between two bytes of a drip: many fall within the shortest run.
const DROP_EVERY: Duration = Duration::from_millis(20);

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
        End::Drip(bytes) => {
            let mut clock = interval(DROP_EVERY);
            for byte in bytes.iter().cycle() {
                clock.tick().await;
                if answer.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// What a server does, in words; what it says, and does then; what it must be taken for.
type Row = (&'static str, Vec<u8>, End, Option<Cause>);

/// Plays every row, at the same time; each must end by itself, those that wait by the deadline.
async fn play(rows: Vec<Row>) {
    let authority = Authority::new();
    let config = authority.server(&authority.leaf(LOOPBACK), H3, false);
    join_all(rows.into_iter().map(|(name, says, end, cause)| {
        let (config, authority) = (config.clone(), &authority);
        async move {
            let serve = move |connection| misbehave(connection, says.clone(), end);
            let server = Quic::at("127.0.0.1:0", config, serve).await;
            let is_timeout = cause.is_some_and(|cause| cause.as_str().ends_with("timeout"));
            let limit = if is_timeout { Duration::from_secs(2) } else { AMPLE };
            let settings = server.settings(authority, json!({}));
            let (env, begun) = (env(), Instant::now());
            let outcome = timeout(AMPLE * 2, run_in(&env, &settings, limit)).await;
            let outcome = outcome.unwrap_or_else(|_| panic!("{name}: it does not end"));
            assert_is(&outcome, cause, name);
            assert!(outcome.duration <= begun.elapsed(), "{name}: {outcome:?}");
            if is_timeout {
                assert_ended_by(&outcome, limit, name);
            }
            let unpacked = outcome.values.get("bytes").copied().unwrap_or_default();
            assert!(unpacked <= f64::from(4 << 20), "{name}: {unpacked} bytes");
        }
    }))
    .await;
}

#[tokio::test]
async fn streams_that_are_no_answer_are_told_apart() {
    let broken = [head(&[0xff, 8], &[length("50")]), data(b"hello")].concat();
    play(vec![
        ("an answer", STATUS_200.to_vec(), End::Finish, None),
        ("hints, and an answer", [STATUS_103, STATUS_200].concat(), End::Finish, None),
        ("nothing", Vec::new(), End::Hold, Some(Cause::FirstByteTimeout)),
        ("the end of nothing", Vec::new(), End::Finish, Some(Cause::Protocol)),
        ("a reset", Vec::new(), End::Reset, Some(Cause::Reset)),
        ("goodbye", Vec::new(), End::Close, Some(Cause::Reset)),
        ("a head in drops", HEAD_BEGUN.to_vec(), End::Drip(&[0xd9]), Some(Cause::FirstByteTimeout)),
        ("a reset in its head", HEAD_BEGUN.to_vec(), End::Reset, Some(Cause::Reset)),
        ("goodbye in its head", HEAD_BEGUN.to_vec(), End::Close, Some(Cause::Reset)),
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
        ("HTTP/1.1", b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), End::Finish, Some(Cause::Protocol)),
        ("an error", STATUS_500.to_vec(), End::Finish, Some(Cause::Status)),
        ("an error with a broken page", broken, End::Finish, Some(Cause::Status)),
        ("too many requests", head(TOO_MANY, &[]), End::Finish, Some(Cause::Throttled)),
    ])
    .await;
}

#[tokio::test]
async fn bodies_that_are_none_are_told_apart() {
    let begun = [STATUS_200, &[0, 5, b'h', b'e']].concat();
    let long = [head(OK, &[length("50")]), data(b"hello")].concat();
    let short = [head(OK, &[length("1")]), data(b"hello")].concat();
    let twice = [head(OK, &[length("5"), length("6")]), data(b"hello")].concat();
    let hundred = [&head(OK, &[length("104857600")])[..], &[0], &number(100 << 20)].concat();
    let packed = [head(OK, &[GZIP.to_vec()]), data(&bomb())].concat();
    play(vec![
        ("stands still", begun.clone(), End::Hold, Some(Cause::TransferTimeout)),
        ("comes in drops", long.clone(), End::Drip(b"\0\x01x"), Some(Cause::TransferTimeout)),
        ("a reset", begun.clone(), End::Reset, Some(Cause::Reset)),
        ("goodbye", begun.clone(), End::Close, Some(Cause::Reset)),
        ("ends in the middle of a frame", begun, End::Finish, Some(Cause::Protocol)),
        ("promises more and is silent", long.clone(), End::Hold, Some(Cause::TransferTimeout)),
        ("promises more than comes", long, End::Finish, Some(Cause::Protocol)),
        ("promises less than comes", short, End::Finish, Some(Cause::Protocol)),
        ("two lengths", twice, End::Finish, Some(Cause::Protocol)),
        ("without end", STATUS_200.to_vec(), End::Flood(&[0, 1, b'x']), Some(Cause::TooLarge)),
        ("100 MiB", hundred, End::Flood(b"x"), Some(Cause::TooLarge)),
        ("a bomb", packed, End::Finish, Some(Cause::TooLarge)),
    ])
    .await;
}

/// It is told how long a server wants to be left alone, whatever it speaks.
#[tokio::test]
async fn who_turns_away_too_many_says_for_how_long() {
    let authority = Authority::new();
    let config = authority.server(&authority.leaf(LOOPBACK), H3, false);
    let says = head(TOO_MANY, &[field("retry-after", "30")]);
    let serve = move |connection| misbehave(connection, says.clone(), End::Finish);
    let server = Quic::at("127.0.0.1:0", config, serve).await;
    let outcome = run(&server.settings(&authority, json!({}))).await;
    assert_is(&outcome, Some(Cause::Throttled), "429");
    assert_eq!(outcome.values.get(RETRY_AFTER), Some(&30.0), "{outcome:?}");
    let asked = server.settings(&authority, json!({ "method": "HEAD", "status": [200, 429] }));
    let outcome = run(&asked).await;
    assert_is(&outcome, None, "a wanted one");
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
