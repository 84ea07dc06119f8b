//! The kind against loopback, and against a network that loses what it is told to.

use std::sync::Mutex;

use crosscheck_model::Status;
use serde_json::{Value, json};

use super::*;
use crate::env::Secrets;
use crate::guard::Guard;
use crate::programs::Programs;
use crate::resolve::Resolver;

const PLENTY: Duration = Duration::from_secs(20);

/// Gives its results in turn.
struct Scripted(Mutex<Vec<Result<Duration, Miss>>>);

impl Echo for Scripted {
    fn echo(&self, _: IpAddr, _: usize, _: Duration) -> BoxFuture<'_, Result<Duration, Miss>> {
        let result = self.0.lock().expect("no panics").remove(0);
        std::future::ready(result).boxed()
    }
}

fn env(guard: Guard) -> Env {
    Env {
        guard,
        resolver: Resolver::new(Vec::new()),
        secrets: Secrets::of_process(),
        programs: Programs::default(),
    }
}

fn check(settings: &Value) -> IcmpCheck {
    let settings: Settings = super::super::read(settings).expect("well-formed");
    let family = settings.host.family(settings.family).expect("it fits");
    IcmpCheck { settings, family }
}

/// A run whose echoes have these results: a time in milliseconds, or none.
async fn scripted(mut settings: Value, results: Vec<Result<Duration, Miss>>) -> Outcome {
    let object = settings.as_object_mut().expect("an object");
    object.extend([
        ("host".to_owned(), json!("192.0.2.1")),
        ("count".to_owned(), json!(results.len())),
        ("gap".to_owned(), json!("0s")),
    ]);
    let echo = Scripted(Mutex::new(results));
    check(&settings).observe(&env(Guard::Internal), &echo, PLENTY).await
}

fn ms(time: u64) -> Result<Duration, Miss> {
    Ok(Duration::from_millis(time))
}

fn no_way() -> Result<Duration, Miss> {
    Err(Miss::Unreachable("10.0.0.1 says: no route".to_owned()))
}

fn not_sent() -> Result<Duration, Miss> {
    Err(Miss::NotSent(Failure::new(Cause::Setup, "no socket")))
}

const SILENT: Result<Duration, Miss> = Err(Miss::Silent);

#[tokio::test]
async fn loss_and_time_are_judged() {
    let (up, down, slow) = (Status::Up, Status::Down, Status::Degraded);
    for (settings, results, status, cause) in [
        (json!({}), vec![ms(1), ms(2), ms(3)], up, None),
        (json!({}), vec![SILENT, SILENT, ms(3)], up, None),
        (json!({}), vec![SILENT, SILENT, SILENT], down, Some(Cause::Loss)),
        (json!({}), vec![SILENT, no_way(), SILENT], down, Some(Cause::Unreachable)),
        (json!({ "loss_above": "40%" }), vec![SILENT, SILENT, ms(1), ms(1), ms(1)], up, None),
        (
            json!({ "loss_above": "40%" }),
            vec![SILENT, SILENT, no_way(), ms(1), ms(1)],
            down,
            Some(Cause::Loss),
        ),
        (json!({ "loss_above": "0%" }), vec![ms(1), SILENT], down, Some(Cause::Loss)),
        (json!({ "loss_above": "100%" }), vec![SILENT], down, Some(Cause::Loss)),
        (json!({ "slower_than": "2ms" }), vec![ms(1), ms(3)], up, None),
        (json!({ "slower_than": "2ms" }), vec![ms(2), ms(3)], slow, Some(Cause::Slow)),
        (json!({}), vec![not_sent(), ms(1)], up, None),
        (json!({ "loss_above": "0%" }), vec![not_sent(), ms(1)], up, None),
        (json!({}), vec![not_sent(), not_sent()], Status::Unknown, Some(Cause::Setup)),
    ] {
        let shown = format!("{settings} {results:?}");
        let outcome = scripted(settings, results).await;
        assert_eq!((outcome.status, outcome.cause), (status, cause), "{shown}: {}", outcome.detail);
        assert_eq!(outcome.detail.is_empty(), status == up, "{shown}");
        assert_eq!(outcome.address.as_deref(), Some("192.0.2.1"));
    }
}

#[tokio::test]
async fn numbers_are_reported() {
    let outcome = scripted(json!({}), vec![ms(1), SILENT, ms(3), not_sent()]).await;
    let expected = [
        ("loss_percent", 100.0 / 3.0),
        ("received", 2.0),
        ("rtt_avg_ms", 2.0),
        ("rtt_max_ms", 3.0),
        ("rtt_min_ms", 1.0),
        ("sent", 3.0),
    ];
    assert_eq!(outcome.values, expected.map(|(name, value)| (name.to_owned(), value)).into());
    let outcome = scripted(json!({}), vec![SILENT]).await;
    assert!(!outcome.values.contains_key("rtt_avg_ms"), "no reply has no time");
}

#[tokio::test]
async fn loopback_answers_in_both_families() {
    for (host, family) in
        [("127.0.0.1", Family::V4), ("::1", Family::V6), ("localhost", Family::V4)]
    {
        let check = check(&json!({ "host": host, "gap": "1ms", "size": "1452B" }));
        assert_eq!(check.family(), family);
        let outcome = check.run(&env(Guard::Internal), PLENTY).await;
        assert_eq!(outcome.status, Status::Up, "{host}: {}", outcome.detail);
        assert_eq!(outcome.values.get("received"), Some(&3.0));
        assert!(outcome.values["rtt_min_ms"] > 0.0, "a round trip takes time");
        assert!(outcome.values["rtt_min_ms"] <= outcome.values["rtt_max_ms"]);
        assert_eq!(outcome.phases.get(Phase::Dns).is_some(), host == "localhost");
    }
}

#[tokio::test]
async fn concurrent_checks_of_one_host_lose_nothing() {
    let env = env(Guard::Internal);
    let check = check(&json!({ "host": "127.0.0.1", "count": 20, "gap": "1ms" }));
    let outcomes = join_all((0..16).map(|_| check.run(&env, PLENTY))).await;
    for outcome in outcomes {
        assert_eq!(outcome.values.get("received"), Some(&20.0), "{}", outcome.detail);
    }
}

#[tokio::test]
async fn the_guard_is_asked() {
    let outcome = check(&json!({ "host": "127.0.0.1" })).run(&env(Guard::public()), PLENTY).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::BlockedAddress)));
}

#[test]
fn settings_that_do_not_fit_are_refused_with_their_place() {
    for (settings, path, message) in [
        (json!({}), "", "missing field `host`"),
        (json!({ "host": "http://x" }), "host", "is a URL"),
        (json!({ "host": "a", "count": 0 }), "count", "write 1 to 50"),
        (json!({ "host": "a", "count": 51 }), "count", "write 1 to 50"),
        (json!({ "host": "a", "size": "2KiB" }), "size", "at most 1452B"),
        (json!({ "host": "a", "loss_above": 40 }), "loss_above", "write `40%`"),
        (json!({ "host": "::1", "family": "v4" }), "family", "other address family"),
        (json!({ "host": "a", "ttl": 3 }), "ttl", "unknown field"),
    ] {
        let errors = Icmp.parse(&settings).err().expect("does not fit");
        assert_eq!(errors[0].path.join("."), path, "{settings}");
        assert!(errors[0].message.contains(message), "{}", errors[0].message);
    }
    let errors = Icmp.parse(&json!({ "host": "::1", "count": 0, "size": "1MiB", "family": "v4" }));
    assert_eq!(errors.err().map(|errors| errors.len()), Some(3), "all at once");
}
