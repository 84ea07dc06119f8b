//! Name servers of a zone that agree, differ, and do not hold it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::{AAAA, NS, SOA};

use super::*;
use crate::kind::dns::settings::Settings;

/// What the zone's one address answers when it is asked for the SOA record.
#[derive(Clone, Copy)]
enum Answer {
    Serial(u32),
    Code(ResponseCode),
    WithoutAuthority,
    Referral,
    Nothing,
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

fn soa(serial: u32) -> RData {
    let (server, mailbox) = (name("ns1.example.com."), name("host.example.com."));
    RData::SOA(SOA::new(server, mailbox, serial, 3600, 600, 86_400, 300))
}

/// A resolver that knows both servers to be at this address of loopback, and a server there.
async fn servers(answer: Answer, ip: IpAddr) -> (NameServer, NameServer) {
    let resolver = NameServer::answering_at(ip, move |query| {
        let mut message = reply(query, ResponseCode::NoError);
        let asked = query.queries[0].clone();
        let shown = asked.name().to_ascii();
        match asked.query_type() {
            RecordType::NS => {
                for server in ["ns1.example.com.", "ns2.example.com."] {
                    message.add_answer(record("example.com.", RData::NS(NS(name(server)))));
                }
            }
            _ => {
                let address = match ip {
                    IpAddr::V4(ip) => RData::A(A(ip)),
                    IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
                };
                message.add_answer(record(&shown, address));
            }
        }
        message
    })
    .await;
    let server = NameServer::answering_at(ip, move |query| {
        assert!(!query.recursion_desired, "it is asked for what it holds");
        let code = if let Answer::Code(code) = answer { code } else { ResponseCode::NoError };
        let mut message = reply(query, code);
        message.metadata.authoritative = matches!(answer, Answer::Serial(_) | Answer::Nothing);
        let answered = match answer {
            Answer::Serial(serial) => Some(soa(serial)),
            Answer::WithoutAuthority => Some(soa(1)),
            Answer::Referral | Answer::Code(_) | Answer::Nothing => None,
        };
        if let Some(soa) = answered {
            message.add_answer(record("example.com.", soa));
        }
        if let Answer::Referral = answer {
            message.add_authority(record("com.", RData::NS(NS(name("a.example.")))));
        }
        message
    })
    .await;
    (resolver, server)
}

async fn agree(answer: Answer) -> Outcome {
    agree_at(answer, Ipv4Addr::LOCALHOST.into()).await
}

async fn agree_at(answer: Answer, ip: IpAddr) -> Outcome {
    let (resolver, server) = servers(answer, ip).await;
    let family = if ip.is_ipv4() { "v4" } else { "v6" };
    let settings = json!({ "name": "example.com", "soa_agreement": true, "family": family });
    let settings: Settings = crate::kind::read(&settings).expect("well-formed");
    let (asked, wanted) = settings.into_parts().expect("well-formed");
    let check = Agreement::at_port(DnsCheck { asked, wanted }, server.address.port());
    assert_eq!(check.target(), "example.com SOA of all name servers");
    check.run(&env(Guard::Internal, vec![resolver.address]), Duration::from_secs(3)).await
}

#[tokio::test]
async fn each_server_is_asked_and_must_hold_the_zone() {
    let outcome = agree(Answer::Serial(7)).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Up, None), "{outcome:?}");
    let values = ["servers", "servers_agreeing", "serial"].map(|name| outcome.values[name]);
    assert_eq!(values, [2.0, 2.0, 7.0]);
    for (answer, cause, words) in [
        (Answer::Code(ResponseCode::Refused), Cause::LameServer, "it does not hold the zone"),
        (Answer::WithoutAuthority, Cause::LameServer, "without authority"),
        (Answer::Referral, Cause::LameServer, "refers to others"),
        (Answer::Nothing, Cause::LameServer, "no SOA record"),
        (Answer::Code(ResponseCode::ServFail), Cause::DnsServfail, "SERVFAIL"),
    ] {
        let outcome = agree(answer).await;
        assert_eq!(outcome.cause, Some(cause), "{outcome:?}");
        assert!(outcome.detail.contains(words), "{}", outcome.detail);
        assert!(outcome.detail.contains("ns2.example.com (127.0.0.1): "), "{}", outcome.detail);
    }
}

#[tokio::test]
async fn servers_are_found_and_asked_over_ipv6() {
    let outcome = agree_at(Answer::Serial(7), Ipv6Addr::LOCALHOST.into()).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Up, None), "{outcome:?}");
    let outcome = agree_at(Answer::WithoutAuthority, Ipv6Addr::LOCALHOST.into()).await;
    assert!(outcome.detail.contains("ns2.example.com (::1): "), "{}", outcome.detail);
}

#[tokio::test]
async fn a_zone_without_servers_is_told() {
    let resolver = NameServer::answering(|query| reply(query, ResponseCode::NXDomain)).await;
    let settings = json!({ "name": "example.com", "soa_agreement": true });
    let check = Dns.parse(&settings).expect("well-formed");
    let outcome = check.run(&env(Guard::Internal, vec![resolver.address]), PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::DnsNxdomain), "{outcome:?}");
}
