//! The resolver against scripted name servers on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{RData, Record};
use tokio::net::UdpSocket;

use super::scripted::{NameServer, framed, record, reply};
use super::*;

/// For lookups that are answered: far more than they take.
const PLENTY: Duration = Duration::from_secs(20);
/// For lookups that are not: short, for the test must wait it out.
const SHORT: Duration = Duration::from_millis(60);

/// The bytes that a script sends.
type Packet = fn(&Message) -> Vec<u8>;

fn a(text: &str) -> RData {
    RData::A(A(text.parse().expect("an address")))
}

fn alias(to: &str) -> RData {
    RData::CNAME(CNAME(Name::from_ascii(to).expect("a name")))
}

fn with(query: &Message, records: impl IntoIterator<Item = (&'static str, RData)>) -> Message {
    let mut message = reply(query, ResponseCode::NoError);
    message.add_answers(records.into_iter().map(|(name, data)| record(name, data)));
    message
}

async fn lookup(servers: &[SocketAddr], timeout: Duration) -> Result<Vec<IpAddr>, Failure> {
    Resolver::new(servers.to_vec()).lookup("www.example.com", Family::V4, timeout).await
}

async fn cause(servers: &[SocketAddr], timeout: Duration) -> (Cause, String) {
    let failure = lookup(servers, timeout).await.expect_err("no address");
    (failure.cause, failure.detail)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[tokio::test]
async fn literal_addresses_and_localhost_need_no_server() {
    let resolver = Resolver::new(Vec::new());
    for (host, family, expected) in [
        ("192.0.2.1", Family::V4, Ok("192.0.2.1")),
        ("2001:db8::1", Family::V6, Ok("2001:db8::1")),
        ("[2001:db8::1]", Family::V6, Ok("2001:db8::1")),
        ("LOCALHOST", Family::V4, Ok("127.0.0.1")),
        ("a.localhost.", Family::V6, Ok("::1")),
        ("192.0.2.1", Family::V6, Err(Cause::DnsNoAddress)),
        ("::1", Family::V4, Err(Cause::DnsNoAddress)),
        ("www.example.com", Family::V4, Err(Cause::Setup)),
    ] {
        let found = resolver.lookup(host, family, PLENTY).await;
        let found = found.map_err(|failure| failure.cause);
        assert_eq!(found, expected.map(|text| vec![ip(text)]), "{host}");
    }
}

#[tokio::test]
async fn the_family_decides_what_is_asked_for() {
    let server = NameServer::answering(|query| {
        let record_type = query.queries[0].query_type();
        with(
            query,
            [
                ("www.example.com.", a("192.0.2.1")),
                ("www.example.com.", RData::AAAA(AAAA("2001:db8::1".parse().expect("v6")))),
            ]
            .into_iter()
            .filter(|(_, data)| data.record_type() == record_type)
            .collect::<Vec<_>>(),
        )
    })
    .await;
    let resolver = Resolver::new(vec![server.address]);
    let v4 = resolver.lookup("www.example.com", Family::V4, PLENTY).await;
    let v6 = resolver.lookup("www.example.com", Family::V6, PLENTY).await;
    assert_eq!((v4, v6), (Ok(vec![ip("192.0.2.1")]), Ok(vec![ip("2001:db8::1")])));
}

#[tokio::test]
async fn what_the_server_says_is_told_apart() {
    for (code, cause) in [
        (ResponseCode::NXDomain, Cause::DnsNxdomain),
        (ResponseCode::NoError, Cause::DnsNoAddress),
        (ResponseCode::ServFail, Cause::DnsServfail),
        (ResponseCode::Refused, Cause::DnsRefused),
    ] {
        let server = NameServer::answering(move |query| reply(query, code)).await;
        let (found, detail) = self::cause(&[server.address], PLENTY).await;
        assert_eq!(found, cause, "{detail}");
        assert_eq!(server.count(), 1, "an answer is not asked for again");
    }
}

#[tokio::test]
async fn every_run_sends_its_own_packet() {
    let server =
        NameServer::answering(|query| with(query, [("www.example.com.", a("192.0.2.1"))])).await;
    let resolver = Resolver::new(vec![server.address]);
    let runs = (0..16).map(|_| resolver.lookup("www.example.com", Family::V4, PLENTY));
    for found in futures_util::future::join_all(runs).await {
        assert_eq!(found, Ok(vec![ip("192.0.2.1")]));
    }
    assert!(server.count() >= 16, "{} packets for 16 runs", server.count());
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_over_tcp() {
    let server = NameServer::scripted(|query, over| {
        let mut message = with(query, [("www.example.com.", a("192.0.2.1"))]);
        if over == Transport::Udp {
            message = reply(query, ResponseCode::NoError);
            message.metadata.truncation = true;
        }
        vec![framed(&message, over)]
    })
    .await;
    assert_eq!(lookup(&[server.address], PLENTY).await, Ok(vec![ip("192.0.2.1")]));
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn packets_that_answer_something_else_are_ignored() {
    let server = NameServer::scripted(|query, over| {
        let honest = with(query, [("www.example.com.", a("192.0.2.1"))]);
        let forged = with(query, [("www.example.com.", a("203.0.113.66"))]);
        let mut wrong_id = forged.clone();
        wrong_id.metadata.id = query.id.wrapping_add(1);
        let mut wrong_name = forged.clone();
        wrong_name.queries[0].set_name(Name::from_ascii("other.example.").expect("a name"));
        let mut no_question = forged.clone();
        no_question.queries.clear();
        let mut a_question = forged;
        a_question.metadata.message_type = hickory_proto::op::MessageType::Query;
        let mut packets = vec![vec![], vec![7]];
        packets.extend(
            [wrong_id, wrong_name, no_question, a_question, honest].iter().map(|m| framed(m, over)),
        );
        packets
    })
    .await;
    assert_eq!(lookup(&[server.address], PLENTY).await, Ok(vec![ip("192.0.2.1")]));
}

#[tokio::test]
async fn a_malformed_answer_is_a_protocol_failure() {
    let scripts: [Packet; 3] = [
        |query| framed(&reply(query, ResponseCode::NoError), Transport::Udp)[..5].to_vec(),
        |query| {
            // One record is announced that is not there.
            let mut bytes = framed(&reply(query, ResponseCode::NoError), Transport::Udp);
            bytes[7] = 1;
            bytes
        },
        |query| {
            // The record's length goes beyond the packet's end.
            let mut bytes =
                framed(&with(query, [("www.example.com.", a("192.0.2.1"))]), Transport::Udp);
            let length_at = bytes.len() - 6;
            bytes[length_at..length_at + 2].copy_from_slice(&[0xff, 0xff]);
            bytes
        },
    ];
    for script in scripts {
        let server = NameServer::scripted(move |query, _| vec![script(query)]).await;
        let (found, detail) = cause(&[server.address], PLENTY).await;
        assert_eq!(found, Cause::Protocol, "{detail}");
        assert!(detail.contains("malformed answer"), "{detail}");
    }
}

#[tokio::test]
async fn tcp_lengths_that_lie_are_told() {
    // Over TCP: announces more than comes; announces less; nothing at all; only other answers.
    let scripts: [(Packet, Cause); 4] = [
        (
            |query| {
                let mut bytes = framed(&reply(query, ResponseCode::NoError), Transport::Tcp);
                bytes[0] = 0xff;
                bytes
            },
            Cause::Protocol,
        ),
        (
            |query| {
                let mut bytes =
                    framed(&with(query, [("www.example.com.", a("192.0.2.1"))]), Transport::Tcp);
                bytes[1] -= 9;
                bytes
            },
            Cause::Protocol,
        ),
        (|_| Vec::new(), Cause::DnsTimeout),
        (|_| [0, 2, 7, 7].repeat(20), Cause::Protocol),
    ];
    for (index, (script, expected)) in scripts.into_iter().enumerate() {
        let server = NameServer::scripted(move |query, over| match over {
            Transport::Tcp => vec![script(query)],
            Transport::Udp => {
                let mut message = reply(query, ResponseCode::NoError);
                message.metadata.truncation = true;
                vec![framed(&message, over)]
            }
        })
        .await;
        let (found, detail) = cause(&[server.address], PLENTY).await;
        assert_eq!(found, expected, "script {index}: {detail}");
    }
}

#[tokio::test]
async fn aliases_that_leave_the_answer_are_asked_for() {
    let server = NameServer::answering(|query| match query.queries[0].name().to_ascii().as_str() {
        "www.example.com." => with(query, [("www.example.com.", alias("cdn.example.net."))]),
        _ => with(query, [("cdn.example.net.", a("192.0.2.7"))]),
    })
    .await;
    assert_eq!(lookup(&[server.address], PLENTY).await, Ok(vec![ip("192.0.2.7")]));
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn an_endless_chain_of_questions_is_cut() {
    let server = NameServer::answering(|query| {
        let name = query.queries[0].name().clone();
        let next = name.prepend_label("x").expect("short");
        let mut message = reply(query, ResponseCode::NoError);
        message.add_answer(Record::from_rdata(name, 1, RData::CNAME(CNAME(next))));
        message
    })
    .await;
    let (found, detail) = cause(&[server.address], PLENTY).await;
    assert_eq!(found, Cause::DnsServfail, "{detail}");
    assert!(server.count() <= 16, "{} questions", server.count());
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_fails_or_is_silent() {
    let good =
        NameServer::answering(|query| with(query, [("www.example.com.", a("192.0.2.1"))])).await;
    let failing = NameServer::answering(|query| reply(query, ResponseCode::ServFail)).await;
    let silent = NameServer::scripted(|_, _| Vec::new()).await;
    let closed = closed_port().await;
    for first in [failing.address, silent.address, closed] {
        let found = lookup(&[first, good.address], Duration::from_secs(3)).await;
        assert_eq!(found, Ok(vec![ip("192.0.2.1")]), "{first}");
    }
}

#[tokio::test]
async fn a_lost_packet_is_sent_again() {
    let lost = std::sync::atomic::AtomicBool::new(false);
    let server = NameServer::scripted(move |query, over| {
        if !lost.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return Vec::new();
        }
        vec![framed(&with(query, [("www.example.com.", a("192.0.2.1"))]), over)]
    })
    .await;
    let found = lookup(&[server.address], Duration::from_secs(3)).await;
    assert_eq!(found, Ok(vec![ip("192.0.2.1")]));
}

#[tokio::test]
async fn silence_is_a_timeout_that_names_the_servers() {
    let silent = NameServer::scripted(|_, _| Vec::new()).await;
    let (found, detail) = cause(&[silent.address], SHORT).await;
    assert_eq!(found, Cause::DnsTimeout);
    assert!(detail.contains(&silent.address.to_string()), "{detail}");

    let closed = closed_port().await;
    let (found, detail) = cause(&[closed], PLENTY).await;
    assert_eq!(found, Cause::DnsTimeout);
    assert!(detail.contains("refused"), "{detail}");

    let failing = NameServer::answering(|query| reply(query, ResponseCode::ServFail)).await;
    let (found, detail) = cause(&[silent.address, failing.address], SHORT).await;
    assert_eq!(found, Cause::DnsServfail, "an answer counts for more than silence");
    assert!(detail.contains("no answer from"), "{detail}");
}

#[tokio::test]
async fn what_is_no_name_is_never_asked_for() {
    let server = NameServer::answering(|query| reply(query, ResponseCode::NoError)).await;
    let resolver = Resolver::new(vec![server.address]);
    for host in ["", ".", "a..b", &"x".repeat(64), &"abc.".repeat(70)] {
        let failure = resolver.lookup(host, Family::V4, PLENTY).await.expect_err("no name");
        assert_eq!(failure.cause, Cause::DnsNxdomain, "{host}");
    }
    assert_eq!(server.count(), 0);
}

/// A port of loopback that nobody listens on.
async fn closed_port() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    socket.local_addr().expect("bound")
}
