//! The kind against peers on loopback.

use serde_json::{Value, json};

use super::*;
use crate::datagram::scripted::Peer;
use crate::kind::negate::Negatable;
use crate::kind::service::scripted::{check, refusals};

const PLENTY: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn an_answer_is_judged_over_both_families() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        let peer = Peer::answering(at, |_, asked| vec![[b"you said ", asked].concat()]).await;
        for (settings, cause) in [
            (json!({ "send": "hello" }), None),
            (json!({ "send": "hello", "expect": "^you said h[aeiou]llo$" }), None),
            (json!({ "send": { "hex": "68 69" }, "expect": { "text": "hi" } }), None),
            (json!({ "send": "hello", "expect": { "hex": "79 6f 75" } }), None),
            (json!({ "send": "hello", "expect": { "hex": "6f 75" } }), Some(Cause::Body)),
            (json!({ "send": "hello", "expect": "bye" }), Some(Cause::Body)),
            (json!({ "send": "hello", "slower_than": "0s" }), Some(Cause::Slow)),
        ] {
            let outcome = check(&Udp, settings.clone(), peer.address, PLENTY).await;
            assert_eq!(outcome.cause, cause, "{settings}: {outcome:?}");
            assert_eq!(outcome.address, Some(peer.address.to_string()));
            assert!(outcome.phases.get(Phase::FirstByte).is_some());
        }
        let settings = json!({ "send": "${env:PASSWORD}", "expect": "bye" });
        let outcome = check(&Udp, settings, peer.address, PLENTY).await;
        assert_eq!(outcome.excerpt, "you said <redacted>");
        assert_eq!(outcome.detail, "the datagram that came does not match `bye`");
        assert_eq!(outcome.values["bytes"], 17.0);
    }
}

#[tokio::test]
async fn nobody_there_is_told_from_silence_and_turned_round() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        let settings = json!({ "send": "hello" });
        let negated = json!({ "send": "hello", "negate": true });
        let deserted = Peer::gone(at).await;
        let outcome = check(&Udp, settings.clone(), deserted, PLENTY).await;
        assert_eq!(outcome.cause, Some(Cause::Refused), "{outcome:?}");
        let outcome = check(&Negatable(Udp), negated.clone(), deserted, PLENTY).await;
        assert_eq!(outcome.status, Status::Up, "{outcome:?}");

        let silent = Peer::answering(at, |_, _| Vec::new()).await;
        let outcome = check(&Udp, settings, silent.address, SHORT).await;
        assert_eq!(outcome.cause, Some(Cause::FirstByteTimeout), "{outcome:?}");
        let outcome = check(&Negatable(Udp), negated, silent.address, SHORT).await;
        assert_eq!(outcome.status, Status::Unknown, "a filter, or a server that says nothing");
    }
}

#[tokio::test]
async fn what_is_lost_is_sent_again() {
    let peer = Peer::answering("127.0.0.1:0", |number, asked| match number {
        0 | 1 => Vec::new(),
        _ => vec![asked.to_vec()],
    })
    .await;
    let settings = json!({ "send": "hello", "expect": "hello", "resend": "100ms" });
    let outcome = check(&Udp, settings, peer.address, PLENTY).await;
    assert_eq!((outcome.cause, outcome.values["sent"]), (None, 3.0), "{outcome:?}");
}

#[tokio::test]
async fn several_datagrams_are_looked_at_and_steps_follow_each_other() {
    let peer = Peer::answering("127.0.0.1:0", |_, asked| {
        ["one", "two", "three"].map(|word| [asked, b" ", word.as_bytes()].concat()).to_vec()
    })
    .await;
    for (settings, cause) in [
        (json!({ "send": "a", "expect": "three", "among": 3 }), None),
        (json!({ "send": "a", "expect": "three", "among": 2 }), Some(Cause::Body)),
        (
            json!({ "script": [
                { "send": "a", "expect": "a two", "among": 2 },
                { "expect": "a three" },
                { "send": "b", "expect": "b one" },
            ] }),
            None,
        ),
    ] {
        let outcome = check(&Udp, settings.clone(), peer.address, PLENTY).await;
        assert_eq!(outcome.cause, cause, "{settings}: {outcome:?}");
    }
    let settings = json!({ "script": [
        { "send": "a", "expect": "a three", "among": 3 },
        { "name": "bye", "send": "b", "expect": "four", "among": 64 },
    ] });
    let outcome = check(&Udp, settings, peer.address, SHORT).await;
    let detail = "step 2 (bye): none of the 3 datagrams that came is as wanted: the last does \
                  not match `four`";
    assert_eq!(outcome.detail, detail, "it waits for more until the end");
}

#[tokio::test]
async fn a_flood_is_left_soon() {
    let flood = Peer::answering("127.0.0.1:0", |_, _| vec![vec![0xff; 60_000]; 100]).await;
    let settings = json!({ "send": "a", "expect": "b", "among": 64 });
    let outcome = check(&Udp, settings, flood.address, Duration::from_secs(2)).await;
    assert_eq!(outcome.cause, Some(Cause::Body), "{outcome:?}");
    assert!(outcome.values["received"] <= 66.0, "{outcome:?}");
}

#[test]
fn settings_that_do_not_fit_are_told() {
    let table: Vec<(Value, &str, &str)> = vec![
        (json!({ "address": "a:1" }), "", "nothing is sent"),
        (json!({ "address": "a:1", "script": [] }), "script", "nothing is sent"),
        (json!({ "address": "a:1", "send": "a", "among": 65 }), "among", "write 1 to 64"),
        (json!({ "address": "a:1", "send": "a", "resend": "1ms" }), "resend", "too often"),
        (json!({ "address": "[::1]:1", "send": "a", "family": "v4" }), "family", "other"),
        (
            json!({ "address": "a:1", "send": "a", "script": [{ "send": "a" }] }),
            "send",
            "beside `script`",
        ),
        (
            json!({ "address": "a:1", "script": [{ "send": "a", "among": 0 }] }),
            "script.0.among",
            "write 1 to 64",
        ),
    ];
    refusals(&Udp, &table);
}
