//! HTTP/1.1: what `http` and a step of a `journey` make of it.

use std::io::Write;

use Act::{Drip, Flood, Hear, Hold, Repeat, Reset, Say};
use crosscheck_model::Cause;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::target::{Act, Target};
use super::{SAID_AT_MOST, askers, assert_is, env, run};

/// What a target does, in words; its acts; more settings; what it must be taken for.
type Row<'a> = (&'a str, Vec<Act<'a>>, Value, Option<Cause>);

const MIB: usize = 1 << 20;

/// Plays every row to both kinds, all at the same time.
async fn play(rows: Vec<Row<'_>>) {
    join_all(rows.into_iter().map(|(name, acts, more, wanted)| async move {
        let target = Target::doing(&acts).await;
        let url = format!("http://{}/", target.address());
        for (kind, settings) in askers(&url, &more) {
            let outcome = run(&env(), kind, &settings, wanted).await;
            assert_is(&outcome, wanted, &format!("{kind}: {name}"));
            assert!(target.said() <= 2 * SAID_AT_MOST, "{kind}: {name}: {}", target.said());
        }
    }))
    .await;
}

#[tokio::test]
async fn silence_drips_and_breaks_are_told_by_their_phase() {
    use Cause::{FirstByteTimeout, TransferTimeout};
    let begun = Say(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
    let none = || json!({});
    play(vec![
        ("accepts and says nothing", vec![Hold], none(), Some(FirstByteTimeout)),
        ("hears and says nothing", vec![Hear, Hold], none(), Some(FirstByteTimeout)),
        (
            "drips its head",
            vec![Hear, Drip(b"HTTP/1.1 200 OK\r\nX: y")],
            none(),
            Some(TransferTimeout),
        ),
        ("drips its body", vec![Hear, begun, Drip(b"x")], none(), Some(TransferTimeout)),
        ("promises more than comes", vec![Hear, begun, Hold], none(), Some(TransferTimeout)),
        ("promises more and goes", vec![Hear, begun], none(), Some(Cause::Reset)),
        ("resets when it accepts", vec![Reset], none(), Some(Cause::Reset)),
        ("resets when it has heard", vec![Hear, Reset], none(), Some(Cause::Reset)),
        ("goes when it has heard", vec![Hear], none(), Some(Cause::Reset)),
        (
            "resets in the head",
            vec![Hear, Say(b"HTTP/1.1 200 O"), Reset],
            none(),
            Some(Cause::Reset),
        ),
        ("resets in the body", vec![Hear, begun, Reset], none(), Some(Cause::Reset)),
    ])
    .await;
}

#[tokio::test]
async fn what_has_no_end_is_cut_off() {
    use Cause::TooLarge;
    let none = || json!({});
    let ok = Say(b"HTTP/1.1 200 OK\r\n");
    let large = Say(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
    let chunked = Say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    play(vec![
        (
            "headers without end",
            vec![Hear, ok, Flood(b"X-More: of this\r\n")],
            none(),
            Some(TooLarge),
        ),
        (
            "one header without end",
            vec![Hear, ok, Say(b"X: "), Flood(b"y")],
            none(),
            Some(TooLarge),
        ),
        (
            "a status line without end",
            vec![Hear, Say(b"HTTP/1.1 200 "), Flood(b"O")],
            none(),
            Some(TooLarge),
        ),
        (
            "continues without end",
            vec![Hear, Flood(b"HTTP/1.1 100 Continue\r\n\r\n")],
            none(),
            Some(TooLarge),
        ),
        (
            "hints without end",
            vec![Hear, Flood(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")],
            none(),
            Some(TooLarge),
        ),
        (
            "100 MiB",
            vec![Hear, large, Repeat(&[b'x'; 4096], 100 * MIB / 4096)],
            none(),
            Some(TooLarge),
        ),
        ("a body without end", vec![Hear, ok, Say(b"\r\n"), Flood(b"x")], none(), Some(TooLarge)),
        (
            "chunks without end",
            vec![Hear, chunked, Flood(b"1\r\nx\r\n")],
            json!({ "body_limit": "16KiB" }),
            Some(TooLarge),
        ),
        (
            "a chunk's extension without end",
            vec![Hear, chunked, Say(b"5;"), Flood(b"a")],
            none(),
            Some(Cause::Protocol),
        ),
        (
            "trailers without end",
            vec![Hear, chunked, Say(b"0\r\n"), Flood(b"X-More: of this\r\n")],
            none(),
            Some(Cause::Protocol),
        ),
    ])
    .await;
}

#[tokio::test]
async fn bombs_do_not_go_off() {
    let zeros = vec![0; 16 * MIB];
    let level = Compression::best();
    let (mut gzip, mut zlib, mut deflate) = (
        GzEncoder::new(Vec::new(), level),
        ZlibEncoder::new(Vec::new(), level),
        DeflateEncoder::new(Vec::new(), level),
    );
    for packer in [&mut gzip as &mut dyn Write, &mut zlib, &mut deflate] {
        packer.write_all(&zeros).expect("packs in memory");
    }
    let pack = |packed: std::io::Result<Vec<u8>>| packed.expect("packs in memory");
    // 16 MiB of zeros (RFC 7932).
    let brotli =
        b"\xcb\xff\xff\x3f\xf8\x27\x00\xe2\xb1\x40\x20\xf7\xfe\x2f\xff\xff\xff\xf0\x4f\x00\
                   \xc4\x61\x11\x80\xee\xfd\x1f";
    for (encoding, bomb) in [
        ("gzip", pack(gzip.finish())),
        ("deflate", pack(zlib.finish())),
        ("deflate", pack(deflate.finish())),
        ("br", brotli.to_vec()),
        ("zstd", pack(zstd::encode_all(zeros.as_slice(), 3))),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\n\r\n");
        let target = Target::doing(&[Hear, Say(head.as_bytes()), Say(&bomb)]).await;
        let more = json!({ "body_limit": "64MiB", "body": { "contains": "x" } });
        for (kind, settings) in askers(&format!("http://{}/", target.address()), &more) {
            let outcome = run(&env(), kind, &settings, None).await;
            assert_is(&outcome, Some(Cause::TooLarge), &format!("{kind}: {encoding}"));
            let decoded = outcome.values.get("bytes").copied().unwrap_or_default();
            assert!(decoded <= 4.0 * MIB as f64, "{kind}: {encoding}: {decoded} bytes");
        }
    }
}

#[tokio::test]
async fn answers_that_are_none_break_the_protocol() {
    use Cause::Protocol;
    let none = || json!({});
    let chunked: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let wrong: [(&str, Vec<u8>); 13] = [
        ("HTTP/0.9", b"<html>hello</html>\r\n".to_vec()),
        ("another protocol", b"220 mail.test ESMTP\r\n".to_vec()),
        ("HTTP/3.0", b"HTTP/3.0 200 OK\r\n\r\n".to_vec()),
        ("a status of two digits", b"HTTP/1.1 20 OK\r\n\r\n".to_vec()),
        ("NUL in a header", b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n".to_vec()),
        (
            "CR in a header",
            b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ),
        (
            "NUL in a header's name",
            b"HTTP/1.1 200 OK\r\nX\0: a\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec(),
        ),
        ("a negative length", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab".to_vec()),
        (
            "a length beyond 64 bits",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nab".to_vec(),
        ),
        ("a chunk's size beyond 64 bits", [chunked, b"fffffffffffffffff\r\nabc"].concat()),
        ("a negative chunk", [chunked, b"-5\r\nhello\r\n0\r\n\r\n"].concat()),
        ("a chunk without its end", [chunked, b"5\r\nhelloo\r\n0\r\n\r\n"].concat()),
    ];
    let mut rows: Vec<Row<'_>> = wrong
        .iter()
        .map(|(name, bytes)| (*name, vec![Hear, Say(bytes)], none(), Some(Protocol)))
        .collect();
    let largest = [chunked, b"fffffffffffffff0\r\nabc"].concat();
    rows.push((
        "the largest chunk, held",
        vec![Hear, Say(&largest), Hold],
        none(),
        Some(Cause::TransferTimeout),
    ));
    rows.push(("the largest chunk, gone", vec![Hear, Say(&largest)], none(), Some(Cause::Reset)));
    play(rows).await;
}

#[tokio::test]
async fn strange_answers_are_judged_by_what_they_say() {
    let follow = || json!({ "redirects": 5 });
    let to = |place: &str| {
        format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n")
    };
    let places = [
        to("/"),
        to("ftp://192.0.2.1/"),
        to("file:///etc/passwd"),
        to("javascript:alert(1)"),
        to("gopher://127.0.0.1:6379/_FLUSHALL"),
        to("http://"),
        to("http://user:secret@[::1/"),
    ];
    let mut rows: Vec<Row<'_>> = places
        .iter()
        .map(|head| {
            (head.as_str(), vec![Hear, Say(head.as_bytes())], follow(), Some(Cause::Redirect))
        })
        .collect();
    let none = || json!({});
    rows.extend([
        (
            "more comes than was promised",
            vec![Hear, Say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more")],
            json!({ "body": { "matches": "^hello$" } }),
            None,
        ),
        (
            "too many requests",
            vec![Hear, Say(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n")],
            none(),
            Some(Cause::Throttled),
        ),
        (
            "too many requests for a very long time",
            vec![Hear, Say(b"HTTP/1.1 429 No\r\nRetry-After: 99999999999999999999999999\r\n\r\n")],
            none(),
            Some(Cause::Throttled),
        ),
        (
            "unavailable for a while",
            vec![Hear, Say(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n")],
            none(),
            Some(Cause::Status),
        ),
        (
            "a few hints before the answer",
            vec![
                Hear,
                Repeat(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", 3),
                Say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ],
            none(),
            None,
        ),
        (
            "other protocols are switched to unasked",
            vec![Hear, Say(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")],
            none(),
            Some(Cause::Status),
        ),
        (
            "an error with a broken page",
            vec![Hear, Say(b"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\n\r\nno gzip"), Reset],
            none(),
            Some(Cause::Status),
        ),
    ]);
    play(rows).await;
}
