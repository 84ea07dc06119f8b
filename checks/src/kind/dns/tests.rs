//! The kind against scripted name servers on loopback.

mod agreement;
mod depth;
mod secure;

use crosscheck_model::place::{Role, Way};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::{A, TXT};
use serde_json::{Value, json};

use super::*;
use crate::env::Secrets;
use crate::guard::Guard;
use crate::programs::Programs;
use crate::resolve::exchange::Transport;
use crate::resolve::scripted::{NameServer, framed, record, reply};

const PLENTY: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(60);

fn env(guard: Guard, servers: Vec<SocketAddr>) -> Env {
    Env {
        guard,
        resolver: Resolver::new(servers),
        secrets: Secrets::of_process(),
        programs: Programs::default(),
    }
}

fn with_address(query: &Message) -> Message {
    let mut message = reply(query, ResponseCode::NoError);
    message.add_answer(record("www.example.com.", RData::A(A([192, 0, 2, 1].into()))));
    message
}

/// The settings with `name` and `server` added.
fn settings(server: SocketAddr, more: Value) -> Value {
    let mut settings = json!({ "name": "www.example.com", "server": server.to_string() });
    let object = settings.as_object_mut().expect("an object");
    object.extend(more.as_object().expect("an object").clone());
    settings
}

async fn run(settings: &Value, limit: Duration) -> Outcome {
    let check = Dns.parse(settings).expect("well-formed");
    check.run(&env(Guard::Internal, Vec::new()), limit).await
}

fn refusals(settings: Value) -> Vec<(String, String)> {
    let errors = Dns.parse(&settings).err().expect("does not fit");
    errors.into_iter().map(|error| (error.path.join("."), error.message)).collect()
}

#[tokio::test]
async fn a_server_answers_over_ipv6() {
    let loopback = std::net::Ipv6Addr::LOCALHOST.into();
    let server = NameServer::answering_at(loopback, with_address).await;
    for transport in ["udp", "tcp"] {
        let more = json!({ "transport": transport, "family": "v6",
            "answers": { "any": ["192.0.2.1"] } });
        let outcome = run(&settings(server.address, more), PLENTY).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Up, None), "{}", outcome.detail);
        assert_eq!(outcome.address, Some(server.address.to_string()));
    }
}

#[tokio::test]
async fn an_answer_as_wanted_is_up_with_numbers_and_phases() {
    let server = NameServer::answering(with_address).await;
    let wanted = json!({ "answers": { "any": ["192.0.2.1"] }, "ttl": { "min": "1m" } });
    let outcome = run(&settings(server.address, wanted), PLENTY).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Up, None), "{}", outcome.detail);
    assert_eq!(outcome.address, Some(server.address.to_string()));
    assert!(outcome.phases.get(Phase::FirstByte).is_some());
    assert!(outcome.phases.get(Phase::Dns).is_none(), "a literal server has no name to resolve");
    assert_eq!(outcome.values.get("ttl"), Some(&300.0));
    assert_eq!(outcome.values.get("answers"), Some(&1.0));
    assert_eq!(outcome.excerpt, "");
}

#[tokio::test]
async fn what_is_not_as_wanted_has_its_cause_and_an_excerpt() {
    for (more, code, cause, status) in [
        (json!({}), ResponseCode::NXDomain, Cause::DnsNxdomain, Status::Down),
        (json!({}), ResponseCode::ServFail, Cause::DnsServfail, Status::Down),
        (json!({}), ResponseCode::Refused, Cause::DnsRefused, Status::Down),
        (json!({ "type": "MX" }), ResponseCode::NoError, Cause::Answer, Status::Down),
        (
            json!({ "answers": { "any": ["192.0.2.9"] } }),
            ResponseCode::NoError,
            Cause::Answer,
            Status::Down,
        ),
        (json!({ "slower_than": "0s" }), ResponseCode::NoError, Cause::Slow, Status::Degraded),
    ] {
        let server = NameServer::answering(move |query| match code {
            ResponseCode::NoError => with_address(query),
            code => reply(query, code),
        })
        .await;
        let outcome = run(&settings(server.address, more.clone()), PLENTY).await;
        assert_eq!((outcome.cause, outcome.status), (Some(cause), status), "{more} {code}");
        assert!(!outcome.excerpt.is_empty() && !outcome.detail.is_empty(), "{more} {code}");
    }
}

