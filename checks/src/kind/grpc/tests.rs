//! The kind against HTTP/2 servers in this process.

use std::convert::Infallible;

use http::Response;
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::kind::hostile::{assert_ended_by, assert_is};
use crate::kind::negate::Negatable;
use crate::kind::service::scripted::{check, refusals};
use crate::tls::scripted::{Authority, Server};

const PLENTY: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_secs(1);

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// An answer of this message with this status.
fn answer(message: &[u8], status: &str) -> Answer {
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let data = Bytes::from([&[0], &length[..], message].concat());
    let mut trailers = HeaderMap::new();
    if !status.is_empty() {
        trailers.insert("grpc-status", status.parse().expect("a value"));
        trailers.insert("grpc-message", "no%20way".parse().expect("a value"));
    }
    let frames = [Ok(Frame::data(data)), Ok(Frame::trailers(trailers))];
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
    let body = BodyExt::boxed(body);
    Response::builder().header("content-type", "application/grpc").body(body).expect("well-formed")
}

/// A server that serves what the request's body asks for, as this says.
async fn server(
    reply: impl Fn(&HeaderMap, &[u8]) -> Answer + Clone + Send + Sync + 'static,
) -> Server {
    Server::plain("127.0.0.1:0", move |stream| serve(stream, reply.clone())).await
}

async fn serve<S>(
    stream: S,
    reply: impl Fn(&HeaderMap, &[u8]) -> Answer + Clone + Send + Sync + 'static,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let reply = reply.clone();
        async move {
            let (head, body) = request.into_parts();
            assert_eq!(head.uri.path(), METHOD);
            let body = body.collect().await.expect("a body").to_bytes();
            Ok::<_, Infallible>(reply(&head.headers, &body))
        }
    });
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    drop(server.serve_connection(TokioIo::new(stream), service).await);
}

#[tokio::test]
async fn states_and_codes_are_told_apart() {
    for (message, status, cause) in [
        (&[8, 1][..], "0", None),
        (&[8, 2], "0", Some(Cause::NotServing)),
        (&[], "0", Some(Cause::NotServing)),
        (&[8, 3], "0", Some(Cause::ServiceUnknown)),
        (&[8, 77], "0", Some(Cause::Protocol)),
        (&[8], "0", Some(Cause::Protocol)),
        (&[], "5", Some(Cause::ServiceUnknown)),
        (&[], "12", Some(Cause::NotOffered)),
        (&[], "16", Some(Cause::Login)),
        (&[], "7", Some(Cause::Login)),
        (&[], "14", Some(Cause::ServerError)),
        (&[], "x", Some(Cause::Protocol)),
        (&[8, 1], "", Some(Cause::Protocol)),
    ] {
        let server = server(move |_, _| answer(message, status)).await;
        let outcome = check(&Grpc, json!({}), server.address, PLENTY).await;
        assert_is(&outcome, cause, &format!("{message:?} {status}"));
    }
    let server = server(|_, _| answer(&[], "14")).await;
    let outcome = check(&Grpc, json!({}), server.address, PLENTY).await;
    assert_eq!(outcome.detail, "it answered 14 UNAVAILABLE: `no way`");
    assert_eq!(outcome.values["grpc_status"], 14.0);
}

#[tokio::test]
async fn the_call_carries_the_service_and_metadata() {
    let server = server(|headers, body| {
        let is_known = body == health::question("shop.Orders")
            && headers["authorization"] == "Bearer hunter22"
            && headers["te"] == "trailers"
            && headers.contains_key("grpc-timeout");
        answer(&[8, if is_known { 1 } else { 2 }], "0")
    })
    .await;
    let settings = json!({
        "service": "shop.Orders",
        "metadata": { "authorization": "Bearer ${env:PASSWORD}" },
    });
    let outcome = check(&Grpc, settings, server.address, PLENTY).await;
    assert_eq!(outcome.cause, None, "{outcome:?}");
    assert_eq!(outcome.values["serving_status"], 1.0);
    let turned =
        json!({ "service": "other", "metadata": { "authorization": "x" }, "negate": true });
    let outcome = check(&Negatable(Grpc), turned, server.address, PLENTY).await;
    assert_eq!(outcome.status, Status::Up, "it does not serve: {outcome:?}");
}

#[tokio::test]
async fn who_turns_away_too_many_says_for_how_long() {
    for (status, cause, wait) in [(429, Cause::Throttled, Some(&30.0)), (503, Cause::Status, None)]
    {
        let server = server(move |_, _| {
            let mut page = answer(&[], "0");
            *page.status_mut() = http::StatusCode::from_u16(status).expect("a status");
            page.headers_mut().insert("retry-after", HeaderValue::from_static("30"));
            page
        })
        .await;
        let outcome = check(&Grpc, json!({}), server.address, PLENTY).await;
        assert_is(&outcome, Some(cause), "grpc");
        assert_eq!(outcome.values.get(RETRY_AFTER), wait, "{outcome:?}");
        let told = "status 429: too many requests; Retry-After: 30";
        assert_eq!(outcome.detail == told, status == 429, "{outcome:?}");
    }
}

