//! The `journey` kind against a small application that wants a login, on loopback.

mod failures;
mod settings;

use std::time::Duration;

use crosscheck_model::{Cause, Outcome, Phase, Status};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RData;
use serde_json::{Value, json};

use super::Journey;
use crate::env::Env;
use crate::kind::Kind;
use crate::kind::http::tests::{Heard, env_with, ok, server_to};
use crate::resolve::Resolver;
use crate::resolve::scripted::{NameServer, record, reply};
use crate::tls::scripted::Server;

/// Far more than a run on loopback takes.
const AMPLE: Duration = Duration::from_secs(30);

/// The password, the token and the session of the application.
const PASSWORD: &str = "correct horse&battery";
const CSRF: &str = "c+s/r=f&token-0123456789";
const TOKEN: &str = "eyJhbGciOi.token-0123456789";
const SESSION: &str = "session-0123456789";

/// The application: `/form` gives a token for `/login`, whose cookie and token open `/orders`;
/// `/logout` ends it.
fn application(request: &str) -> String {
    let path = request.split(' ').nth(1).unwrap_or_default();
    let body = request.split("\r\n\r\n").nth(1).unwrap_or_default();
    let is_known = request.contains(&format!("cookie: sid={SESSION}"));
    let has_token = request.contains(&format!("authorization: Bearer {TOKEN}"));
    let form = "csrf=c%2Bs%2Fr%3Df%26token-0123456789&password=correct+horse%26battery";
    match path {
        "/form" => page(&format!("<input name=csrf value=\"{}\">", CSRF.replace('&', "&amp;"))),
        "/login" if body == form => with(
            &format!("Set-Cookie: sid={SESSION}; Path=/; HttpOnly\r\nX-User: id=17;"),
            &format!("{{\"token\":\"{TOKEN}\",\"n\":3}}"),
        ),
        "/orders/17?page=3" if is_known && has_token => ok("{\"total\":2,\"next\":\"/more?x=1\"}"),
        "/more?x=1" if is_known => ok("more"),
        "/logout" if is_known => {
            with("Set-Cookie: sid=; Max-Age=0; Path=/\r\nX-Bye: 1", &format!("bye {SESSION}"))
        }
        _ => refusal(&format!("<h1>not you</h1> {request}")),
    }
}

fn with(headers: &str, body: &str) -> String {
    ok(body).replace("\r\nContent-Length", &format!("\r\n{headers}\r\nContent-Length"))
}

fn page(body: &str) -> String {
    with("Content-Type: text/html", body)
}

fn refusal(body: &str) -> String {
    ok(body).replace("200 OK", "403 Forbidden")
}

fn steps() -> Vec<Value> {
    vec![
        json!({ "name": "form", "url": "/form",
                "save": { "csrf": { "matches": "name=csrf value=\"([^\"]+)\"" } } }),
        json!({ "name": "log in", "url": "/login",
                "form": { "csrf": "{{csrf}}", "password": "${env:PW}" },
                "save": { "token": "$.token", "page": "$.n",
                          "user": { "header": "x-user", "matches": "id=(\\d+)" },
                          "session": { "cookie": "sid" } } }),
        json!({ "name": "query", "url": "/orders/{{user}}?page={{ page }}",
                "headers": { "Authorization": "Bearer {{token}}" },
                "json": { "$.total": ">= 1" }, "save": { "next": "$.next" } }),
        json!({ "name": "more", "url": "{{next}}" }),
        json!({ "name": "log out", "url": "/logout", "always": true }),
    ]
}

fn env() -> Env {
    env_with(&[("PW", PASSWORD)], Resolver::new(Vec::new()))
}

fn settings(server: &Server, steps: Vec<Value>) -> Value {
    json!({ "base": format!("http://{}", server.address), "steps": steps })
}

async fn run(settings: &Value) -> Outcome {
    Journey.parse(settings).expect("well-formed settings").run(&env(), AMPLE).await
}

/// The paths that were asked for, in order.
fn paths(heard: &Heard) -> Vec<String> {
    let path = |request: &String| request.split(' ').nth(1).unwrap_or_default().to_owned();
    heard.all().iter().map(path).collect()
}

/// Nothing of what the application and the environment keep secret stands in it.
#[track_caller]
fn assert_discreet(outcome: &Outcome) {
    let told = format!("{outcome:?}");
    for secret in [PASSWORD, CSRF, TOKEN, SESSION, "battery", "token-0123", "session-0123"] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
}

#[tokio::test]
async fn values_and_cookies_pass_from_step_to_step() {
    let (server, heard) = server_to(application).await;
    let outcome = run(&settings(&server, steps())).await;
    assert_eq!(outcome.status, Status::Up, "{outcome:?}");
    assert_eq!(paths(&heard), ["/form", "/login", "/orders/17?page=3", "/more?x=1", "/logout"]);
    assert_eq!(outcome.values.get("steps_passed"), Some(&5.0));
    let took: Vec<f64> = (1..=5).map(|step| outcome.values[&format!("step_{step}_ms")]).collect();
    let whole = outcome.duration.as_secs_f64() * 1000.0;
    assert!(took.iter().all(|step| *step > 0.0) && took.iter().sum::<f64>() <= whole, "{took:?}");
    let phases: Duration = outcome.phases.iter().map(|(_, time)| time).sum();
    assert!(phases <= outcome.duration && outcome.phases.get(Phase::Connect).is_some());
    assert_eq!(outcome.address, Some(server.address.to_string()));
    assert_discreet(&outcome);
}

