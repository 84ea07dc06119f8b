//! The kind against registries that say what a test tells.

use std::net::SocketAddr;

use crosscheck_model::Status;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::env::Secrets;
use crate::guard::Guard;
use crate::kind::negate::Negatable;
use crate::programs::Programs;
use crate::resolve::Resolver;
use crate::tls::scripted::Server;

const PLENTY: Duration = Duration::from_secs(20);

/// Serves the list of registries, which names itself, and one domain.
async fn registry(at: &str, answer: Value, status: u16) -> Server {
    Server::plain(at, move |mut stream| {
        let answer = answer.clone();
        async move {
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                heard.push(byte);
            }
            let text = String::from_utf8_lossy(&heard).into_owned();
            assert!(text.to_ascii_lowercase().contains("accept: application/rdap+json"), "{text}");
            let own: SocketAddr = stream.local_addr().expect("bound");
            let (status, body) = if text.starts_with("GET /dns.json ") {
                let base = format!("http://{own}/rdap/");
                (200, json!({ "services": [[["com"], [base]]] }).to_string())
            } else if text.starts_with("GET /rdap/domain/example.com ") {
                (status, answer.to_string())
            } else {
                (404, String::new())
            };
            let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n", body.len());
            drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
        }
    })
    .await
}

async fn run(kind: &dyn Kind, server: &Server, more: Value) -> Outcome {
    let bootstrap = format!("http://{}/dns.json", server.address);
    let mut settings = json!({ "name": "example.com", "bootstrap": bootstrap });
    if server.address.is_ipv6() {
        settings["family"] = json!("v6");
    }
    let object = settings.as_object_mut().expect("a map");
    object.extend(more.as_object().expect("a map").clone());
    let env = Env {
        guard: Guard::Internal,
        resolver: Resolver::new(Vec::new()),
        secrets: Secrets::default(),
        programs: Programs::default(),
    };
    let check = kind.parse(&settings).unwrap_or_else(|errors| panic!("{settings}: {errors:?}"));
    check.run(&env, PLENTY).await
}

/// A domain that ends so many days from now, in these states.
fn domain(days: i64, states: Value) -> Value {
    let now = i64::try_from(clock::wall().as_millis()).expect("this century");
    let ends = jiff::Timestamp::from_millisecond(now + days * 86_400_000).expect("a time");
    json!({
        "objectClassName": "domain", "ldhName": "EXAMPLE.COM", "status": states,
        "events": [
            { "eventAction": "registration", "eventDate": "1995-08-14T04:00:00Z" },
            { "eventAction": "expiration", "eventDate": ends.to_string() },
        ],
    })
}

#[tokio::test]
async fn the_end_and_the_states_are_judged() {
    for (answer, more, cause, status) in [
        (domain(100, json!(["active"])), json!({}), None, Status::Up),
        (domain(20, json!([])), json!({}), Some(Cause::DomainExpiring), Status::Degraded),
        (domain(20, json!([])), json!({ "warn_days": 10 }), None, Status::Up),
        (domain(-2, json!([])), json!({}), Some(Cause::DomainExpired), Status::Down),
        (
            domain(100, json!(["active", "client hold"])),
            json!({}),
            Some(Cause::DomainStatus),
            Status::Down,
        ),
        (
            domain(100, json!(["redemptionPeriod"])),
            json!({}),
            Some(Cause::DomainStatus),
            Status::Down,
        ),
        (
            domain(100, json!(["client hold"])),
            json!({ "unwanted": "server hold" }),
            None,
            Status::Up,
        ),
        (
            domain(100, json!(["client transfer prohibited"])),
            json!({ "wanted": "clientTransferProhibited" }),
            None,
            Status::Up,
        ),
        (
            domain(100, json!([])),
            json!({ "wanted": "clientTransferProhibited" }),
            Some(Cause::DomainStatus),
            Status::Down,
        ),
        (
            domain(100, json!([])),
            json!({ "slower_than": "0s" }),
            Some(Cause::Slow),
            Status::Degraded,
        ),
        (json!({ "objectClassName": "domain" }), json!({}), Some(Cause::Protocol), Status::Down),
        (json!({ "objectClassName": "entity" }), json!({}), Some(Cause::Protocol), Status::Down),
        (json!(["x"]), json!({}), Some(Cause::Protocol), Status::Down),
    ] {
        for at in ["127.0.0.1:0", "[::1]:0"] {
            let server = registry(at, answer.clone(), 200).await;
            let outcome = run(&Domain, &server, more.clone()).await;
            assert_eq!((outcome.cause, outcome.status), (cause, status), "{answer}: {outcome:?}");
        }
    }
    let server = registry("127.0.0.1:0", domain(100, json!([])), 200).await;
    let outcome = run(&Domain, &server, json!({})).await;
    assert!((outcome.values["domain_days"] - 100.0).abs() < 0.01, "{outcome:?}");
}

#[tokio::test]
async fn failures_of_registries_are_told_apart() {
    let server = registry("127.0.0.1:0", json!({ "errorCode": 404 }), 404).await;
    let outcome = run(&Domain, &server, json!({})).await;
    assert_eq!(outcome.cause, Some(Cause::DomainUnregistered), "{outcome:?}");
    let outcome = run(&Negatable(Domain), &server, json!({ "negate": true })).await;
    assert_eq!(outcome.status, Status::Up, "the name is free: {outcome:?}");
    let outcome = run(&Domain, &server, json!({ "name": "example.org" })).await;
    assert_eq!(outcome.cause, Some(Cause::NotOffered), "{outcome:?}");
    let nowhere = format!("http://{}/nothing", server.address);
    let outcome = run(&Domain, &server, json!({ "bootstrap": nowhere })).await;
    assert_eq!(outcome.cause, Some(Cause::Status), "{outcome:?}");
    for more in [json!({ "name": "example.org" }), json!({ "bootstrap": nowhere })] {
        let mut more = more;
        more["negate"] = json!(true);
        let outcome = run(&Negatable(Domain), &server, more).await;
        assert_eq!(outcome.status, Status::Unknown, "nobody has said that it is free: {outcome:?}");
    }
    for (status, cause) in [(429, Cause::Throttled), (503, Cause::Status)] {
        let server = registry("127.0.0.1:0", json!({}), status).await;
        let named = format!("http://{}/rdap", server.address);
        let outcome = run(&Domain, &server, json!({ "server": named })).await;
        assert_eq!(outcome.cause, Some(cause), "{outcome:?}");
        let turned = json!({ "server": named, "negate": true });
        let outcome = run(&Negatable(Domain), &server, turned).await;
        assert_eq!(outcome.status, Status::Unknown, "{outcome:?}");
    }
}
