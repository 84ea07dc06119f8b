//! Targets that break off, trickle, lie or do not answer.

use std::io::Write;

use crosscheck_model::{Cause, Phase, Status};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;

#[tokio::test]
async fn a_broken_answer_is_told_by_its_cause() {
    let table = [
        ("", Cause::Reset),
        ("HTTP/1.1 200 OK\r\nContent-Le", Cause::Reset),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", Cause::Reset),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", Cause::Reset),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Cause::Protocol),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", Cause::Protocol),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip at all", Cause::Protocol),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: lzma\r\n\r\nx", Cause::Protocol),
        ("HTTP/1.1 500 No\r\nContent-Encoding: lzma\r\n\r\nx", Cause::Status),
        ("HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nshort", Cause::Status),
    ];
    for (bytes, cause) in table {
        let (server, _) = server(bytes, Then::Close).await;
        let outcome = run(&at(&server, "/", json!({}))).await;
        assert_eq!(outcome.cause, Some(cause), "{bytes:?}: {}", outcome.detail);
        assert_eq!(outcome.status, Status::Down);
        assert!(outcome.phases.get(Phase::Connect).is_some(), "{bytes:?}");
    }
}

#[tokio::test]
async fn the_phase_in_which_the_deadline_falls_is_the_cause() {
    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthe beginning";
    let table = [
        ("", Cause::FirstByteTimeout, [true, false, false]),
        ("HTTP/1.1 200 OK\r\nX-Slow: ", Cause::TransferTimeout, [true, true, false]),
        (begun, Cause::TransferTimeout, [true, true, false]),
    ];
    for (bytes, cause, ended) in table {
        let (server, _) = server(bytes, Then::Hold).await;
        let outcome = run_in(&env(), &at(&server, "/", json!({})), SHORT).await;
        assert_eq!(outcome.cause, Some(cause), "{bytes:?}: {}", outcome.detail);
        let phases = [Phase::Send, Phase::FirstByte, Phase::Transfer];
        let seen = phases.map(|phase| outcome.phases.get(phase).is_some());
        assert_eq!(seen, ended, "{bytes:?}: {outcome:?}");
        assert!(outcome.phases.get(Phase::Connect).is_some());
        let excerpt = if bytes == begun { "the beginning" } else { "" };
        assert_eq!(outcome.excerpt, excerpt, "what came is shown");
    }
}

#[tokio::test]
async fn a_request_that_is_not_taken_is_a_send_timeout() {
    // Accepted by the kernel and read by nobody: the buffers fill up.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let settings = json!({ "url": format!("http://{address}/"), "send": "x".repeat(32 << 20) });
    let outcome = run_in(&env(), &settings, SHORT).await;
    assert_eq!(outcome.cause, Some(Cause::SendTimeout), "{}", outcome.detail);
    assert_eq!(outcome.phases.get(Phase::Send), None);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_has_gone_is_heard() {
    let serve = |mut stream: tokio::net::TcpStream| async move {
        let _ = stream.read(&mut [0; 64]).await;
        let _ = stream.write_all(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n").await;
        std::future::pending::<()>().await;
    };
    let server = Server::plain("127.0.0.1:0", serve).await;
    let outcome = run(&at(&server, "/", json!({ "send": "x".repeat(32 << 20) }))).await;
    assert_eq!(outcome.cause, Some(Cause::Status), "{}", outcome.detail);
    assert_eq!(outcome.values.get("status"), Some(&413.0));
}

#[tokio::test]
async fn nobody_at_the_port_is_a_refusal() {
    let (server, _) = server("", Then::Close).await;
    let settings = at(&server, "/", json!({}));
    drop(server);
    tokio::task::yield_now().await; // The server's task lets go of its port.
    let outcome = run(&settings).await;
    assert_eq!(outcome.cause, Some(Cause::Refused), "{}", outcome.detail);
    assert_eq!(outcome.values.get("status"), None);
}

#[tokio::test]
async fn a_forbidden_address_is_not_touched() {
    let (server, heard) = server(ok(""), Then::Close).await;
    let env = Env { guard: Guard::public(), ..env() };
    let outcome = run_in(&env, &at(&server, "/", json!({})), AMPLE).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::BlockedAddress)));
    assert!(outcome.detail.contains("loopback"), "{}", outcome.detail);
    assert!(heard.all().is_empty());
}

#[tokio::test]
async fn too_large_a_body_is_cut_off_whatever_its_length_says() {
    let large = "x".repeat(3000);
    let huge_length = format!("HTTP/1.1 200 OK\r\nContent-Length: 9999999999999\r\n\r\n{large}");
    let chunked =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n{large}\r\n");
    let until_closed = format!("HTTP/1.1 200 OK\r\n\r\n{large}");
    for bytes in [huge_length, chunked, until_closed] {
        let (server, _) = server(bytes.as_str(), Then::Hold).await;
        let outcome = run(&at(&server, "/", json!({ "body_limit": "2KiB" }))).await;
        assert_eq!(outcome.cause, Some(Cause::TooLarge), "{}", outcome.detail);
        assert!(outcome.excerpt.starts_with("xxx"));
    }
}

#[tokio::test]
async fn an_endless_body_ends_at_the_limit() {
    let serve = |mut stream: tokio::net::TcpStream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    };
    let server = Server::plain("127.0.0.1:0", serve).await;
    let outcome = run(&at(&server, "/", json!({}))).await;
    assert_eq!(outcome.cause, Some(Cause::TooLarge), "{}", outcome.detail);
}

#[tokio::test]
async fn a_bomb_does_not_go_off() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 16 << 20]).expect("packs in memory");
    let bomb = encoder.finish().expect("packs in memory");
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n";
    let bytes = [head.as_bytes(), &bomb].concat();
    let (server, _) = server(bytes, Then::Close).await;
    let settings = json!({ "body_limit": "64MiB", "body": { "contains": "x" } });
    let outcome = run(&at(&server, "/", settings)).await;
    assert_eq!(outcome.cause, Some(Cause::TooLarge), "{}", outcome.detail);
    assert!(outcome.detail.contains("100 times"), "{}", outcome.detail);
}

#[tokio::test]
async fn an_endless_head_is_cut_off() {
    let bytes = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(200_000));
    let (server, _) = server(bytes, Then::Hold).await;
    let outcome = run(&at(&server, "/", json!({}))).await;
    assert_eq!(outcome.cause, Some(Cause::TooLarge), "{}", outcome.detail);
}
