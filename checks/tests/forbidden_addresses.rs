//! No check ever connects to an address that its probe must not reach, by whatever name, spelling,
//! redirect or second answer it is sent there.
//!
//! The test runs itself again in a network namespace in which *every* address is local: whoever
//! knocks anywhere is heard, and written down with the address that was knocked at.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crosscheck_checks::env::{Env, Secrets};
use crosscheck_checks::guard::{Guard, Own};
use crosscheck_checks::kind;
use crosscheck_checks::programs::Programs;
use crosscheck_checks::resolve::Resolver;
use crosscheck_model::{Cause, Outcome};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::Notify;

/// Set in the process within the namespace.
const INSIDE: &str = "CROSSCHECK_TEST_INSIDE";
/// Ports at which everything listens.
const PORTS: [u16; 3] = [53, 80, 443];
/// An address that may be connected to.
const PUBLIC: &str = "93.184.216.34";
const PUBLIC_V6: &str = "2606:2800:220:1::1";

/// Where coordinators of the installation are; forbidden is what leads there, too.
const COORDINATORS: [&str; 2] = ["198.41.0.4", "2606:2800:220:1::7"];
const TO_COORDINATORS: [&str; 5] =
    ["198.41.0.4", "::ffff:198.41.0.4", "64:ff9b::c629:4", "2002:c629:4::1", "2606:2800:220:1::7"];

/// Addresses that no check is sent to.
const LAST: [&str; 2] = ["203.0.113.99", "2001:db8::99"];

/// Addresses that must not be connected to, in all families and clothes.
const FORBIDDEN: [&str; 22] = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "240.0.0.1",
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "fd00:ec2::254",
    "fd12::1",
    "fe80::1",
];

/// A URL's spellings of 127.0.0.1 and of 169.254.169.254.
const SPELLINGS: [&str; 9] = [
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "127.1",
    "0177.0.0.1",
    "127.0.0.1.",
    "2852039166",
    "[::ffff:7f00:1]",
    "[::ffff:a9fe:a9fe]",
];

#[test]
fn no_check_connects_to_a_forbidden_address() {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(inside());
        return;
    }
    let this = std::env::current_exe().expect("this program");
    let name = "no_check_connects_to_a_forbidden_address";
    let script = "ip link set lo up && ip route add local 0.0.0.0/0 dev lo \
         && ip -6 route add local ::/0 dev lo \
         && echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind && exec \"$@\"";
    let said = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c", script, "sh"])
        .arg(this)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare, of util-linux");
    let told = [said.stdout, said.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(said.status.success() && told[0].contains("1 passed"), "{}\n{}", told[0], told[1]);
}

/// What was knocked at.
#[derive(Clone, Default)]
struct Knocked(Arc<Heard>);

#[derive(Default)]
struct Heard {
    addresses: Mutex<Vec<IpAddr>>,
    more: Notify,
}

impl Knocked {
    fn note(&self, address: IpAddr) {
        self.0.addresses.lock().expect("no panic").push(address);
        self.0.more.notify_one();
    }

    /// All knocks so far. A connection stands before the listener has noticed it, but a listener
    /// notices in turn: so each is given a last one to wait for.
    async fn take(&self) -> Vec<IpAddr> {
        let mut last = Vec::new();
        for port in PORTS {
            for address in LAST {
                let stream = TcpStream::connect((ip(address), port)).await;
                last.push(stream.expect("everything listens"));
            }
        }
        loop {
            let more = self.0.more.notified();
            if let Some(heard) = self.up_to(last.len()) {
                return heard;
            }
            more.await;
        }
    }

    /// All knocks, without the last ones, if so many of these have been heard.
    fn up_to(&self, count: usize) -> Option<Vec<IpAddr>> {
        let is_last = |address: &IpAddr| LAST.iter().any(|last| ip(last) == *address);
        let mut heard = self.0.addresses.lock().expect("no panic");
        let (last, other): (Vec<_>, Vec<_>) = heard.iter().partition(|address| is_last(address));
        (last.len() == count).then(|| {
            heard.clear();
            other
        })
    }
}

async fn inside() {
    let knocked = Knocked::default();
    for port in PORTS {
        for any in ["0.0.0.0", "::"] {
            listen(ip(any), port, knocked.clone());
        }
    }
    for address in FORBIDDEN.iter().chain([&PUBLIC]).filter(|address| bindable(address)) {
        hear(ip(address), knocked.clone()).await;
    }
    let names = name_server().await;
    let secrets = Secrets::default();
    let env = Env {
        guard: Guard::public(),
        resolver: Resolver::new(vec![names]),
        secrets,
        programs: Programs::default(),
    };
    the_recorder_hears(&env, &knocked).await;
    let echoes = pings();
    by_address(&env).await;
    by_proxy(&env).await;
    by_name(&env).await;
    assert!(knocked.take().await.is_empty(), "nobody may have knocked");
    assert_eq!(pings(), echoes, "nor pinged");
    by_redirect(&env, &knocked).await;
    by_second_answer(&env, &knocked).await;
    by_ownership(&env, &knocked).await;
}

