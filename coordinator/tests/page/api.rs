//! The shapes of the API's answers, its errors, and that its description is true.

use crosscheck_coordinator::api::SubmitError;
use crosscheck_core::command::{Command, Reply};
use crosscheck_model::IncidentId;
use serde_json::Value;

use crate::client::Server;
use crate::fixture;

#[tokio::test]
async fn shapes() {
    let server = Server::show(fixture::one_down()).await;
    for (name, path) in [
        ("check", "/api/v1/checks/order%20api"),
        ("incidents", "/api/v1/incidents"),
        ("observations", "/api/v1/checks/search/observations?limit=7"),
        ("latency", "/api/v1/checks/search/latency?parts=2"),
        ("availability", "/api/v1/checks/search/availability?days=2"),
        ("sites", "/api/v1/sites"),
        ("outbox", "/api/v1/outbox"),
        ("summary", "/pages/public/api/v2/summary.json"),
        ("health", "/healthz"),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        insta::assert_json_snapshot!(name, answer.json());
    }
    let checks = server.get("/api/v1/checks").await.json();
    let names: Vec<&Value> =
        checks.as_array().expect("a list").iter().map(|c| &c["name"]).collect();
    assert_eq!(names.len(), 12);
    assert!(names.iter().any(|name| *name == "order api"));
}

#[tokio::test]
async fn works_and_customers_in_the_summary() {
    let summary =
        Server::show(fixture::maintenance()).await.get("/api/v2/summary.json").await.json();
    assert_eq!(summary["status"]["indicator"], "maintenance");
    let works = summary["scheduled_maintenances"].as_array().expect("a list");
    assert_eq!(works.len(), 2, "the one in a month is not announced yet");
    assert_eq!(works[0]["status"], "in_progress");
    assert_eq!(works[1]["status"], "scheduled");
    let components = summary["components"].as_array().expect("a list");
    let mysql = components.iter().find(|c| c["name"] == "mysql port").expect("a component");
    assert_eq!(mysql["status"], "under_maintenance");
    for (fixture, indicator) in [
        (fixture::all_up(), "none"),
        (fixture::one_down(), "major"),
        (fixture::partial(), "minor"),
        (fixture::blind(), "minor"),
        (fixture::stale(), "minor"),
    ] {
        let name = fixture.name;
        let summary = Server::show(fixture).await.get("/api/v2/summary.json").await.json();
        assert_eq!(summary["status"]["indicator"], indicator, "{name}");
    }
}

#[tokio::test]
async fn incidents_are_filtered_and_come_page_by_page() {
    let server = Server::show(fixture::one_down()).await;
    let ids = |answer: Value| -> Vec<u64> {
        let incidents = answer.as_array().expect("a list").clone();
        incidents.iter().filter_map(|incident| incident["id"].as_u64()).collect()
    };
    for (query, expected) in [
        ("", vec![7, 4, 3]),
        ("?status=open", vec![7]),
        ("?status=acknowledged", vec![7]),
        ("?status=resolved", vec![4, 3]),
        ("?check=search", vec![3]),
        ("?before=7&limit=1", vec![4]),
    ] {
        let path = format!("/api/v1/incidents{query}");
        assert_eq!(ids(server.get(&path).await.json()), expected, "{query}");
    }
    let first = server.get("/api/v1/incidents?limit=2&status=resolved&before=9").await;
    assert_eq!(first.header("link"), "");
    let first = server.get("/api/v1/incidents?limit=2").await;
    assert_eq!(first.header("link"), "</api/v1/incidents?before=4&limit=2>; rel=\"next\"");
}

#[tokio::test]
async fn errors_say_what_is_wrong_and_what_to_do() {
    let server = Server::show(fixture::one_down()).await;
    for (path, status) in [
        ("/api/v1/checks/none", 404),
        ("/api/v1/checks/none/latency", 404),
        ("/api/v1/incidents/99", 404),
        ("/api/v1/incidents/seven", 404),
        ("/api/v1/nothing", 404),
        ("/pages/none/api/v2/summary.json", 404),
        ("/api/v1/incidents?status=odd", 400),
        ("/api/v1/checks/search/latency?from=yesterday", 400),
        ("/api/v1/checks/search/latency?from=2026-11-22T12:00:00Z&to=2026-11-22T11:00:00Z", 400),
        ("/api/v1/incidents/7/acknowledge", 405),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let error = answer.json();
        for field in ["error", "hint"] {
            assert!(error[field].as_str().is_some_and(|text| !text.is_empty()), "{path} {field}");
        }
    }
}

