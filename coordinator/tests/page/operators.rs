//! Who is let in, who may do what, and that nobody sees another customer's rows.

use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};

use crosscheck_coordinator::operator::Door;
use crosscheck_coordinator::page::{Freshness, Reader, Readings};
use crosscheck_core::command::{Command, Reply};
use crosscheck_core::operator::Role;
use crosscheck_core::{State, apply};
use futures_util::stream::{self, BoxStream, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Server};
use crate::fixture::{self, Fixture, NOW};

pub(crate) const KEY: &str = "the-key-of-the-settings";

/// A state with these tokens, made through the API, and the tokens themselves.
pub(crate) async fn with_tokens<const N: usize>(
    mut fixture: Fixture,
    wanted: [(&str, Role, Option<&str>); N],
) -> (Fixture, [String; N]) {
    let maker = locked(fixture::empty()).await;
    let mut tokens = Vec::new();
    for (name, role, customer) in wanted {
        let customers = customer.map(|customer| [customer]);
        let body = json!({ "name": name, "role": role, "customers": customers });
        let made = act(&maker, KEY, "/api/v1/tokens", &body).await;
        assert_eq!(made.status, 200, "{}", made.body);
        tokens.push(made.json()["token"].as_str().expect("a token").to_owned());
    }
    for command in maker.commands.lock().expect("no panic").iter() {
        let applied = apply(&mut fixture.state, NOW, command.clone());
        assert_eq!(applied.reply, Reply::Done);
    }
    (fixture, tokens.try_into().expect("as many"))
}

/// A server that lets in by token or key.
pub(crate) async fn locked(fixture: Fixture) -> Server {
    Server::behind(|reader| Door::closed(reader, Some(KEY)), fixture, Ok(Reply::Done)).await
}

pub(crate) async fn look(server: &Server, token: &str, path: &str) -> Answer {
    server.ask(Method::GET, path, |request| request.bearer_auth(token)).await
}

async fn act(server: &Server, token: &str, path: &str, body: &Value) -> Answer {
    server.ask(Method::POST, path, |request| request.bearer_auth(token).json(body)).await
}

