//! Gathering, on loopback.

use std::net::Ipv6Addr;

use crosscheck_model::Cause;
use crosscheck_model::place::Way;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, RecordType};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::kind;
use crate::programs::Programs;
use crate::resolve::scripted::{NameServer, record, reply};
use crate::tls::scripted::{Authority, Server};

fn asking(servers: Vec<SocketAddr>) -> Env {
    Env {
        guard: Guard::Internal,
        resolver: Resolver::new(servers),
        secrets: Secrets::default(),
        programs: Programs::default(),
    }
}

/// A name server for which `shop.test` has these IPv4 addresses, and `::1`.
async fn names(v4: &'static [[u8; 4]]) -> NameServer {
    NameServer::answering(move |query| {
        let mut message = reply(query, ResponseCode::NoError);
        match query.queries[0].query_type() {
            RecordType::A => v4.iter().for_each(|address| {
                message.add_answer(record("shop.test.", RData::A(A((*address).into()))));
            }),
            _ => {
                message.add_answer(record("shop.test.", RData::AAAA(AAAA(Ipv6Addr::LOCALHOST))));
            }
        }
        message
    })
    .await
}

fn endpoint(host: &str, port: u16) -> Endpoint {
    Place::tcp(host.to_owned(), port, Family::V4).into()
}

