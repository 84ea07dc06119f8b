//! The `tls` kind against servers of the test's own.

use crosscheck_model::{Phase, Status};
use serde_json::{Value, json};

use super::*;
use crate::env::Secrets;
use crate::guard::Guard;
use crate::programs::Programs;
use crate::resolve::Resolver;
use crate::tls::scripted::{Authority, Leaf, Server};

const AMPLE: Duration = Duration::from_secs(30);
const NAMES: &[&str] = &["127.0.0.1", "mail.test", "*.shop.test"];

/// A server that waits for the client to go.
async fn server(authority: &Authority, leaf: &Leaf, clients: bool) -> Server {
    let config = authority.server(leaf, &[], clients);
    let until_closed = |mut stream: tokio_rustls::server::TlsStream<TcpStream>| async move {
        let _ = stream.read(&mut [0; 1]).await;
    };
    Server::tls(config, until_closed).await
}

async fn run(server: &Server, authority: &Authority, mut more: Value) -> Outcome {
    more["address"] = json!(server.address.to_string());
    if more.get("ca").is_none() {
        more["ca"] = json!(authority.file());
    }
    let env = Env {
        guard: Guard::Internal,
        resolver: Resolver::new(Vec::new()),
        secrets: Secrets::default(),
        programs: Programs::default(),
    };
    Tls.parse(&more).expect("well-formed").run(&env, AMPLE).await
}

#[tokio::test]
async fn a_certificate_as_wanted_is_up() {
    let authority = Authority::new();
    let server = server(&authority, &authority.leaf(NAMES), false).await;
    for more in [
        json!({}),
        json!({ "server_name": "mail.test" }),
        json!({ "names": ["mail.test", "a.shop.test", "127.0.0.1"] }),
        json!({ "names": "mail.test", "versions": { "min": "1.3" } }),
        json!({ "versions": { "min": 1.2 }, "warn_days": 365, "slower_than": "1h" }),
    ] {
        let outcome = run(&server, &authority, more.clone()).await;
        assert_eq!(outcome.status, Status::Up, "{more}: {}", outcome.detail);
        assert!(outcome.values["certificate_days"] > 365_000.0);
        let phases: Vec<_> = outcome.phases.iter().map(|(phase, _)| phase).collect();
        assert_eq!(phases, [Phase::Connect, Phase::Tls]);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told_apart() {
    let authority = Authority::new();
    let good = authority.leaf(NAMES);
    let expired = authority.leaf_until(NAMES, 2025, 1, 1);
    let stranger = Authority::new();
    let table = [
        (&good, json!({ "ca": stranger.file() }), Cause::TlsUntrusted),
        (&good, json!({ "server_name": "other.test" }), Cause::TlsName),
        (&good, json!({ "names": ["mail.test", "a.b.shop.test"] }), Cause::TlsName),
        (&expired, json!({}), Cause::TlsExpired),
    ];
    for (leaf, more, cause) in table {
        let server = server(&authority, leaf, false).await;
        let outcome = run(&server, &authority, more).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(cause)));
        assert!(outcome.detail.contains("issued by Scripted Root"), "{}", outcome.detail);
        assert!(outcome.values.contains_key("certificate_days"), "{cause}");
    }
}

#[tokio::test]
async fn an_end_in_sight_and_slowness_are_flaws() {
    let authority = Authority::new();
    let today = jiff::Zoned::now().date();
    let soon = today.checked_add(jiff::Span::new().days(10)).expect("a date");
    let month = u8::try_from(soon.month()).expect("a month");
    let day = u8::try_from(soon.day()).expect("a day");
    let leaf = authority.leaf_until(NAMES, i32::from(soon.year()), month, day);
    let server = server(&authority, &leaf, false).await;
    for (more, cause) in [
        (json!({}), Some(Cause::CertificateExpiring)),
        (json!({ "warn_days": 3 }), None),
        (json!({ "warn_days": 3, "slower_than": "0s" }), Some(Cause::Slow)),
    ] {
        let outcome = run(&server, &authority, more).await;
        assert_eq!(outcome.cause, cause, "{}", outcome.detail);
        let status = if cause.is_some() { Status::Degraded } else { Status::Up };
        assert_eq!(outcome.status, status);
    }
}

