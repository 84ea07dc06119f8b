//! The kind against time servers that say what a test tells.

use crosscheck_model::Status;
use serde_json::{Value, json};

use super::*;
use crate::datagram::scripted::Peer;
use crate::kind::negate::Negatable;
use crate::kind::service::scripted::{check, refusals};

const PLENTY: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

/// An answer of a sound server to a question.
fn sound(asked: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 48];
    packet[0] = 0b00_100_100;
    packet[1] = 3;
    packet[4..12].copy_from_slice(&[0, 0, 0x02, 0, 0, 0, 0x01, 0]); // 7.8 ms and 3.9 ms
    packet[12..16].copy_from_slice(&[192, 0, 2, 1]);
    packet[24..32].copy_from_slice(&asked[40..48]);
    let now = Stamp::of(clock::since_1970()).0.to_be_bytes();
    packet[32..40].copy_from_slice(&now);
    packet[40..48].copy_from_slice(&now);
    packet
}

/// A server whose sound answers are changed by this.
async fn server(change: impl Fn(&mut Vec<u8>) + Send + 'static) -> Peer {
    Peer::answering("127.0.0.1:0", move |_, asked| {
        let mut packet = sound(asked);
        change(&mut packet);
        vec![packet]
    })
    .await
}

fn kissing(code: &'static [u8; 4]) -> impl Fn(&mut Vec<u8>) + Send + 'static {
    move |packet| {
        packet[1] = 0;
        packet[12..16].copy_from_slice(code);
        packet[40..48].fill(0);
    }
}

/// A server whose clock is this many seconds off.
fn off_by(seconds: u64) -> impl Fn(&mut Vec<u8>) + Send + 'static {
    move |packet| {
        let now = Stamp::of(clock::since_1970()).0.wrapping_add(seconds << 32).to_be_bytes();
        packet[32..40].copy_from_slice(&now);
        packet[40..48].copy_from_slice(&now);
    }
}

async fn cause(peer: &Peer, settings: Value) -> (Option<Cause>, String) {
    let outcome = check(&Ntp, settings, peer.address, PLENTY).await;
    (outcome.cause, outcome.detail)
}

#[tokio::test]
async fn a_sound_server_is_up_with_its_numbers() {
    let peer = server(|_| {}).await;
    let outcome = check(&Ntp, json!({ "offset_above": "2s" }), peer.address, PLENTY).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Up, None), "{outcome:?}");
    assert!(outcome.values["offset_ms"].abs() < 2000.0, "{outcome:?}");
    assert!(outcome.values["delay_ms"] >= 0.0, "{outcome:?}");
    assert_eq!((outcome.values["stratum"], outcome.values["leap"]), (3.0, 0.0));
    assert_eq!(outcome.values["root_dispersion_ms"], 3.90625);
    assert!(outcome.phases.get(Phase::FirstByte).is_some());
}

#[tokio::test]
async fn what_is_beyond_its_bound_has_its_cause() {
    let peer = server(|_| {}).await;
    for (settings, wanted) in [
        (json!({ "stratum_above": 3 }), None),
        (json!({ "stratum_above": 2 }), Some(Cause::ClockQuality)),
        (json!({ "root_distance_above": "8ms" }), None),
        (json!({ "root_distance_above": "7ms" }), Some(Cause::ClockQuality)),
        (json!({ "slower_than": "0s" }), Some(Cause::Slow)),
    ] {
        let (cause, detail) = cause(&peer, settings.clone()).await;
        assert_eq!(cause, wanted, "{settings}: {detail}");
    }
    let bound = json!({ "offset_above": "60s" });
    let (fast, slow) = (server(off_by(100)).await, server(off_by(100_u64.wrapping_neg())).await);
    let (found, detail) = cause(&fast, bound.clone()).await;
    assert!(detail.contains(" ms before the probe's, more than 1m"), "{detail}");
    assert_eq!(found, Some(Cause::ClockOffset));
    let (found, detail) = cause(&slow, bound).await;
    assert!(detail.contains(" ms behind the probe's"), "{detail}");
    assert_eq!(found, Some(Cause::ClockOffset));
    assert_eq!(cause(&slow, json!({})).await.0, None, "nobody has asked");
}

#[tokio::test]
async fn a_server_that_does_not_serve_says_why() {
    for (code, wanted) in [
        (b"RATE", Cause::Throttled),
        (b"DENY", Cause::KissOfDeath),
        (b"RSTR", Cause::KissOfDeath),
        (b"INIT", Cause::Unsynchronised),
        (b"\0\0\0\0", Cause::Unsynchronised),
        (b"XYZ\x07", Cause::KissOfDeath),
    ] {
        let peer = server(kissing(code)).await;
        let outcome = check(&Ntp, json!({}), peer.address, PLENTY).await;
        assert_eq!(outcome.cause, Some(wanted), "{outcome:?}");
        assert!(!outcome.values.contains_key("offset_ms"), "it tells no time");
    }
    let changes: [fn(&mut Vec<u8>); 2] =
        [|packet| packet[0] |= 0b1100_0000, |packet| packet[1] = 16];
    for change in changes {
        let peer = server(change).await;
        assert_eq!(cause(&peer, json!({})).await.0, Some(Cause::Unsynchronised));
    }
    let timeless = server(|packet| packet[40..48].fill(0)).await;
    assert_eq!(cause(&timeless, json!({})).await.0, Some(Cause::Protocol));
}

#[tokio::test]
async fn what_is_no_answer_is_none() {
    let changes: [fn(&mut Vec<u8>); 4] = [
        |packet| packet[24] ^= 1,
        |packet| packet.truncate(47),
        |packet| packet[0] = 0x23,
        |packet| packet.clear(),
    ];
    for change in changes {
        let forged = server(change).await;
        let outcome = check(&Ntp, json!({}), forged.address, SHORT).await;
        assert_eq!(outcome.cause, Some(Cause::Protocol), "{outcome:?}");
    }
    // A forged one before the true one does no harm.
    let crowded = Peer::answering("127.0.0.1:0", |_, asked| {
        let mut forged = sound(asked);
        forged[24] ^= 1;
        vec![forged, b"x".to_vec(), sound(asked)]
    })
    .await;
    assert_eq!(cause(&crowded, json!({})).await, (None, String::new()));
}

#[tokio::test]
async fn silence_and_nobody_there_are_told_apart_and_turned_round() {
    let silent = Peer::answering("[::1]:0", |_, _| Vec::new()).await;
    let outcome = check(&Ntp, json!({}), silent.address, SHORT).await;
    assert_eq!(outcome.cause, Some(Cause::FirstByteTimeout), "{outcome:?}");
    let deserted = Peer::gone("127.0.0.1:0").await;
    let outcome = check(&Ntp, json!({}), deserted, PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::Refused), "{outcome:?}");
    let outcome = check(&Negatable(Ntp), json!({ "negate": true }), deserted, PLENTY).await;
    assert_eq!(outcome.status, Status::Up, "{outcome:?}");
}

#[test]
fn settings_that_do_not_fit_are_told() {
    let table: Vec<(Value, &str, &str)> = vec![
        (json!({ "address": "a", "stratum_above": 16 }), "stratum_above", "write 1 to 15"),
        (json!({ "address": "a", "stratum_above": 0 }), "stratum_above", "write 1 to 15"),
        (json!({ "address": "::1", "family": "v4" }), "family", "other address family"),
        (json!({ "address": "a", "offset_above": "10" }), "offset_above", "has no unit"),
    ];
    refusals(&Ntp, &table);
}
