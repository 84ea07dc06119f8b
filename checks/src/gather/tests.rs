//! Gathering, on loopback.

use std::net::Ipv6Addr;

use crosscheck_model::Cause;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, RecordType};
use tokio::io::AsyncReadExt;

use super::*;
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
    Endpoint { host: host.to_owned(), port: Some(port), family: Family::V4, tls: None }
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
