//! DNS over HTTPS (RFC 8484) in HTTP/1.1: servers that shake hands, and then do not answer as they
//! should. Frames of HTTP/2 that are no answer are in `http2.rs`, with those of other kinds.

use std::convert::Infallible;
use std::sync::Arc;

use Act::{Drip, Flood, Hear, Hold, Repeat, Reset, Say};
use bytes::Bytes;
use crosscheck_model::Cause;
use crosscheck_model::observation::RETRY_AFTER;
use futures_util::future::join_all;
use hickory_proto::op::Message;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde_json::{Value, json};

use super::names::{deniers, liars};
use super::target::{Act, Target};
use super::{SAID_AT_MOST, SHORT_OVER_TLS, assert_is, env, run, run_within};
use crate::tls::scripted::{Authority, Server};

/// What a target does, in words; its acts; what it must be taken for.
type Row<'a> = (&'a str, Vec<Act<'a>>, Cause);

const MIB: usize = 1 << 20;

/// A head of the right type, without its end.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\n";

fn trusted() -> (Authority, Arc<ServerConfig>) {
    let authority = Authority::new();
    let config = authority.server(&authority.leaf(&["127.0.0.1"]), &[b"http/1.1"], false);
    (authority, config)
}

fn settings(server: std::net::SocketAddr, authority: &Authority) -> Value {
    json!({
        "name": "shop.test", "type": "A", "transport": "https",
        "server": server.to_string(), "ca": authority.file(),
    })
}

/// Plays all rows, at the same time.
async fn play(rows: Vec<Row<'_>>) {
    let (authority, config) = &trusted();
    join_all(rows.into_iter().map(|(name, acts, cause)| async move {
        let target = Target::doing_over_tls(config.clone(), &acts).await;
        let settings = settings(target.address(), authority);
        let outcome = run_within(SHORT_OVER_TLS, &env(), "dns", &settings, Some(cause)).await;
        assert_is(&outcome, Some(cause), name);
        assert!(target.said() <= SAID_AT_MOST, "{name}: {}", target.said());
    }))
    .await;
}

#[tokio::test]
async fn silence_drips_and_breaks_are_told_by_their_phase() {
    use Cause::{FirstByteTimeout, TransferTimeout};
    let begun = [HEAD, b"Content-Length: 5000\r\n\r\nhello"].concat();
    let begun = Say(&begun);
    play(vec![
        ("says nothing", vec![Hold], FirstByteTimeout),
        ("hears and says nothing", vec![Hear, Hold], FirstByteTimeout),
        ("drips its head", vec![Hear, Drip(b"HTTP/1.1 200 OK\r\nX: y")], TransferTimeout),
        ("drips its body", vec![Hear, begun, Drip(b"x")], TransferTimeout),
        ("promises more than comes", vec![Hear, begun, Hold], TransferTimeout),
        ("promises more and goes", vec![Hear, begun], Cause::Reset),
        ("resets at once", vec![Reset], Cause::Reset),
        ("resets when it has heard", vec![Hear, Reset], Cause::Reset),
        ("goes when it has heard", vec![Hear], Cause::Reset),
        ("resets in the head", vec![Hear, Say(b"HTTP/1.1 200 O"), Reset], Cause::Reset),
        ("resets in the body", vec![Hear, begun, Reset], Cause::Reset),
    ])
    .await;
}

#[tokio::test]
async fn what_has_no_end_is_cut_off() {
    use Cause::{Protocol, TooLarge};
    let large = [HEAD, b"Content-Length: 104857600\r\n\r\n"].concat();
    let chunked = [HEAD, b"Transfer-Encoding: chunked\r\n\r\n"].concat();
    let (large, chunked, head) = (Say(&large), Say(&chunked), Say(HEAD));
    let hundred = Repeat(&[b'x'; 4096], 100 * MIB / 4096);
    play(vec![
        ("headers without end", vec![Hear, head, Flood(b"X-More: of this\r\n")], TooLarge),
        ("one header without end", vec![Hear, head, Say(b"X: "), Flood(b"y")], TooLarge),
        ("a status line without end", vec![Hear, Say(b"HTTP/1.1 200 "), Flood(b"O")], TooLarge),
        ("continues without end", vec![Hear, Flood(b"HTTP/1.1 100 Continue\r\n\r\n")], TooLarge),
        ("100 MiB", vec![Hear, large, hundred], TooLarge),
        ("a body without end", vec![Hear, head, Say(b"\r\n"), Flood(b"x")], TooLarge),
        ("chunks without end", vec![Hear, chunked, Flood(b"1\r\nx\r\n")], TooLarge),
        ("a chunk's extension without end", vec![Hear, chunked, Say(b"5;"), Flood(b"a")], Protocol),
        (
            "trailers without end",
            vec![Hear, chunked, Say(b"0\r\n"), Flood(b"X-More: of this\r\n")],
            Protocol,
        ),
    ])
    .await;
}

