//! Steps that fail: named in the words, and cleaned up after.

use crosscheck_model::observation::RETRY_AFTER;
use crosscheck_model::place::Role;

use super::*;
use crate::guard::Guard;
use crate::kind::negate::Negatable;

#[tokio::test]
async fn a_failing_step_is_named_and_the_ones_that_always_run_still_run() {
    let (server, heard) = server_to(application).await;
    let mut steps = steps();
    steps[2]["url"] = json!("/orders/none");
    let outcome = run(&settings(&server, steps)).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(Cause::Status)));
    assert_eq!(outcome.detail, "step 3 `query`: status 403, wanted 200-299");
    assert!(outcome.excerpt.starts_with("<h1>not you</h1>"), "{}", outcome.excerpt);
    assert_eq!(paths(&heard), ["/form", "/login", "/orders/none", "/logout"]);
    assert_eq!(outcome.values.get("steps_passed"), Some(&3.0));
    assert_eq!(outcome.values.get("step_4_ms"), None);
    assert_discreet(&outcome);
}

#[tokio::test]
async fn what_fails_while_cleaning_up_is_told_after_the_cause() {
    let (server, _) = server_to(application).await;
    let mut steps = steps();
    steps[2]["json"] = json!({ "$.total": ">= 3" });
    steps[4]["status"] = json!([204]);
    let outcome = run(&settings(&server, steps)).await;
    assert_eq!(outcome.cause, Some(Cause::Json));
    let words = "step 3 `query`: `$.total` is 2, wanted >= 3; \
                 then step 5 `log out`: status 200, wanted 204";
    assert_eq!(outcome.detail, words);
    assert!(outcome.excerpt.starts_with("{\"total\":2"), "{}", outcome.excerpt);
}

#[tokio::test]
async fn a_cleaning_step_that_fails_alone_is_the_cause_and_its_session_is_not_shown() {
    let (server, _) = server_to(application).await;
    let mut steps = steps();
    steps[4]["header"] = json!({ "set-cookie": "none" });
    let outcome = run(&settings(&server, steps)).await;
    assert_eq!(outcome.cause, Some(Cause::Header));
    assert!(outcome.detail.starts_with("step 5 `log out`: header `set-cookie`"), "{outcome:?}");
    assert_eq!(outcome.excerpt, "bye <redacted>");
}

#[tokio::test]
async fn a_step_that_lacks_its_values_is_not_tried_after_a_failure() {
    let (server, heard) = server_to(application).await;
    let mut steps = steps();
    steps[1]["save"]["token"] = json!("$.no_such_token");
    steps[4]["headers"] = json!({ "X-Token": "{{token}}" });
    let outcome = run(&settings(&server, steps)).await;
    assert_eq!(outcome.cause, Some(Cause::Json));
    let words = "step 2 `log in`: cannot save `token`: `$.no_such_token` finds nothing; \
                 step 5 `log out` was not tried, as nothing saved `token`";
    assert_eq!(outcome.detail, words);
    assert_eq!(paths(&heard), ["/form", "/login"]);
    assert_eq!(outcome.excerpt, "", "the token stands elsewhere in it");
    assert_discreet(&outcome);
}

/// A token that an assertion quotes is blotted out, though the step that saves it has failed.
#[tokio::test]
async fn an_answer_is_searched_for_tokens_before_it_is_judged() {
    let long = format!("long-token-{}", "x".repeat(3000));
    let body = format!("{{\"token\":\"{long}\",\"state\":\"bad\"}}");
    for wanted in [
        json!({ "json": { "$.token": "short" } }),
        json!({ "json": { "$.state": "good" } }),
        json!({ "status": [201] }),
    ] {
        let body = body.clone();
        let (server, _) = server_to(move |_| ok(&body)).await;
        let mut step = wanted.clone();
        step["url"] = json!("/");
        step["save"] = json!({ "token": "$.token" });
        let outcome = run(&settings(&server, vec![step])).await;
        assert_eq!(outcome.status, Status::Down, "{wanted}");
        let told = format!("{outcome:?}");
        assert!(!told.contains("long-token") && !told.contains("xxxx"), "{told}");
        assert!(outcome.excerpt.contains("<redacted>"), "{}", outcome.excerpt);
    }
}

#[tokio::test]
async fn slow_steps_and_journeys_are_degraded_and_go_on() {
    let (server, heard) = server_to(application).await;
    let mut steps = steps();
    steps[0]["slower_than"] = json!("1ns");
    steps[2]["slower"] = json!({ "first_byte": "1ns" });
    let mut settings = settings(&server, steps);
    settings["slower_than"] = json!("1ns");
    let outcome = run(&settings).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Degraded, Some(Cause::Slow)));
    for part in ["step 1 `form`: took", "step 3 `query`: first_byte took", "the journey took"] {
        assert!(outcome.detail.contains(part), "{part}: {}", outcome.detail);
    }
    assert_eq!(heard.all().len(), 5);
    assert_eq!(outcome.values.get("steps_passed"), Some(&3.0));
}

#[tokio::test]
async fn down_counts_for_more_than_degraded() {
    let (server, _) = server_to(application).await;
    let mut steps = steps();
    steps[0]["slower_than"] = json!("1ns");
    steps[3]["status"] = json!([404]);
    let outcome = run(&settings(&server, steps)).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(Cause::Status)));
    assert!(outcome.detail.starts_with("step 4 `more`: status 200"), "{}", outcome.detail);
}

