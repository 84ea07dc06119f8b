//! Name servers that lie, and names of which not every address is alive.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU8, Ordering};

use crosscheck_model::{Cause, Status};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, RecordType};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{assert_is, run};
use crate::env::Env;
use crate::kind::http::tests::env_with;
use crate::resolve::Resolver;
use crate::resolve::exchange::Transport;
use crate::resolve::scripted::{NameServer, framed, record, reply};
use crate::tls::scripted::Server;

const NAME: &str = "shop.test.";

fn a(address: [u8; 4]) -> RData {
    RData::A(A(address.into()))
}

fn with(query: &Message, records: impl IntoIterator<Item = (&'static str, RData)>) -> Message {
    let mut message = reply(query, ResponseCode::NoError);
    message.add_answers(records.into_iter().map(|(name, data)| record(name, data)));
    message
}

fn alias(to: &str) -> RData {
    RData::CNAME(CNAME(Name::from_ascii(to).expect("a name")))
}

fn asking(names: &NameServer) -> Env {
    env_with(&[], Resolver::new(vec![names.address]))
}

/// Kinds that resolve a name, and settings for them.
fn kinds(port: u16) -> Vec<(&'static str, Value)> {
    vec![
        ("http", json!({ "url": format!("http://shop.test:{port}/") })),
        (
            "journey",
            json!({ "base": format!("http://shop.test:{port}"), "steps": [{ "name": "look", "url": "/" }] }),
        ),
        ("tcp", json!({ "address": format!("shop.test:{port}") })),
        ("tls", json!({ "address": format!("shop.test:{port}") })),
        ("smtp", json!({ "address": format!("shop.test:{port}") })),
        ("icmp", json!({ "host": "shop.test" })),
    ]
}

/// The packet with bytes at an offset from its end replaced.
fn bent(message: &Message, from_end: usize, bytes: &[u8]) -> Vec<u8> {
    let mut packet = framed(message, Transport::Udp);
    let at = packet.len() - from_end;
    packet[at..at + bytes.len()].copy_from_slice(bytes);
    packet
}

type Packet = fn(&Message) -> Vec<u8>;

/// What the server does, in words; its packet; what names, and what the kind `dns`, make of it.
type Liar = (&'static str, Packet, Cause, Cause);

/// Servers whose packets are not in order.
fn liars() -> Vec<Liar> {
    vec![
        (
            "a length beyond the packet",
            |q| bent(&with(q, [(NAME, a([192, 0, 2, 1]))]), 6, &[0xff, 0xff]),
            Cause::Protocol,
            Cause::Protocol,
        ),
        (
            "a length of three",
            |q| bent(&with(q, [(NAME, a([192, 0, 2, 1]))]), 6, &[0, 3]),
            Cause::Protocol,
            Cause::Protocol,
        ),
        (
            "a name that points at itself",
            |q| bent(&with(q, [(NAME, a([192, 0, 2, 1]))]), 16, &[0xc0, 27]),
            Cause::Protocol,
            Cause::Protocol,
        ),
        (
            "a name that points ahead",
            |q| bent(&with(q, [(NAME, a([192, 0, 2, 1]))]), 16, &[0xc0, 40]),
            Cause::Protocol,
            Cause::Protocol,
        ),
        (
            "60000 records announced",
            |q| {
                let mut packet = framed(&with(q, [(NAME, a([192, 0, 2, 1]))]), Transport::Udp);
                packet[6..8].copy_from_slice(&[0xea, 0x60]);
                packet
            },
            Cause::Protocol,
            Cause::Protocol,
        ),
        (
            "a header alone",
            |q| framed(&with(q, []), Transport::Udp)[..12].to_vec(),
            Cause::Protocol,
            Cause::Protocol,
        ),
        (
            "another question's id",
            |q| {
                let mut p = framed(&with(q, []), Transport::Udp);
                p[0] ^= 1;
                p
            },
            Cause::DnsTimeout,
            Cause::DnsTimeout,
        ),
        ("no packet that is one", |_| vec![0x42], Cause::DnsTimeout, Cause::DnsTimeout),
    ]
}

/// The same for packets that are in order.
fn deniers() -> Vec<Liar> {
    vec![
        (
            "nothing",
            |q| framed(&with(q, []), Transport::Udp),
            Cause::DnsNoAddress,
            Cause::DnsNoAddress,
        ),
        (
            "another name's address",
            |q| framed(&with(q, [("other.test.", a([192, 0, 2, 1]))]), Transport::Udp),
            Cause::DnsNoAddress,
            Cause::DnsNoAddress,
        ),
        (
            "an alias of itself",
            |q| framed(&with(q, [(NAME, alias(NAME))]), Transport::Udp),
            Cause::DnsServfail,
            Cause::DnsNoAddress,
        ),
        (
            "aliases in a circle",
            |q| {
                framed(
                    &with(q, [(NAME, alias("b.test.")), ("b.test.", alias(NAME))]),
                    Transport::Udp,
                )
            },
            Cause::DnsServfail,
            Cause::DnsNoAddress,
        ),
        (
            "no such name",
            |q| framed(&reply(q, ResponseCode::NXDomain), Transport::Udp),
            Cause::DnsNxdomain,
            Cause::DnsNxdomain,
        ),
        (
            "its own failure",
            |q| framed(&reply(q, ResponseCode::ServFail), Transport::Udp),
            Cause::DnsServfail,
            Cause::DnsServfail,
        ),
        (
            "a refusal",
            |q| framed(&reply(q, ResponseCode::Refused), Transport::Udp),
            Cause::DnsRefused,
            Cause::DnsRefused,
        ),
    ]
}

#[tokio::test]
async fn a_name_server_that_lies_is_told_by_its_cause() {
    for (name, packet, cause, as_target) in liars().into_iter().chain(deniers()) {
        let names = NameServer::scripted(move |query, _| vec![packet(query)]).await;
        for (kind, settings) in kinds(9) {
            let outcome = run(&asking(&names), kind, &settings, Some(cause)).await;
            assert_is(&outcome, Some(cause), &format!("{kind}: {name}"));
        }
        let settings =
            json!({ "name": "shop.test", "type": "A", "server": names.address.to_string() });
        let outcome = run(&asking(&names), "dns", &settings, Some(as_target)).await;
        assert_is(&outcome, Some(as_target), &format!("dns: {name}"));
    }
}

/// A web server at one address of this host.
async fn web(at: &str) -> Server {
    Server::plain(at, |mut stream| async move {
        drop(stream.read(&mut [0; 4096]).await);
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await);
        drop(stream.shutdown().await);
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await
}

fn url(server: &Server, more: &Value) -> Value {
    let mut settings = more.clone();
    settings["url"] = json!(format!("http://shop.test:{}/", server.address.port()));
    settings
}

#[tokio::test]
async fn one_address_of_twenty_that_answers_is_found() {
    for alive in [1, 10, 20] {
        let server = web(&format!("127.0.1.{alive}:0")).await;
        let names = NameServer::answering(|query| {
            with(query, (1..=20).map(|last| (NAME, a([127, 0, 1, last]))))
        })
        .await;
        let outcome = run(&asking(&names), "http", &url(&server, &json!({})), None).await;
        assert_is(&outcome, None, "twenty addresses");
        assert_eq!(outcome.address, Some(server.address.to_string()));
    }
}

#[tokio::test]
async fn a_dead_family_is_never_covered_up_by_the_other() {
    for (at, alive) in [("127.0.0.1:0", "v4"), ("[::1]:0", "v6")] {
        let server = web(at).await;
        let names = NameServer::answering(|query| match query.queries[0].query_type() {
            RecordType::A => with(query, [(NAME, a([127, 0, 0, 1]))]),
            _ => with(query, [(NAME, RData::AAAA(AAAA(std::net::Ipv6Addr::LOCALHOST)))]),
        })
        .await;
        for family in ["v4", "v6"] {
            let wanted = (family != alive).then_some(Cause::Refused);
            let settings = url(&server, &json!({ "family": family }));
            let outcome = run(&asking(&names), "http", &settings, wanted).await;
            assert_is(&outcome, wanted, family);
        }
    }
}

#[tokio::test]
async fn an_answer_that_changes_each_time_is_asked_for_once_a_run() {
    let server = web("0.0.0.0:0").await;
    let next = AtomicU8::new(1);
    let names = NameServer::answering(move |query| {
        with(query, [(NAME, a([127, 0, 2, next.fetch_add(1, Ordering::SeqCst)]))])
    })
    .await;
    for last in 1..=3 {
        let outcome = run(&asking(&names), "http", &url(&server, &json!({})), None).await;
        assert_eq!(outcome.status, Status::Up, "{outcome:?}");
        let ip = IpAddr::V4(Ipv4Addr::new(127, 0, 2, last));
        assert_eq!(outcome.address, Some(format!("{ip}:{}", server.address.port())));
    }
}
