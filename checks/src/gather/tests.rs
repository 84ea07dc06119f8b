//! Gathering, on loopback.

use std::net::Ipv6Addr;

use crosscheck_model::Cause;
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
    let (host, port) = (host.to_owned(), Some(port));
    Endpoint { host, port, family: Family::V4, tls: None, starttls: None }
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
    let tls = ServerName::try_from("shop.test").ok();
    let endpoint = Endpoint { tls, ..endpoint("127.0.0.1", server.address.port()) };
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