/// The server answers everything but `/hang`: the reserve is enough to log out.
#[tokio::test]
async fn time_is_kept_for_what_always_runs() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let hangs = listener.local_addr().expect("bound"); // Connections wait for ever.
    let (server, heard) = server_to(|_| ok("bye")).await;
    let steps = vec![
        json!({ "name": "hang", "url": format!("http://{hangs}/") }),
        json!({ "name": "never", "url": "/never" }),
        json!({ "name": "log out", "url": "/logout", "always": true }),
    ];
    let mut settings = settings(&server, steps);
    settings["reserve"] = json!("1h"); // At most half.
    let check = Journey.parse(&settings).expect("well-formed settings");
    let limit = Duration::from_secs(4);
    let outcome = check.run(&env(), limit).await;
    assert_eq!(outcome.cause, Some(Cause::FirstByteTimeout));
    let words = "step 1 `hang`: no answer within the run's 2s; 2s are kept for later";
    assert_eq!(outcome.detail, words);
    assert_eq!(paths(&heard), ["/logout"]);
    assert!(outcome.duration < limit, "{:?}", outcome.duration);
    drop(listener);
}

#[tokio::test]
async fn forbidden_addresses_and_missing_secrets_are_no_verdict() {
    let (server, heard) = server_to(application).await;
    let check = Journey.parse(&settings(&server, steps())).expect("well-formed settings");
    let public = Env { guard: Guard::public(), ..env() };
    let outcome = check.run(&public, AMPLE).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::BlockedAddress)));
    assert!(outcome.detail.starts_with("step 1 `form`: "), "{}", outcome.detail);
    assert!(heard.all().is_empty());
    let bare = env_with(&[], Resolver::new(Vec::new()));
    let outcome = check.run(&bare, AMPLE).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::Setup)));
    assert!(outcome.detail.contains("step 2 `log in`: environment variable `PW`"), "{outcome:?}");
}

#[tokio::test]
async fn throttling_is_no_verdict_either() {
    let busy = |_: &str| ok("").replace("200 OK", "429 Busy\r\nRetry-After: 90");
    let (server, _) = server_to(busy).await;
    let outcome = run(&settings(&server, vec![json!({ "url": "/" })])).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::Throttled)));
    assert!(outcome.detail.starts_with("step 1 `GET /`: status 429"), "{}", outcome.detail);
    assert_eq!(outcome.values.get(RETRY_AFTER), Some(&90.0));
}

/// Runs a journey turned round.
async fn turned(mut settings: Value) -> Outcome {
    settings["negate"] = json!(true);
    let check = Negatable(Journey).parse(&settings).expect("well-formed settings");
    let outcome = check.run(&env(), AMPLE).await;
    assert_discreet(&outcome);
    outcome
}

#[tokio::test]
async fn turned_round_the_last_step_must_fail() {
    let (server, _) = server_to(application).await;
    let form = steps().swap_remove(0);
    let log_in = |password: &str| {
        let form = json!({ "csrf": "{{csrf}}", "password": password });
        json!({ "name": "log in", "url": "/login", "form": form })
    };
    let gone = json!({ "name": "form", "url": "/gone", "save": { "csrf": "$.csrf" } });
    let log_out = json!({ "name": "log out", "url": "/gone", "always": true });
    let (right, wrong) = (log_in("${env:PW}"), log_in("wrong"));
    for (steps, wanted, words) in [
        (vec![form.clone(), wrong.clone()], Status::Up, ""),
        (vec![form.clone(), wrong.clone(), log_out.clone()], Status::Up, ""),
        (vec![form.clone(), right.clone()], Status::Down, "it answers"),
        // Let in all the same, whatever comes after it.
        (vec![form.clone(), right, log_out.clone()], Status::Down, "step 3 `log out`: status 403"),
        // Nobody has tried it.
        (vec![gone, wrong.clone(), log_out], Status::Unknown, "step 1 `form`: status 403"),
    ] {
        let shown = format!("{steps:?}");
        let outcome = turned(settings(&server, steps)).await;
        assert_eq!(outcome.status, wanted, "{shown}: {outcome:?}");
        assert!(outcome.detail.contains(words), "{shown}: {outcome:?}");
        let cause = (wanted == Status::Down).then_some(Cause::Answers);
        assert!(wanted == Status::Unknown || outcome.cause == cause, "{outcome:?}");
    }
    let first = json!({ "name": "look", "url": "/" });
    // Whoever is busy may let in again.
    let busy = |_: &str| ok("").replace("200 OK", "503 Busy");
    let (busy, _) = server_to(busy).await;
    let outcome = turned(settings(&busy, vec![first.clone()])).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::Status)));
    let deserted = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", deserted.local_addr().expect("bound"));
    drop(deserted);
    let outcome = turned(json!({ "base": base, "steps": [first] })).await;
    assert_eq!(outcome.status, Status::Up, "{outcome:?}");
    let outcome = turned(json!({ "base": base, "steps": [form, wrong] })).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::Refused)));
}

#[tokio::test]
async fn where_a_later_step_failed_is_told_and_not_where_the_journey_begins() {
    let (server, _) = server_to(application).await;
    let (other, _) = server_to(|_| "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned()).await;
    let address = other.address;
    let steps = vec![json!({ "url": "/form" }), json!({ "url": format!("http://{address}/") })];
    let outcome = run(&settings(&server, steps)).await;
    let place = outcome.place.unwrap_or_else(|| panic!("{}", outcome.detail));
    assert_eq!((place.role, place.shown()), (Role::Step, address.to_string()));
    assert!(!place.is_secret);
}
