//! Logins that take more than one request: Digest, and access tokens.

use crosscheck_model::observation::RETRY_AFTER;
use crosscheck_model::{Cause, Status};
use serde_json::json;

use super::*;

const SECRETS: &[(&str, &str)] = &[("PW", "Circle of Life"), ("SECRET", "s/cret")];

fn challenge(more: &str) -> String {
    format!("HTTP/1.1 401 Who\r\nWWW-Authenticate: {more}\r\nContent-Length: 0\r\n\r\n")
}

#[tokio::test]
async fn a_challenge_of_digest_is_answered_once() {
    let asks = "Digest realm=\"shop\", nonce=\"abc\", qop=\"auth\", algorithm=SHA-256";
    let (server, heard) = server_to(move |asked| match asked.contains("authorization: Digest") {
        true => ok("in"),
        false => challenge(asks),
    })
    .await;
    let env = env_with(SECRETS, Resolver::new(Vec::new()));
    let login = json!({ "digest": { "user": "Mufasa", "password": "${env:PW}" } });
    let outcome = run_in(&env, &at(&server, "/a?b", login.clone()), AMPLE).await;
    assert_up(&outcome);
    assert_eq!(outcome.values["requests"], 2.0);
    let all = heard.all();
    assert_eq!(all.len(), 2);
    assert!(!all[0].contains("authorization"), "{}", all[0]);
    assert!(all[1].contains("username=\"Mufasa\", realm=\"shop\""), "{}", all[1]);
    assert!(all[1].contains("uri=\"/a?b\"") && all[1].contains("nc=00000001"), "{}", all[1]);

    let (server, heard) = server_to(move |_| challenge(asks)).await;
    let outcome = run_in(&env, &at(&server, "/", login.clone()), AMPLE).await;
    assert_eq!(outcome.cause, Some(Cause::Status), "{outcome:?}");
    assert_eq!(heard.all().len(), 2, "a refused answer is not repeated");

    let (server, _) = server_to(|_| challenge("Basic realm=\"shop\"")).await;
    let outcome = run_in(&env, &at(&server, "/", login), AMPLE).await;
    assert_eq!(outcome.cause, Some(Cause::NotOffered));
    assert!(outcome.detail.contains("but `Basic`"), "{}", outcome.detail);
}

#[tokio::test]
async fn a_challenge_of_another_origin_is_not_answered() {
    let asks = "Digest realm=\"shop\", nonce=\"abc\", qop=\"auth\"";
    let (stranger, heard) = server_to(move |_| challenge(asks)).await;
    let there = format!("http://{}/", stranger.address);
    let moved = format!("HTTP/1.1 302 x\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n");
    let (server, _) = server_to(move |_| moved.clone()).await;
    let env = env_with(SECRETS, Resolver::new(Vec::new()));
    let login = json!({ "redirects": 1, "digest": { "user": "a", "password": "${env:PW}" } });
    let outcome = run_in(&env, &at(&server, "/", login), AMPLE).await;
    assert_eq!(outcome.cause, Some(Cause::Status), "{outcome:?}");
    assert_eq!(heard.all().len(), 1);
}

/// A token endpoint that gives out `token-1`, `token-2` ..
async fn endpoint() -> (Server, Heard) {
    let given = Arc::new(Mutex::new(0));
    server_to(move |_| {
        let mut given = given.lock().expect("no test panics with it");
        *given += 1;
        ok(&format!(
            r#"{{"access_token": "token-{given}", "token_type": "Bearer", "expires_in": 3600}}"#
        ))
    })
    .await
}

fn oauth2(endpoint: &Server, more: serde_json::Value) -> serde_json::Value {
    let mut settings = json!({
        "token_url": format!("http://{}/token", endpoint.address),
        "client_id": "probe one", "client_secret": "${env:SECRET}", "scopes": ["a", "b.c"],
    });
    if let (Some(settings), Value::Object(more)) = (settings.as_object_mut(), more) {
        settings.extend(more);
    }
    json!({ "oauth2": settings })
}

#[tokio::test]
async fn a_token_is_fetched_once_kept_and_fetched_anew_after_a_401() {
    let (tokens, asked) = endpoint().await;
    // The first token is taken twice, and then no more.
    let (api, heard) = server_to({
        let count = Arc::new(Mutex::new(0));
        move |request| {
            let mut count = count.lock().expect("no test panics with it");
            *count += 1;
            let is_good = request.contains("Bearer token-2") || *count <= 2;
            if is_good { ok("in") } else { challenge("Bearer") }
        }
    })
    .await;
    let env = env_with(SECRETS, Resolver::new(Vec::new()));
    let check = Http.parse(&at(&api, "/", oauth2(&tokens, json!({})))).expect("fits");
    let mut requests = Vec::new();
    for _ in 0..4 {
        let outcome = check.run(&env, AMPLE).await;
        assert_up(&outcome);
        requests.push(outcome.values.get("requests").copied());
        assert_eq!(outcome.values.contains_key("token_ms"), requests.last() != Some(&None));
    }
    assert_eq!(requests, [Some(2.0), None, Some(3.0), None]);
    let asked = asked.all();
    assert_eq!(asked.len(), 2);
    // RFC 6749 2.3.1: both are encoded before they are joined ("probe+one:s%2Fcret").
    assert!(asked[0].contains("authorization: Basic cHJvYmUrb25lOnMlMkZjcmV0\r\n"), "{}", asked[0]);
    assert!(asked[0].ends_with("grant_type=client_credentials&scope=a+b.c"), "{}", asked[0]);
    assert!(heard.all()[4].contains("authorization: Bearer token-2\r\n"));
}