#[tokio::test]
async fn each_run_begins_without_what_the_one_before_had() {
    let (server, heard) = server_to(application).await;
    let mut steps = steps();
    steps.truncate(2); // Nobody logs out.
    let check = Journey.parse(&settings(&server, steps)).expect("well-formed settings");
    let env = env();
    for _ in 0..2 {
        assert_eq!(check.run(&env, AMPLE).await.status, Status::Up);
    }
    let all = heard.all();
    assert_eq!(all.len(), 4);
    assert!(!all[2].contains("cookie:"), "{}", all[2]);
    // The token is not remembered for ever: there is a new one each time.
    assert_eq!(env.secrets.redact(TOKEN), TOKEN);
    assert_eq!(env.secrets.redact(PASSWORD), "<redacted>");
}

#[tokio::test]
async fn settings_for_each_step_hold_unless_it_says_otherwise() {
    let (server, heard) = server_to(|_| ok("fine")).await;
    let mut settings = settings(
        &server,
        vec![
            json!({ "url": "/a" }),
            json!({ "url": "/b", "headers": { "X-Own": "1", "x-shared": "own" }, "method": "PUT" }),
        ],
    );
    settings["each"] = json!({ "headers": { "X-Shared": "all" }, "method": "POST" });
    assert_eq!(run(&settings).await.status, Status::Up);
    let [first, second] = &heard.all()[..] else { panic!("two requests") };
    assert!(first.starts_with("POST /a ") && first.contains("x-shared: all"), "{first}");
    assert!(second.starts_with("PUT /b ") && second.contains("x-own: 1"), "{second}");
    assert!(second.contains("x-shared: own") && !second.contains("all"), "{second}");
}

#[tokio::test]
async fn cookies_and_saved_values_stay_with_their_server() {
    let (other, heard_other) = server_to(|_| ok("")).await;
    // Cookies know no ports (RFC 6265 8.5): another host is another name.
    let port = other.address.port();
    let names = NameServer::answering(|query| {
        let mut reply = reply(query, ResponseCode::NoError);
        let address = RData::A(std::net::Ipv4Addr::LOCALHOST.into());
        reply.add_answers([record("other.test.", address)]);
        reply
    })
    .await;
    let to = format!("http://other.test:{port}/");
    let redirect = to.clone();
    let (server, _) = server_to(move |request| match request.split(' ').nth(1) {
        Some("/away") => with(&format!("Location: {redirect}"), "").replace("200 OK", "302 Found"),
        _ => with("Set-Cookie: sid=session-0123456789", "{\"token\":\"token-0123456789\"}"),
    })
    .await;
    let steps = vec![
        json!({ "url": "/", "save": { "token": "$.token" } }),
        json!({ "url": "/away", "redirects": 1, "headers": { "X-Token": "{{token}}" } }),
        json!({ "url": to }),
    ];
    let env = env_with(&[], Resolver::new(vec![names.address]));
    let check = Journey.parse(&settings(&server, steps)).expect("well-formed settings");
    let outcome = check.run(&env, AMPLE).await;
    assert_eq!(outcome.status, Status::Up, "{outcome:?}");
    let all = heard_other.all();
    assert_eq!(all.len(), 2);
    for request in all {
        assert!(!request.contains("cookie:") && !request.contains("0123456789"), "{request}");
    }
}

#[tokio::test]
async fn a_saved_url_leads_nowhere_else() {
    let (server, heard) = server_to(|_| ok("{\"next\":\"http://127.0.0.1:1/steal\"}")).await;
    let steps = vec![
        json!({ "name": "list", "url": "/", "save": { "next": "$.next" } }),
        json!({ "name": "next", "url": "{{next}}" }),
    ];
    let outcome = run(&settings(&server, steps)).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(Cause::Redirect)));
    assert!(outcome.detail.contains("127.0.0.1:1, which no step names"), "{}", outcome.detail);
    assert_eq!(heard.all().len(), 1);
}

#[tokio::test]
async fn steps_share_one_token() {
    let (tokens, asked) = server_to(|_| {
        ok(r#"{"access_token": "token-1234", "token_type": "bearer", "expires_in": 60}"#)
    })
    .await;
    let (api, heard) = server_to(|_| ok("{}")).await;
    let journey = json!({
        "base": format!("http://{}", api.address),
        "each": { "oauth2": { "token_url": format!("http://{}/t", tokens.address),
            "client_id": "probe", "client_secret": "${env:SECRET}" } },
        "steps": [{ "url": "/a" }, { "url": "/b" }, { "url": "/c" }],
    });
    let env = env_with(&[("SECRET", "very secret")], Resolver::new(Vec::new()));
    let outcome = Journey.parse(&journey).expect("fits").run(&env, AMPLE).await;
    assert_eq!(outcome.status, Status::Up, "{outcome:?}");
    assert_eq!(asked.all().len(), 1);
    assert_eq!(heard.all().len(), 3);
    assert!(heard.all().iter().all(|asked| asked.contains("authorization: Bearer token-1234\r\n")));
}
