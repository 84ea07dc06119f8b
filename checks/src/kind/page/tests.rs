//! Pages of a server of the test's own.

use crosscheck_model::{Cause, Outcome, Status};
use serde_json::{Value, json};

use super::*;
use crate::guard::Guard;
use crate::kind::http::tests::{env_with, ok, server_to};
use crate::kind::negate::Negatable;
use crate::resolve::Resolver;

const AMPLE: Duration = Duration::from_secs(30);

const HTML: &str = "<head><link rel=stylesheet href=a.css><script src=b.js></script></head>\
    <img src=c.png><img src=/d.png><script async src=e.js></script>";

/// The page at `/`, and everything else except what is named `gone`.
fn site(request: &str, html: &str) -> String {
    let path = request.split(' ').nth(1).unwrap_or_default();
    match path {
        "/" => ok(html),
        _ if path.contains("gone") => "HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n".to_owned(),
        _ => ok(&"x".repeat(100)),
    }
}

async fn run_in(env: &Env, settings: &Value) -> Outcome {
    let check = Page.parse(settings).unwrap_or_else(|errors| panic!("{settings}: {errors:?}"));
    check.run(env, AMPLE).await
}

fn env() -> Env {
    env_with(&[("TOKEN", "s3cret-token")], Resolver::new(Vec::new()))
}

#[tokio::test]
async fn a_page_is_loaded_with_all_it_needs() {
    let (server, heard) = server_to(|asked| site(asked, HTML)).await;
    let url = format!("http://{}/", server.address);
    let outcome = run_in(&env(), &json!({ "url": url, "bearer": "${env:TOKEN}" })).await;
    assert_eq!((outcome.status, outcome.detail.as_str()), (Status::Up, ""), "{outcome:?}");
    for (name, value) in [("elements", 5.0), ("elements_failed", 0.0), ("blocking", 2.0)] {
        assert_eq!(outcome.values[name], value, "{name}");
    }
    assert_eq!(outcome.values["bytes"], 500.0 + HTML.len() as f64);
    assert!(outcome.values["load_ms"] >= outcome.values["blocking_ms"]);
    assert!(outcome.values["blocking_ms"] > outcome.values["document_ms"]);
    let asked = heard.all();
    assert_eq!(asked.len(), 6);
    assert!(asked.iter().all(|asked| asked.contains("authorization: Bearer s3cret-token")));
}

#[tokio::test]
async fn elements_that_fail_are_named() {
    let html = format!("{HTML}<img src=gone.png><script src=gone.js></script>");
    let (server, _) = server_to(move |asked| site(asked, &html)).await;
    let url = format!("http://{}/", server.address);
    for (more, cause) in [
        (json!({}), Some(Cause::Elements)),
        (json!({ "elements_failed_above": 1 }), Some(Cause::Elements)),
        (json!({ "elements_failed_above": 2 }), None),
        (json!({ "skip": "gone" }), None),
        (json!({ "skip": "gone", "bytes_above": "600B" }), Some(Cause::Heavy)),
        (json!({ "skip": "gone", "slower_than": "0s" }), Some(Cause::Slow)),
        (json!({ "elements_at_most": 5 }), None),
        (json!({ "skip": "gone", "body": { "contains": "nothing" } }), Some(Cause::Body)),
    ] {
        let mut settings = more.clone();
        settings["url"] = json!(url);
        let outcome = run_in(&env(), &settings).await;
        assert_eq!(outcome.cause, cause, "{more}: {outcome:?}");
        if cause == Some(Cause::Elements) {
            assert!(outcome.detail.starts_with("2 of 7 elements failed: "), "{}", outcome.detail);
            assert!(outcome.detail.contains("/gone.js: status 404"), "{}", outcome.detail);
            assert!(outcome.excerpt.contains("/c.png"), "{}", outcome.excerpt);
        }
    }
}

