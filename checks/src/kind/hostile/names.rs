//! Name servers that lie, and names of which not every address is alive.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crosscheck_model::{Cause, Status};
use futures_util::future::join_all;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, RecordType};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{assert_is, run};
use crate::env::Env;
use crate::kind;
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

pub(super) type Packet = fn(&Message) -> Vec<u8>;

/// What the server does, in words; its packet; what names, and what the kind `dns`, make of it.
pub(super) type Liar = (&'static str, Packet, Cause, Cause);

/// Servers whose packets are not in order.
pub(super) fn liars() -> Vec<Liar> {
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
pub(super) fn deniers() -> Vec<Liar> {
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

/// An address of loopback at which the kernel drops what knocks: the queue there is full.
struct Silent {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Silent {
    async fn at(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(address).expect("an address of loopback");
        let listener = socket.listen(1).expect("listens");
        let address = listener.local_addr().expect("bound");
        let mut queue = Vec::new();
        while let Ok(opened) = timeout(KNOCK, TcpStream::connect(address)).await {
            queue.push(opened.expect("it is taken or left waiting"));
        }
        Self { address, _listener: listener, _queue: queue }
    }
}

/// Whoever has not got in by then is not let in.
const KNOCK: Duration = Duration::from_millis(200);

/// Twenty addresses of loopback.
fn twenty(third: u8) -> impl Iterator<Item = [u8; 4]> {
    (1..=20).map(move |last| [127, 0, third, last])
}

async fn twenty_names(third: u8) -> NameServer {
    NameServer::answering(move |query| with(query, twenty(third).map(|ip| (NAME, a(ip))))).await
}

/// The addresses are tried one after the other, each for its share of the time.
#[tokio::test]
async fn one_address_of_twenty_is_found_among_black_holes() {
    let limit = Duration::from_secs(8);
    let runs = [(3, 1), (4, 20)].map(|(third, alive)| async move {
        let server = web(&format!("127.0.{third}.{alive}:0")).await;
        let port = server.address.port();
        let others = twenty(third).filter(|ip| ip[3] != alive);
        let silent = join_all(others.map(|ip| Silent::at((ip, port).into()))).await;
        assert_eq!(silent.len(), 19);
        let names = twenty_names(third).await;
        let check = kind::find("http").expect("a kind").parse(&url(&server, &json!({})));
        let outcome = check.expect("fits").run(&asking(&names), limit).await;
        assert_is(&outcome, None, "nineteen black holes");
        assert_eq!(outcome.address, Some(server.address.to_string()));
    });
    join_all(runs).await;
}

/// What a refusal says counts for more than silence; where all keep silent there is no connection.
#[tokio::test]
async fn twenty_addresses_of_which_none_answers_have_a_cause_within_the_deadline() {
    let mut ips = twenty(5);
    let first = Silent::at((ips.next().expect("twenty"), 0).into()).await;
    let port = first.address.port();
    let mut silent = join_all(ips.map(|ip| Silent::at((ip, port).into()))).await;
    silent.insert(0, first);
    let names = twenty_names(5).await;
    let settings = json!({ "address": format!("shop.test:{port}") });
    for (left, cause) in [(20, Cause::ConnectTimeout), (19, Cause::Refused)] {
        silent.truncate(left);
        let check = kind::find("tcp").expect("a kind").parse(&settings).expect("fits");
        let outcome = check.run(&asking(&names), Duration::from_secs(2)).await;
        assert_is(&outcome, Some(cause), &format!("{left} of 20 are silent"));
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
