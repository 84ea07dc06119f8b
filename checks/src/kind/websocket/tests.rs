//! The kind against servers that answer as a test tells.

use std::net::SocketAddr;
use std::time::Duration;

use crosscheck_model::observation::RETRY_AFTER;
use crosscheck_model::{Outcome, Status};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::kind::negate::Negatable;
use crate::kind::service::scripted::{check, refusals};
use crate::tls::scripted::Server;

const PLENTY: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_secs(1);

/// A server that consents with these headers more, says these bytes, and then hears all.
async fn server(more: &'static str, said: &'static [u8]) -> Server {
    Server::plain("127.0.0.1:0", move |mut stream| async move {
        let head = consent(&mut stream, more).await;
        drop(stream.write_all(&[head.as_bytes(), said].concat()).await);
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await
}

/// Hears a request; gives the right answer to it.
async fn consent(stream: &mut TcpStream, more: &str) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        heard.push(stream.read_u8().await.expect("a request"));
    }
    let text = String::from_utf8(heard).expect("text");
    let key = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let accept = upgrade::accept(key.expect("a key"));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUPGRADE: WebSocket\r\n\
         Connection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
}

async fn run(address: SocketAddr, more: Value, limit: Duration) -> Outcome {
    let mut settings = json!({ "url": "ws://ADDRESS/live?a=1" });
    let object = settings.as_object_mut().expect("an object");
    object.extend(more.as_object().expect("an object").clone());
    check(&WebSocket, settings, address, limit).await
}

