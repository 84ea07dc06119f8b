//! HTTP/2 frames (RFC 9113 section 4) that end, break or never begin an answer, in clear text and
//! over TLS.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;

use Act::{Drip, Flood, Hear, HearFrame, HearSome, Hold, Repeat, Reset, Say};
use bytes::Bytes;
use crosscheck_model::Cause;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use futures_util::stream;
use http::{HeaderValue, Response, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use serde_json::{Value, json};

use super::target::{Act, Target};
use super::{SAID_AT_MOST, SHORT, SHORT_OVER_TLS, askers, assert_is, env, run, run_within};
use crate::tls::scripted::{Authority, Server};

/// A frame of this type, flags and stream.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("fits").to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The beginning of a frame that would be this long.
fn begun(kind: u8, flags: u8, stream: u8, length: u16) -> Vec<u8> {
    [&[0][..], &length.to_be_bytes(), &[kind, flags, 0, 0, 0, stream]].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// `:status: 200`, indexed (RFC 7541 appendix A).
const STATUS_200: &[u8] = &[0x88];
/// `:status: 103`, its name indexed.
const STATUS_103: &[u8] = b"\x48\x03103";
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What a target does, in words; its acts with bytes of their own; what it must be taken for.
type Row = (&'static str, Vec<Words>, Cause);

/// An act with bytes of its own.
enum Words {
    Just(Act<'static>),
    Say(Vec<u8>),
    Repeat(Vec<u8>, usize),
    Flood(Vec<u8>),
    Drip(Vec<u8>),
}

impl Words {
    fn act(&self) -> Act<'_> {
        match self {
            Self::Just(act) => *act,
            Self::Say(bytes) => Say(bytes),
            Self::Repeat(bytes, times) => Repeat(bytes, *times),
            Self::Flood(bytes) => Flood(bytes),
            Self::Drip(bytes) => Drip(bytes),
        }
    }
}

/// These acts after the request was heard and settings were said.
fn after_request(acts: Vec<Words>) -> Vec<Words> {
    let first = vec![Words::Just(HearFrame(HEADERS)), Words::Say(frame(SETTINGS, 0, 0, &[]))];
    first.into_iter().chain(acts).collect()
}

/// These acts after the head of an answer, which has these fields beside its status.
fn after_head(fields: &[u8], acts: Vec<Words>) -> Vec<Words> {
    let head = frame(HEADERS, END_HEADERS, 1, &[STATUS_200, fields].concat());
    after_request(std::iter::once(Words::Say(head)).chain(acts).collect())
}

/// A field whose name is one of the first of the static table.
fn indexed(name: u8, value: &str) -> Vec<u8> {
    [&[0x40 | name, u8::try_from(value.len()).expect("short")], value.as_bytes()].concat()
}

/// `content-length`, with its name indexed.
fn length(digits: &str) -> Vec<u8> {
    indexed(28, digits)
}

fn goodbye(code: u8) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, code])
}

fn broken(code: u8) -> Vec<u8> {
    frame(RST_STREAM, 0, 1, &[0, 0, 0, code])
}

/// What comes instead of settings, or never goes beyond them.
fn without_settings() -> Vec<Row> {
    let just = Words::Just;
    let settings = || frame(SETTINGS, 0, 0, &[]);
    vec![
        ("HTTP/1.1", vec![just(Hear), just(Say(b"HTTP/1.1 200 OK\r\n\r\n"))], Cause::Protocol),
        ("nothing at all", vec![just(Hold)], Cause::FirstByteTimeout),
        (
            "settings in drops",
            vec![just(HearSome), Words::Drip(settings())],
            Cause::FirstByteTimeout,
        ),
        ("a reset at once", vec![just(Reset)], Cause::Reset),
        ("a reset instead of settings", vec![just(HearFrame(HEADERS)), just(Reset)], Cause::Reset),
        ("settings without end", vec![just(Hear), Words::Flood(settings())], Cause::TooLarge),
    ]
}

