//! Redirects: followed, counted, and not trusted with credentials.

use crosscheck_model::place::Role;
use crosscheck_model::{Cause, Phase, Status};
use serde_json::json;

use super::*;

fn to(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} See\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

/// `/3` leads to `/2`, that to `/1`, that to `/0`, which answers.
async fn stairs() -> (Server, Heard) {
    server_by(|path| match path.trim_start_matches('/').parse::<u32>() {
        Ok(0) => ok("down here"),
        Ok(step) => to(302, &format!("{}", step - 1)),
        Err(_) => to(302, path),
    })
    .await
}

#[tokio::test]
async fn as_many_are_followed_as_the_settings_say() {
    let table = [
        ("/0", json!({}), None),
        ("/1", json!({}), Some(Cause::Status)),
        ("/1", json!({ "status": [302] }), None),
        ("/3", json!({ "redirects": 3, "body": { "contains": "down here" } }), None),
        ("/3", json!({ "redirects": 2 }), Some(Cause::Redirect)),
        ("/3", json!({ "redirects": 2, "status": [302] }), None),
        ("/round", json!({ "redirects": 5 }), Some(Cause::Redirect)),
    ];
    for (path, settings, cause) in table {
        let (server, _) = stairs().await;
        let outcome = run(&at(&server, path, settings.clone())).await;
        assert_eq!(outcome.cause, cause, "{path} {settings}: {}", outcome.detail);
    }
}

#[tokio::test]
async fn each_hop_has_its_own_connection_and_the_phases_add_up() {
    let (server, heard) = stairs().await;
    let outcome = run(&at(&server, "/3", json!({ "redirects": 3 }))).await;
    assert_up(&outcome);
    assert_eq!(outcome.values.get("redirects"), Some(&3.0));
    assert_eq!(heard.all().len(), 4);
    let sum: Duration = outcome.phases.iter().map(|(_, time)| time).sum();
    assert!(sum <= outcome.duration && outcome.phases.get(Phase::Connect).is_some());
}

#[tokio::test]
async fn a_circle_is_told_after_one_round() {
    let (server, heard) = server_by(|path| to(301, if path == "/a" { "/b" } else { "/a" })).await;
    let outcome = run(&at(&server, "/a", json!({ "redirects": 20 }))).await;
    assert_eq!(outcome.cause, Some(Cause::Redirect));
    assert!(outcome.detail.contains("circle"), "{}", outcome.detail);
    assert_eq!(heard.all().len(), 2);
}

#[tokio::test]
async fn one_that_leads_nowhere_is_a_failure_of_the_target() {
    for location in ["ftp://example.com/", "http://", "mailto:li@example.com", "http://[::g]/"] {
        let (server, _) = server(to(302, location), Then::Close).await;
        let outcome = run(&at(&server, "/", json!({ "redirects": 1 }))).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(Cause::Redirect)));
    }
    let (server, _) = server("HTTP/1.1 302 Found\r\n\r\n", Then::Close).await;
    let outcome = run(&at(&server, "/", json!({ "redirects": 1 }))).await;
    assert_eq!(outcome.cause, Some(Cause::Redirect), "{}", outcome.detail);
}

#[tokio::test]
async fn the_method_and_body_follow_rfc_9110() {
    let table = [
        (301, "POST", "GET", ""),
        (302, "POST", "GET", ""),
        (302, "PUT", "PUT", "x=1"),
        (303, "PUT", "GET", ""),
        (303, "HEAD", "HEAD", ""),
        (307, "POST", "POST", "x=1"),
        (308, "POST", "POST", "x=1"),
    ];
    for (status, method, then, body) in table {
        let (server, heard) =
            server_by(move |path| if path == "/" { to(status, "/next") } else { ok("") }).await;
        let mut settings = json!({ "redirects": 1, "method": method });
        if method != "HEAD" {
            settings["send"] = json!("x=1");
        }
        assert_up(&run(&at(&server, "/", settings)).await);
        let second = heard.all()[1].clone();
        assert!(second.starts_with(&format!("{then} /next ")), "{status} {method}: {second}");
        assert!(second.ends_with(&format!("\r\n\r\n{body}")), "{status} {method}: {second}");
    }
}

