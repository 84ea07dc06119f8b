//! Gathering, on loopback.

use std::net::Ipv6Addr;

use crosscheck_model::Cause;
use crosscheck_model::place::{Role, Way};
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

/// A server that hears a request up to its head's end, and says this.
async fn saying(words: &'static str) -> Server {
    Server::plain("127.0.0.1:0", move |mut stream| async move {
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            heard.push(byte);
        }
        drop(stream.write_all(words.as_bytes()).await);
        drop(stream.shutdown().await);
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await
}

/// An address at which nobody listens.
async fn deserted() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("bound")
}

/// Runs a check, and gathers where a probe would.
async fn failing(kind: &str, settings: &serde_json::Value, cause: Cause) -> Found {
    let check = kind::find(kind).expect("a kind").parse(settings).expect("valid");
    let secrets = [("SECRET".to_owned(), "s3cret".to_owned())];
    let env = Env { secrets: Secrets::fixed(secrets.into()), ..asking(Vec::new()) };
    let outcome = check.run(&env, Duration::from_secs(20)).await;
    assert_eq!(outcome.cause, Some(cause), "{kind} {settings}: {outcome:?}");
    let endpoint = outcome.place.map(|place| Endpoint::from(*place)).or_else(|| check.endpoint());
    gather(&env, None, &endpoint.expect("a place")).await
}

fn assert_about(found: &Found, role: Role, at: SocketAddr, knock: Option<Cause>) {
    let about = found.about.as_ref().expect("a place");
    let seen = (about.role, about.way, about.place.clone());
    assert_eq!(seen, (role, Way::Tcp, at.to_string()), "{found:?}");
    let knocks: Vec<_> = found.knocks.iter().map(|knock| (knock.address, knock.cause)).collect();
    assert_eq!(knocks, [(at, knock)], "{found:?}");
}

#[tokio::test]
async fn of_a_domain_the_registry_or_the_list_of_these_is_looked_at() {
    let (gone, refused) = (deserted().await, Some(Cause::Refused));
    let busy = saying("HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n").await;
    let unknown = saying("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n").await;
    let asked = |key: &str, at: SocketAddr| {
        let mut settings = json!({ "name": "example.com" });
        settings[key] = json!(format!("http://{at}/rdap"));
        settings
    };
    for (key, at, cause, knock) in [
        ("bootstrap", gone, Cause::Refused, refused),
        ("bootstrap", busy.address, Cause::Status, None),
        ("server", gone, Cause::Refused, refused),
        ("server", busy.address, Cause::Status, None),
        ("server", unknown.address, Cause::DomainUnregistered, None),
    ] {
        let found = failing("domain", &asked(key, at), cause).await;
        assert_about(&found, Role::Registry, at, knock);
    }
    // The list leads to a registry that is gone.
    let list = format!("{{\"services\":[[[\"com\"],[\"http://{gone}/\"]]]}}");
    let list = format!("HTTP/1.1 200 x\r\nContent-Length: {}\r\n\r\n{list}", list.len());
    let lists = saying(list.leak()).await;
    let found = failing("domain", &asked("bootstrap", lists.address), Cause::Refused).await;
    assert_about(&found, Role::Registry, gone, refused);
}

#[tokio::test]
async fn where_no_token_is_given_the_token_endpoint_is_looked_at() {
    let well = saying("HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n").await;
    let refusing = saying("HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n").await;
    let gone = deserted().await;
    for (at, knock) in [(gone, Some(Cause::Refused)), (refusing.address, None)] {
        let settings = json!({
            "url": format!("http://{}/", well.address),
            "oauth2": {
                "token_url": format!("http://{at}/token"),
                "client_id": "a", "client_secret": "${env:SECRET}",
            },
        });
        let found = failing("http", &settings, Cause::Token).await;
        assert_about(&found, Role::TokenEndpoint, at, knock);
    }
}

#[tokio::test]
async fn of_a_grpc_service_its_server_and_certificates_are_looked_at() {
    let gone = deserted().await;
    let settings = json!({ "address": gone.to_string() });
    let found = failing("grpc", &settings, Cause::Refused).await;
    assert_about(&found, Role::Target, gone, Some(Cause::Refused));
    let garbling = saying("HTTP/1.1 400 x\r\n\r\n").await;
    let settings = json!({ "address": garbling.address.to_string() });
    let found = failing("grpc", &settings, Cause::Protocol).await;
    assert_about(&found, Role::Target, garbling.address, None);
    let authority = Authority::new();
    let leaf = authority.leaf_until(&["stock.test"], 2024, 5, 1);
    let server = Server::tls(authority.server(&leaf, &[b"h2"], false), |mut stream| async move {
        drop(stream.read(&mut [0; 1]).await);
    })
    .await;
    let settings = json!({
        "address": server.address.to_string(), "tls": true,
        "ca": authority.file(), "server_name": "stock.test",
    });
    let found = failing("grpc", &settings, Cause::TlsExpired).await;
    assert_about(&found, Role::Target, server.address, None);
    assert_eq!(found.chain[0].subject, "stock.test");
    assert_eq!(&found.chain[0].until.to_string()[..10], "2024-05-01");
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
