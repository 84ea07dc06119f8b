//! `tcp` against servers that do what a test says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome, Phase, Status};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::script::SEARCH_LIMIT_BYTES;
use super::*;
use crate::env::{Env, Secrets};
use crate::guard::Guard;
use crate::programs::Programs;
use crate::resolve::Resolver;
use crate::resolve::scripted::NameServer;
use crate::tls::scripted::Authority;

const PLENTY: Duration = Duration::from_secs(20);
/// The least in which a busy machine gets a connection and some words.
const SHORT: Duration = Duration::from_secs(1);

/// Says and hears by turns: what stands at even places is said, the rest must be heard.
async fn by_turns<S: AsyncReadExt + AsyncWriteExt + Unpin>(stream: &mut S, turns: &[&str]) {
    for (index, words) in turns.iter().enumerate() {
        if index % 2 == 0 {
            stream.write_all(words.as_bytes()).await.expect("sent");
        } else {
            let mut heard = vec![0; words.len()];
            stream.read_exact(&mut heard).await.expect("heard");
            assert_eq!(String::from_utf8_lossy(&heard), *words);
        }
    }
}

/// A server for one connection; what it does is told by the closure.
async fn serving<F: Future<Output = ()> + Send>(
    script: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        script(stream).await;
    });
    (address, task)
}

fn env(guard: Guard) -> Env {
    let variables = BTreeMap::from([("PASSWORD".to_owned(), "hunter22".to_owned())]);
    Env {
        guard,
        resolver: Resolver::new(Vec::new()),
        secrets: Secrets::fixed(variables),
        programs: Programs::default(),
    }
}

async fn run(address: SocketAddr, more: Value, limit: Duration) -> Outcome {
    let mut settings = json!({ "address": address.to_string() });
    let object = settings.as_object_mut().expect("an object");
    object.extend(more.as_object().expect("an object").clone());
    let check = Tcp.parse(&settings).expect("well-formed");
    check.run(&env(Guard::Internal), limit).await
}

async fn until_closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // Whether the other side ends in peace does not matter here.
    let _ = stream.read_to_end(&mut rest).await;
}

#[tokio::test]
async fn a_port_that_accepts_is_up() {
    let (address, _server) = serving(until_closed).await;
    let outcome = run(address, json!({}), PLENTY).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Up, None), "{}", outcome.detail);
    assert_eq!(outcome.address, Some(address.to_string()));
    let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| phase).collect();
    assert_eq!(phases, [Phase::Connect]);
}

#[tokio::test]
async fn what_is_sent_is_answered() {
    let (address, _server) = serving(|mut stream| async move {
        let mut question = [0; 15];
        stream.read_exact(&mut question).await.expect("a question");
        assert_eq!(&question, b"AUTH hunter22\r\n");
        for piece in ["+", "O", "K", "\r\n"] {
            stream.write_all(piece.as_bytes()).await.expect("sent");
            stream.flush().await.expect("sent");
        }
        until_closed(stream).await;
    })
    .await;
    let settings = json!({ "send": "AUTH ${env:PASSWORD}\r\n", "expect": "^\\+OK\r\n" });
    let outcome = run(address, settings, PLENTY).await;
    assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
    assert_eq!(outcome.values.get("bytes"), Some(&5.0));
    let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| phase).collect();
    assert_eq!(phases, [Phase::Connect, Phase::Send, Phase::FirstByte, Phase::Transfer]);
}

#[tokio::test]
async fn an_answer_that_does_not_match_is_down_with_an_excerpt_without_secrets() {
    let (address, _server) = serving(|mut stream| async move {
        stream.read_exact(&mut [0; 8]).await.expect("a word");
        stream.write_all(b"-ERR no user hunter22\x07\r\n").await.expect("sent");
    })
    .await;
    let settings = json!({ "send": "${env:PASSWORD}", "expect": "^\\+OK" });
    let outcome = run(address, settings, PLENTY).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(Cause::Body)));
    assert_eq!(outcome.excerpt, "-ERR no user <redacted> ");
    assert!(outcome.detail.contains("before the end does not match `^\\+OK`"));
}

#[tokio::test]
async fn a_server_that_waits_after_the_wrong_words_does_not_match() {
    let (address, _server) = serving(|mut stream| async move {
        stream.write_all(b"220 busy\r\n").await.expect("sent");
        until_closed(stream).await;
    })
    .await;
    let outcome = run(address, json!({ "expect": "^SSH" }), SHORT).await;
    assert_eq!(outcome.cause, Some(Cause::Body), "{}", outcome.detail);
    assert_eq!(outcome.excerpt, "220 busy ");
}