#[tokio::test]
async fn the_first_certificate_to_end_counts_of_those_that_are_needed() {
    let authority = Authority::new();
    let soon = jiff::Zoned::now().date().checked_add(jiff::Span::new().days(10)).expect("a date");
    let part = |number: i8| u8::try_from(number).expect("of a date");
    let day = (i32::from(soon.year()), part(soon.month()), part(soon.day()));
    let server = server(&authority, &authority.leaf_below(NAMES, day), false).await;
    let outcome = run(&server, &authority, json!({})).await;
    assert_eq!(outcome.cause, Some(Cause::CertificateExpiring), "{outcome:?}");
    let words = "the chain's certificate of Scripted Intermediate expires in ";
    assert!(outcome.detail.starts_with(words), "{}", outcome.detail);
    assert!(outcome.excerpt.contains("3: Scripted Stranger"), "{}", outcome.excerpt);
    assert!(outcome.excerpt.ends_with("days left (not needed)"), "{}", outcome.excerpt);
    assert!(outcome.values["chain_3_days"] < 0.0);
    let outcome = run(&server, &authority, json!({ "warn_days": 5 })).await;
    assert_eq!(outcome.status, Status::Up, "{outcome:?}");
}

#[tokio::test]
async fn a_client_certificate_that_is_refused_is_noticed() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = server(&authority, &authority.leaf(NAMES), true).await;
    for (issuer, cause) in [(&authority, None), (&stranger, Some(Cause::TlsHandshake))] {
        let (certificate, key) = issuer.client_files();
        let client = json!({ "client": { "certificate": certificate, "key": key } });
        let outcome = run(&server, &authority, client).await;
        assert_eq!(outcome.cause, cause, "{}", outcome.detail);
    }
}

#[test]
fn settings_that_do_not_fit_are_told_with_their_path() {
    let table = [
        (json!({ "address": "mail.test" }), "address"),
        (json!({ "address": "mail.test:993", "versions": { "min": "1.1" } }), "versions.min"),
        (json!({ "address": "mail.test:993", "server_name": "a b" }), "server_name"),
        (json!({ "address": "mail.test:993", "names": ["ok.test", "a b"] }), "names.1"),
        (json!({ "address": "127.0.0.1:993", "family": "v6" }), "family"),
        (json!({ "address": "mail.test:993", "warn_day": 3 }), "warn_day"),
    ];
    for (settings, path) in table {
        let errors = Tls.parse(&settings).err().expect("is refused");
        assert_eq!(errors[0].path.join("."), path, "{settings}: {errors:?}");
    }
}

/// What one side says and the other must hear before TLS.
type Script = &'static [(&'static [u8], &'static [u8])];

/// A server that speaks a script (what it hears, what it says), and TLS then.
async fn midway(authority: &Authority, script: Script) -> Server {
    let config = authority.server(&authority.leaf(NAMES), &[], false);
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    let serve = move |mut stream: TcpStream| {
        let acceptor = acceptor.clone();
        async move {
            for (hears, says) in script {
                let mut heard = vec![0; hears.len()];
                if stream.read_exact(&mut heard).await.is_err() {
                    return;
                }
                assert_eq!(heard, *hears, "{:?}", String::from_utf8_lossy(&heard));
                let _ = stream.write_all(says).await;
            }
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 1]).await;
            }
        }
    };
    Server::plain("127.0.0.1:0", serve).await
}

const MYSQL_GREETING: &[u8] = b"\x19\0\0\0\x0a8.0\0\x01\0\0\0abcdefgh\0\xff\xff-\x02\0\xff\xff";
const MYSQL_REQUEST: &[u8] =
    b"\x20\0\0\x01\0\x8a\0\0\0\0\0\x01\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const LDAP_REQUEST: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
const XMPP_OPEN: &[u8] = b"<?xml version='1.0'?><stream:stream to='127.0.0.1' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const XMPP_FEATURES: &[u8] = b"<stream:stream id='1'><stream:features>\
    <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
const XMPP_ASK: &[u8] = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