/// What is the installation's own is forbidden wherever it stands.
async fn by_ownership(env: &Env, knocked: &Knocked) {
    let own = Own::default();
    COORDINATORS.iter().for_each(|address| own.add_coordinator(ip(address)));
    own.add_listener(443);
    let env = Env { guard: Guard::Public(own), ..env.clone() };
    let echoes = pings();
    for host in TO_COORDINATORS.into_iter().chain(["coordinator.test"]) {
        for (kind, settings) in each_kind(host).into_iter().chain(each_service(host)) {
            if kind == "dns" && host.ends_with(".test") {
                continue; // Its server is an address.
            }
            let outcome = run(&env, kind, &settings).await;
            assert_eq!(outcome.cause, Some(Cause::BlockedAddress), "{kind} {host}: {outcome:?}");
            assert!(outcome.detail.contains("coordinator"), "{kind} {host}: {outcome:?}");
        }
    }
    assert!(knocked.take().await.is_empty(), "nobody may have knocked");
    assert_eq!(pings(), echoes, "nor pinged");
    let url = format!("http://{PUBLIC}/?http://{}/", COORDINATORS[0]);
    let outcome = run(&env, "http", &json!({ "url": url, "redirects": 5 })).await;
    assert_eq!(outcome.cause, Some(Cause::BlockedAddress), "{outcome:?}");
    assert_eq!(knocked.take().await, [ip(PUBLIC)], "a redirect to a coordinator");
    // Every address is this host's here: 443 is the probe's own port at all of them, 80 at none.
    let outcome = run(&env, "tcp", &json!({ "address": format!("{PUBLIC}:443") })).await;
    assert_eq!(outcome.cause, Some(Cause::BlockedAddress), "{outcome:?}");
    assert!(outcome.detail.contains("itself listens"), "{outcome:?}");
    assert!(knocked.take().await.is_empty(), "nobody may have knocked");
    let outcome = run(&env, "tcp", &json!({ "address": format!("{PUBLIC}:80") })).await;
    assert_eq!(outcome.cause, None, "{outcome:?}");
    assert_eq!(knocked.take().await, [ip(PUBLIC)]);
}

/// Without this the test could not fail.
async fn the_recorder_hears(env: &Env, knocked: &Knocked) {
    let internal = Env { guard: Guard::Internal, ..env.clone() };
    for (env, host) in [(env, PUBLIC), (&internal, "10.0.0.1"), (&internal, "169.254.169.254")] {
        for (kind, settings) in each_kind(host) {
            let echoes = pings();
            run(env, kind, &settings).await;
            let heard = knocked.take().await;
            match kind {
                "icmp" => assert!(pings() > echoes, "{host}"),
                _ => assert!(heard.contains(&ip(host)), "{kind} {host}: {heard:?}"),
            }
        }
    }
}

async fn by_address(env: &Env) {
    for host in FORBIDDEN {
        for (kind, settings) in each_kind(host).into_iter().chain(each_service(host)) {
            let outcome = run(env, kind, &settings).await;
            assert_eq!(outcome.cause, Some(Cause::BlockedAddress), "{kind} {host}: {outcome:?}");
        }
    }
    for host in SPELLINGS {
        let outcome = run(env, "http", &json!({ "url": format!("http://{host}/") })).await;
        assert_eq!(outcome.cause, Some(Cause::BlockedAddress), "{host}: {outcome:?}");
    }
}

/// Neither stands a proxy at such an address, nor is one asked for it.
async fn by_proxy(env: &Env) {
    for host in FORBIDDEN.map(bracketed).into_iter().chain(SPELLINGS.map(str::to_owned)) {
        let public = bracketed(if host.contains(':') { PUBLIC_V6 } else { PUBLIC });
        for scheme in ["http", "socks5"] {
            let at = |url: &str, proxy: &str| {
                let proxy = format!("{scheme}://{proxy}:80");
                json!({ "url": url, "proxy": { "url": proxy } })
            };
            for settings in [
                at("http://shop.test/", &host),
                at("https://shop.test/", &host),
                at(&format!("http://{host}/"), &public),
                at(&format!("https://{host}/"), &public),
            ] {
                let outcome = run(env, "http", &settings).await;
                let cause = outcome.cause;
                assert_eq!(cause, Some(Cause::BlockedAddress), "{settings}: {outcome:?}");
            }
        }
    }
}