#[test]
fn the_key_is_answered_as_the_rfc_has_it() {
    assert_eq!(upgrade::accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[tokio::test]
async fn messages_are_put_together_and_judged() {
    for (said, settings, cause) in [
        (&b""[..], json!({}), None),
        (b"\x81\x05hello", json!({ "expect": "^hello$" }), None),
        (b"\x82\x02\x00\xff", json!({ "expect": { "hex": "00 ff" } }), None),
        (b"\x01\x03hel\x89\x01p\x80\x02lo", json!({ "expect": "^hello$" }), None),
        (b"\x81\x01a\x81\x01b", json!({ "expect": "b" }), Some(Cause::Body)),
        (b"\x81\x01a\x81\x01b", json!({ "expect": "b", "among": 2 }), None),
        (b"\x88\x04\x03\xf0no", json!({ "expect": "b" }), Some(Cause::ServerError)),
        (b"\x88\x00", json!({ "ping": true }), Some(Cause::ServerError)),
        (b"\x81\x02\xc3\x28", json!({ "expect": "b" }), Some(Cause::Protocol)),
        (b"\x81\x81\0\0\0\0a", json!({ "expect": "a" }), Some(Cause::Protocol)),
        (b"\xc1\x01a", json!({ "expect": "a" }), Some(Cause::Protocol)),
        (b"\x82\x7f\0\0\0\0\x7f\xff\xff\xff", json!({ "expect": "a" }), Some(Cause::TooLarge)),
    ] {
        let server = server("", said).await;
        let outcome = run(server.address, settings.clone(), PLENTY).await;
        assert_eq!(outcome.cause, cause, "{said:?} {settings}: {outcome:?}");
    }
    let server = server("", b"\x88\x09\x03\xf0go home").await;
    let outcome = run(server.address, json!({ "expect": "b" }), PLENTY).await;
    assert_eq!(outcome.detail, "message: the server closed it with code 1008: `go home`");
}

#[tokio::test]
async fn the_handshake_is_verified() {
    for (more, settings, cause) in [
        ("", json!({}), None),
        ("Sec-WebSocket-Protocol: b\r\n", json!({ "subprotocol": ["a", "b"] }), None),
        ("", json!({ "subprotocol": "a" }), Some(Cause::NotOffered)),
        ("Sec-WebSocket-Protocol: c\r\n", json!({ "subprotocol": "a" }), Some(Cause::Protocol)),
        ("Sec-WebSocket-Protocol: c\r\n", json!({}), Some(Cause::Protocol)),
        ("Sec-WebSocket-Extensions: x\r\n", json!({}), Some(Cause::Protocol)),
        ("Sec-WebSocket-Accept: x\r\n", json!({}), Some(Cause::Protocol)),
        ("no header\r\n", json!({}), Some(Cause::Protocol)),
    ] {
        let server = server(more, b"").await;
        let outcome = run(server.address, settings.clone(), PLENTY).await;
        assert_eq!(outcome.cause, cause, "{more} {settings}: {outcome:?}");
    }
    for (head, cause) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", Cause::Status),
        ("HTTP/1.1 200 OK\r\n\r\n", Cause::Status),
        ("HTTP/1.1 429 Too Many Requests\r\n\r\n", Cause::Throttled),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", Cause::Status),
        ("HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n", Cause::Protocol),
        ("SSH-2.0-x\r\n", Cause::Protocol),
    ] {
        let server = Server::plain("[::1]:0", move |mut stream| async move {
            consent(&mut stream, "").await;
            drop(stream.write_all(head.as_bytes()).await);
            drop(stream.read_to_end(&mut Vec::new()).await);
        })
        .await;
        let outcome = run(server.address, json!({}), PLENTY).await;
        assert_eq!(outcome.cause, Some(cause), "{head}: {outcome:?}");
        let turned = json!({ "url": "ws://ADDRESS/", "negate": true });
        let outcome = check(&Negatable(WebSocket), turned, server.address, PLENTY).await;
        // Whoever is busy may let in again.
        let is_open = cause == Cause::Throttled || head.contains("503");
        let wanted = if is_open { Status::Unknown } else { Status::Up };
        assert_eq!(outcome.status, wanted, "{head}: {outcome:?}");
    }
}

#[tokio::test]
async fn who_turns_away_too_many_says_for_how_long() {
    for (head, wait) in [
        ("HTTP/1.1 429 Busy\r\nretry-after: 30\r\n\r\n", Some(&30.0)),
        ("HTTP/1.1 429 Busy\r\nRetry-After: soon\r\n\r\n", None),
        ("HTTP/1.1 503 Busy\r\nRetry-After: 30\r\n\r\n", None),
    ] {
        let server = Server::plain("127.0.0.1:0", move |mut stream| async move {
            consent(&mut stream, "").await;
            drop(stream.write_all(head.as_bytes()).await);
            drop(stream.read_to_end(&mut Vec::new()).await);
        })
        .await;
        let outcome = run(server.address, json!({}), PLENTY).await;
        assert_eq!(outcome.values.get(RETRY_AFTER), wait, "{head}: {outcome:?}");
        let told = "upgrade: status 429: too many requests; Retry-After: ";
        assert_eq!(outcome.detail.starts_with(told), head.contains("429"), "{outcome:?}");
    }
}

#[tokio::test]
async fn silence_after_the_handshake_and_endless_pings_are_left() {
    let silent = server("", b"").await;
    for settings in [json!({ "expect": "a" }), json!({ "ping": true })] {
        let outcome = run(silent.address, settings, SHORT).await;
        let cause = outcome.cause.expect("silence");
        assert!(matches!(cause, Cause::FirstByteTimeout | Cause::TransferTimeout), "{outcome:?}");
    }
    let pinging = Server::plain("127.0.0.1:0", |mut stream| async move {
        let head = consent(&mut stream, "").await;
        drop(stream.write_all(head.as_bytes()).await);
        let (mut read, mut write) = stream.split();
        let ping = b"\x89\x7d".iter().copied().chain([b'p'; 125]).collect::<Vec<u8>>().repeat(64);
        let flood = async { while write.write_all(&ping).await.is_ok() {} };
        let mut sink = tokio::io::sink();
        drop(tokio::join!(flood, tokio::io::copy(&mut read, &mut sink)));
    })
    .await;
    let outcome = run(pinging.address, json!({ "expect": "a" }), PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::TooLarge), "{outcome:?}");
}

#[test]
fn settings_that_do_not_fit_are_told() {
    let table: Vec<(Value, &str, &str)> = vec![
        (json!({ "url": "https://a/" }), "url", "neither `ws://`"),
        (json!({ "url": "a.example.com" }), "url", "no URL"),
        (json!({ "url": "ws://u:p@a/" }), "url", "with a user"),
        (json!({ "url": "ws://a/#x" }), "url", "fragment"),
        (json!({ "url": "ws://a/", "ca": "x.pem" }), "ca", "without TLS"),
        (json!({ "url": "ws://a/", "headers": { "Upgrade": "x" } }), "headers.Upgrade", "itself"),
        (json!({ "url": "ws://a/", "headers": { "a b": "x" } }), "headers.a b", "no name"),
        (json!({ "url": "ws://a/", "subprotocol": "a b" }), "subprotocol.0", "no name"),
        (json!({ "url": "ws://a/", "among": 0 }), "among", "write 1 to 64"),
        (json!({ "url": "ws://[::1]/", "family": "v4" }), "family", "other address family"),
    ];
    refusals(&WebSocket, &table);
}
