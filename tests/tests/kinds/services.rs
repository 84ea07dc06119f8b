//! The kinds of check that speak a protocol, against real servers of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crosscheck_checks::env::{Env, Secrets};
use crosscheck_checks::guard::Guard;
use crosscheck_checks::kind;
use crosscheck_checks::programs::Programs;
use crosscheck_checks::resolve::Resolver;
use crosscheck_model::{Cause, Outcome, Phase};
use crosscheck_tests::authority::{Authority, Identity};
use crosscheck_tests::django::{CLIENT, CLIENT_SECRET, Django};
use crosscheck_tests::eventually::eventually;
use crosscheck_tests::mailbox::Postfix;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::service::caddy::Caddy;
use crosscheck_tests::service::chrony::{self, Chrony};
use crosscheck_tests::service::dovecot::Dovecot;
use crosscheck_tests::service::grpc::Grpc;
use crosscheck_tests::service::mariadb::MariaDb;
use crosscheck_tests::service::redis::Redis;
use crosscheck_tests::service::relay::Relay;
use crosscheck_tests::service::sshd::Sshd;
use crosscheck_tests::service::telnetd::Telnetd;
use crosscheck_tests::service::vsftpd::Vsftpd;
use crosscheck_tests::service::websockets::WebSockets;
use serde_json::{Value, json};

mod plugins;
mod registry;
mod starttls;

const PLENTY: Duration = Duration::from_secs(30);

/// A test's certificate for both addresses of loopback, and what it needs of the authority.
struct Trust {
    scratch: Scratch,
    ca: String,
    identity: Identity,
}

impl Trust {
    fn new() -> Self {
        let scratch = Scratch::new();
        let authority = Authority::new(&scratch);
        let identity = authority.sound(&scratch, "service.test");
        let ca = authority.file.display().to_string();
        Self { scratch, ca, identity }
    }

    /// Settings with what TLS needs.
    fn tls(&self, port: u16, more: Value) -> Value {
        with(at(port), with(json!({ "ca": self.ca, "server_name": "service.test" }), more))
    }
}

fn at(port: u16) -> Value {
    json!({ "address": format!("127.0.0.1:{port}") })
}

fn at_v6(port: u16) -> Value {
    json!({ "address": format!("[::1]:{port}"), "family": "v6" })
}

fn with(mut settings: Value, more: Value) -> Value {
    if let (Value::Object(settings), Value::Object(more)) = (&mut settings, more) {
        settings.extend(more);
    }
    settings
}

/// Where Debian's packages put Nagios plugins.
const PLUGINS: &str = "/usr/lib/nagios/plugins";

fn env(secrets: &[(&str, &str)]) -> Env {
    let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Env {
        guard: Guard::Internal,
        resolver: Resolver::new(Vec::new()),
        secrets: Secrets::fixed(secrets.collect::<BTreeMap<_, _>>()),
        programs: Programs::new(vec![PLUGINS.into()], Vec::new()),
    }
}

async fn run(kind: &str, settings: &Value) -> Outcome {
    run_within(kind, settings, PLENTY).await
}

async fn run_within(kind: &str, settings: &Value, limit: Duration) -> Outcome {
    let env = env(&[("RIGHT", "hunter22"), ("WRONG", "hunter33")]);
    let check = kind::find(kind).expect("a kind").parse(settings);
    let check = check.unwrap_or_else(|errors| panic!("{kind} {settings}: {errors:?}"));
    check.run(&env, limit).await
}

/// Each of these has this cause; none: it is Up.
async fn each(kind: &str, table: Vec<(Value, Option<Cause>)>) {
    for (settings, cause) in table {
        let outcome = run(kind, &settings).await;
        assert_eq!(outcome.cause, cause, "{kind} {settings}: {outcome:?}");
        assert!(!format!("{outcome:?}").contains("hunter"), "{outcome:?}");
    }
}

/// Checks turned round find that it is there at each of these places, as plain ones do.
async fn is_there(kind: &str, places: &[Value]) {
    let turned = |place: &Value| with(place.clone(), json!({ "negate": true }));
    each(kind, places.iter().map(|place| (place.clone(), None)).collect()).await;
    each(kind, places.iter().map(|place| (turned(place), Some(Cause::Answers))).collect()).await;
}