async fn by_name(env: &Env) {
    for host in ["inside.test", "alias.test"] {
        for (kind, settings) in each_kind(host).into_iter().chain(each_service(host)) {
            if kind == "dns" {
                continue; // Its server is an address.
            }
            let outcome = run(env, kind, &settings).await;
            assert_eq!(outcome.cause, Some(Cause::BlockedAddress), "{kind} {host}: {outcome:?}");
        }
    }
}

async fn by_redirect(env: &Env, knocked: &Knocked) {
    for host in FORBIDDEN.map(bracketed).into_iter().chain(SPELLINGS.map(str::to_owned)) {
        let (public, family) = match host.contains(':') {
            true => (PUBLIC_V6, "v6"),
            false => (PUBLIC, "v4"),
        };
        let url = format!("http://{}/?http://{host}/", bracketed(public));
        let settings = json!({ "url": url, "redirects": 5, "family": family });
        let outcome = run(env, "http", &settings).await;
        assert_eq!(outcome.cause, Some(Cause::BlockedAddress), "{host}: {outcome:?}");
        assert_eq!(knocked.take().await, [ip(public)], "{host}");
    }
}

async fn by_second_answer(env: &Env, knocked: &Knocked) {
    // The first answer is public, every later one is not.
    let outcome = run(env, "http", &json!({ "url": "http://rebind-a.test/" })).await;
    assert_eq!(outcome.cause, None, "{outcome:?}");
    assert_eq!(knocked.take().await, [ip(PUBLIC)], "what was judged is what was connected to");
    let outcome = run(env, "http", &json!({ "url": "http://rebind-a.test/" })).await;
    assert_eq!(outcome.cause, Some(Cause::BlockedAddress), "{outcome:?}");
    let url = "http://rebind-b.test/?http://rebind-b.test/";
    let outcome = run(env, "http", &json!({ "url": url, "redirects": 5 })).await;
    assert_eq!(outcome.cause, Some(Cause::BlockedAddress), "{outcome:?}");
    assert_eq!(knocked.take().await, [ip(PUBLIC)], "the redirect's own answer was judged anew");
    // Both at once: only the public one is tried.
    for (kind, settings) in each_kind("both.test") {
        if matches!(kind, "http" | "tcp" | "tls") {
            run(env, kind, &settings).await;
            assert_eq!(knocked.take().await, [ip(PUBLIC)], "{kind}");
        }
    }
}