#[tokio::test]
async fn every_resolver_and_every_address_is_asked() {
    let server = Server::plain("127.0.0.1:0", |mut stream| async move {
        drop(stream.read(&mut [0; 1]).await);
    })
    .await;
    let (first, second) =
        (names(&[[127, 0, 0, 1], [127, 0, 0, 2]]).await, names(&[[127, 0, 0, 3]]).await);
    let env = asking(vec![first.address]);
    let second_resolver = Resolver::new(vec![second.address]);
    let endpoint = endpoint("shop.test", server.address.port());
    let found = gather(&env, Some(&second_resolver), &endpoint).await;
    let labels: Vec<_> =
        found.names.iter().map(|name| (name.resolver.clone(), name.family)).collect();
    let (one, two) = (first.address.to_string(), second.address.to_string());
    let wanted = [(&one, Family::V4), (&two, Family::V4), (&one, Family::V6), (&two, Family::V6)];
    assert_eq!(labels, wanted.map(|(label, family)| (label.clone(), family)));
    let knocks: Vec<_> =
        found.knocks.iter().map(|knock| (knock.address.ip().to_string(), knock.cause)).collect();
    let refused = Some(Cause::Refused);
    let wanted =
        [("127.0.0.1", None), ("127.0.0.2", refused), ("127.0.0.3", refused), ("::1", refused)];
    assert_eq!(knocks, wanted.map(|(ip, cause)| (ip.to_owned(), cause)));
    assert_eq!(found.path.map(|path| path.to.to_string()).as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn a_name_that_is_none_leaves_nothing_to_try() {
    let names = NameServer::answering(|query| reply(query, ResponseCode::NXDomain)).await;
    let env = asking(vec![names.address]);
    let found = gather(&env, None, &endpoint("shop.test", 80)).await;
    assert!(found.names.iter().all(|name| name.cause == Some(Cause::DnsNxdomain)), "{found:?}");
    assert!(found.knocks.is_empty() && found.path.is_none());
}

#[tokio::test]
async fn a_forbidden_address_is_not_touched() {
    let env = Env { guard: Guard::public(), ..asking(Vec::new()) };
    let found = gather(&env, None, &endpoint("127.0.0.1", 80)).await;
    assert_eq!(found.knocks[0].cause, Some(Cause::BlockedAddress));
    assert!(found.path.is_none(), "{found:?}");
}

#[tokio::test]
async fn the_chain_is_told_whether_it_is_trusted_or_not_and_without_secrets() {
    let authority = Authority::new();
    let leaf = authority.leaf_until(&["hunter22.test"], 2024, 5, 1);
    let server = Server::tls(authority.server(&leaf, &[], false), |mut stream| async move {
        drop(stream.read(&mut [0; 1]).await);
    })
    .await;
    let env = asking(Vec::new());
    env.secrets.remember("hunter22");
    let mut endpoint = endpoint("127.0.0.1", server.address.port());
    endpoint.place.tls = Some("shop.test".to_owned());
    let found = gather(&env, None, &endpoint).await;
    assert_eq!(found.chain[0].subject, "<redacted>.test");
    assert_eq!(found.chain[0].issuer, "Scripted Root");
    assert_eq!(&found.chain[0].until.to_string()[..10], "2024-05-01");
}

/// By the endpoint that the check itself names, over a talk that ends where TLS begins.
#[tokio::test]
async fn the_chain_is_seen_where_tls_begins_in_the_midst() {
    let authority = Authority::new();
    let leaf = authority.leaf_until(&["mail.test"], 2024, 5, 1);
    let acceptor = TlsAcceptor::from(authority.server(&leaf, &[], false));
    let server = Server::plain("127.0.0.1:0", move |mut stream| {
        let acceptor = acceptor.clone();
        async move {
            let script = [
                ("", "220 mail\r\n"),
                ("EHLO", "250-mail\r\n250 STARTTLS\r\n"),
                ("STARTTLS", "220 go\r\n"),
            ];
            for (wanted, reply) in script {
                let mut said = [0; 64];
                let length = match wanted {
                    "" => 0,
                    _ => stream.read(&mut said).await.unwrap_or(0),
                };
                if !said[..length].starts_with(wanted.as_bytes())
                    || stream.write_all(reply.as_bytes()).await.is_err()
                {
                    return;
                }
            }
            if let Ok(mut stream) = acceptor.accept(stream).await {
                drop(stream.read(&mut [0; 1]).await);
            }
        }
    })
    .await;
    let at = server.address.to_string();
    for (kind, settings) in [
        ("smtp", json!({ "address": at, "starttls": true, "server_name": "mail.test" })),
        ("tls", json!({ "address": at, "starttls": "smtp", "server_name": "mail.test" })),
    ] {
        let check = kind::find(kind).expect("a kind").parse(&settings).expect("valid");
        let found = gather(&asking(Vec::new()), None, &check.endpoint().expect("one")).await;
        assert_eq!(found.chain.len(), 1, "{kind}: {found:?}");
        assert_eq!(found.chain[0].subject, "mail.test");
    }
}

#[tokio::test]
async fn a_place_that_is_a_secret_is_not_named_and_asked_for_at_no_second_resolver() {
    let (first, second) = (names(&[[127, 0, 0, 1]]).await, names(&[[127, 0, 0, 1]]).await);
    let env = asking(vec![first.address]);
    let mut endpoint = endpoint("shop.test", 1);
    endpoint.place.is_secret = true;
    let found = gather(&env, Some(&Resolver::new(vec![second.address])), &endpoint).await;
    assert_eq!(found.about.map(|about| about.place).as_deref(), Some("<redacted>:1"));
    let told: Vec<_> = found.names.iter().map(|name| (&*name.name, &*name.resolver)).collect();
    let label = first.address.to_string();
    assert_eq!(told, [("<redacted>", &*label); 2], "both families, at one resolver");
    assert_eq!(env.secrets.redact("shop.test"), "shop.test", "in this gathering only");
}

/// The places that checks of kinds without one of their own before it name themselves.
#[tokio::test]
async fn what_is_spoken_to_by_datagrams_is_resolved_and_no_port_is_knocked_at() {
    let names = names(&[[127, 0, 0, 1]]).await;
    for (kind, settings, at) in [
        ("udp", json!({ "address": "shop.test:9", "send": "x" }), "shop.test:9"),
        ("ntp", json!({ "address": "shop.test" }), "shop.test:123"),
    ] {
        let check = kind::find(kind).expect("a kind").parse(&settings).expect("valid");
        let endpoint = check.endpoint().expect("one");
        let found = gather(&asking(vec![names.address]), None, &endpoint).await;
        let about = found.about.as_ref().expect("a place");
        assert_eq!((about.place.as_str(), about.way), (at, Way::Udp), "{kind}");
        assert_eq!(found.names[0].addresses, [IpAddr::from([127, 0, 0, 1])], "{kind}");
        assert!(found.knocks.is_empty() && found.path.is_some(), "{kind}: {found:?}");
    }
}