/// Every path of the API that can be read, with the names of one customer's things in it.
async fn readable(server: &Server, token: &str, who: &str) -> Vec<String> {
    let document = look(server, token, "/api/v1/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("paths").clone();
    let reads = paths.iter().filter(|(_, operations)| operations.get("get").is_some());
    let number = if who == "acme" { "1" } else { "2" };
    reads
        .map(|(path, _)| {
            path.replace("{check}", &format!("{who}%2F{who}-shop"))
                .replace("{incident}", number)
                .replace("{page}", &format!("{who}-page"))
        })
        .collect()
}

#[tokio::test]
async fn a_token_opens_and_nothing_else_does() {
    let viewer = ("desk", Role::Viewer, None);
    let (fixture, [token]) = with_tokens(fixture::one_down(), [viewer]).await;
    let (other, _) = with_tokens(fixture::empty(), [viewer]).await;
    let stranger = other.state.tokens.keys().next().expect("a token").clone();
    let server = locked(fixture).await;
    let mut wrong = token.clone();
    wrong.pop();
    wrong.push(if token.ends_with('0') { '1' } else { '0' });
    for (shown, status) in [
        (token.as_str(), 200),
        (KEY, 200),
        (wrong.as_str(), 401),
        (&format!("xck_{stranger}_{}", "0".repeat(64)), 401),
        ("", 401),
        ("nonsense", 401),
    ] {
        let answer = look(&server, shown, "/api/v1/checks").await;
        assert_eq!(answer.status, status, "{shown}: {}", answer.body);
    }
    let silent = server.ask(Method::GET, "/api/v1/checks", |request| request).await;
    assert_eq!(silent.status, 401);
    assert!(silent.json()["hint"].as_str().expect("a hint").contains("crosscheck token create"));
    assert_eq!(silent.header("x-content-type-options"), "nosniff");
    let challenges: Vec<_> = silent.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges.len(), 2, "{challenges:?}");
    for path in ["/", "/pages/public", "/checks/search", "/api/v2/summary.json", "/events"] {
        assert_eq!(server.ask(Method::GET, path, |r| r).await.status, 401, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.ask(Method::GET, path, |r| r).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn an_open_door_lets_in_only_who_asks_for_this_host() {
    let server = Server::show(fixture::two_customers()).await;
    for (host, sees) in [("localhost", true), ("status.example.com", false)] {
        let named = |request: reqwest::RequestBuilder| request.header("host", host);
        for path in ["/", "/api/v2/summary.json"] {
            let answer = server.ask(Method::GET, path, named).await;
            assert_eq!(answer.status, 200, "{host}{path}");
            assert_eq!(answer.body.contains("acme-shop"), sees, "{host}{path}");
        }
        let listed = server.ask(Method::GET, "/api/v1/checks", named).await;
        assert_eq!(listed.status, if sees { 200 } else { 401 }, "{host}");
    }
}

#[tokio::test]
async fn a_browser_shows_a_token_as_password_and_can_only_look() {
    let operator = ("li", Role::Operator, None);
    let (fixture, [token]) = with_tokens(fixture::one_down(), [operator]).await;
    let server = locked(fixture).await;
    let basic = |request: reqwest::RequestBuilder| request.basic_auth("anyone", Some(&token));
    assert_eq!(server.ask(Method::GET, "/", basic).await.status, 200);
    let body = json!({ "by": "li" });
    let path = "/api/v1/incidents/7/acknowledge";
    let written = server.ask(Method::POST, path, |request| basic(request).json(&body)).await;
    assert_eq!(written.status, 401);
    assert_eq!(act(&server, &token, path, &body).await.status, 200);
}

#[tokio::test]
async fn each_role_does_what_it_may_and_no_more() {
    let roles = [
        ("viewer", Role::Viewer, None),
        ("operator", Role::Operator, None),
        ("administrator", Role::Administrator, None),
        ("own", Role::Administrator, Some("acme")),
    ];
    let (fixture, tokens) = with_tokens(fixture::two_customers(), roles).await;
    let server = locked(fixture).await;
    let files = json!({ "files": [{ "name": "a.yaml", "text":
        "checks: [{ name: a, tcp: { address: \"a.example.com:1\" } }]" }] });
    let token = json!({ "name": "new", "role": "viewer" });
    let mine = json!({ "name": "new", "role": "viewer", "customers": ["acme"] });
    let theirs = json!({ "name": "new", "role": "viewer", "customers": ["acme", "globex"] });
    let ack = json!({ "by": "li" });
    let none = json!(null);
    for (path, body, allowed) in [
        ("/api/v1/checks", None, [200, 200, 200, 200]),
        ("/api/v1/outbox", None, [200, 200, 200, 200]),
        ("/api/v1/tokens", None, [403, 403, 200, 200]),
        ("/api/v1/audit", None, [403, 403, 200, 403]),
        ("/api/v1/incidents/1/acknowledge", Some(&ack), [403, 200, 200, 200]),
        ("/api/v1/incidents/2/acknowledge", Some(&ack), [403, 200, 200, 404]),
        ("/api/v1/incidents/3/acknowledge", Some(&ack), [403, 200, 200, 404]),
        // A reply of another kind than a configuration's is our fault, but it was let through.
        ("/api/v1/configuration", Some(&files), [403, 403, 500, 403]),
        ("/api/v1/tokens", Some(&token), [403, 403, 200, 403]),
        ("/api/v1/tokens", Some(&mine), [403, 403, 200, 200]),
        ("/api/v1/tokens", Some(&theirs), [403, 403, 200, 403]),
        ("/api/v1/tokens/own/revoke", Some(&none), [403, 403, 200, 200]),
        ("/api/v1/tokens/operator/revoke", Some(&none), [403, 403, 200, 404]),
    ] {
        for ((name, ..), (token, status)) in roles.iter().zip(tokens.iter().zip(allowed)) {
            let answer = match body {
                Some(body) => act(&server, token, path, body).await,
                None => look(&server, token, path).await,
            };
            assert_eq!(answer.status, status, "{name} at {path}: {}", answer.body);
            if status == 403 {
                let said = answer.json();
                assert!(said["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{path}");
            }
        }
    }
    let acts = server.commands.lock().expect("no panic");
    assert!(acts.iter().all(|command| matches!(command, Command::Act { .. })), "all are recorded");
    assert_eq!(acts.len(), 15);
}

#[tokio::test]
async fn every_operation_that_writes_refuses_a_viewer() {
    let viewer = ("desk", Role::Viewer, None);
    let (fixture, [token]) = with_tokens(fixture::two_customers(), [viewer]).await;
    let server = locked(fixture).await;
    let document = look(&server, &token, "/api/v1/openapi.json").await.json();
    let mut writes = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in ["post", "put", "patch", "delete"] {
            if operations.get(method).is_none() {
                continue;
            }
            writes += 1;
            let method = method.to_uppercase().parse().expect("a method");
            let path = path.replace("{incident}", "1").replace("{token}", "desk");
            let path = path.replace(['{', '}'], "");
            let answer =
                server.ask(method, &path, |r| r.bearer_auth(&token).json(&json!({}))).await;
            assert_eq!(answer.status, 403, "{path}: {}", answer.body);
        }
    }
    assert!(writes >= 4, "{writes}");
    assert!(server.commands.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn nobody_sees_another_customers_rows() {
    let own = [("acme-desk", Role::Operator, Some("acme")), ("all", Role::Viewer, None)];
    let (fixture, [token, all]) = with_tokens(fixture::two_customers(), own).await;
    let server = locked(fixture).await;
    let pages = |who: &str| {
        let number = if who == "acme" { "1" } else { "2" };
        [
            "/".to_owned(),
            format!("/checks/{who}%2F{who}-shop"),
            format!("/incidents/{number}"),
            format!("/pages/{who}-page"),
            format!("/pages/{who}-page/checks/{who}%2F{who}-shop"),
            format!("/pages/{who}-page/incidents/{number}"),
            format!("/pages/{who}-page/incidents/3"),
        ]
    };
    let mut seen = String::new();
    let mut own = readable(&server, &token, "acme").await;
    own.extend(pages("acme"));
    assert!(own.len() > 20, "{own:?}");
    let closed = [
        "/api/v1/audit",
        "/api/v1/tokens",
        "/api/v1/backup",
        "/api/v1/cluster",
        "/api/v1/probes",
        "/metrics",
    ];
    for path in closed {
        let answer = look(&server, &token, path).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.body);
    }
    for path in own.iter().filter(|path| !closed.contains(&path.as_str())) {
        let answer = look(&server, &token, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(!answer.body.contains("globex"), "{path}: {}", answer.body);
        seen.push_str(&answer.body);
    }
    for word in ["acme-shop", "acme-people", "acme-title", "acme-works", "acme-dc"] {
        assert!(seen.contains(word), "{word} is this customer's own, and is not shown");
    }
    let mut theirs = readable(&server, &token, "globex").await;
    theirs.extend(pages("globex"));
    for path in theirs.iter().filter(|path| !own.contains(path)) {
        let answer = look(&server, &token, path).await;
        assert_eq!(answer.status, 404, "{path}");
        // It is told in the words for what does not exist.
        let absent = path.replace("globex", "nobody").replace("incidents/2", "incidents/99");
        let nothing = look(&server, &token, &absent).await;
        assert_eq!(nothing.status, 404, "{absent}");
        let same = |body: &str| body.replace("globex", "nobody").replace("`2`", "`99`");
        assert_eq!(same(&answer.body), nothing.body, "{path}");
    }
    assert!(look(&server, &all, "/").await.body.contains("globex-shop"), "or the test finds none");
}

#[tokio::test]
async fn strangers_at_the_home_page_see_no_customer_among_several() {
    let state = fixture::two_customers().state;
    for (fixture, shown) in [
        (fixture::two_customers(), false),
        (fixture::many_sites(), true),
        (fixture::all_up(), true),
    ] {
        let server = Server::public(fixture).await;
        for path in ["/", "/api/v2/summary.json"] {
            let body = server.get(path).await.body;
            assert_eq!(body.contains("shop"), shown, "{path}");
            assert!(!body.contains("globex") && !body.contains("acme-"), "{path}");
        }
    }
    let server = Server::public(Fixture { state, ..fixture::two_customers() }).await;
    for path in ["/incidents/1", "/incidents/3", "/checks/acme%2Facme-shop"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    let page = server.get("/pages/acme-page/incidents/3").await;
    assert_eq!(page.status, 200, "their own page tells of it, without the others' names");
    assert!(!page.body.contains("globex"), "{}", page.body);
    for path in ["/api/v1/checks", "/api/v1/tokens", "/api/v1/audit"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn one_token_cannot_ask_without_end() {
    let two = [("a", Role::Viewer, None), ("b", Role::Viewer, None)];
    let (fixture, [a, b]) = with_tokens(fixture::fresh(), two).await;
    let server = locked(fixture).await;
    let mut statuses = Vec::new();
    for _ in 0..2_000 {
        statuses.push(look(&server, &a, "/api/v1/sites").await.status);
        if statuses.ends_with(&[429]) {
            break;
        }
    }
    assert!(statuses.len() > 200 && statuses.ends_with(&[429]), "{}", statuses.len());
    assert_eq!(look(&server, &b, "/api/v1/sites").await.status, 200, "another has its own");
}

#[tokio::test]
async fn a_token_is_shown_once_and_its_hash_never() {
    let two = [("ci", Role::Administrator, None), ("desk", Role::Viewer, Some("acme"))];
    let (fixture, [token, desk]) = with_tokens(fixture::two_customers(), two).await;
    let hash = fixture.state.tokens.values().next().expect("a token").hash.clone();
    assert!(hash.starts_with("$argon2id$"));
    let secret = |token: &str| token.rsplit('_').next().expect("a secret").to_owned();
    let state = format!("{:?}", fixture.state);
    assert!(!state.contains(&secret(&token)) && !state.contains(&secret(&desk)));
    let server = locked(fixture).await;
    for path in readable(&server, &token, "acme").await {
        let body = look(&server, &token, &path).await.body;
        assert!(!body.contains("argon2") && !body.contains(&secret(&token)), "{path}");
    }
    let listed = look(&server, &token, "/api/v1/tokens").await.json();
    let names: Vec<&str> =
        listed.as_array().expect("a list").iter().filter_map(|t| t["name"].as_str()).collect();
    assert_eq!(BTreeSet::from_iter(names), BTreeSet::from(["ci", "desk"]));
}

#[tokio::test]
async fn a_revoked_or_expired_token_is_refused_at_once() {
    let viewer = ("desk", Role::Viewer, None);
    let revoke: fn(&mut State) = |state| state.tokens.clear();
    let expire: fn(&mut State) = |state| {
        for token in state.tokens.values_mut() {
            token.expires_at = Some(NOW);
        }
    };
    for end in [revoke, expire] {
        let (fixture, [token]) = with_tokens(fixture::one_down(), [viewer]).await;
        let changing = Arc::new(Changing(RwLock::new(fixture.state)));
        let door = |_| Door::closed(changing.clone(), None);
        let server = Server::behind(door, fixture::one_down(), Ok(Reply::Done)).await;
        assert_eq!(look(&server, &token, "/api/v1/sites").await.status, 200);
        end(&mut changing.0.write().expect("no panic"));
        assert_eq!(look(&server, &token, "/api/v1/sites").await.status, 401, "though it was good");
    }
}

/// A state that changes while a door looks at it.
struct Changing(RwLock<State>);

impl Reader for Changing {
    fn with_state(&self, look: &mut dyn FnMut(&State)) {
        look(&self.0.read().expect("no panic"));
    }

    fn readings(&self) -> &dyn Readings {
        unreachable!("a door reads no measurements")
    }

    fn freshness(&self) -> Freshness {
        Freshness { as_of: NOW, minority: false, node: 1, leader: Some(1) }
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        stream::pending().boxed()
    }
}

#[tokio::test]
async fn the_trail_is_read_in_parts_and_tells_its_end() {
    let three =
        [("a", Role::Viewer, None), ("b", Role::Viewer, None), ("c", Role::Administrator, None)];
    let (fixture, [.., token]) = with_tokens(fixture::empty(), three).await;
    let head = fixture.state.audit.head();
    let server = locked(fixture).await;
    for (query, numbers) in [
        ("", vec![1, 2, 3]),
        ("?last=2", vec![2, 3]),
        ("?after=1&limit=1", vec![2]),
        ("?after=3", vec![]),
        ("?after=99", vec![]),
    ] {
        let answer = look(&server, &token, &format!("/api/v1/audit{query}")).await.json();
        let found: Vec<u64> = answer["entries"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|entry| entry["index"].as_u64())
            .collect();
        assert_eq!(found, numbers, "{query}");
        assert_eq!(answer["head"]["hash"], head.hash.to_string(), "{query}");
    }
    let entry = &look(&server, &token, "/api/v1/audit").await.json()["entries"][0];
    assert_eq!((&entry["actor"], &entry["act"]), (&json!("operator_key"), &json!("create token")));
    assert_eq!(entry["from"], "127.0.0.1");
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let answer = server.ask(method.clone(), "/api/v1/audit", |r| r.bearer_auth(&token)).await;
        assert_eq!(answer.status, 405, "{method}: {}", answer.body);
    }
}