#[tokio::test]
async fn answers_that_are_none_are_judged_by_what_they_say() {
    use Cause::{Protocol, Status, Throttled};
    let says = |more: &[u8], body: &[u8]| [HEAD, more, b"\r\n", body].concat();
    let wrong: Vec<(&str, Vec<u8>, Cause)> = vec![
        ("HTTP/0.9", b"<html>hello</html>\r\n".to_vec(), Protocol),
        ("another protocol", b"220 mail.test ESMTP\r\n".to_vec(), Protocol),
        ("an error", b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno".to_vec(), Status),
        (
            "an error that breaks off",
            b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nn".to_vec(),
            Status,
        ),
        ("nobody there", b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_vec(), Status),
        (
            "elsewhere",
            b"HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_vec(),
            Status,
        ),
        ("too many", b"HTTP/1.1 429 Busy\r\nContent-Length: 0\r\n\r\n".to_vec(), Throttled),
        (
            "a page",
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>hello".to_vec(),
            Protocol,
        ),
        ("a page of the right type", says(b"", b"<html><p>hello</html>"), Protocol),
        ("nothing", says(b"Content-Length: 0\r\n", b""), Protocol),
        ("garbage", says(b"", &[0xff; 512]), Protocol),
        ("zeros", says(b"", &[0; 512]), Protocol),
        (
            "what nobody can unpack",
            says(b"Content-Encoding: gzip\r\n", b"\x1f\x8b\x08\0"),
            Protocol,
        ),
        ("two lengths", says(b"Content-Length: 1\r\nContent-Length: 2\r\n", b"ab"), Protocol),
        ("a negative length", says(b"Content-Length: -1\r\n", b"ab"), Protocol),
        (
            "a length beyond 64 bits",
            says(b"Content-Length: 99999999999999999999\r\n", b"a"),
            Protocol,
        ),
        ("less than was promised of it", says(b"Content-Length: 4\r\n", &[0; 512]), Protocol),
    ];
    play(
        wrong.iter().map(|(name, bytes, cause)| (*name, vec![Hear, Say(bytes)], *cause)).collect(),
    )
    .await;
}

/// Who turns away too many is left alone for as long as it asks, and not for ever.
#[tokio::test]
async fn too_many_questions_are_no_evidence() {
    let (authority, config) = trusted();
    for (head, wait) in [
        ("HTTP/1.1 429 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", Some(&120.0)),
        ("HTTP/1.1 429 Busy\r\nRetry-After: 99999999999999999999\r\n\r\n", None),
    ] {
        let acts = [Hear, Say(head.as_bytes())];
        let target = Target::doing_over_tls(config.clone(), &acts).await;
        let settings = settings(target.address(), &authority);
        let outcome = run(&env(), "dns", &settings, Some(Cause::Throttled)).await;
        assert_is(&outcome, Some(Cause::Throttled), head);
        assert_eq!(outcome.values.get(RETRY_AFTER), wait, "{head}");
    }
}

/// Messages that are none, or say nothing, or that there is nothing, in answers that are in order.
#[tokio::test]
async fn a_server_that_lies_is_told_by_its_cause() {
    let (authority, config) = trusted();
    for (name, packet, _, over_udp) in liars().into_iter().chain(deniers()) {
        let server = Server::tls(config.clone(), move |stream| async move {
            let service = service_fn(move |request: Request<Incoming>| async move {
                let body = request.into_body().collect().await.expect("a body").to_bytes();
                let answer = packet(&Message::from_vec(&body).expect("a question"));
                let head = Response::builder().header("content-type", "application/dns-message");
                let body = Full::new(Bytes::from(answer));
                Ok::<_, Infallible>(head.body(body).expect("sound"))
            });
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        })
        .await;
        // Nobody else can have sent it: it is waited for no other.
        let wanted = if over_udp == Cause::DnsTimeout { Cause::Protocol } else { over_udp };
        let settings = settings(server.address, &authority);
        let outcome = run(&env(), "dns", &settings, Some(wanted)).await;
        assert_is(&outcome, Some(wanted), name);
    }
}
