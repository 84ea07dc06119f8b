//! Every kind that talks with a service, against others that mean no good.

use std::net::SocketAddr;
use std::time::Duration;

use crosscheck_model::{Cause, Outcome, Status};
use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::scripted::check;
use crate::kind::hostile::{assert_ended_by, assert_is};
use crate::kind::{Kind, ftp, imap, mysql, pop3, redis, smtp, ssh, tcp, telnet, websocket};
use crate::tls::scripted::Server;

const PLENTY: Duration = Duration::from_secs(20);
/// The least in which a busy machine gets a connection and a byte.
const SHORT: Duration = Duration::from_secs(1);

/// A kind, settings with which it asks for much, and the beginning of a right answer.
type Row = (&'static dyn Kind, Value, &'static [u8]);

fn rows() -> Vec<Row> {
    let key = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
    vec![
        (&smtp::Smtp, json!({ "auth": "PLAIN" }), b"220 a\r\n"),
        (&imap::Imap, json!({ "capabilities": "IDLE" }), b"* OK\r\n"),
        (&pop3::Pop3, json!({ "capabilities": "UIDL" }), b"+OK\r\n"),
        (&ftp::Ftp, json!({ "features": "UTF8" }), b"220 a\r\n"),
        (&ssh::Ssh, json!({ "fingerprint": key }), b"SSH-2.0-a\r\n"),
        (&telnet::Telnet, json!({ "expect": "login: " }), &[255, 253, 24]),
        (&redis::Redis, json!({ "password": "${env:PASSWORD}" }), b"+OK\r\n"),
        (&mysql::Mysql, json!({ "version": "^8" }), b"\x0b\0\0\0\x0a8.0.36\0abc"),
        (&tcp::Tcp, json!({ "expect": "login: " }), b"220 a\r\n"),
        (
            &websocket::WebSocket,
            json!({ "url": "ws://ADDRESS/", "expect": "a" }),
            b"HTTP/1.1 101 Switching Protocols\r\n",
        ),
    ]
}

/// Whoever is gone is not waited for.
async fn until_closed(mut stream: TcpStream) {
    drop(stream.read_to_end(&mut Vec::new()).await);
}

/// Says this again and again.
async fn flood(mut stream: TcpStream, words: &'static [u8]) {
    let words = words.repeat(1024);
    while stream.write_all(&words).await.is_ok() {}
}

/// Says this, then nothing, and ends its side.
async fn say(mut stream: TcpStream, words: Vec<u8>) {
    drop(stream.write_all(&words).await);
    drop(stream.shutdown().await);
    until_closed(stream).await;
}

/// Runs each kind once; gives its name and what came of it. Each must end by itself.
async fn each(address: SocketAddr, limit: Duration) -> Vec<(&'static str, Outcome)> {
    let run = |(kind, settings, _): Row| async move {
        let ran = timeout(PLENTY * 2, check(kind, settings, address, limit)).await;
        let outcome = ran.unwrap_or_else(|_| panic!("{} does not end", kind.name()));
        (kind.name(), outcome)
    };
    join_all(rows().into_iter().map(run)).await
}

#[tokio::test]
async fn silence_and_a_reset_are_told_apart() {
    let silent = Server::plain("127.0.0.1:0", until_closed).await;
    for (kind, outcome) in each(silent.address, SHORT).await {
        assert_is(&outcome, Some(Cause::FirstByteTimeout), kind);
        assert_ended_by(&outcome, SHORT, kind);
    }
    let resetting = Server::plain("[::1]:0", |stream| async move {
        stream.set_zero_linger().expect("an option");
    })
    .await;
    for (kind, outcome) in each(resetting.address, PLENTY).await {
        assert_is(&outcome, Some(Cause::Reset), kind);
    }
}

#[tokio::test]
async fn one_byte_and_silence_is_no_answer() {
    let stuck = Server::plain("127.0.0.1:0", |mut stream| async move {
        drop(stream.write_all(b"2").await);
        until_closed(stream).await;
    })
    .await;
    for (kind, outcome) in each(stuck.address, SHORT).await {
        let wanted =
            if matches!(kind, "tcp" | "telnet") { Cause::Body } else { Cause::TransferTimeout };
        assert_is(&outcome, Some(wanted), kind);
        if wanted == Cause::TransferTimeout {
            assert_ended_by(&outcome, SHORT, kind);
        }
        assert_eq!(outcome.excerpt, "2", "{kind}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_left_soon() {
    for words in [&b"x"[..], b"220-x\r\n", b"\0", b"\xff"] {
        let flooding = Server::plain("127.0.0.1:0", move |stream| flood(stream, words)).await;
        for (kind, outcome) in each(flooding.address, PLENTY).await {
            let cause = outcome.cause.expect("it is no answer");
            assert!(matches!(cause, Cause::Protocol | Cause::Body), "{kind}: {outcome:?}");
            assert_is(&outcome, Some(cause), kind);
            let heard = outcome.values.get("bytes").copied().unwrap_or_default();
            assert!(heard <= f64::from(2 << 16), "{kind} heard {heard} bytes");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// No bytes make a kind panic or hang, at the start or after a right greeting.
    #[test]
    fn no_bytes_do_harm(noise in proptest::collection::vec(any::<u8>(), 0..300), greets: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            for (kind, settings, greeting) in rows() {
                let mut words = if greets { greeting.to_vec() } else { Vec::new() };
                words.extend(&noise);
                let server = Server::plain("127.0.0.1:0", move |s| say(s, words.clone())).await;
                let ran = timeout(PLENTY * 2, check(kind, settings, server.address, PLENTY)).await;
                let outcome = ran.unwrap_or_else(|_| panic!("{} does not end", kind.name()));
                assert_eq!(outcome.status, Status::Down, "{}: {outcome:?}", kind.name());
                assert_is(&outcome, outcome.cause, kind.name());
                let timeout = outcome.cause.is_some_and(|c| c.as_str().contains("timeout"));
                assert!(!timeout, "{}: {outcome:?}", kind.name());
            }
        });
    }
}
