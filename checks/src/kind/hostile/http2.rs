//! HTTP/2 frames (RFC 9113 section 4) that end, break or never begin an answer.

use Act::{Flood, Hear, HearFrame, Hold, Say};
use crosscheck_model::Cause;
use futures_util::future::join_all;
use serde_json::json;

use super::target::{Act, Target};
use super::{SAID_AT_MOST, askers, assert_is, env, run};

/// A frame of this type, flags and stream.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("fits").to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// `:status: 200`, indexed (RFC 7541 appendix A).
const STATUS_200: &[u8] = &[0x88];
const END_HEADERS: u8 = 4;

#[tokio::test]
async fn frames_that_are_no_answer_are_told_apart() {
    let settings = frame(SETTINGS, 0, 0, &[]);
    let goodbye = |code: u8| frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, code]);
    let broken = |code: u8| frame(RST_STREAM, 0, 1, &[0, 0, 0, code]);
    let begun = frame(HEADERS, END_HEADERS, 1, STATUS_200);
    let (calm, refused, cancelled) = (goodbye(0), broken(7), broken(8));
    let (harsh, internal) = (goodbye(11), broken(2));
    let ping = frame(PING, 0, 0, &[0; 8]);
    let endless = frame(CONTINUATION, 0, 1, &[0x40, 1, b'a', 1, b'b']);
    let open = frame(HEADERS, 0, 1, STATUS_200);
    let huge = [&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1][..], b"x"].concat();
    let window = frame(8, 0, 0, &[0, 0, 0, 0]);
    let (asked, first) = (HearFrame(HEADERS), Say(&settings));
    let rows: Vec<(&str, Vec<Act<'_>>, Cause)> = vec![
        ("HTTP/1.1", vec![Hear, Say(b"HTTP/1.1 200 OK\r\n\r\n")], Cause::Protocol),
        ("nothing but settings", vec![asked, first, Hold], Cause::FirstByteTimeout),
        ("settings and the end", vec![asked, first], Cause::Reset),
        ("goes away", vec![asked, first, Say(&calm)], Cause::Reset),
        ("goes away in anger", vec![asked, first, Say(&harsh)], Cause::Reset),
        ("refuses the stream", vec![asked, first, Say(&refused), Hold], Cause::Reset),
        ("cancels the stream", vec![asked, first, Say(&cancelled), Hold], Cause::Reset),
        ("fails inside", vec![asked, first, Say(&internal), Hold], Cause::Reset),
        (
            "resets within the body",
            vec![asked, first, Say(&begun), Say(&cancelled), Hold],
            Cause::Reset,
        ),
        ("stops within the body", vec![asked, first, Say(&begun), Hold], Cause::TransferTimeout),
        ("settings without end", vec![Hear, Flood(&settings)], Cause::TooLarge),
        ("pings without end", vec![asked, first, Flood(&ping)], Cause::TooLarge),
        ("headers without end", vec![asked, first, Say(&open), Flood(&endless)], Cause::Protocol),
        ("a frame beyond its bound", vec![asked, first, Say(&huge), Hold], Cause::Protocol),
        ("a window of nothing", vec![asked, first, Say(&window), Hold], Cause::Protocol),
    ];
    join_all(rows.into_iter().map(|(name, acts, cause)| async move {
        let target = Target::doing(&acts).await;
        let url = format!("http://{}/", target.address());
        for (kind, settings) in askers(&url, &json!({ "version": 2 })) {
            let outcome = run(&env(), kind, &settings, Some(cause)).await;
            assert_is(&outcome, Some(cause), &format!("{kind}: {name}"));
            assert!(target.said() <= 2 * SAID_AT_MOST, "{kind}: {name}: {}", target.said());
        }
    }))
    .await;
}
