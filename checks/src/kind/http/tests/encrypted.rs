//! HTTPS and HTTP/2: certificates told apart, and nothing sent to who is not trusted.

use std::convert::Infallible;

use bytes::Bytes;
use crosscheck_model::{Cause, Phase, Status};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

use super::*;
use crate::tls::scripted::{Authority, Leaf};

const LOOPBACK: &[&str] = &["127.0.0.1", "shop.test"];

/// A server of HTTP/1.1 over TLS.
async fn https(authority: &Authority, leaf: &Leaf, clients: bool) -> (Server, Heard) {
    let heard = Heard::default();
    let hears = heard.clone();
    let config = authority.server(leaf, &[b"http/1.1"], clients);
    let serve = move |stream| answer(stream, hears.clone(), ok("secure").into_bytes(), Then::Close);
    (Server::tls(config, serve).await, heard)
}

fn settings(server: &Server, authority: &Authority, mut more: serde_json::Value) -> Value {
    more["url"] = json!(format!("https://{}/", server.address));
    if more.get("ca").is_none() {
        more["ca"] = json!(authority.file());
    } else if more["ca"].is_null() {
        more.as_object_mut().expect("an object").remove("ca");
    }
    more
}

#[tokio::test]
async fn a_trusted_server_is_up_with_its_certificates_days() {
    let authority = Authority::new();
    let (server, heard) = https(&authority, &authority.leaf(LOOPBACK), false).await;
    let outcome = run(&settings(&server, &authority, json!({ "bearer": "${env:T}" }))).await;
    assert_eq!(outcome.cause, Some(Cause::Setup), "secrets are read before anything is touched");
    let env = env_with(&[("T", "token-1")], Resolver::new(Vec::new()));
    let outcome =
        run_in(&env, &settings(&server, &authority, json!({ "bearer": "${env:T}" })), AMPLE).await;
    assert_up(&outcome);
    assert!(outcome.phases.get(Phase::Tls).is_some());
    assert!(outcome.values["certificate_days"] > 365_000.0);
    assert!(heard.one().contains("authorization: Bearer token-1\r\n"));
}

#[tokio::test]
async fn who_is_not_trusted_is_told_apart_and_gets_no_request() {
    let authority = Authority::new();
    let good = authority.leaf(LOOPBACK);
    let elsewhere = authority.leaf(&["other.test"]);
    let expired = authority.leaf_until(LOOPBACK, 2024, 5, 1);
    let table = [
        (&good, json!({ "ca": null }), Cause::TlsUntrusted),
        (&elsewhere, json!({}), Cause::TlsName),
        (&good, json!({ "server_name": "other.test" }), Cause::TlsName),
        (&expired, json!({}), Cause::TlsExpired),
    ];
    for (leaf, more, cause) in table {
        let (server, heard) = https(&authority, leaf, false).await;
        let outcome = run(&settings(&server, &authority, more)).await;
        assert_eq!(
            (outcome.status, outcome.cause),
            (Status::Down, Some(cause)),
            "{}",
            outcome.detail
        );
        assert!(outcome.detail.contains("Scripted Root"), "{}", outcome.detail);
        assert!(outcome.values.contains_key("certificate_days"), "known though refused");
        assert!(outcome.phases.get(Phase::Tls).is_some());
        assert!(heard.all().is_empty(), "{cause}");
    }
}

#[tokio::test]
async fn another_name_can_be_asked_for() {
    let authority = Authority::new();
    let (server, _) = https(&authority, &authority.leaf(&["shop.test"]), false).await;
    let more = json!({ "server_name": "shop.test" });
    assert_up(&run(&settings(&server, &authority, more)).await);
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_flaw() {
    let authority = Authority::new();
    let (server, _) = https(&authority, &authority.leaf(LOOPBACK), false).await;
    let far = json!({ "certificate": { "warn_days": 21 } });
    assert_up(&run(&settings(&server, &authority, far)).await);
    let soon = jiff::Zoned::now().date().checked_add(jiff::Span::new().days(10)).expect("a date");
    let month = u8::try_from(soon.month()).expect("a month");
    let day = u8::try_from(soon.day()).expect("a day");
    let leaf = authority.leaf_until(LOOPBACK, i32::from(soon.year()), month, day);
    let (server, _) = https(&authority, &leaf, false).await;
    let more = json!({ "certificate": { "warn_days": 21 } });
    let outcome = run(&settings(&server, &authority, more)).await;
    assert_eq!(
        (outcome.status, outcome.cause),
        (Status::Degraded, Some(Cause::CertificateExpiring))
    );
    assert_up(&run(&settings(&server, &authority, json!({}))).await);
}

#[tokio::test]
async fn what_is_no_tls_fails_the_handshake() {
    let authority = Authority::new();
    let table = [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", Cause::TlsHandshake),
        ("\x15\x03\x03\x00\x02\x02\x28", Cause::TlsHandshake), // alert: handshake_failure
    ];
    for (bytes, cause) in table {
        let serve = move |mut stream: tokio::net::TcpStream| async move {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(bytes.as_bytes()).await;
            std::future::pending::<()>().await;
        };
        let server = Server::plain("127.0.0.1:0", serve).await;
        let outcome = run(&settings(&server, &authority, json!({}))).await;
        assert_eq!(outcome.cause, Some(cause), "{}", outcome.detail);
        assert_eq!(outcome.phases.get(Phase::FirstByte), None);
    }
    let silent = |stream: tokio::net::TcpStream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    };
    let server = Server::plain("127.0.0.1:0", silent).await;
    let outcome = run_in(&env(), &settings(&server, &authority, json!({})), SHORT).await;
    assert_eq!(outcome.cause, Some(Cause::TlsTimeout), "{}", outcome.detail);
    assert_eq!(outcome.phases.get(Phase::Tls), None);
    assert!(outcome.phases.get(Phase::Connect).is_some());
}