/// Checks turned round are Up at each of these places, where nobody listens any more.
async fn is_gone(kind: &str, places: &[Value]) {
    let turned = |place: &Value| with(place.clone(), json!({ "negate": true }));
    each(kind, places.iter().map(|place| (place.clone(), Some(Cause::Refused))).collect()).await;
    each(kind, places.iter().map(|place| (turned(place), None)).collect()).await;
}

/// Waits until nobody listens at these ports: processes that a server has left end by themselves.
async fn closes(ports: &[(&str, u16)]) {
    for (ip, port) in ports {
        let address = SocketAddr::new(ip.parse().expect("an address"), *port);
        eventually(PLENTY, "the port is closed", || async move {
            let kind = tokio::net::TcpStream::connect(address).await.map_err(|error| error.kind());
            match kind {
                Err(std::io::ErrorKind::ConnectionRefused) => Ok(()),
                other => Err(format!("{address}: {other:?}")),
            }
        })
        .await;
    }
}

fn login(secret: &str) -> Value {
    json!({ "login": { "user": "probe", "password": format!("${{env:{secret}}}") } })
}

#[tokio::test]
async fn a_real_mail_server_greets_and_begins_tls() {
    let trust = Trust::new();
    let postfix = Postfix::start(&trust.scratch, &trust.identity).await;
    let port = postfix.port;
    let starttls = trust.tls(port, json!({ "starttls": true, "helo": "probe.test" }));
    each(
        "smtp",
        vec![
            (at(port), None),
            (with(at(port), json!({ "banner": "ESMTP" })), None),
            (with(at(port), json!({ "banner": "Exim" })), Some(Cause::Body)),
            (starttls.clone(), None),
            (with(starttls.clone(), json!({ "server_name": "other.test" })), Some(Cause::TlsName)),
            (with(starttls.clone(), json!({ "auth": "PLAIN" })), Some(Cause::NotOffered)),
            (with(starttls, json!({ "certificate": { "warn_days": 30 } })), None),
            (trust.tls(port, json!({ "tls": true })), Some(Cause::TlsHandshake)),
        ],
    )
    .await;
    let outcome = run("smtp", &trust.tls(port, json!({ "starttls": true }))).await;
    let phases: Vec<Phase> = outcome.phases.iter().map(|(phase, _)| phase).collect();
    let all = [Phase::Connect, Phase::Tls, Phase::Send, Phase::FirstByte, Phase::Transfer];
    assert_eq!(phases, all);
    // The same by a script.
    let script = json!({ "script": [
        { "expect": "^220 (\\S+) ESMTP.*\r\n" },
        { "send": "EHLO {{1}}\r\n", "expect": "250-STARTTLS\r\n(250-.*\r\n)*250 .*\r\n" },
        { "send": "STARTTLS\r\n", "expect": "^220 .*\r\n", "starttls": true },
        { "send": "EHLO probe.test\r\n", "expect": { "hex": "32 35 30 2d" } },
        { "send": "QUIT\r\n", "expect": "221 2[.]0[.]0" },
    ] });
    each("tcp", vec![(trust.tls(port, script), None)]).await;
    let relay = Relay::to(port).await;
    let secure = trust.tls(port, with(json!({ "starttls": true }), at_v6(relay.port)));
    let places = [at(port), at_v6(relay.port), secure];
    is_there("smtp", &places).await;
    drop(postfix);
    relay.close().await;
    closes(&[("127.0.0.1", port)]).await;
    is_gone("smtp", &places).await;
}

