//! TLS that does not come about: what every kind that shakes hands makes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use Act::{Flood, HearSome, Hold, Reset, Say};
use crosscheck_model::Cause;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::target::{Act, Target};
use super::{SAID_AT_MOST, assert_is, env, run};
use crate::tls::scripted::{Authority, Server};

/// The kinds that shake hands at once, with settings.
pub(super) fn kinds(place: &str, more: &Value) -> Vec<(&'static str, Value)> {
    let with = |key: &str, value: String, own: Value| {
        let mut settings = own;
        settings[key] = json!(value);
        settings.as_object_mut().expect("an object").extend(
            more.as_object().expect("an object").iter().map(|(k, v)| (k.clone(), v.clone())),
        );
        settings
    };
    let url = || format!("https://{place}/");
    let each = more.clone();
    vec![
        ("http", with("url", url(), json!({}))),
        ("tls", with("address", place.to_owned(), json!({}))),
        ("tcp", with("address", place.to_owned(), json!({ "tls": true }))),
        ("smtp", with("address", place.to_owned(), json!({ "tls": true }))),
        ("imap", with("address", place.to_owned(), json!({ "tls": true }))),
        ("pop3", with("address", place.to_owned(), json!({ "tls": true }))),
        ("ftp", with("address", place.to_owned(), json!({ "tls": true }))),
        ("redis", with("address", place.to_owned(), json!({ "tls": true }))),
        ("grpc", with("address", place.to_owned(), json!({ "tls": true }))),
        ("websocket", with("url", format!("wss://{place}/"), json!({}))),
        (
            "dns",
            with("server", place.to_owned(), json!({ "name": "shop.test", "transport": "tls" })),
        ),
        (
            "dns",
            with("server", place.to_owned(), json!({ "name": "shop.test", "transport": "https" })),
        ),
        (
            "journey",
            json!({ "base": url(), "each": each, "steps": [{ "name": "look", "url": "/" }] }),
        ),
    ]
}

#[tokio::test]
async fn a_handshake_that_stops_breaks_or_is_none_has_its_cause() {
    // The beginning of a ServerHello that would have 122 bytes.
    let half: &[u8] = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03\x01\x02";
    let alert = b"\x15\x03\x03\x00\x02\x02\x28";
    let warning: &[u8] = b"\x15\x03\x03\x00\x02\x01\x70";
    let too_long = b"\x16\x03\x03\xff\xff";
    // A handshake message of 16 MiB, in fragments.
    let endless: &[u8] = b"\x16\x03\x03\x40\x00\x02\xff\xff\xff";
    let zeros = [&b"\x16\x03\x03\x00\x40"[..], &[0; 64]].concat();
    let rows: Vec<(&str, Vec<Act<'_>>, Cause)> = vec![
        ("silence", vec![Hold], Cause::TlsTimeout),
        ("half a hello", vec![HearSome, Say(half), Hold], Cause::TlsTimeout),
        ("half a hello and the end", vec![HearSome, Say(half)], Cause::Reset),
        ("half a hello and a reset", vec![HearSome, Say(half), Reset], Cause::Reset),
        ("a reset at once", vec![Reset], Cause::Reset),
        ("an end at once", vec![HearSome], Cause::Reset),
        ("an alert", vec![HearSome, Say(alert)], Cause::TlsHandshake),
        ("warnings without end", vec![HearSome, Flood(warning)], Cause::TlsHandshake),
        (
            "plain HTTP",
            vec![HearSome, Say(b"HTTP/1.1 400 Bad Request\r\n\r\n")],
            Cause::TlsHandshake,
        ),
        ("a greeting", vec![Say(b"220 mail.test ESMTP\r\n"), Hold], Cause::TlsHandshake),
        ("a record beyond its bound", vec![HearSome, Say(too_long), Hold], Cause::TlsHandshake),
        (
            "a message beyond its bound",
            vec![HearSome, Say(endless), Flood(&[0])],
            Cause::TlsHandshake,
        ),
        ("empty messages without end", vec![HearSome, Flood(&zeros)], Cause::TlsHandshake),
    ];
    join_all(rows.into_iter().map(|(name, acts, cause)| async move {
        let target = Target::doing(&acts).await;
        for (kind, settings) in kinds(&target.address().to_string(), &json!({})) {
            let outcome = run(&env(), kind, &settings, Some(cause)).await;
            assert_is(&outcome, Some(cause), &format!("{kind}: {name}"));
        }
    }))
    .await;
}

/// What never ends is cut off behind TLS too, and the target gets rid of no more.
#[tokio::test]
async fn what_has_no_end_is_cut_off_over_tls() {
    let authority = Authority::new();
    let config = authority.server(&authority.leaf(&["127.0.0.1"]), &[], false);
    let trusting = json!({ "ca": authority.file() });
    let large: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
    let rows: [(&str, &[u8], &[u8]); 3] = [
        ("headers without end", b"HTTP/1.1 200 OK\r\n", b"X-More: of this\r\n"),
        ("a body without end", b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        ("a body of 1 GiB", large, b"x"),
    ];
    for (name, begins, goes_on) in rows {
        let said = Arc::new(AtomicU64::new(0));
        let counts = said.clone();
        let flood = move |mut stream: TlsStream<TcpStream>| {
            let counts = counts.clone();
            let words = goes_on.repeat(512);
            async move {
                drop(stream.write_all(begins).await);
                while stream.write_all(&words).await.is_ok() {
                    counts.fetch_add(words.len() as u64, Ordering::SeqCst);
                }
            }
        };
        let server = Server::tls(config.clone(), flood).await;
        for (kind, settings) in kinds(&server.address.to_string(), &trusting) {
            if !matches!(kind, "http" | "journey") {
                continue;
            }
            let outcome = run(&env(), kind, &settings, Some(Cause::TooLarge)).await;
            assert_is(&outcome, Some(Cause::TooLarge), &format!("{kind}: {name}"));
            let said = said.load(Ordering::SeqCst);
            assert!(said <= 2 * SAID_AT_MOST, "{kind}: {name}: {said}");
        }
    }
}
