//! DNS over TLS (RFC 7858): servers that shake hands, and then do not answer as they should.

use Act::{Drip, Flood, HearSome, Hold, Reset, Say};
use crosscheck_model::Cause;
use futures_util::future::join_all;
use hickory_proto::op::Message;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::names::{deniers, liars};
use super::target::{Act, Target};
use super::{SAID_AT_MOST, assert_is, env, run};
use crate::tls::scripted::{Authority, Server};

fn settings(server: std::net::SocketAddr, authority: &Authority) -> Value {
    json!({
        "name": "shop.test", "type": "A", "transport": "tls",
        "server": server.to_string(), "ca": authority.file(),
    })
}

#[tokio::test]
async fn silence_drips_breaks_and_floods_are_told_apart() {
    use Cause::{FirstByteTimeout, Protocol, TransferTimeout};
    // An answer of 300 bytes begins.
    let begun: &[u8] = b"\x01\x2cabc";
    let rows: Vec<(&str, Vec<Act<'_>>, Cause)> = vec![
        ("says nothing", vec![Hold], FirstByteTimeout),
        ("hears and says nothing", vec![HearSome, Hold], FirstByteTimeout),
        ("half a length", vec![HearSome, Say(b"\x01"), Hold], FirstByteTimeout),
        ("stops within the answer", vec![HearSome, Say(begun), Hold], TransferTimeout),
        ("drips its answer", vec![HearSome, Say(b"\xff\xff"), Drip(b"a")], TransferTimeout),
        ("resets at once", vec![Reset], Cause::Reset),
        ("resets when it has heard", vec![HearSome, Reset], Cause::Reset),
        ("resets within the answer", vec![HearSome, Say(begun), Reset], Cause::Reset),
        ("goes when it has heard", vec![HearSome], Cause::Reset),
        ("goes within the answer", vec![HearSome, Say(begun)], Protocol),
        ("the largest answers without end", vec![HearSome, Flood(b"\xff")], Protocol),
        ("empty answers without end", vec![HearSome, Flood(b"\0")], Protocol),
        ("HTTP", vec![HearSome, Say(b"HTTP/1.1 400 Bad Request\r\n\r\n")], Protocol),
        ("a greeting", vec![Say(b"220 mail.test ESMTP\r\n")], Protocol),
    ];
    let authority = &Authority::new();
    let config = authority.server(&authority.leaf(&["127.0.0.1"]), &[b"dot"], false);
    let config = &config;
    join_all(rows.into_iter().map(|(name, acts, cause)| async move {
        let target = Target::doing_over_tls(config.clone(), &acts).await;
        let settings = settings(target.address(), authority);
        let outcome = run(&env(), "dns", &settings, Some(cause)).await;
        assert_is(&outcome, Some(cause), name);
        assert!(target.said() <= SAID_AT_MOST, "{name}: {}", target.said());
    }))
    .await;
}

/// Packets that are none, or say nothing, or that there is nothing.
#[tokio::test]
async fn a_server_that_lies_is_told_by_its_cause() {
    let authority = Authority::new();
    let config = authority.server(&authority.leaf(&["127.0.0.1"]), &[b"dot"], false);
    for (name, packet, _, over_udp) in liars().into_iter().chain(deniers()) {
        let server = Server::tls(config.clone(), move |mut stream| async move {
            let Ok(length) = stream.read_u16().await else { return };
            let mut bytes = vec![0; usize::from(length)];
            if stream.read_exact(&mut bytes).await.is_err() {
                return;
            }
            let answer = packet(&Message::from_vec(&bytes).expect("a question"));
            let length = u16::try_from(answer.len()).expect("short").to_be_bytes();
            drop(stream.write_all(&[&length, answer.as_slice()].concat()).await);
            drop(stream.shutdown().await);
        })
        .await;
        // Over a connection nobody else can have sent it, and no other answer comes.
        let wanted = if over_udp == Cause::DnsTimeout { Cause::Reset } else { over_udp };
        let settings = settings(server.address, &authority);
        let outcome = run(&env(), "dns", &settings, Some(wanted)).await;
        assert_is(&outcome, Some(wanted), name);
    }
}