/// A check of each kind whose target is `host`.
fn each_kind(host: &str) -> [(&'static str, Value); 7] {
    let family = if host.contains(':') { "v6" } else { "v4" };
    let at = |port: u16| format!("{}:{port}", bracketed(host));
    [
        ("http", json!({ "url": format!("http://{}/", bracketed(host)), "family": family })),
        ("page", json!({ "url": format!("http://{}/", bracketed(host)), "family": family })),
        ("tcp", json!({ "address": at(80), "family": family })),
        ("tls", json!({ "address": at(443), "family": family })),
        ("dns", json!({ "name": "a.test", "type": "A", "server": host })),
        ("icmp", json!({ "host": host, "family": family, "count": 1 })),
        (
            "journey",
            json!({ "steps": [
                { "url": format!("http://{}/", bracketed(host)), "family": family, "always": true },
            ] }),
        ),
    ]
}

/// A check of each kind that talks with a service, and one that is turned round.
fn each_service(host: &str) -> impl Iterator<Item = (&'static str, Value)> {
    let family = if host.contains(':') { "v6" } else { "v4" };
    let settings = json!({ "address": format!("{}:80", bracketed(host)), "family": family });
    let mut negated = settings.clone();
    negated["negate"] = json!(true);
    let kinds = ["smtp", "imap", "pop3", "ftp", "ssh", "telnet", "redis", "mysql"];
    kinds.into_iter().map(move |kind| (kind, settings.clone())).chain([("tcp", negated)])
}

async fn run(env: &Env, kind: &str, settings: &Value) -> Outcome {
    let check = kind::find(kind).expect("a kind").parse(settings);
    let check = check.unwrap_or_else(|errors| panic!("{kind} {settings}: {errors:?}"));
    check.run(env, Duration::from_secs(2)).await
}

fn ip(text: &str) -> IpAddr {
    IpAddr::from_str(text).expect("an address")
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Accepts at every address, and answers like a web server that redirects to its query.
fn listen(any: IpAddr, port: u16, knocked: Knocked) {
    let socket = if any.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.expect("a socket");
    socket.set_reuseaddr(true).expect("set");
    if any.is_ipv6() {
        // The name server of the test and IPv4 have their own.
        socket2_v6_only(&socket);
    }
    socket.bind(SocketAddr::new(any, port)).expect("a free port");
    let listener: TcpListener = socket.listen(64).expect("listens");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            knocked.note(stream.local_addr().expect("connected").ip());
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let target = request.split(' ').nth(1).and_then(|path| path.split_once("/?"));
                let answer = match target {
                    Some((_, to)) => format!("302 Found\r\nLocation: {to}"),
                    None => "200 OK".to_owned(),
                };
                let answer =
                    format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                // Whoever is gone needs no answer.
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
}

fn socket2_v6_only(socket: &TcpSocket) {
    socket2::SockRef::from(socket).set_only_v6(true).expect("set");
}

/// A datagram's own address is only known where one listens at that one alone.
async fn hear(address: IpAddr, knocked: Knocked) {
    let socket = UdpSocket::bind(SocketAddr::new(address, 53)).await;
    let socket = socket.unwrap_or_else(|error| panic!("{address}: {error}"));
    tokio::spawn(async move {
        let mut packet = [0; 1024];
        while socket.recv_from(&mut packet).await.is_ok() {
            knocked.note(address);
        }
    });
}

/// Whether one can listen at this address alone.
fn bindable(address: &str) -> bool {
    let address = ip(address);
    let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    let scoped = address.to_string().starts_with("fe80");
    !address.is_unspecified() && !mapped && !scoped
}

/// Echo requests that came, of both families.
fn pings() -> u64 {
    let table = std::fs::read_to_string("/proc/net/snmp").expect("a table");
    let mut lines = table.lines().filter(|line| line.starts_with("Icmp:"));
    let (heads, values) = (lines.next().expect("heads"), lines.next().expect("values"));
    let column = heads.split(' ').position(|head| head == "InEchos").expect("a column");
    let v4: u64 = values.split(' ').nth(column).expect("a value").parse().expect("a number");
    let table = std::fs::read_to_string("/proc/net/snmp6").expect("a table");
    let line = table.lines().find(|line| line.starts_with("Icmp6InEchos ")).expect("a line");
    let v6: u64 = line.split_whitespace().nth(1).expect("a value").parse().expect("a number");
    v4 + v6
}

/// Answers for `*.test`; the `rebind` names change their answer after the first question.
async fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("bound");
    let asked = [AtomicU32::new(0), AtomicU32::new(0)];
    tokio::spawn(async move {
        let mut packet = [0; 1024];
        while let Ok((length, from)) = socket.recv_from(&mut packet).await {
            let query = Message::from_vec(&packet[..length]).expect("a question");
            let answer = answer(&query, &asked).to_vec().expect("encodes");
            socket.send_to(&answer, from).await.expect("sent");
        }
    });
    address
}

fn answer(query: &Message, asked: &[AtomicU32; 2]) -> Message {
    let question = &query.queries[0];
    let name = question.name().clone();
    let v4 = question.query_type() == RecordType::A;
    let address = |text: &str| match ip(text) {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    let inside = || address(if v4 { "10.0.0.1" } else { "fd12::1" });
    let public = || address(if v4 { PUBLIC } else { PUBLIC_V6 });
    let rebind = |n: usize| match asked[n].fetch_add(1, Ordering::SeqCst) {
        0 => vec![public()],
        _ => vec![inside()],
    };
    let answers = match name.to_string().as_str() {
        "inside.test." => vec![inside()],
        "alias.test." => {
            let target = Name::from_str("inside.test.").expect("a name");
            vec![RData::CNAME(CNAME(target)), inside()]
        }
        "both.test." => vec![inside(), public()],
        "coordinator.test." => vec![address(COORDINATORS[usize::from(!v4)])],
        "rebind-a.test." => rebind(0),
        "rebind-b.test." => rebind(1),
        _ => Vec::new(),
    };
    let mut message = Message::response(query.metadata.id, query.metadata.op_code);
    message.metadata.response_code = ResponseCode::NoError;
    message.metadata.recursion_available = true;
    message.queries.clone_from(&query.queries);
    let mut owner = name;
    for data in answers {
        let next = match &data {
            RData::CNAME(CNAME(target)) => target.clone(),
            _ => owner.clone(),
        };
        message.answers.push(Record::from_rdata(owner, 60, data));
        owner = next;
    }
    message
}
