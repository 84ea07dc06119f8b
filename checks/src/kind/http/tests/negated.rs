//! Checks turned round: what is described must not be served.

use crosscheck_model::{Cause, Status};
use serde_json::json;

use super::*;
use crate::kind::negate::Negatable;

fn says(status: u16) -> String {
    format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\n\r\nno")
}

async fn turned(server: &Server, more: Value) -> Outcome {
    let mut settings = at(server, "/admin", more);
    settings["negate"] = json!(true);
    let check = Negatable(Http).parse(&settings).expect("well-formed settings");
    check.run(&env(), AMPLE).await
}

#[tokio::test]
async fn whoever_is_broken_has_not_said_that_it_does_not_serve() {
    let (there, not_there, unclear) = (Status::Down, Status::Up, Status::Unknown);
    for (status, wanted) in [
        (200, there),
        (204, there),
        (301, not_there),
        (401, not_there),
        (403, not_there),
        (404, not_there),
        (410, not_there),
        (501, not_there),
        (505, not_there),
        (429, unclear),
        (500, unclear),
        (502, unclear),
        (503, unclear),
        (504, unclear),
        (522, unclear),
    ] {
        let (server, _) = server_to(move |_| says(status)).await;
        let outcome = turned(&server, json!({})).await;
        assert_eq!(outcome.status, wanted, "{status}: {outcome:?}");
        assert_eq!(outcome.values["status"], f64::from(status));
    }
}

#[tokio::test]
async fn what_is_described_may_be_any_answer() {
    for (status, more, wanted) in [
        // An error that must not be seen, and is not, or is.
        (200, json!({ "status": [503] }), Status::Up),
        (503, json!({ "status": [503] }), Status::Down),
        // A page that must not show this.
        (200, json!({ "body": { "contains": "secret" } }), Status::Up),
        (200, json!({ "body": { "contains": "no" } }), Status::Down),
        (404, json!({ "expect": "status == 200" }), Status::Up),
        (502, json!({ "expect": "status == 200" }), Status::Unknown),
        (502, json!({ "expect": "status == 200", "body": { "contains": "x" } }), Status::Unknown),
    ] {
        let (server, _) = server_to(move |_| says(status)).await;
        let outcome = turned(&server, more.clone()).await;
        assert_eq!(outcome.status, wanted, "{status} {more}: {outcome:?}");
        if wanted == Status::Unknown {
            assert!(outcome.detail.starts_with("it may be there or not: "), "{}", outcome.detail);
            assert_ne!(outcome.cause, Some(Cause::Answers));
        }
    }
}