#[tokio::test]
async fn acknowledging_goes_through_the_log() {
    let done = || Ok(Reply::Done);
    for (path, body, reply, status) in [
        ("7", r#"{"by": "li", "note": "on it"}"#, done(), 200),
        ("7", r#"{"by": "li"}"#, done(), 200),
        ("7", r#"{"by": "  "}"#, done(), 400),
        ("7", r#"{"note": "who?"}"#, done(), 422),
        ("7", r#"{"by": "li", "other": 1}"#, done(), 422),
        ("7", "not json", done(), 400),
        ("99", r#"{"by": "li"}"#, done(), 404),
        ("7", r#"{"by": "li"}"#, Ok(Reply::Rejected("wu has acknowledged it".into())), 409),
        ("7", r#"{"by": "li"}"#, Err(SubmitError::NoLeader), 503),
        ("7", r#"{"by": "li"}"#, Err(SubmitError::Lost), 504),
    ] {
        let server = Server::start(fixture::one_down(), reply).await;
        let answer = server.post(&format!("/api/v1/incidents/{path}/acknowledge"), body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        let submitted = server.commands.lock().expect("no panic").len();
        assert_eq!(submitted, usize::from(matches!(status, 200 | 409 | 503 | 504)), "{body}");
    }
}

#[tokio::test]
async fn an_acknowledgement_is_one_clean_command() {
    let server = Server::start(fixture::one_down(), Ok(Reply::Done)).await;
    let body = r#"{"by": " li\r\nBcc: x ", "note": "on it\u0007"}"#;
    server.post("/api/v1/incidents/7/acknowledge", body).await;
    let commands = server.commands.lock().expect("no panic");
    let expected = Command::Acknowledge {
        incident: IncidentId(7),
        by: "li Bcc: x".to_owned(),
        note: "on it".to_owned(),
    };
    let [Command::Act { actor, command }] = &commands[..] else { panic!("{commands:?}") };
    assert_eq!(command.open(), Some(expected));
    assert_eq!((actor.name.as_str(), actor.from.as_str()), ("local", "127.0.0.1"));
}

#[tokio::test]
async fn a_minority_calls_nothing_up() {
    let server = Server::show(fixture::stale()).await;
    for path in ["/api/v1/checks", "/api/v2/summary.json"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.body.contains("\"status\":\"up\",\"reason\""), "{path}");
        assert!(!answer.body.contains("\"status\":\"operational\""), "{path}");
        assert!(answer.body.contains("Last known up"), "{path}");
    }
}

#[tokio::test]
async fn a_minority_can_only_be_read_and_says_so() {
    let server = Server::start(fixture::stale(), Err(SubmitError::NoLeader)).await;
    let answer = server.post("/api/v1/incidents/7/acknowledge", r#"{"by": "li"}"#).await;
    assert_eq!(answer.status, 503);
    for words in ["has no quorum", "nothing was changed", "ask another coordinator"] {
        assert!(answer.body.contains(words), "{}", answer.body);
    }
}

#[tokio::test]
async fn readiness_needs_a_quorum() {
    for (fixture, status, word) in
        [(fixture::all_up(), 200, "ok"), (fixture::stale(), 503, "no quorum")]
    {
        let server = Server::show(fixture).await;
        let answer = server.get("/readyz").await;
        assert_eq!((answer.status, &answer.json()["status"]), (status, &Value::from(word)));
        assert_eq!(server.get("/healthz").await.status, 200);
    }
}

#[tokio::test]
async fn what_is_described_is_served() {
    let server = Server::show(fixture::one_down()).await;
    let document = server.get("/api/v1/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() >= 14);
    for (path, operations) in paths {
        let path = path
            .replace("{check}", "search")
            .replace("{incident}", "7")
            .replace("{page}", "public")
            .replace("{token}", "none");
        let answer = server.get(&path).await;
        let expected = match path.as_str() {
            // There is no cluster behind this server.
            "/api/v1/backup" | "/metrics" => 503,
            "/api/v1/cluster" => 404,
            _ if operations.get("get").is_some() => 200,
            _ => 405,
        };
        assert_eq!(answer.status, expected, "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn the_number_on_the_page_is_the_number_of_the_api() {
    let server = Server::show(fixture::all_up()).await;
    let answer = server.get("/api/v1/checks/search/availability").await.json();
    let percent = answer["availability_percent"].as_f64().expect("a number");
    let page = server.get("/checks/search").await.body;
    assert!(page.contains(&format!("<dd class=\"number\">{percent} %</dd>")), "{percent}");
}