/// Frames before the head of an answer, or instead of it.
fn without_head() -> Vec<Row> {
    let just = Words::Just;
    let ping = frame(PING, 0, 0, &[0; 8]);
    let endless = frame(CONTINUATION, 0, 1, &[0x40, 1, b'a', 1, b'b']);
    let open = || frame(HEADERS, 0, 1, STATUS_200);
    let huge = [&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1][..], b"x"].concat();
    let window = |by: u8| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, by]);
    let early = frame(HEADERS, END_HEADERS, 1, STATUS_103);
    let pushed = frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82, 0x84, 0x86]);
    vec![
        ("nothing but settings", after_request(vec![just(Hold)]), Cause::FirstByteTimeout),
        (
            "a head in drops",
            after_request(vec![
                Words::Say(begun(HEADERS, END_HEADERS, 1, 16_000)),
                just(Drip(&[0x88])),
            ]),
            Cause::FirstByteTimeout,
        ),
        ("a reset after settings", after_request(vec![just(Reset)]), Cause::Reset),
        (
            "a reset within the head",
            after_request(vec![Words::Say(begun(HEADERS, 0, 1, 99)), just(Reset)]),
            Cause::Reset,
        ),
        ("settings and the end", after_request(Vec::new()), Cause::Reset),
        ("goes away", after_request(vec![Words::Say(goodbye(0))]), Cause::Reset),
        ("goes away in anger", after_request(vec![Words::Say(goodbye(11))]), Cause::Reset),
        (
            "refuses the stream",
            after_request(vec![Words::Say(broken(7)), just(Hold)]),
            Cause::Reset,
        ),
        (
            "cancels the stream",
            after_request(vec![Words::Say(broken(8)), just(Hold)]),
            Cause::Reset,
        ),
        ("fails inside", after_request(vec![Words::Say(broken(2)), just(Hold)]), Cause::Reset),
        ("pings without end", after_request(vec![Words::Flood(ping)]), Cause::TooLarge),
        ("hints without end", after_request(vec![Words::Flood(early)]), Cause::TooLarge),
        ("windows without end", after_request(vec![Words::Flood(window(0))]), Cause::Protocol),
        (
            "headers without end",
            after_request(vec![Words::Say(open()), Words::Flood(endless)]),
            Cause::Protocol,
        ),
        (
            "a frame beyond its bound",
            after_request(vec![Words::Say(huge), just(Hold)]),
            Cause::Protocol,
        ),
        (
            "a window of nothing",
            after_request(vec![Words::Say(window(0)), just(Hold)]),
            Cause::Protocol,
        ),
        (
            "a push that nobody wanted",
            after_request(vec![Words::Say(pushed), just(Hold)]),
            Cause::Protocol,
        ),
    ]
}

/// Frames after the head of an answer of this type.
fn without_body(media: &str) -> Vec<Row> {
    let just = Words::Just;
    let after_head =
        |fields: &[u8], acts| after_head(&[&indexed(31, media), fields].concat(), acts);
    let data = |flags, bytes: &[u8]| Words::Say(frame(DATA, flags, 1, bytes));
    let gzip: &[u8] = b"\x5a\x04gzip";
    let bomb = bomb();
    vec![
        ("stops within the body", after_head(&[], vec![just(Hold)]), Cause::TransferTimeout),
        (
            "drips its body",
            after_head(&[], vec![Words::Say(begun(DATA, 0, 1, 16_000)), just(Drip(b"x"))]),
            Cause::TransferTimeout,
        ),
        (
            "drips its body in frames",
            after_head(&[], vec![Words::Drip(frame(DATA, 0, 1, b"x"))]),
            Cause::TransferTimeout,
        ),
        (
            "resets the stream within the body",
            after_head(&[], vec![Words::Say(broken(8)), just(Hold)]),
            Cause::Reset,
        ),
        (
            "resets the connection within the body",
            after_head(&[], vec![data(0, b"hello"), just(Reset)]),
            Cause::Reset,
        ),
        ("ends within the body", after_head(&[], vec![data(0, b"hello")]), Cause::Reset),
        (
            "goes away within the body",
            after_head(&[], vec![data(0, b"hello"), Words::Say(goodbye(2))]),
            Cause::Reset,
        ),
        (
            "promises more and is silent",
            after_head(&length("50"), vec![data(0, b"hello"), just(Hold)]),
            Cause::TransferTimeout,
        ),
        (
            "promises more than comes",
            after_head(&length("50"), vec![data(END_STREAM, b"hello"), just(Hold)]),
            Cause::Protocol,
        ),
        (
            "promises less than comes",
            after_head(&length("1"), vec![data(END_STREAM, b"hello"), just(Hold)]),
            Cause::Protocol,
        ),
        (
            "two lengths",
            after_head(
                &[length("5"), length("6")].concat(),
                vec![data(END_STREAM, b"hello"), just(Hold)],
            ),
            Cause::Protocol,
        ),
        (
            "nothing, in frames without end",
            after_head(&[], vec![Words::Flood(frame(DATA, 0, 1, &[]))]),
            Cause::Protocol,
        ),
        (
            "a bomb",
            after_head(gzip, vec![data(END_STREAM, &bomb), just(Hold)]),
            // To whom nobody has offered to unpack it, it is nothing that could be read.
            if media == HTML { Cause::TooLarge } else { Cause::Protocol },
        ),
    ]
}

