//! DNS over TLS and over HTTPS, against servers that answer as a test tells.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::tls::scripted::{Authority, Server};

/// A server of DNS over TLS; it closes without a word when it has none.
async fn dot(authority: &Authority, answers: bool) -> Server {
    let config = authority.server(&authority.leaf(&["127.0.0.1"]), &[b"dot"], false);
    Server::plain("127.0.0.1:0", move |stream| {
        let config = config.clone();
        async move {
            let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await else { return };
            let Ok(length) = stream.read_u16().await else { return };
            let mut bytes = vec![0; usize::from(length)];
            stream.read_exact(&mut bytes).await.expect("a question");
            if answers {
                let query = Message::from_vec(&bytes).expect("a question");
                let answer = framed(&with_address(&query), Transport::Tcp);
                stream.write_all(&answer).await.expect("sent");
            }
            drop(stream.shutdown().await);
        }
    })
    .await
}

/// A server of DNS over HTTPS that speaks these protocols and answers with this status and type.
async fn doh(
    authority: &Authority,
    alpn: &'static [&'static [u8]],
    status: u16,
    media: &'static str,
) -> Server {
    doh_with(authority, (alpn, status, media), "").await
}

/// The same, which asks to be left alone for so long.
async fn doh_with(
    authority: &Authority,
    (alpn, status, media): (&'static [&'static [u8]], u16, &'static str),
    wait: &'static str,
) -> Server {
    let config = authority.server(&authority.leaf(&["127.0.0.1"]), alpn, false);
    Server::plain("127.0.0.1:0", move |stream| {
        let config = config.clone();
        async move {
            let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
            let service = service_fn(move |request: Request<Incoming>| async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.expect("a body").to_bytes();
                let query = Message::from_vec(&body).expect("a question");
                let answer = with_address(&query).to_vec().expect("encodes");
                let status = if path == "/dns-query" { status } else { 404 };
                let mut response = Response::builder().status(status).header("content-type", media);
                if !wait.is_empty() {
                    response = response.header("retry-after", wait);
                }
                Ok::<_, Infallible>(response.body(Full::new(Bytes::from(answer))).expect("sound"))
            });
            let server = auto::Builder::new(TokioExecutor::new());
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        }
    })
    .await
}

fn over(transport: &str, server: &Server, authority: &Authority, more: Value) -> Value {
    let mut all = settings(server.address, more);
    all["transport"] = json!(transport);
    all["ca"] = json!(authority.file());
    all
}

#[tokio::test]
async fn dns_over_tls_is_answered_timed_and_verified() {
    let authority = Authority::new();
    let server = dot(&authority, true).await;
    let outcome = run(&over("tls", &server, &authority, json!({})), PLENTY).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Up, None), "{outcome:?}");
    for phase in [Phase::Connect, Phase::Tls, Phase::Send, Phase::FirstByte, Phase::Transfer] {
        assert!(outcome.phases.get(phase).is_some(), "{}", phase.as_str());
    }
    assert!(outcome.values.contains_key("certificate_days"));
    for (more, cause) in [
        (json!({ "server_name": "other.test" }), Cause::TlsName),
        (json!({ "answers": { "any": "192.0.2.9" } }), Cause::Answer),
        (json!({ "slower_than": "0s" }), Cause::Slow),
    ] {
        let outcome = run(&over("tls", &server, &authority, more.clone()), PLENTY).await;
        assert_eq!(outcome.cause, Some(cause), "{more}: {outcome:?}");
    }
    let mut settings = over("tls", &server, &authority, json!({}));
    settings.as_object_mut().expect("an object").remove("ca");
    assert_eq!(run(&settings, PLENTY).await.cause, Some(Cause::TlsUntrusted));
    let wordless = dot(&authority, false).await;
    let outcome = run(&over("tls", &wordless, &authority, json!({})), PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::Reset), "{outcome:?}");
    let clear = NameServer::answering(with_address).await;
    let mut settings = over("tls", &server, &authority, json!({}));
    settings["server"] = json!(clear.address.to_string());
    let outcome = run(&settings, PLENTY).await;
    assert!(outcome.cause.is_some_and(|cause| cause != Cause::Refused), "{outcome:?}");
}

#[tokio::test]
async fn dns_over_https_speaks_both_versions_and_judges_the_answer() {
    const MEDIA: &str = "application/dns-message";
    const H2: &[&[u8]] = &[b"h2"];
    let authority = Authority::new();
    for (alpn, status, media, more, cause) in [
        (H2, 200, MEDIA, json!({}), None),
        (&[b"http/1.1"], 200, MEDIA, json!({}), None),
        (&[], 200, MEDIA, json!({}), None),
        (H2, 200, "text/html", json!({}), Some(Cause::Protocol)),
        (H2, 503, MEDIA, json!({}), Some(Cause::Status)),
        (H2, 429, MEDIA, json!({}), Some(Cause::Throttled)),
        (H2, 200, MEDIA, json!({ "path": "/other" }), Some(Cause::Status)),
    ] {
        let server = doh(&authority, alpn, status, media).await;
        let outcome = run(&over("https", &server, &authority, more), PLENTY).await;
        assert_eq!(outcome.cause, cause, "{status} {media}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_asked_too_often_says_for_how_long() {
    let authority = Authority::new();
    for (status, cause, wait) in [(429, Cause::Throttled, Some(&30.0)), (503, Cause::Status, None)]
    {
        const H2: &[&[u8]] = &[b"h2"];
        let answer = (H2, status, "application/dns-message");
        let server = doh_with(&authority, answer, "30").await;
        // One that asks all servers of a zone asks this one for them.
        for more in [json!({}), json!({ "soa_agreement": true })] {
            let outcome = run(&over("https", &server, &authority, more.clone()), PLENTY).await;
            assert_eq!(outcome.cause, Some(cause), "{more}: {outcome:?}");
            assert_eq!(outcome.values.get(RETRY_AFTER), wait, "{more}: {outcome:?}");
            let told = "status 429: too many requests; Retry-After: 30";
            assert_eq!(outcome.detail == told, status == 429, "{more}: {outcome:?}");
        }
    }
}