#[tokio::test]
async fn silence_closing_and_reset_are_told_apart() {
    let (silent, _server) = serving(until_closed).await;
    let outcome = run(silent, json!({ "expect": "x" }), SHORT).await;
    assert_eq!(outcome.cause, Some(Cause::FirstByteTimeout), "{}", outcome.detail);

    let (closing, _server) = serving(|stream| async move { drop(stream) }).await;
    let outcome = run(closing, json!({ "expect": "x" }), PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::Reset), "{}", outcome.detail);
    assert!(outcome.detail.contains("without a word"), "{}", outcome.detail);

    let (resetting, _server) = serving(|mut stream| async move {
        stream.read_u8().await.expect("a byte");
        stream.set_zero_linger().expect("an option");
    })
    .await;
    let outcome = run(resetting, json!({ "send": "hello", "expect": "x" }), PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::Reset), "{}", outcome.detail);
}

#[tokio::test]
async fn more_than_the_bound_is_not_read() {
    let (address, _server) = serving(|mut stream| async move {
        let flood = vec![b'x'; 4 * SEARCH_LIMIT_BYTES];
        // It is cut off in the midst of it.
        let _ = stream.write_all(&flood).await;
    })
    .await;
    let outcome = run(address, json!({ "expect": "y" }), PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::Body), "{}", outcome.detail);
    assert_eq!(outcome.values.get("bytes"), Some(&(SEARCH_LIMIT_BYTES as f64)));
    assert!(outcome.detail.starts_with("the first 65536 bytes"), "{}", outcome.detail);
}

#[tokio::test]
async fn nobody_there_and_nobody_allowed() {
    let deserted = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("bound")
    };
    let outcome = run(deserted, json!({}), PLENTY).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(Cause::Refused)));

    let check = Tcp.parse(&json!({ "address": deserted.to_string() })).expect("well-formed");
    let outcome = check.run(&env(Guard::public()), PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::BlockedAddress));
}

#[tokio::test]
async fn a_silent_name_server_is_named() {
    let silent = NameServer::scripted(|_, _| Vec::new()).await;
    let check = Tcp.parse(&json!({ "address": "db.example.com:3306" })).expect("well-formed");
    let resolver = Resolver::new(vec![silent.address]);
    let outcome = check.run(&Env { resolver, ..env(Guard::Internal) }, SHORT).await;
    assert_eq!(outcome.cause, Some(Cause::DnsTimeout));
    assert!(outcome.detail.contains(&silent.address.to_string()), "{}", outcome.detail);
}

#[tokio::test]
async fn slow_is_degraded_and_a_missing_secret_is_unknown() {
    let (address, _server) = serving(until_closed).await;
    let outcome = run(address, json!({ "slower_than": "0s" }), PLENTY).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Degraded, Some(Cause::Slow)));

    let outcome = run(address, json!({ "send": "${env:NOT_THERE}" }), PLENTY).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::Setup)));
    assert_eq!(outcome.phases.iter().count(), 0, "nobody was disturbed");
}

#[test]
fn settings_that_do_not_fit_are_refused_with_their_place() {
    for (settings, path, message) in [
        (json!({}), "", "missing field `address`"),
        (json!({ "address": "db.example.com" }), "address", "has no port"),
        (json!({ "address": "[::1]:1", "family": "v4" }), "family", "other address family"),
        (json!({ "address": "a:1", "expect": "(" }), "expect", "unclosed group"),
        (json!({ "address": "a:1", "send": "${X}" }), "send", "no secret reference"),
        (json!({ "address": "a:1", "tsl": true }), "tsl", "unknown field"),
    ] {
        let errors = Tcp.parse(&settings).err().expect("does not fit");
        assert_eq!(errors[0].path.join("."), path, "{settings}");
        assert!(errors[0].message.contains(message), "{}", errors[0].message);
    }
    let check = Tcp.parse(&json!({ "address": "[2001:db8::1]:443" })).expect("well-formed");
    assert_eq!((check.target().as_str(), check.family()), ("[2001:db8::1]:443", Family::V6));
}