#[tokio::test]
async fn a_client_certificate_opens_the_door() {
    let authority = Authority::new();
    let (chain, key) = authority.client_files();
    let (server, heard) = https(&authority, &authority.leaf(LOOPBACK), true).await;
    let client = json!({ "client": { "certificate": chain, "key": key } });
    assert_up(&run(&settings(&server, &authority, client)).await);
    assert_eq!(heard.all().len(), 1);
    let outcome = run(&settings(&server, &authority, json!({}))).await;
    assert_eq!(outcome.cause, Some(Cause::TlsHandshake), "{}", outcome.detail);
    assert!(outcome.detail.contains("client certificate"), "{}", outcome.detail);
}

#[tokio::test]
async fn the_client_certificate_is_not_shown_abroad() {
    let authority = Authority::new();
    let (chain, key) = authority.client_files();
    let leaf = authority.leaf(LOOPBACK);
    let (abroad, heard) = https(&authority, &leaf, true).await;
    let location = format!("https://{}/", abroad.address);
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let config = authority.server(&leaf, &[], true);
    let serve =
        move |stream| answer(stream, Heard::default(), redirect.clone().into_bytes(), Then::Close);
    let home = Server::tls(config, serve).await;
    let client = json!({ "client": { "certificate": chain, "key": key }, "redirects": 1 });
    let outcome = run(&settings(&home, &authority, client)).await;
    assert_eq!(outcome.cause, Some(Cause::TlsHandshake), "{}", outcome.detail);
    assert!(outcome.detail.starts_with("after a redirect to "), "{}", outcome.detail);
    assert!(heard.all().is_empty());
}

#[tokio::test]
async fn a_file_that_is_not_there_is_the_probes_trouble() {
    let authority = Authority::new();
    let (server, _) = https(&authority, &authority.leaf(LOOPBACK), false).await;
    for more in [
        json!({ "ca": "/nowhere/ca.pem" }),
        json!({ "client": { "certificate": authority.file(), "key": "/nowhere/key.pem" } }),
        json!({ "client": { "certificate": authority.file(), "key": authority.file() } }),
    ] {
        let outcome = run(&settings(&server, &authority, more)).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::Setup)));
    }
}

/// Answers with what it was asked, over whichever version the client picked.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|whole| whole.to_bytes()).unwrap_or_default();
    let told = format!(
        "{:?} {} {} user-agent {:?} body {}",
        head.version,
        head.method,
        head.uri,
        head.headers.get("user-agent"),
        String::from_utf8_lossy(&body)
    );
    Ok(Response::new(Full::new(Bytes::from(told))))
}

async fn serve_http<S>(stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), service_fn(echo)).await;
}

#[tokio::test]
async fn http_2_is_spoken_where_both_can() {
    let authority = Authority::new();
    let leaf = authority.leaf(LOOPBACK);
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    let table = [
        (both, json!({}), Ok(("HTTP/2.0 GET https://", 2.0))),
        (both, json!({ "version": "2" }), Ok(("HTTP/2.0 GET https://", 2.0))),
        (both, json!({ "version": 1.1 }), Ok(("HTTP/1.1 GET /", 1.1))),
        (&[b"http/1.1"], json!({}), Ok(("HTTP/1.1 GET /", 1.1))),
        (&[], json!({}), Ok(("HTTP/1.1 GET /", 1.1))),
        (&[b"http/1.1"], json!({ "version": 2 }), Err(Cause::Protocol)),
        (&[], json!({ "version": 2 }), Err(Cause::Protocol)),
    ];
    for (alpn, more, wanted) in table {
        let server = Server::tls(authority.server(&leaf, alpn, false), serve_http).await;
        let mut more = more.clone();
        if let Ok((begins, _)) = wanted {
            more["body"] = json!({ "matches": format!("^{begins}") });
        }
        let outcome = run(&settings(&server, &authority, more.clone())).await;
        match wanted {
            Ok((_, version)) => {
                assert_up(&outcome);
                assert_eq!(outcome.values["http_version"], version, "{more}");
                for phase in [Phase::Send, Phase::FirstByte, Phase::Transfer] {
                    assert!(outcome.phases.get(phase).is_some(), "{phase:?} {more}");
                }
            }
            Err(cause) => assert_eq!(outcome.cause, Some(cause), "{more}: {}", outcome.detail),
        }
    }
}

#[tokio::test]
async fn http_2_without_tls_is_spoken_when_asked_for() {
    let server = Server::plain("127.0.0.1:0", serve_http).await;
    let settings = json!({
        "version": "2",
        "send": "x=1",
        "host": "shop.test",
        "body": { "matches": "^HTTP/2.0 POST http://shop.test/a user-agent .* body x=1$" },
    });
    assert_up(&run(&at(&server, "/a", settings)).await);
}

#[tokio::test]
async fn http_2_that_never_answers_is_a_first_byte_timeout() {
    async fn never(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        std::future::pending().await
    }
    let serve = |stream| async move {
        let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(TokioIo::new(stream), service_fn(never)).await;
    };
    let server = Server::plain("127.0.0.1:0", serve).await;
    let outcome = run_in(&env(), &at(&server, "/", json!({ "version": "2" })), SHORT).await;
    assert_eq!(outcome.cause, Some(Cause::FirstByteTimeout), "{}", outcome.detail);
    assert!(outcome.phases.get(Phase::Send).is_some());
    assert_eq!(outcome.phases.get(Phase::FirstByte), None);
}