/// 16 MiB of zeros, as one frame may carry.
fn bomb() -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(&vec![0; 16 << 20]).expect("packs in memory");
    let bomb = packer.finish().expect("packs in memory");
    assert!(bomb.len() <= 16_384, "{}", bomb.len());
    bomb
}

/// What a page is.
const HTML: &str = "text/html";

/// Settings of a kind for a URL's scheme and a place, with what TLS needs.
type Asking = fn(&str, &str, Value) -> Vec<(&'static str, Value)>;

/// The kinds that ask a URL.
fn by_url(scheme: &str, place: &str, mut more: Value) -> Vec<(&'static str, Value)> {
    more["version"] = json!(2);
    askers(&format!("{scheme}://{place}/"), &more).to_vec()
}

fn by_grpc(scheme: &str, place: &str, mut more: Value) -> Vec<(&'static str, Value)> {
    more["address"] = json!(place);
    more["tls"] = json!(scheme == "https");
    vec![("grpc", more)]
}

/// DNS over HTTPS.
fn by_dns(_: &str, place: &str, mut more: Value) -> Vec<(&'static str, Value)> {
    let asks = json!({ "name": "shop.test", "type": "A", "transport": "https", "server": place });
    more.as_object_mut().expect("an object").extend(asks.as_object().expect("one").clone());
    vec![("dns", more)]
}

/// Plays every row to these; over TLS with this configuration and the file of its authority.
async fn play(asking: Asking, rows: Vec<Row>, tls: Option<(Arc<ServerConfig>, String)>) {
    let tls = &tls;
    join_all(rows.into_iter().map(|(name, words, cause)| async move {
        let acts: Vec<Act<'_>> = words.iter().map(Words::act).collect();
        let (target, scheme, more) = match tls {
            None => (Target::doing(&acts).await, "http", json!({})),
            Some((config, ca)) => {
                let target = Target::doing_over_tls(config.clone(), &acts).await;
                (target, "https", json!({ "ca": ca }))
            }
        };
        for (kind, settings) in asking(scheme, &target.address().to_string(), more) {
            let short = if tls.is_some() { SHORT_OVER_TLS } else { SHORT };
            let outcome = run_within(short, &env(), kind, &settings, Some(cause)).await;
            assert_is(&outcome, Some(cause), &format!("{kind} over {scheme}: {name}"));
            let said = target.said();
            assert!(said <= 2 * SAID_AT_MOST, "{kind} over {scheme}: {name}: {said}");
            let unpacked = outcome.values.get("bytes").copied().unwrap_or_default();
            assert!(unpacked <= f64::from(4 << 20), "{kind}: {name}: {unpacked} bytes");
        }
    }))
    .await;
}

/// A server's configuration for HTTP/2, and the file of its authority, which lives as long.
fn trusted() -> (Authority, Arc<ServerConfig>, String) {
    let authority = Authority::new();
    let config = authority.server(&authority.leaf(&["127.0.0.1"]), &[b"h2"], false);
    let file = authority.file();
    (authority, config, file)
}

#[tokio::test]
async fn frames_that_are_no_answer_are_told_apart() {
    play(by_url, without_settings(), None).await;
    play(by_url, without_head(), None).await;
}

#[tokio::test]
async fn frames_that_are_no_body_are_told_apart() {
    play(by_url, without_body(HTML), None).await;
}

#[tokio::test]
async fn frames_that_are_no_answer_are_told_apart_over_tls() {
    let (_authority, config, ca) = trusted();
    play(by_url, without_settings(), Some((config.clone(), ca.clone()))).await;
    play(by_url, without_head(), Some((config, ca))).await;
}

#[tokio::test]
async fn frames_that_are_no_body_are_told_apart_over_tls() {
    let (_authority, config, ca) = trusted();
    play(by_url, without_body(HTML), Some((config, ca))).await;
}

#[tokio::test]
async fn frames_that_are_no_call_are_told_apart() {
    let media = "application/grpc";
    play(by_grpc, without_settings(), None).await;
    play(by_grpc, without_head(), None).await;
    play(by_grpc, without_body(media), None).await;
    let (_authority, config, ca) = trusted();
    play(by_grpc, without_head(), Some((config.clone(), ca.clone()))).await;
    play(by_grpc, without_body(media), Some((config, ca))).await;
}

#[tokio::test]
async fn frames_that_are_no_answer_of_a_name_server_are_told_apart() {
    let (_authority, config, ca) = trusted();
    let tls = || Some((config.clone(), ca.clone()));
    play(by_dns, without_settings(), tls()).await;
    play(by_dns, without_head(), tls()).await;
    play(by_dns, without_body("application/dns-message"), tls()).await;
}

/// By a server that keeps to the windows it is given: without end, and of 100 MiB that it promises.
#[tokio::test]
async fn a_large_body_that_keeps_to_the_rules_is_cut_off() {
    let kinds: [(Asking, &str); 3] =
        [(by_url, HTML), (by_grpc, "application/grpc"), (by_dns, "application/dns-message")];
    for (asking, media) in kinds {
        for length in [None, Some(100_u64 << 20)] {
            let (_authority, config, ca) = trusted();
            let server = Server::tls(config, move |connection| async move {
                let service = service_fn(move |_| async move {
                    let frames = stream::repeat_with(|| {
                        Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 8192])))
                    });
                    let mut answer = Response::new(StreamBody::new(frames));
                    let headers = answer.headers_mut();
                    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
                    if let Some(length) = length {
                        headers.insert(header::CONTENT_LENGTH, length.into());
                    }
                    Ok::<_, Infallible>(answer)
                });
                let server = http2::Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(connection), service).await);
            })
            .await;
            let place = server.address.to_string();
            for (kind, settings) in asking("https", &place, json!({ "ca": ca })) {
                let outcome = run(&env(), kind, &settings, Some(Cause::TooLarge)).await;
                assert_is(&outcome, Some(Cause::TooLarge), &format!("{kind}: {length:?}"));
            }
        }
    }
}

/// It is caught at the window or at the body's limit, whichever comes first.
#[tokio::test]
async fn a_body_of_100_mib_beyond_all_windows_is_cut_off() {
    let (_authority, config, ca) = trusted();
    let words = Words::Repeat(frame(DATA, 0, 1, &[0; 16_384]), 6400);
    let words = after_head(&[], vec![words, Words::Just(Hold)]);
    let acts: Vec<Act<'_>> = words.iter().map(Words::act).collect();
    let target = Target::doing_over_tls(config, &acts).await;
    let more = json!({ "version": 2, "ca": ca });
    for (kind, settings) in askers(&format!("https://{}/", target.address()), &more) {
        let outcome = run(&env(), kind, &settings, None).await;
        assert!(matches!(outcome.cause, Some(Cause::Protocol | Cause::TooLarge)), "{outcome:?}");
        assert_is(&outcome, outcome.cause, kind);
        assert!(target.said() <= 2 * SAID_AT_MOST, "{kind}: {}", target.said());
    }
}
