//! Answers that come whole, and what is wanted of them.

use crosscheck_model::observation::RETRY_AFTER;
use crosscheck_model::{Cause, Phase, Status};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, rdata::A};
use serde_json::json;

use super::*;
use crate::resolve::scripted::{NameServer, record, reply};

#[tokio::test]
async fn a_good_answer_is_up_with_its_numbers_and_phases() {
    let (server, heard) = server(ok("Welcome"), Then::Close).await;
    let outcome = run(&at(&server, "/a?b=1#c", json!({}))).await;
    assert_up(&outcome);
    assert_eq!(outcome.address, Some(server.address.to_string()));
    for (name, value) in
        [("status", 200.0), ("bytes", 7.0), ("redirects", 0.0), ("http_version", 1.1)]
    {
        assert_eq!(outcome.values.get(name), Some(&value), "{name}");
    }
    assert!(!outcome.values.contains_key("certificate_days"));
    for phase in [Phase::Connect, Phase::Send, Phase::FirstByte, Phase::Transfer] {
        assert!(outcome.phases.get(phase).is_some(), "{phase:?}");
    }
    assert_eq!(outcome.phases.get(Phase::Dns), None, "an address is no name");
    assert_eq!(outcome.phases.get(Phase::Tls), None);
    let sum: Duration = outcome.phases.iter().map(|(_, time)| time).sum();
    assert!(sum <= outcome.duration, "{outcome:?}");
    let request = heard.one().to_lowercase();
    assert!(request.starts_with("get /a?b=1 http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: {}\r\n", server.address)), "{request}");
    assert!(request.contains("\r\nuser-agent: crosscheck/"), "{request}");
    assert!(request.contains("\r\naccept-encoding: gzip, deflate, br, zstd\r\n"), "{request}");
}

#[tokio::test]
async fn a_name_is_resolved_in_a_phase_of_its_own() {
    let names = NameServer::answering(|query| {
        let mut answer = reply(query, ResponseCode::NoError);
        answer.add_answer(record("shop.test.", RData::A(A::new(127, 0, 0, 1))));
        answer
    })
    .await;
    let (server, heard) = server(ok(""), Then::Close).await;
    let env = env_with(&[], Resolver::new(vec![names.address]));
    let url = format!("http://shop.test:{}/", server.address.port());
    let outcome = run_in(&env, &json!({ "url": url }), AMPLE).await;
    assert_up(&outcome);
    assert!(outcome.phases.get(Phase::Dns).is_some());
    assert!(heard.one().contains(&format!("shop.test:{}", server.address.port())));
}

#[tokio::test]
async fn what_is_not_as_wanted_is_told_by_its_cause() {
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-N: 1\r\nX-N: 2\r\n\
                Content-Length: 23\r\n\r\n{\"total\": 3, \"ok\":true}";
    let table = [
        (json!({ "status": [200] }), None),
        (json!({ "status": ["200-299", 404] }), None),
        (json!({ "status": 204 }), Some(Cause::Status)),
        (json!({ "header": { "content-type": "text/html" } }), None),
        (json!({ "header": { "x-n": "2" } }), None),
        (json!({ "header": { "Content-Type": { "matches": "^text/" } } }), None),
        (json!({ "header": { "content-type": "text/plain" } }), Some(Cause::Header)),
        (json!({ "header": { "x-none": { "matches": "." } } }), Some(Cause::Header)),
        (json!({ "body": { "contains": ["total", "ok"] } }), None),
        (json!({ "body": { "contains": ["total", "sum"] } }), Some(Cause::Body)),
        (json!({ "body": { "matches": "tot[a-z]+" } }), None),
        (json!({ "body": { "matches": "^$" } }), Some(Cause::Body)),
        (json!({ "body": { "lacks": "error" } }), None),
        (json!({ "body": { "lacks": ["error", "total"] } }), Some(Cause::Body)),
        (json!({ "json": { "$.total": ">= 0", "$.ok": true } }), None),
        (json!({ "json": { "$.total": "> 3" } }), Some(Cause::Json)),
        (json!({ "json": { "$.none": "exists" } }), Some(Cause::Json)),
        (json!({ "slower_than": "0s" }), Some(Cause::Slow)),
        (json!({ "slower": { "first_byte": "0s" } }), Some(Cause::Slow)),
        (json!({ "slower": { "tls": "0s", "dns": "0s" }, "slower_than": "1h" }), None),
    ];
    for (settings, cause) in table {
        let (server, _) = server(page, Then::Close).await;
        let outcome = run(&at(&server, "/", settings.clone())).await;
        assert_eq!(outcome.cause, cause, "{settings}: {}", outcome.detail);
        let status = match cause {
            None => Status::Up,
            Some(Cause::Slow) => Status::Degraded,
            Some(_) => Status::Down,
        };
        assert_eq!(outcome.status, status, "{settings}");
        assert_eq!(outcome.excerpt.is_empty(), cause.is_none(), "{settings}");
        assert_eq!(outcome.detail.is_empty(), cause.is_none(), "{settings}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let (server, _) = server(ok("Sorry"), Then::Close).await;
    let settings = json!({ "header": { "x": "1" }, "body": { "contains": "Welcome" } });
    let outcome = run(&at(&server, "/", settings)).await;
    assert_eq!(outcome.cause, Some(Cause::Header));
    assert_eq!(
        outcome.detail,
        "header `x` is missing, wanted \"1\"; the body does not contain \"Welcome\""
    );
}

#[tokio::test]
async fn a_wrong_status_shows_the_page_that_came_with_it() {
    let page = "HTTP/1.1 503 Busy\r\nContent-Length: 12\r\n\r\nmain\x1b[2J\ntenance";
    let (server, _) = server(page, Then::Close).await;
    let outcome = run(&at(&server, "/", json!({}))).await;
    assert_eq!(outcome.cause, Some(Cause::Status));
    assert_eq!(outcome.detail, "status 503, wanted 200-299");
    assert_eq!(outcome.excerpt, "main[2J ten");
    assert_eq!(outcome.values.get("status"), Some(&503.0));
}

#[tokio::test]
async fn too_many_requests_is_no_evidence() {
    let page = "HTTP/1.1 429 Slow down\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n";
    let (server, _) = server(page, Then::Close).await;
    let outcome = run(&at(&server, "/", json!({}))).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::Throttled)));
    assert!(outcome.detail.ends_with("Retry-After: 30"), "{}", outcome.detail);
    assert_eq!(outcome.values.get(RETRY_AFTER), Some(&30.0), "and the probe keeps to it");
    let outcome = run(&at(&server, "/", json!({ "status": [429] }))).await;
    assert_up(&outcome);
}