#[tokio::test]
async fn a_real_mail_store_greets_begins_tls_and_lets_in() {
    let trust = Trust::new();
    let dovecot = Dovecot::start(&trust.scratch, &trust.identity).await;
    for (kind, port, secure) in
        [("imap", dovecot.imap, dovecot.imaps), ("pop3", dovecot.pop3, dovecot.pop3s)]
    {
        let (has, lacks) = if kind == "imap" { ("IDLE", "QUOTA") } else { ("UIDL", "IMPLEMENTED") };
        let starttls = trust.tls(port, json!({ "starttls": true }));
        let at_once = trust.tls(secure, json!({ "tls": true }));
        let over_v6 = with(at_once.clone(), at_v6(secure));
        each(
            kind,
            vec![
                (with(at(port), json!({ "banner": "Dovecot" })), None),
                (with(at_v6(port), json!({ "capabilities": has })), None),
                (with(at(port), json!({ "capabilities": lacks })), Some(Cause::NotOffered)),
                (starttls.clone(), None),
                (with(starttls.clone(), login("RIGHT")), None),
                (with(starttls, login("WRONG")), Some(Cause::Login)),
                (with(at_once, login("RIGHT")), None),
                (over_v6, None),
                (trust.tls(port, json!({ "tls": true })), Some(Cause::TlsHandshake)),
            ],
        )
        .await;
    }
    let (imap, pop3) = (dovecot.imap, dovecot.pop3);
    is_there("imap", &[at(imap), at_v6(imap)]).await;
    is_there("pop3", &[at(pop3), at_v6(pop3)]).await;
    // A login that must not be let in.
    let starttls = |port, secret| {
        let starttls = json!({ "starttls": true, "negate": true });
        with(trust.tls(port, starttls), login(secret))
    };
    for (kind, port) in [("imap", imap), ("pop3", pop3)] {
        let let_in = (starttls(port, "RIGHT"), Some(Cause::Answers));
        each(kind, vec![(starttls(port, "WRONG"), None), let_in]).await;
    }
    drop(dovecot);
    let both = |port| [("127.0.0.1", port), ("::1", port)];
    closes(&[both(imap), both(pop3)].concat()).await;
    is_gone("imap", &[at(imap), at_v6(imap)]).await;
    is_gone("pop3", &[at(pop3), at_v6(pop3)]).await;
}

#[tokio::test]
async fn a_real_file_server_greets_begins_tls_and_lets_in() {
    let trust = Trust::new();
    let vsftpd = Vsftpd::start(&trust.scratch, &trust.identity).await;
    let starttls = trust.tls(vsftpd.port, json!({ "starttls": true }));
    let anonymous = json!({ "login": { "user": "anonymous", "password": "${env:RIGHT}" } });
    each(
        "ftp",
        vec![
            (
                with(at(vsftpd.port), json!({ "banner": "ready$", "features": ["mdtm", "SIZE"] })),
                None,
            ),
            (with(at(vsftpd.port), json!({ "features": ["MLST"] })), Some(Cause::NotOffered)),
            (starttls.clone(), None),
            (with(starttls.clone(), anonymous.clone()), None),
            (with(at(vsftpd.port), anonymous), None),
            (with(starttls.clone(), login("RIGHT")), Some(Cause::Login)),
        ],
    )
    .await;
    let (port, relay) = (vsftpd.port, Relay::to(vsftpd.port).await);
    let places = [at(port), at_v6(relay.port), with(starttls, at_v6(relay.port))];
    is_there("ftp", &places).await;
    drop(vsftpd);
    relay.close().await;
    closes(&[("127.0.0.1", port)]).await;
    is_gone("ftp", &places).await;
}

#[tokio::test]
async fn a_real_ssh_server_shows_and_proves_its_keys() {
    let scratch = Scratch::new();
    let sshd = Sshd::start(&scratch).await;
    let mut table = vec![
        (with(at(sshd.port), json!({ "banner": "OpenSSH" })), None),
        (with(at_v6(sshd.port), json!({ "banner": "dropbear" })), Some(Cause::Body)),
    ];
    let all: Vec<&String> = sshd.fingerprints.iter().map(|(_, fingerprint)| fingerprint).collect();
    let other = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
    table.push((with(at_v6(sshd.port), json!({ "fingerprint": all })), None));
    for (name, fingerprint) in &sshd.fingerprints {
        let key = json!({ "fingerprint": [other, fingerprint], "key": name });
        table.push((with(at(sshd.port), key), None));
        let key = json!({ "fingerprint": other, "key": name });
        table.push((with(at(sshd.port), key), Some(Cause::HostKey)));
    }
    each("ssh", table).await;
    let (_, rsa) = sshd.fingerprints.last().expect("a key");
    let wrong = json!({ "fingerprint": other, "key": "rsa" });
    let outcome = run("ssh", &with(at(sshd.port), wrong)).await;
    let detail = format!("host key: the ssh-rsa key is {rsa}, which is not wanted");
    assert_eq!(outcome.detail, detail);
    let port = sshd.port;
    is_there("ssh", &[at(port), at_v6(port)]).await;
    drop(sshd);
    closes(&[("127.0.0.1", port), ("::1", port)]).await;
    is_gone("ssh", &[at(port), at_v6(port)]).await;
}