#[tokio::test]
async fn what_the_server_says_is_quoted_within_bounds_and_without_control_characters() {
    let server = NameServer::answering(|query| {
        let mut message = reply(query, ResponseCode::NoError);
        for line in 0..200 {
            let text = RData::TXT(TXT::new(vec![format!("\u{1b}[31m{line} {}", "x".repeat(200))]));
            message.add_answer(record("www.example.com.", text));
        }
        message
    })
    .await;
    let wanted = json!({ "type": "TXT", "transport": "tcp", "answers": { "any": "y" } });
    let outcome = run(&settings(server.address, wanted), PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::Answer));
    assert!(outcome.detail.len() <= DETAIL_LIMIT_BYTES, "{}", outcome.detail.len());
    assert!(outcome.excerpt.len() <= 1024 && outcome.excerpt.contains("[31m0 x"));
    assert!(!outcome.detail.contains('\u{1b}') && !outcome.excerpt.contains('\u{1b}'));
}

#[tokio::test]
async fn failures_of_the_exchange_are_told_apart() {
    let silent = NameServer::scripted(|_, _| Vec::new()).await;
    let garbled =
        NameServer::scripted(|query, over| vec![framed(&with_address(query), over)[..20].to_vec()])
            .await;
    let deserted = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("bound")
    };
    for (server, more, limit, cause) in [
        (silent.address, json!({}), SHORT, Cause::DnsTimeout),
        (garbled.address, json!({}), PLENTY, Cause::Protocol),
        (deserted, json!({}), PLENTY, Cause::Refused),
        (deserted, json!({ "transport": "tcp" }), PLENTY, Cause::Refused),
        (silent.address, json!({ "transport": "tcp" }), PLENTY, Cause::Reset),
    ] {
        let outcome = run(&settings(server, more.clone()), limit).await;
        assert_eq!(outcome.cause, Some(cause), "{more}: {}", outcome.detail);
        assert_eq!(outcome.status, Status::Down);
        assert_eq!(outcome.address, Some(server.to_string()));
    }
}

#[tokio::test]
async fn tcp_is_timed_in_its_phases_and_used_when_truncated() {
    let server = NameServer::scripted(|query, over| {
        let mut message = with_address(query);
        message.metadata.truncation = over == Transport::Udp;
        vec![framed(&message, over)]
    })
    .await;
    for (transport, sent) in [("tcp", 1.0), ("udp", 2.0)] {
        let outcome =
            run(&settings(server.address, json!({ "transport": transport })), PLENTY).await;
        assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
        assert_eq!(outcome.values.get("sent"), Some(&sent));
        for phase in [Phase::Connect, Phase::Send, Phase::FirstByte, Phase::Transfer] {
            assert!(outcome.phases.get(phase).is_some(), "{transport} {}", phase.as_str());
        }
    }
}

#[tokio::test]
async fn the_question_says_what_the_settings_say() {
    let server = NameServer::answering(|query| {
        let mut message = with_address(query);
        message.metadata.authoritative = !query.recursion_desired;
        message.metadata.authentic_data = query.authentic_data;
        message
    })
    .await;
    let flags =
        json!({ "recursion": false, "flags": { "authoritative": true, "authenticated": true } });
    let outcome = run(&settings(server.address, flags), PLENTY).await;
    assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
    let flags = json!({ "flags": { "authoritative": true } });
    let outcome = run(&settings(server.address, flags), PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::Answer));
}

#[tokio::test]
async fn without_a_server_the_probes_own_is_asked() {
    let server = NameServer::answering(with_address).await;
    let check = Dns.parse(&json!({ "name": "www.example.com" })).expect("well-formed");
    // The probe's own server is nobody's choice but its operator's: the guard has no say.
    let outcome = check.run(&env(Guard::public(), vec![server.address]), PLENTY).await;
    assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
    let outcome = check.run(&env(Guard::public(), Vec::new()), PLENTY).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::Setup)));
}

#[tokio::test]
async fn the_guard_judges_the_server_under_test() {
    let server = NameServer::answering(with_address).await;
    let check = Dns.parse(&settings(server.address, json!({}))).expect("well-formed");
    let outcome = check.run(&env(Guard::public(), Vec::new()), PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::BlockedAddress), "{}", outcome.detail);
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_server_by_name_is_resolved_first() {
    let server = NameServer::answering(with_address).await;
    let address = format!("localhost:{}", server.address.port());
    let outcome = run(&json!({ "name": "www.example.com", "server": address }), PLENTY).await;
    assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
    assert!(outcome.phases.get(Phase::Dns).is_some());

    let unknown = json!({ "name": "www.example.com", "server": "a..b" });
    assert!(refusals(unknown)[0].1.contains("no host name"));
    let nowhere = NameServer::answering(|query| reply(query, ResponseCode::NXDomain)).await;
    let check = Dns.parse(&json!({ "name": "www.example.com", "server": "ns.example.com" }));
    let resolving = env(Guard::Internal, vec![nowhere.address]);
    let outcome = check.expect("well-formed").run(&resolving, PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::DnsNxdomain));
    assert!(outcome.detail.starts_with("cannot find the server"), "{}", outcome.detail);
}