#[tokio::test]
async fn over_tls_the_server_must_agree_to_http2() {
    let authority = Authority::new();
    for (alpn, cause) in [(&[&b"h2"[..]][..], None), (&[], Some(Cause::Protocol))] {
        let config = authority.server(&authority.leaf(&["127.0.0.1"]), alpn, false);
        let server = Server::plain("127.0.0.1:0", move |stream| {
            let config = config.clone();
            async move {
                if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                    serve(stream, |_, _| answer(&[8, 1], "0")).await;
                }
            }
        })
        .await;
        let settings = json!({ "tls": true, "ca": authority.file() });
        let outcome = check(&Grpc, settings, server.address, PLENTY).await;
        assert_is(&outcome, cause, "grpc");
        assert!(outcome.values.contains_key("certificate_days"));
    }
}

#[tokio::test]
async fn what_is_no_grpc_server_is_none() {
    let page = server(|_, _| {
        let mut page = answer(&[], "0");
        page.headers_mut().insert("content-type", HeaderValue::from_static("text/html"));
        page
    })
    .await;
    let outcome = check(&Grpc, json!({}), page.address, PLENTY).await;
    assert_is(&outcome, Some(Cause::Protocol), "grpc");
    let gone = server(|_, _| {
        let mut page = answer(&[], "0");
        *page.status_mut() = http::StatusCode::NOT_FOUND;
        page
    })
    .await;
    let outcome = check(&Grpc, json!({}), gone.address, PLENTY).await;
    assert_is(&outcome, Some(Cause::Status), "grpc");
    let turned = json!({ "negate": true });
    let outcome = check(&Negatable(Grpc), turned.clone(), gone.address, PLENTY).await;
    assert_eq!(outcome.status, Status::Up, "{outcome:?}");
    let busy = server(|_, _| {
        let mut page = answer(&[], "0");
        *page.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        page
    })
    .await;
    let outcome = check(&Negatable(Grpc), turned, busy.address, PLENTY).await;
    assert_eq!(outcome.status, Status::Unknown, "it may serve again: {outcome:?}");
    let endless = server(|_, _| {
        let frames = std::iter::repeat_with(|| Ok(Frame::data(Bytes::from(vec![0; 8192]))));
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
        answer(&[], "0").map(|_| BodyExt::boxed(body))
    })
    .await;
    let outcome = check(&Grpc, json!({}), endless.address, PLENTY).await;
    assert_is(&outcome, Some(Cause::TooLarge), "grpc");
}

#[tokio::test]
async fn silence_a_reset_and_garbage_are_told_apart() {
    let silent = Server::plain("[::1]:0", |mut stream| async move {
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await;
    let outcome = check(&Grpc, json!({}), silent.address, SHORT).await;
    assert_is(&outcome, Some(Cause::FirstByteTimeout), "grpc");
    assert_ended_by(&outcome, SHORT, "grpc");
    let resetting = Server::plain("127.0.0.1:0", |stream| async move {
        stream.set_zero_linger().expect("an option");
    })
    .await;
    let outcome = check(&Grpc, json!({}), resetting.address, PLENTY).await;
    assert_is(&outcome, Some(Cause::Reset), "grpc");
    for words in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0xff; 64]] {
        let garbage = Server::plain("127.0.0.1:0", move |mut stream| async move {
            drop(stream.write_all(words).await);
            drop(stream.read_to_end(&mut Vec::new()).await);
        })
        .await;
        let outcome = check(&Grpc, json!({}), garbage.address, PLENTY).await;
        assert_is(&outcome, Some(Cause::Protocol), "grpc");
    }
}

#[test]
fn settings_that_do_not_fit_are_told() {
    let table: Vec<(Value, &str, &str)> = vec![
        (json!({ "address": "a", "metadata": { "grpc-x": "y" } }), "metadata.grpc-x", "itself"),
        (json!({ "address": "a", "metadata": { "A": "y" } }), "metadata.A", "small letters"),
        (json!({ "address": "a", "metadata": { "a-bin": "y" } }), "metadata.a-bin", "binary"),
        (json!({ "address": "a", "authority": "a b" }), "authority", "no host"),
        (json!({ "address": "a", "ca": "x.pem" }), "ca", "without TLS"),
    ];
    refusals(&Grpc, &table);
}