/// Set in the process that has a network of its own.
const INSIDE: &str = "CROSSCHECK_TEST_INSIDE";

/// The server listens at every address, so the test runs itself again where there is loopback alone.
#[test]
fn a_real_telnet_server_shows_its_prompt() {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let scratch = Scratch::new();
            let telnetd = Telnetd::start(&scratch).await;
            let settings = with(at(telnetd.port), json!({ "expect": "^Enter name: $" }));
            each("telnet", vec![(settings, None)]).await;
            let (port, relay) = (telnetd.port, Relay::to(telnetd.port).await);
            let places = [at(port), at_v6(relay.port)]
                .map(|place| with(place, json!({ "expect": "^Enter name: $" })));
            is_there("telnet", &places).await;
            drop(telnetd);
            relay.close().await;
            closes(&[("127.0.0.1", port)]).await;
            is_gone("telnet", &places).await;
        });
        return;
    }
    alone("a_real_telnet_server_shows_its_prompt");
}

/// Loopback answers, and what has no way to it does not.
#[test]
fn an_echo_that_must_not_come_back_is_found_out() {
    if std::env::var_os(INSIDE).is_some() {
        for (family, place) in [("-4", "192.0.2.0/24"), ("-6", "2001:db8::/32")] {
            let route = ["route", "add", "unreachable", place];
            let added = Command::new("ip").arg(family).args(route).status();
            assert!(added.expect("ip, of iproute2").success(), "{place}");
        }
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let at = |host: &str| json!({ "host": host });
            let at_v6 = |host: &str| json!({ "host": host, "family": "v6" });
            is_there("icmp", &[at("127.0.0.1"), at_v6("::1")]).await;
            let turned = |place| with(place, json!({ "negate": true }));
            let gone = [at("192.0.2.1"), at_v6("2001:db8::1")].map(|place| (turned(place), None));
            each("icmp", gone.to_vec()).await;
        });
        return;
    }
    alone("an_echo_that_must_not_come_back_is_found_out");
}