#[test]
fn settings_that_do_not_fit_are_refused_with_their_place() {
    for (settings, path, message) in [
        (json!({}), "", "missing field `name`"),
        (json!({ "name": "" }), "name", "the name is empty"),
        (json!({ "name": "a..b" }), "name", "no domain name"),
        (json!({ "name": "192.0.2.1" }), "name", "`type: PTR`"),
        (json!({ "name": "a.example", "type": "B" }), "type", "write one of A, AAAA"),
        (json!({ "name": "a.example", "rcode": "OK" }), "rcode", "write one of NOERROR"),
        (json!({ "name": "a.example", "server": "ns:x" }), "server", "1 to 65535"),
        (
            json!({ "name": "a.example", "server": "192.0.2.53", "family": "v6" }),
            "family",
            "leave `family` out",
        ),
        (json!({ "name": "a.example", "answers": {} }), "answers", "no condition"),
        (
            json!({ "name": "a.example", "answers": { "any": ["1.2.3"] } }),
            "answers.any.0",
            "no IPv4 address",
        ),
        (
            json!({ "name": "a.example", "answers": { "any": [{ "matches": "(" }] } }),
            "answers.any.0.matches",
            "unclosed group",
        ),
        (json!({ "name": "a.example", "ttl": { "min": 60 } }), "ttl.min", "`60` has no unit"),
        (json!({ "name": "a.example", "ttl": { "min": "2m", "max": "1m" } }), "ttl", "more than"),
        (json!({ "name": "a.example", "sever": "x" }), "sever", "unknown field"),
    ] {
        let errors = refusals(settings.clone());
        assert_eq!(errors[0].0, path, "{settings}: {}", errors[0].1);
        assert!(errors[0].1.contains(message), "{settings}: {}", errors[0].1);
    }
}

#[test]
fn all_values_that_do_not_fit_are_told_at_once() {
    let errors = refusals(json!({
        "name": "192.0.2.1", "server": "::1", "family": "v4",
        "answers": { "any": ["x", "y"] }, "ttl": { "min": "2s", "max": "1s" },
    }));
    let paths: Vec<_> = errors.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["name", "family", "answers.any.0", "answers.any.1", "ttl"]);
}

#[test]
fn the_target_is_named_in_a_few_words() {
    for (settings, target, family) in [
        (json!({ "name": "www.example.com" }), "www.example.com A", Family::V4),
        (
            json!({ "name": "192.0.2.1", "type": "ptr", "server": "2001:db8::53" }),
            "1.2.0.192.in-addr.arpa PTR @[2001:db8::53]:53",
            Family::V6,
        ),
        (json!({ "name": ".", "type": "NS" }), ". NS", Family::V4),
    ] {
        let check = Dns.parse(&settings).expect("well-formed");
        assert_eq!((check.target().as_str(), check.family()), (target, family));
    }
}

#[test]
fn the_schema_lists_the_names_that_are_understood() {
    let mut generator = SchemaGenerator::default();
    Dns.schema(&mut generator);
    for (definition, key) in [("Type", "type"), ("Rcode", "rcode")] {
        let names = generator.definitions()[definition]["enum"].as_array().expect("a list");
        for name in names {
            let parsed = Dns.parse(&json!({ "name": "a.example", key: name }));
            assert!(parsed.is_ok(), "{key}: {name}");
        }
        let unknown = refusals(json!({ "name": "a.example", key: "?" })).remove(0).1;
        let told = unknown.split("write one of ").nth(1).expect("the names");
        assert_eq!(told.split(", ").collect::<Vec<_>>(), *names, "{key}");
    }
}

#[tokio::test]
async fn evidence_is_about_the_server_and_not_about_the_name() {
    let server = NameServer::answering(|query| reply(query, ResponseCode::NXDomain)).await;
    let asks = Some(("www.example.com".to_owned(), Family::V4));
    let named = run(&settings(server.address, json!({})), PLENTY).await;
    let check = Dns.parse(&json!({ "name": "www.example.com" })).expect("well-formed");
    let own = check.run(&env(Guard::Internal, vec![server.address]), PLENTY).await;
    for outcome in [named, own] {
        assert_eq!(outcome.cause, Some(Cause::DnsNxdomain));
        let place = outcome.place.expect("it fails");
        assert_eq!((place.role, place.way), (Role::NameServer, Way::Udp));
        assert_eq!((place.shown(), &place.asks), (server.address.to_string(), &asks));
    }
    let lost = json!({ "name": "www.example.com", "server": "ns1.test" });
    let check = Dns.parse(&lost).expect("well-formed");
    let outcome = check.run(&env(Guard::Internal, vec![server.address]), PLENTY).await;
    let place = outcome.place.expect("the server is not found");
    assert_eq!((place.role, place.host.as_str()), (Role::Target, "ns1.test"));
}