#[tokio::test]
async fn what_the_settings_say_is_sent() {
    let (server, heard) = server(ok(""), Then::Close).await;
    let settings = json!({
        "method": "put",
        "headers": { "X-Key": "k-${env:KEY}", "User-Agent": "me", "Accept-Encoding": "identity" },
        "send": "{\"password\": \"${env:PW}\"}",
        "basic": { "user": "li", "password": "${env:PW}" },
        "host": "shop.example.com",
    });
    let env = env_with(&[("PW", "hunter2!"), ("KEY", "xyz")], Resolver::new(Vec::new()));
    assert_up(&run_in(&env, &at(&server, "/", settings), AMPLE).await);
    let request = heard.one();
    assert!(request.starts_with("PUT / HTTP/1.1\r\n"), "{request}");
    for line in [
        "host: shop.example.com",
        "x-key: k-xyz",
        "user-agent: me",
        "accept-encoding: identity",
        "authorization: Basic bGk6aHVudGVyMiE=",
        "content-length: 24",
    ] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line}: {request}");
    }
    assert_eq!(request.matches("user-agent").count(), 1);
    assert!(request.ends_with("\r\n\r\n{\"password\": \"hunter2!\"}"), "{request}");
}

#[tokio::test]
async fn secrets_do_not_come_back_in_what_is_reported() {
    let echo = "HTTP/1.1 500 No\r\nContent-Length: 68\r\nLocation: /hunter2!\r\n\r\n\
                Authorization: Basic bGk6aHVudGVyMiE=\r\npassword hunter2!, and more...";
    let (server, _) = server(echo, Then::Close).await;
    let settings = json!({ "basic": { "user": "li", "password": "${env:PW}" } });
    let env = env_with(&[("PW", "hunter2!")], Resolver::new(Vec::new()));
    let outcome = run_in(&env, &at(&server, "/", settings), AMPLE).await;
    let told = format!("{outcome:?}");
    assert!(!told.contains("hunter2!") && !told.contains("bGk6aHVudGVyMiE="), "{told}");
    assert!(outcome.excerpt.contains("password <redacted>"), "{told}");
}