/// Runs a test of this file again where there is loopback alone.
fn alone(test: &str) {
    let said = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net"])
        .args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", &format!("services::{test}"), "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare, of util-linux");
    let told = [said.stdout, said.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(said.status.success() && told[0].contains("1 passed"), "{}\n{}", told[0], told[1]);
}

#[tokio::test]
async fn a_real_redis_answers_who_may_ask() {
    let trust = Trust::new();
    let mut redis = Redis::start(&trust.scratch, &trust.identity).await;
    let (port, secure) = (redis.port, redis.tls_port);
    let password = |name: &str| json!({ "password": format!("${{env:{name}}}") });
    let over_tls = trust.tls(secure, with(json!({ "tls": true }), password("RIGHT")));
    each(
        "redis",
        vec![
            (at(port), Some(Cause::Login)),
            (with(at(port), password("RIGHT")), None),
            (with(at_v6(port), password("RIGHT")), None),
            (with(at(port), password("WRONG")), Some(Cause::Login)),
            (with(at(port), with(password("RIGHT"), json!({ "user": "default" }))), None),
            (with(at(port), with(password("RIGHT"), json!({ "user": "ann" }))), Some(Cause::Login)),
            (over_tls.clone(), None),
            (with(over_tls, json!({ "server_name": "x.test" })), Some(Cause::TlsName)),
            (at(secure), Some(Cause::Reset)),
        ],
    )
    .await;
    let negated = with(at(port), json!({ "negate": true }));
    each("redis", vec![(negated, None)]).await;
    let secure = trust.tls(secure, json!({ "tls": true }));
    let places = [at(port), at_v6(port), secure].map(|place| with(place, password("RIGHT")));
    is_there("redis", &places).await;
    // The same port, of which no more is asked than that it is open.
    is_there("tcp", &[at(port), at_v6(port)]).await;
    redis.stop();
    is_gone("redis", &places).await;
    is_gone("tcp", &[at(port), at_v6(port)]).await;
}

#[tokio::test]
async fn a_real_database_greets_and_says_when_it_is_full() {
    let trust = Trust::new();
    let database = MariaDb::start(&trust.scratch, &trust.identity).await;
    let port = database.port;
    each(
        "mysql",
        vec![
            (at(port), None),
            (with(at_v6(port), json!({ "version": "MariaDB" })), None),
            (with(at(port), json!({ "version": "^8[.]" })), Some(Cause::Body)),
        ],
    )
    .await;
    let crowd = database.crowd();
    eventually(PLENTY, "the database is full", || async {
        let outcome = run("mysql", &at(port)).await;
        let is_full = outcome.cause == Some(Cause::ServerError)
            && outcome.detail.starts_with("greeting: the server answered error 1040: ");
        if is_full { Ok(()) } else { Err(format!("{outcome:?}")) }
    })
    .await;
    drop(crowd);
    eventually(PLENTY, "the database has room", || async {
        let outcome = run("mysql", &at(port)).await;
        if outcome.cause.is_none() { Ok(()) } else { Err(format!("{outcome:?}")) }
    })
    .await;
    is_there("mysql", &[at(port), at_v6(port)]).await;
    drop(database);
    closes(&[("127.0.0.1", port), ("::1", port)]).await;
    is_gone("mysql", &[at(port), at_v6(port)]).await;
}

#[tokio::test]
async fn a_real_time_server_serves_or_is_not_synchronised() {
    let scratch = Scratch::new();
    let mut chrony = Chrony::start(&scratch, true).await;
    let port = chrony.port;
    // Both clocks are this machine's; a busy one may take its time to answer.
    let bounds = json!({ "offset_above": "10s", "stratum_above": chrony::STRATUM });
    each(
        "ntp",
        vec![
            (with(at(port), bounds.clone()), None),
            (with(at_v6(port), bounds), None),
            (
                with(at(port), json!({ "stratum_above": chrony::STRATUM - 1 })),
                Some(Cause::ClockQuality),
            ),
        ],
    )
    .await;
    let places = [at(port), at_v6(port)];
    is_there("ntp", &places).await;
    let outcome = run("ntp", &at_v6(port)).await;
    assert_eq!(outcome.values["stratum"], f64::from(chrony::STRATUM));
    assert!(outcome.values["offset_ms"].abs() < outcome.values["delay_ms"] + 1.0, "{outcome:?}");
    // The same server, asked as any other service of datagrams: NTP's answer to NTP's question.
    let question = format!("23{}", "00".repeat(47));
    let script = json!({ "send": { "hex": question }, "expect": { "hex": "24 05" } });
    let asked = [at(port), at_v6(port)].map(|place| with(place, script.clone()));
    is_there("udp", &asked).await;
    chrony.stop();
    is_gone("ntp", &places).await;
    is_gone("udp", &asked).await;
    let lost = Chrony::start(&scratch, false).await;
    each("ntp", vec![(at(lost.port), Some(Cause::Unsynchronised))]).await;
}

#[tokio::test]
async fn a_real_websocket_server_talks_and_turns_away() {
    let trust = Trust::new();
    let server = WebSockets::start(&trust.scratch, &trust.identity).await;
    let token = json!({ "headers": { "Authorization": "Bearer ${env:RIGHT}" } });
    let echo = json!({ "send": "hello", "expect": "^hello$", "ping": true });
    let bytes = json!({ "send": { "hex": "00 ff" }, "expect": { "hex": "00 ff" } });
    for host in ["127.0.0.1", "[::1]"] {
        let at = |path: &str| json!({ "url": format!("ws://{host}:{}{path}", server.port) });
        let secure = json!({ "url": format!("wss://{host}:{}/", server.tls_port) });
        let trusted =
            with(secure.clone(), json!({ "ca": trust.ca, "server_name": "service.test" }));
        let long = json!({ "send": "x".repeat(100_000), "expect": "^x{1000}" });
        each(
            "websocket",
            vec![
                (at("/"), None),
                (with(at("/"), echo.clone()), None),
                (with(at("/"), bytes.clone()), None),
                (with(at("/"), long), None),
                (with(at("/"), json!({ "subprotocol": ["v1.echo"] })), None),
                (with(at("/"), json!({ "subprotocol": ["v9.echo"] })), Some(Cause::NotOffered)),
                (with(at("/greeting"), json!({ "expect": "news", "among": 2 })), None),
                (with(at("/greeting"), json!({ "expect": "news" })), Some(Cause::Body)),
                (with(at("/closing"), json!({ "expect": "news" })), Some(Cause::ServerError)),
                (at("/private"), Some(Cause::Status)),
                (with(at("/private"), json!({ "negate": true })), None),
                (with(at("/private"), token.clone()), None),
                (with(trusted.clone(), echo.clone()), None),
                (with(trusted, json!({ "server_name": "x.test" })), Some(Cause::TlsName)),
                (secure, Some(Cause::TlsUntrusted)),
            ],
        )
        .await;
    }
    let places = ["127.0.0.1", "[::1]"]
        .map(|host| with(json!({ "url": format!("ws://{host}:{}/", server.port) }), echo.clone()));
    is_there("websocket", &places).await;
    let port = server.port;
    drop(server);
    closes(&[("127.0.0.1", port), ("::1", port)]).await;
    is_gone("websocket", &places).await;
}

#[tokio::test]
async fn a_real_grpc_server_says_whether_it_serves() {
    let trust = Trust::new();
    let server = Grpc::start(&trust.scratch, &trust.identity).await;
    let service = |name: &str| json!({ "service": name });
    let token = json!({ "metadata": { "authorization": "Bearer ${env:RIGHT}" } });
    let over_tls = trust.tls(server.tls_port, json!({ "tls": true }));
    let port = server.port;
    each(
        "grpc",
        vec![
            (at(port), None),
            (at_v6(port), None),
            (with(at(port), service("shop.Orders")), None),
            (with(at(port), service("shop.Stock")), Some(Cause::NotServing)),
            (with(at_v6(port), service("shop.Prices")), Some(Cause::ServiceUnknown)),
            (with(at(port), service("shop.Private")), Some(Cause::Login)),
            (with(at(port), with(service("shop.Private"), token)), None),
            (with(at(port), with(service("shop.Stock"), json!({ "negate": true }))), None),
            (at(server.bare_port), Some(Cause::NotOffered)),
            (over_tls.clone(), None),
            (with(over_tls.clone(), with(at_v6(server.tls_port), service("shop.Orders"))), None),
            (with(over_tls.clone(), json!({ "server_name": "x.test" })), Some(Cause::TlsName)),
            (with(at(port), json!({ "tls": true, "ca": trust.ca })), Some(Cause::TlsHandshake)),
        ],
    )
    .await;
    let tls_port = server.tls_port;
    let places = [at(port), at_v6(port), with(over_tls, at_v6(tls_port))];
    is_there("grpc", &places).await;
    drop(server);
    let both = |port| [("127.0.0.1", port), ("::1", port)];
    closes(&[both(port), both(tls_port)].concat()).await;
    is_gone("grpc", &places).await;
}

#[tokio::test]
async fn a_real_server_of_http_3_answers_over_quic() {
    let trust = Trust::new();
    let server = Caddy::start(&trust.scratch, &trust.identity, "h1 h2 h3").await;
    let older = Caddy::start(&trust.scratch, &trust.identity, "h1 h2").await;
    let asked = |host: &str, server: &Caddy, path: &str, more: Value| {
        let url = json!(format!("https://{host}:{}{path}", server.port));
        let tls = json!({ "ca": trust.ca, "server_name": "service.test", "host": "service.test" });
        with(json!({ "url": url, "version": 3 }), with(tls, more))
    };
    let says = |version: &str| json!({ "body": { "contains": format!("served by {version}") } });
    for (host, family) in [("127.0.0.1", "v4"), ("[::1]", "v6")] {
        let family = json!({ "family": family });
        let settings = with(asked(host, &server, "/", says("HTTP/3.0")), family);
        let outcome = run("http", &settings).await;
        assert_eq!(outcome.cause, None, "{}", outcome.detail);
        assert_eq!(outcome.values["http_version"], 3.0);
        for phase in [Phase::Connect, Phase::Send, Phase::FirstByte, Phase::Transfer] {
            assert!(outcome.phases.get(phase).is_some(), "{phase:?}");
        }
    }
    let host = "127.0.0.1";
    let stranger = json!({ "server_name": "x.test" });
    let followed = with(json!({ "redirects": 1 }), says("HTTP/3.0"));
    each(
        "http",
        vec![
            (asked(host, &server, "/", with(json!({ "version": 2 }), says("HTTP/2.0"))), None),
            (asked(host, &server, "/large", json!({ "expect": "bytes == 50000" })), None),
            (asked(host, &server, "/old", json!({ "status": [302] })), None),
            (asked(host, &server, "/old", followed), None),
            // It has no certificate for that name, and says so by an alert.
            (asked(host, &server, "/", stranger), Some(Cause::TlsHandshake)),
            (asked(host, &older, "/", json!({ "version": 2 })), None),
        ],
    )
    .await;
    // Nobody listens for datagrams there, and QUIC hears no refusal.
    let settings = asked(host, &older, "/", json!({}));
    let outcome = run_within("http", &settings, Duration::from_secs(1)).await;
    assert_eq!(outcome.cause, Some(Cause::ConnectTimeout), "{}", outcome.detail);
    assert!(outcome.detail.contains("UDP"), "{}", outcome.detail);
}

#[tokio::test]
async fn a_real_web_server_is_there_and_gone_over_both_families() {
    let trust = Trust::new();
    let server = Caddy::start(&trust.scratch, &trust.identity, "h1 h2").await;
    let port = server.port;
    let hosts = [("127.0.0.1", "v4"), ("[::1]", "v6")];
    let trusted = json!({ "ca": trust.ca, "server_name": "service.test" });
    let named = with(trusted.clone(), json!({ "host": "service.test" }));
    let places = |kind: &str| {
        hosts.map(|(host, family)| {
            let base = json!(format!("https://{host}:{port}"));
            let says = json!({ "body": { "contains": "served by HTTP" }, "family": family });
            match kind {
                "tls" => with(
                    json!({ "address": format!("{host}:{port}"), "family": family }),
                    trusted.clone(),
                ),
                "journey" => {
                    let step = with(json!({ "name": "look", "url": "/" }), says);
                    json!({ "base": base, "each": named, "steps": [step] })
                }
                _ => with(json!({ "url": base }), with(named.clone(), says)),
            }
        })
    };
    let kinds = ["http", "tls", "page", "journey"];
    for kind in kinds {
        is_there(kind, &places(kind)).await;
    }
    drop(server);
    closes(&[("127.0.0.1", port), ("::1", port)]).await;
    for kind in kinds {
        is_gone(kind, &places(kind)).await;
    }
}

#[tokio::test]
async fn a_real_provider_gives_out_tokens_and_takes_them_back() {
    let scratch = Scratch::new();
    let provider = Django::start_provider(&scratch).await;
    let base = format!("http://127.0.0.1:{}", provider.port);
    let secrets = [("RIGHT", CLIENT_SECRET), ("WRONG", "hunter33")];
    let env = env(&secrets);
    let check = |secret: &str, more: Value| {
        let login = json!({
            "token_url": format!("{base}/o/token/"),
            "client_id": CLIENT,
            "client_secret": format!("${{env:{secret}}}"),
            "scopes": ["stock.read"],
        });
        let settings = json!({
            "url": format!("{base}/stock"),
            "body": { "contains": "in stock: 7" },
            "oauth2": with(login, more),
        });
        kind::find("http").expect("a kind").parse(&settings).expect("fits")
    };
    for more in [json!({}), json!({ "auth": "body" })] {
        let outcome = check("RIGHT", more).run(&env, PLENTY).await;
        assert_eq!(outcome.cause, None, "{}", outcome.detail);
    }
    for (secret, more, words) in [
        ("WRONG", json!({}), "invalid_client"),
        ("RIGHT", json!({ "scopes": ["stock.burn"] }), "invalid_scope"),
    ] {
        let outcome = check(secret, more).run(&env, PLENTY).await;
        assert_eq!(outcome.cause, Some(Cause::Token), "{}", outcome.detail);
        assert!(outcome.detail.contains(words), "{}", outcome.detail);
    }
    let outcome = check("RIGHT", json!({ "scopes": ["stock.write"] })).run(&env, PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::Status), "{}", outcome.detail);
    // What is kept is asked for once; what was taken back is asked for anew.
    let kept = check("RIGHT", json!({}));
    let asked = |outcome: &Outcome| outcome.values.get("requests").copied();
    for wanted in [Some(2.0), None] {
        let outcome = kept.run(&env, PLENTY).await;
        assert_eq!((outcome.cause, asked(&outcome)), (None, wanted), "{}", outcome.detail);
    }
    provider.forget_tokens();
    let outcome = kept.run(&env, PLENTY).await;
    assert_eq!((outcome.cause, asked(&outcome)), (None, Some(3.0)), "{}", outcome.detail);
}
