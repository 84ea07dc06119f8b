//! A page of another site, open in a browser on the coordinator's own host.

use crosscheck_coordinator::operator::Door;
use crosscheck_core::command::Reply;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::client::Server;
use crate::fixture;

const ORIGIN: &str = "origin";
const SITE: &str = "sec-fetch-site";

async fn open() -> Server {
    Server::behind(Door::open, fixture::two_customers(), Ok(Reply::Done)).await
}

/// Every path of the API that changes something.
async fn writes(server: &Server) -> Vec<String> {
    let document = server.get("/api/v1/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("paths");
    let written = paths.iter().filter(|(_, operations)| operations.get("post").is_some());
    let named = |path: &String| path.replace("{incident}", "1").replace(['{', '}'], "");
    written.map(|(path, _)| named(path)).collect()
}

async fn send(server: &Server, path: &str, said: &[(&str, &str)]) -> u16 {
    let with = |request: RequestBuilder| {
        said.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    // As a form that a page sends without asking: no body that an operation wants.
    let form = server.ask(Method::POST, path, |request| with(request).body("")).await;
    let json = server.ask(Method::POST, path, |r| with(r).json(&json!({ "by": "li" }))).await;
    assert_eq!(form.status == 403, json.status == 403, "{path} {said:?}");
    if json.status == 403 {
        let told = json.json();
        assert!(told["hint"].as_str().is_some_and(|hint| hint.contains("curl")), "{told}");
        assert_eq!(json.header("x-content-type-options"), "nosniff");
    }
    json.status
}

#[tokio::test]
async fn another_sites_page_changes_nothing() {
    let server = open().await;
    let paths = writes(&server).await;
    assert!(paths.len() >= 9, "{paths:?}");
    for path in &paths {
        for said in [
            &[(ORIGIN, "https://evil.example")][..],
            &[(ORIGIN, "null")],
            &[(SITE, "cross-site")],
            &[(SITE, "same-site")],
            &[(SITE, "cross-site"), (ORIGIN, "https://evil.example")],
        ] {
            assert_eq!(send(&server, path, said).await, 403, "{path} {said:?}");
        }
    }
    assert!(server.commands.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn who_is_no_page_or_our_own_acts_as_before() {
    let server = open().await;
    let paths = writes(&server).await;
    let own = server.address().to_owned();
    for said in [&[][..], &[(SITE, "none")], &[(SITE, "same-origin"), (ORIGIN, own.as_str())]] {
        for path in &paths {
            let status = send(&server, path, said).await;
            assert!(![401, 403].contains(&status), "{path} {said:?}: {status}");
        }
        let acknowledged = send(&server, "/api/v1/incidents/1/acknowledge", said).await;
        assert_eq!(acknowledged, 200, "{said:?}");
    }
    assert!(!server.commands.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn another_sites_link_may_be_followed() {
    let server = open().await;
    for path in ["/", "/api/v1/checks"] {
        let follow = |request: RequestBuilder| request.header(SITE, "cross-site");
        assert_eq!(server.ask(Method::GET, path, follow).await.status, 200, "{path}");
    }
}