#[tokio::test]
async fn each_element_has_its_time_and_the_slowest_are_named() {
    let html = format!("{HTML}<img src='gone.png?key=s3cret-token'>");
    let (server, _) = server_to(move |asked| site(asked, &html)).await;
    let url = format!("http://{}/", server.address);
    let settings = json!({ "url": url, "bearer": "${env:TOKEN}", "elements_failed_above": 1,
        "slower_than": "0s" });
    let check = Page.parse(&settings).expect("well-formed settings");
    let (outcome, parts) = check.tell(&env(), AMPLE).await;
    assert_eq!(outcome.cause, Some(Cause::Slow), "{outcome:?}");
    assert_eq!(parts.len(), 6, "all but the document");
    assert!(parts.is_sorted_by_key(|part| std::cmp::Reverse(part.took)), "{parts:?}");
    assert!(parts.iter().all(|part| !part.took.is_zero()), "{parts:?}");
    assert_eq!(outcome.values["slowest_ms"], ms(parts[0].took));
    for part in parts.iter().take(3) {
        let failure = part.failure.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let named = format!("{} ms {} {}{failure}", part.took.as_millis(), part.role, part.url);
        assert!(outcome.detail.contains(&named), "{named}: {}", outcome.detail);
    }
    let part = |name: &str| parts.iter().find(|part| part.url.contains(name)).expect("one");
    assert_eq!((part("a.css").blocking, part("c.png").blocking), (Some(true), Some(false)));
    assert_eq!((part("b.js").bytes, part("b.js").wire_bytes), (100, 100));
    assert_eq!(part("b.js").failure, None);
    let gone = part("gone.png");
    assert!(gone.failure.as_ref().is_some_and(|why| why.contains("status 404")), "{gone:?}");
    assert!(!format!("{parts:?} {outcome:?}").contains("s3cret"), "{parts:?} {outcome:?}");
}

#[tokio::test]
async fn strangers_get_no_secret_and_forbidden_addresses_no_visit() {
    let (stranger, heard) = server_to(|asked| site(asked, "")).await;
    let html = format!("<img src='http://{}/x.png'>", stranger.address);
    let (server, _) = server_to(move |asked| site(asked, &html)).await;
    let settings = json!({ "url": format!("http://{}/", server.address),
        "bearer": "${env:TOKEN}", "headers": { "X-Own": "me" } });
    let outcome = run_in(&env(), &settings).await;
    assert_eq!(outcome.status, Status::Up, "{outcome:?}");
    let asked = heard.all().concat();
    assert!(!asked.contains("s3cret") && !asked.contains("x-own"), "{asked}");

    let public = Env { guard: Guard::public(), ..env() };
    let outcome = run_in(&public, &settings).await;
    assert_eq!(outcome.cause, Some(Cause::BlockedAddress));
    assert_eq!(heard.all().len(), 1);
}

#[tokio::test]
async fn turned_round_the_document_must_not_load() {
    let html = format!("{HTML}<img src=gone.png>");
    let (server, _) = server_to(move |asked| site(asked, &html)).await;
    let deserted = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = deserted.local_addr().expect("bound");
    drop(deserted);
    let (there, turned_away) = ((Status::Down, Some(Cause::Answers)), (Status::Up, None));
    for (address, path, more, wanted) in [
        (server.address, "/", json!({ "skip": "gone" }), there),
        (server.address, "/", json!({ "skip": "gone", "slower_than": "0s" }), there),
        (server.address, "/", json!({}), there), // An element fails: the page is there.
        (server.address, "/", json!({ "body": { "contains": "nothing" } }), turned_away),
        (server.address, "/gone", json!({}), turned_away),
        (closed, "/", json!({}), turned_away),
    ] {
        let mut settings = more.clone();
        settings["url"] = json!(format!("http://{address}{path}"));
        settings["negate"] = json!(true);
        let check = Negatable(Page).parse(&settings).expect("well-formed settings");
        let outcome = check.run(&env(), AMPLE).await;
        assert_eq!((outcome.status, outcome.cause), wanted, "{settings}: {outcome:?}");
    }
    // No browser is allowed on this probe: nobody has looked.
    let settings = json!({ "url": "http://127.0.0.1/", "browser": true, "negate": true });
    let check = Negatable(Page).parse(&settings).expect("well-formed settings");
    let outcome = check.run(&env(), AMPLE).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::ExecForbidden)));
}