#[tokio::test]
async fn tls_begins_in_the_midst_of_every_protocol() {
    let authority = Authority::new();
    let table: [(&str, Script); 8] = [
        (
            "smtp",
            &[
                (b"", b"220 mail ESMTP\r\n"),
                (b"EHLO [127.0.0.1]\r\n", b"250-mail\r\n250 STARTTLS\r\n"),
                (b"STARTTLS\r\n", b"220 go\r\n"),
            ],
        ),
        ("imap", &[(b"", b"* OK hello\r\n"), (b"a STARTTLS\r\n", b"* x\r\na OK go\r\n")]),
        ("pop3", &[(b"", b"+OK hello\r\n"), (b"STLS\r\n", b"+OK go\r\n")]),
        ("ftp", &[(b"", b"220 hello\r\n"), (b"AUTH TLS\r\n", b"234 go\r\n")]),
        ("postgres", &[(b"\0\0\0\x08\x04\xd2\x16\x2f", b"S")]),
        ("mysql", &[(b"", MYSQL_GREETING), (MYSQL_REQUEST, b"")]),
        ("ldap", &[(LDAP_REQUEST, b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\0\x04\0\x04\0")]),
        (
            "xmpp",
            &[
                (XMPP_OPEN, XMPP_FEATURES),
                (XMPP_ASK, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
            ],
        ),
    ];
    for (protocol, script) in table {
        let server = midway(&authority, script).await;
        let outcome = run(&server, &authority, json!({ "starttls": protocol })).await;
        assert_eq!(outcome.status, Status::Up, "{protocol}: {outcome:?}");
        assert!(outcome.phases.get(Phase::FirstByte).is_some(), "{protocol}");
    }
}

#[tokio::test]
async fn who_does_not_begin_tls_is_told() {
    let authority = Authority::new();
    let table: [(&str, Script, Cause, &str); 8] = [
        (
            "smtp",
            &[(b"", b"220 mail\r\n"), (b"EHLO [127.0.0.1]\r\n", b"250 mail\r\n")],
            Cause::NotOffered,
            "does not offer",
        ),
        (
            "imap",
            &[(b"", b"* OK hello\r\n"), (b"a STARTTLS\r\n", b"a BAD what\r\n")],
            Cause::NotOffered,
            "`BAD what`",
        ),
        ("pop3", &[(b"", b"-ERR full\r\n")], Cause::NotOffered, "`-ERR full`"),
        (
            "ftp",
            &[(b"", b"220 hello\r\n"), (b"AUTH TLS\r\n", b"500 what\r\n")],
            Cause::NotOffered,
            "`500 what`",
        ),
        ("postgres", &[(b"\0\0\0\x08\x04\xd2\x16\x2f", b"N")], Cause::NotOffered, "not offer"),
        ("mysql", &[(b"", b"HTTP/1.1 400 no")], Cause::Protocol, "does not speak MySQL"),
        (
            "ldap",
            &[(LDAP_REQUEST, b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\0\x04\0")],
            Cause::NotOffered,
            "result code 2",
        ),
        // Said before the handshake, by whomever.
        (
            "smtp",
            &[
                (b"", b"220 mail\r\n"),
                (b"EHLO [127.0.0.1]\r\n", b"250 STARTTLS\r\n"),
                (b"STARTTLS\r\n", b"220 go\r\n250 you are in\r\n"),
            ],
            Cause::Protocol,
            "more in clear text",
        ),
    ];
    for (protocol, script, cause, words) in table {
        let server = midway(&authority, script).await;
        let outcome = run(&server, &authority, json!({ "starttls": protocol })).await;
        assert_eq!(outcome.cause, Some(cause), "{protocol}: {outcome:?}");
        assert!(outcome.detail.starts_with("before TLS: "), "{}", outcome.detail);
        assert!(outcome.detail.contains(words), "{protocol}: {}", outcome.detail);
    }
}

#[tokio::test]
async fn the_terms_and_the_chain_are_told() {
    let authority = Authority::new();
    let server = server(&authority, &authority.leaf(NAMES), false).await;
    let forbid = json!({ "versions": { "forbid": ["tls1.0", 1.1] } });
    let outcome = run(&server, &authority, forbid).await;
    assert_eq!(outcome.status, Status::Up, "{outcome:?}");
    assert_eq!(outcome.values["tls_version"], 1.3);
    assert_eq!(outcome.values["chain_length"], 1.0);
    assert_eq!(outcome.values["chain_1_days"], outcome.values["certificate_days"]);
    assert!(outcome.values.contains_key("cipher_suite") && outcome.values.contains_key("group"));

    let outcome = run(&server, &authority, json!({ "ocsp": "required" })).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(Cause::Ocsp)));
    assert!(outcome.excerpt.starts_with("TLS 1.3, TLS13_"), "{}", outcome.excerpt);
    assert!(outcome.excerpt.contains("issued by Scripted Root, EC P-256"), "{}", outcome.excerpt);
}