#[tokio::test]
async fn a_kept_token_that_is_barred_is_fetched_anew_unless_that_is_wanted() {
    let barred = || "HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n".to_owned();
    for (more, wanted) in
        [(json!({}), [Some(2.0), Some(3.0)]), (json!({ "status": [200, 403] }), [Some(2.0), None])]
    {
        let (tokens, _) = endpoint().await;
        // The first token is taken once, and then taken back.
        let (api, _) = server_to({
            let count = Arc::new(Mutex::new(0));
            move |request| {
                let mut count = count.lock().expect("no test panics with it");
                *count += 1;
                let is_good = request.contains("Bearer token-2") || *count <= 1;
                if is_good { ok("in") } else { barred() }
            }
        })
        .await;
        let env = env_with(SECRETS, Resolver::new(Vec::new()));
        let mut settings = oauth2(&tokens, json!({}));
        if let (Some(settings), Value::Object(more)) = (settings.as_object_mut(), more) {
            settings.extend(more);
        }
        let check = Http.parse(&at(&api, "/", settings)).expect("fits");
        let mut requests = Vec::new();
        for _ in 0..2 {
            let outcome = check.run(&env, AMPLE).await;
            assert_up(&outcome);
            requests.push(outcome.values.get("requests").copied());
        }
        assert_eq!(requests, wanted);
    }
}

#[tokio::test]
async fn a_token_is_asked_for_in_the_body_and_with_further_parameters() {
    let (tokens, asked) = endpoint().await;
    let (api, _) = server_to(|_| ok("in")).await;
    let env = env_with(SECRETS, Resolver::new(Vec::new()));
    let more = json!({ "auth": "body", "parameters": { "audience": "shop" } });
    let outcome = run_in(&env, &at(&api, "/", oauth2(&tokens, more)), AMPLE).await;
    assert_up(&outcome);
    let form = "audience=shop&client_id=probe+one&client_secret=s%2Fcret&\
                grant_type=client_credentials&scope=a+b.c";
    assert!(asked.one().ends_with(form), "{}", asked.one());
    assert!(!asked.one().contains("authorization"), "{}", asked.one());
}

#[tokio::test]
async fn a_failing_token_endpoint_is_named_and_no_token_shown() {
    let (api, heard) = server_to(|_| ok("in")).await;
    let env = env_with(SECRETS, Resolver::new(Vec::new()));
    let refusal = r#"{"error": "invalid_client", "error_description": "s/cret is wrong"}"#;
    let refusal = format!("HTTP/1.1 401 x\r\nContent-Length: {}\r\n\r\n{refusal}", refusal.len());
    let (refusing, _) = server_to(move |_| refusal.clone()).await;
    let busy = "HTTP/1.1 429 x\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n";
    let (busy, _) = server_to(|_| busy.to_owned()).await;
    let (gone, _) = server_to(|_| String::new()).await;
    for (tokens, cause, status, words) in [
        (&refusing, Cause::Token, Status::Down, "status 401, error `invalid_client` (<redacted>"),
        (&busy, Cause::Throttled, Status::Unknown, "429: too many requests; Retry-After: 30"),
        (&gone, Cause::Token, Status::Down, "closed without an answer"),
    ] {
        let outcome = run_in(&env, &at(&api, "/", oauth2(tokens, json!({}))), AMPLE).await;
        assert_eq!((outcome.cause, outcome.status), (Some(cause), status), "{outcome:?}");
        let named = format!("token endpoint http://{}/token: ", tokens.address);
        assert!(outcome.detail.starts_with(&named), "{}", outcome.detail);
        assert!(outcome.detail.contains(words), "{}", outcome.detail);
        let wait = (cause == Cause::Throttled).then_some(&30.0);
        assert_eq!(outcome.values.get(RETRY_AFTER), wait, "{outcome:?}");
    }
    assert!(heard.all().is_empty(), "nothing is asked without a token");

    // A page that echoes the token does not show it.
    let (tokens, _) = endpoint().await;
    let (echo, _) =
        server_to(|_| "HTTP/1.1 500 x\r\nContent-Length: 14\r\n\r\nwho is token-1".to_owned())
            .await;
    let outcome = run_in(&env, &at(&echo, "/", oauth2(&tokens, json!({}))), AMPLE).await;
    assert_eq!(outcome.excerpt, "who is <redacted>");
    assert_eq!(env.secrets.redact("token-1"), "token-1", "and is forgotten");
}