#[tokio::test]
async fn values_that_are_told_are_short_and_without_secrets() {
    // The secret lies across the place where a value is cut.
    let echoed = format!("{}hunter2!{}", "x".repeat(195), "y".repeat(5000));
    let body = format!("{{\"echo\": \"{echoed}\"}}");
    let length = body.len();
    let table = [
        (format!("HTTP/1.1 200 OK\r\nX: {echoed}\r\n\r\n"), json!({ "header": { "x": "1" } })),
        (format!("HTTP/1.1 302 Go\r\nLocation: /{echoed}\r\nContent-Length: 0\r\n\r\n"), json!({})),
        (
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"),
            json!({ "json": { "$.echo": "none" } }),
        ),
    ];
    let env = env_with(&[("PW", "hunter2!")], Resolver::new(Vec::new()));
    for (bytes, mut settings) in table {
        settings["bearer"] = json!("${env:PW}");
        let (server, _) = server(bytes, Then::Close).await;
        let outcome = run_in(&env, &at(&server, "/", settings), AMPLE).await;
        assert_eq!(outcome.status, Status::Down);
        assert!(outcome.detail.contains("xxx") && !outcome.detail.contains("hunt"), "{outcome:?}");
        assert!(outcome.detail.len() < 400, "{outcome:?}");
        assert!(!outcome.excerpt.contains("hunt") && outcome.excerpt.len() <= 1024);
    }
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_the_probes_trouble() {
    let (server, heard) = server(ok(""), Then::Close).await;
    let outcome = run(&at(&server, "/", json!({ "bearer": "${env:NONE}" }))).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::Setup)));
    assert!(outcome.detail.contains("`NONE`"), "{}", outcome.detail);
    assert!(heard.all().is_empty());
}

#[tokio::test]
async fn an_answer_to_head_has_no_body() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nContent-Encoding: gzip\r\n\r\n";
    let (server, _) = server(head, Then::Hold).await;
    assert_up(&run(&at(&server, "/", json!({ "method": "HEAD" }))).await);
}

#[tokio::test]
async fn ipv6_is_reached_by_its_literal_address() {
    let heard = Heard::default();
    let hears = heard.clone();
    let serve = move |stream| answer(stream, hears.clone(), ok("").into_bytes(), Then::Close);
    let server = Server::plain("[::1]:0", serve).await;
    let outcome = run(&at(&server, "/", json!({ "family": "v6" }))).await;
    assert_up(&outcome);
    assert_eq!(outcome.address, Some(server.address.to_string()));
    assert!(heard.one().contains(&format!("\r\nhost: {}\r\n", server.address)));
}

#[tokio::test]
async fn packing_is_asked_for_measured_and_judged() {
    let plain = vec![b'x'; 20_000];
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packer, &plain).expect("packs in memory");
    let packed = packer.finish().expect("packs in memory");
    let head = format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len());
    let (gzip, heard) =
        server([b"HTTP/1.1 200 OK\r\n", head.as_bytes(), &packed].concat(), Then::Close).await;
    let outcome =
        run(&at(&gzip, "/", json!({ "compressed": true, "accept_encoding": "gzip" }))).await;
    assert_up(&outcome);
    assert_eq!(outcome.values["bytes"], 20_000.0);
    assert_eq!(outcome.values["wire_bytes"], packed.len() as f64);
    assert!(heard.one().contains("\r\naccept-encoding: gzip\r\n"), "{}", heard.one());
    let outcome = run(&at(&gzip, "/", json!({ "compressed": false }))).await;
    assert_eq!(outcome.cause, Some(Cause::Header), "{outcome:?}");
    let (bare, _) = server(ok("x"), Then::Close).await;
    let outcome = run(&at(&bare, "/", json!({ "compressed": true }))).await;
    assert_eq!(outcome.detail, "the body is not compressed, and must be");
    assert!(!outcome.values.contains_key("wire_bytes"));
}

#[tokio::test]
async fn expressions_judge_the_whole_answer() {
    let json = r#"{"items": [{"price": 5}, {"price": 7}]}"#;
    let (server, _) = server(
        ok(json).replace("OK\r\n", "OK\r\nX-Cache: HIT\r\n").replace("200", "404"),
        Then::Close,
    )
    .await;
    for (expect, status, cause) in [
        (json!("status in [200, 404] && header('x-cache') != 'MISS'"), json!(null), None),
        (json!("json('$.items').all(i, i.price > 4) && ms.total < 20000"), json!([404]), None),
        // Without `status` in either place, only success is wanted.
        (json!("header('x-cache') == 'HIT'"), json!(null), Some(Cause::Status)),
        (json!("status > 0"), json!([200]), Some(Cause::Status)),
        (json!(["status > 0", "count('$.items[*]') == 3"]), json!(null), Some(Cause::Expect)),
        (
            json!("redirects == 0 && certificate_days > 7 && status > 0"),
            json!(null),
            Some(Cause::Expect),
        ),
    ] {
        let mut settings = json!({ "expect": expect });
        if !status.is_null() {
            settings["status"] = status;
        }
        let outcome = run(&at(&server, "/", settings.clone())).await;
        assert_eq!(outcome.cause, cause, "{settings}: {outcome:?}");
    }
}