#[tokio::test]
async fn a_script_is_followed_with_groups_and_secrets() {
    let turns = [
        "* ready v7 <1896.697@mail>\r\n",
        "APOP <1896.697@mail> hunter22\r\n",
        "+OK 3 messages, ${env:PASSWORD} {{stamp}}\r\n",
        "RETR 3 of ${env:PASSWORD} {{stamp}}, <1896.697@mail>; {{ {}\r\n",
        "text, and the rest\r\n",
    ];
    let (address, server) = serving(move |mut stream| async move {
        by_turns(&mut stream, &turns).await;
        until_closed(stream).await;
    })
    .await;
    let script = json!({ "script": [
        { "expect": "v(\\d+) (?<stamp><[^>]+>)\r\n" },
        { "name": "log in", "send": "APOP {{stamp}} ${env:PASSWORD}\r\n",
          "expect": "^[+]OK (\\d+) messages, (.*)\r\n" },
        { "send": "RETR {{1}} of {{2}}, {{stamp}}; {{ {}\r\n", "expect": { "text": "text, " } },
        { "expect": { "hex": "61 6e64" } },
        { "expect": { "matches": "^ the rest\r\n$" }, "within": "16B" },
    ] });
    let outcome = run(address, script, PLENTY).await;
    assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
    server.await.expect("it heard what it should: what a server sends is no reference");
}

#[tokio::test]
async fn a_failing_step_is_named_with_what_was_heard_in_it() {
    let table = [
        (json!({ "expect": "^-ERR" }), "step 2: what came before the end does not match `^-ERR`"),
        (
            json!({ "name": "log in", "expect": { "text": "-ERR" } }),
            "step 2 (log in): what came before the end does not contain `-ERR`",
        ),
        (
            json!({ "expect": { "hex": "2b 4f 00" } }),
            "step 2: what came does not begin with the bytes 2b 4f 00",
        ),
        (json!({ "expect": "wait", "within": "5B" }), "step 2: the first 5 bytes does not match"),
    ];
    for (step, detail) in table {
        let (address, _server) = serving(|mut stream| async move {
            by_turns(&mut stream, &["hello\r\n", "ping", "+OK hunter22\r\n"]).await;
        })
        .await;
        let mut second = step;
        second["send"] = json!("ping");
        let script = json!({ "script": [
            { "expect": "hello\r\n" }, second, { "send": "${env:PASSWORD}" },
        ] });
        let outcome = run(address, script, PLENTY).await;
        assert_eq!(outcome.cause, Some(Cause::Body), "{}", outcome.detail);
        assert!(outcome.detail.starts_with(detail), "{}", outcome.detail);
        assert_eq!(outcome.excerpt, "+OK <redacted> ");
    }
}

#[tokio::test]
async fn silence_and_a_reset_in_the_midst_are_told_apart() {
    let script = json!({ "script": [
        { "expect": "hello\r\n" }, { "name": "ask", "send": "ping", "expect": "pong" },
    ] });
    let (silent, _server) = serving(|mut stream| async move {
        by_turns(&mut stream, &["hello\r\n"]).await;
        until_closed(stream).await;
    })
    .await;
    let outcome = run(silent, script.clone(), SHORT).await;
    assert_eq!(outcome.cause, Some(Cause::FirstByteTimeout), "{}", outcome.detail);
    assert!(outcome.detail.starts_with("step 2 (ask): no answer within"), "{}", outcome.detail);
    assert!(outcome.phases.get(Phase::FirstByte).is_some(), "the first step's is kept");

    let (resetting, _server) = serving(|mut stream| async move {
        by_turns(&mut stream, &["hello\r\n"]).await;
        stream.read_u8().await.expect("a byte");
        stream.set_zero_linger().expect("an option");
    })
    .await;
    let outcome = run(resetting, script, PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::Reset), "{}", outcome.detail);
    assert!(outcome.detail.starts_with("step 2 (ask): "), "{}", outcome.detail);
}

#[tokio::test]
async fn a_byte_at_a_time_is_heard_and_bounded() {
    let (address, _server) = serving(|mut stream| async move {
        for byte in b"220 mail.example.com ready\r\n" {
            stream.write_u8(*byte).await.expect("sent");
            stream.flush().await.expect("sent");
            tokio::task::yield_now().await;
        }
        until_closed(stream).await;
    })
    .await;
    let outcome = run(address, json!({ "expect": "^220 (\\S+) ready\r\n$" }), PLENTY).await;
    assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
}

/// A server that begins TLS in the midst, after these turns in clear text.
async fn upgrading(
    authority: &Authority,
    name: &str,
    turns: &'static [&'static str],
) -> SocketAddr {
    let acceptor = TlsAcceptor::from(authority.server(&authority.leaf(&[name]), &[], false));
    let (address, _) = serving(move |mut stream| async move {
        by_turns(&mut stream, turns).await;
        if let Ok(mut stream) = acceptor.accept(stream).await {
            by_turns(&mut stream, &["", "secret hunter22\r\n", "done\r\n"]).await;
            let _ = stream.read(&mut [0]).await;
        }
    })
    .await;
    address
}