fn with_credentials() -> serde_json::Value {
    json!({
        "redirects": 3,
        "basic": { "user": "li", "password": "${env:PW}" },
        "headers": { "Cookie": "session=1", "X-Key": "${env:KEY}", "X-Plain": "open" },
        "host": "shop.example.com",
    })
}

#[tokio::test]
async fn credentials_stay_at_their_origin() {
    let env = env_with(&[("PW", "hunter2!"), ("KEY", "key-1234")], Resolver::new(Vec::new()));
    // Another origin, which sends the client back home: what was left stays left.
    let home = Arc::new(Mutex::new(String::new()));
    let back = Arc::clone(&home);
    let (abroad, heard_abroad) = server_by(move |_| to(302, &back.lock().expect("one user"))).await;
    let address = abroad.address;
    let (server, heard) = server_by(move |path| match path {
        "/" => to(302, "/same"),
        "/same" => to(302, &format!("http://{address}/")),
        _ => ok(""),
    })
    .await;
    *home.lock().expect("one user") = format!("http://{}/home", server.address);
    assert_up(&run_in(&env, &at(&server, "/", with_credentials()), AMPLE).await);
    let (at_home, abroad) = (heard.all(), heard_abroad.one());
    let secret = ["authorization:", "cookie:", "x-key:", "host: shop.example.com"];
    for line in secret {
        assert!(at_home[0].contains(line), "first: {line}");
        assert!(at_home[1].contains(line), "same origin: {line}");
        assert!(!abroad.contains(line), "abroad: {abroad}");
        assert!(!at_home[2].contains(line), "back home: {}", at_home[2]);
    }
    assert!(abroad.contains("x-plain: open") && at_home[2].contains("x-plain: open"));
}

#[tokio::test]
async fn a_secret_body_is_not_carried_abroad() {
    let (abroad, heard) = server(ok(""), Then::Close).await;
    let location = format!("http://{}/", abroad.address);
    let (server, _) = server(to(307, &location), Then::Close).await;
    let env = env_with(&[("PW", "hunter2!")], Resolver::new(Vec::new()));
    let settings = at(&server, "/", json!({ "redirects": 1, "send": "pw=${env:PW}" }));
    let outcome = run_in(&env, &settings, AMPLE).await;
    assert_eq!(outcome.cause, Some(Cause::Redirect), "{}", outcome.detail);
    assert!(heard.all().is_empty());
}

#[tokio::test]
async fn a_failure_after_a_redirect_says_where() {
    let (server, _) = server(to(302, "http://127.0.0.1:1/gone"), Then::Close).await;
    let outcome = run(&at(&server, "/", json!({ "redirects": 1 }))).await;
    assert_eq!(outcome.cause, Some(Cause::Refused));
    let prefix = "after a redirect to http://127.0.0.1:1/gone: ";
    assert!(outcome.detail.starts_with(prefix), "{}", outcome.detail);
    assert_eq!(outcome.address.as_deref(), Some("127.0.0.1:1"));
}

#[tokio::test]
async fn where_it_failed_is_told_so_that_evidence_is_gathered_there() {
    // Nobody listens there: the port was ours a moment ago.
    let (gone, _) = server(ok(""), Then::Close).await;
    let address = gone.address;
    drop(gone);
    let there = format!("http://localhost:{}/", address.port());
    let (server, _) = server_by(move |path| match path {
        "/away" => to(302, &there),
        _ => "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
    })
    .await;
    let place = async |path| {
        let outcome = run(&at(&server, path, json!({ "redirects": 1 }))).await;
        let place = outcome.place.unwrap_or_else(|| panic!("{}", outcome.detail));
        (place.role, place.shown())
    };
    assert_eq!(place("/").await, (Role::Target, server.address.to_string()));
    let elsewhere = format!("localhost:{}", address.port());
    assert_eq!(place("/away").await, (Role::Redirect, elsewhere));
}