#[tokio::test]
async fn tls_may_begin_in_the_midst() {
    let authority = Authority::new();
    let script = json!([
        { "expect": "ready\r\n" },
        { "send": "STLS\r\n", "expect": "^[+]OK\r\n", "starttls": true },
        { "send": "secret ${env:PASSWORD}\r\n", "expect": "done\r\n" },
    ]);
    let polite: &[&str] = &["ready\r\n", "STLS\r\n", "+OK\r\n"];
    let injected: &[&str] = &["ready\r\n", "STLS\r\n", "+OK\r\ndone\r\n"];
    let table = [
        ("127.0.0.1", polite, None, ""),
        ("another.test", polite, Some(Cause::TlsName), "step 2: the certificate is not for"),
        ("127.0.0.1", injected, Some(Cause::Protocol), "step 2: the server said more in clear"),
    ];
    for (name, turns, cause, detail) in table {
        let address = upgrading(&authority, name, turns).await;
        let more = json!({ "script": script, "ca": authority.file() });
        let outcome = run(address, more, PLENTY).await;
        assert_eq!(outcome.cause, cause, "{}", outcome.detail);
        assert!(outcome.detail.starts_with(detail), "{}", outcome.detail);
        let shaken = outcome.phases.get(Phase::Tls).is_some();
        assert_eq!(shaken, cause != Some(Cause::Protocol));
        assert_eq!(outcome.values.contains_key("certificate_days"), shaken);
    }
}

#[tokio::test]
async fn tls_may_begin_at_once() {
    let authority = Authority::new();
    let address = upgrading(&authority, "db.test", &[]).await;
    let more = json!({
        "tls": true, "ca": authority.file(), "server_name": "db.test",
        "certificate": { "warn_days": 30 },
        "send": "secret ${env:PASSWORD}\r\n", "expect": "done",
    });
    let outcome = run(address, more, PLENTY).await;
    assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
    assert!(outcome.values["certificate_days"] > 365.0);
    let plain = serving(|mut stream| async move {
        by_turns(&mut stream, &["220 I speak no TLS\r\n"]).await;
        until_closed(stream).await;
    });
    let more = json!({ "tls": true, "ca": authority.file() });
    let outcome = run(plain.await.0, more, PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::TlsHandshake), "{}", outcome.detail);
    assert!(outcome.detail.starts_with("TLS: "), "{}", outcome.detail);
}

#[test]
fn scripts_that_cannot_be_followed_are_refused_with_their_place() {
    let step = |step: Value| json!({ "address": "a:1", "script": [{ "expect": "(x)" }, step] });
    for (settings, path, message) in [
        (step(json!({})), "script.1", "does nothing"),
        (step(json!({ "send": "{{2}}" })), "script.1.send", "`{{2}}` is no group"),
        (step(json!({ "send": "{{name}}" })), "script.1.send", "`{{name}}` is no group"),
        (step(json!({ "expect": {} })), "script.1.expect", "one of"),
        (step(json!({ "expect": { "text": "" } })), "script.1.expect", "one of"),
        (step(json!({ "expect": { "text": "a", "hex": "0d" } })), "script.1.expect", "one of"),
        (step(json!({ "expect": { "hex": "0" } })), "script.1.expect.hex", "no bytes"),
        (step(json!({ "expect": "x", "within": "2MiB" })), "script.1.within", "at most 1MiB"),
        (
            step(json!({ "expect": { "text": "abc" }, "within": "2B" })),
            "script.1.within",
            "3 bytes",
        ),
        (step(json!({ "send": "x", "within": "2B" })), "script.1.within", "without `expect`"),
        (step(json!({ "sned": "x" })), "script.1.sned", "unknown field"),
        (
            json!({ "address": "a:1", "script": [{ "starttls": true }], "tls": true }),
            "tls",
            "beside",
        ),
        (json!({ "address": "a:1", "script": [{ "send": "x" }], "send": "x" }), "send", "beside"),
        (json!({ "address": "a:1", "ca": "x" }), "ca", "without TLS"),
    ] {
        let errors = Tcp.parse(&settings).err().unwrap_or_else(|| panic!("{settings} fits"));
        assert_eq!(errors[0].path.join("."), path, "{settings}: {errors:?}");
        assert!(errors[0].message.contains(message), "{settings}: {}", errors[0].message);
    }
}
