//! The programs of others, as their manuals say that they are used.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use crate::ground::Ground;
use crate::program::{Program, eventually, write};
use crate::racer::pinned;
use crate::work::{NAME, Ports, Work, address};

/// Where Debian puts the plugins.
const PLUGINS: &str = "/usr/lib/nagios/plugins";

/// The exporter's port.
const BLACKBOX: u16 = 9115;

/// How long it may take to start.
const START_WITHIN: Duration = Duration::from_secs(20);

/// `prometheus-blackbox-exporter`.
pub(crate) struct Blackbox {
    pub(crate) program: Program,
}

impl Blackbox {
    /// A running one.
    pub(crate) async fn start(ground: &Ground) -> Self {
        let text = format!(
            "modules:\n\
             \x20 http: {{ prober: http, http: {{ preferred_ip_protocol: ip4 }} }}\n\
             \x20 https: {{ prober: http, http: {{ preferred_ip_protocol: ip4, tls_config: {{ \
             ca_file: {}, server_name: {NAME} }} }} }}\n\
             \x20 tcp: {{ prober: tcp, tcp: {{ preferred_ip_protocol: ip4 }} }}\n\
             \x20 icmp: {{ prober: icmp, icmp: {{ preferred_ip_protocol: ip4 }} }}\n\
             \x20 dns: {{ prober: dns, dns: {{ preferred_ip_protocol: ip4, query_type: A, \
             query_name: n1.{NAME} }} }}\n",
            ground.ca.display()
        );
        let file = write(ground.scratch.path(), "blackbox.yml", text);
        let mut command = pinned("prometheus-blackbox-exporter");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{BLACKBOX}"));
        let log = ground.scratch.path().join("blackbox.log");
        let program = Program::start(&mut command, log);
        eventually(START_WITHIN, "blackbox listens", async || {
            let seen = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, BLACKBOX));
            seen.map(drop).map_err(|error| format!("{error}: {}", program.log()))
        })
        .await;
        Self { program }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{BLACKBOX}/probe")
    }
}

/// The URL that makes it check.
pub(crate) fn question(url: &str, work: Work, at: Ipv4Addr, ports: Ports) -> String {
    let (module, target) = match work {
        Work::Http => ("http", format!("http://{at}:{}/", ports.http)),
        Work::Https => ("https", format!("https://{at}:{}/", ports.https)),
        Work::Tcp => ("tcp", format!("{at}:{}", ports.http)),
        Work::Icmp => ("icmp", at.to_string()),
        Work::Dns => ("dns", format!("{at}:{}", ports.dns)),
        Work::Http3 | Work::Journey => unreachable!("it does not do {work:?}"),
    };
    format!("{url}?module={module}&target={target}")
}

/// One check by a plugin.
pub(crate) fn plugin(name: &str, work: Work, ground: &Ground, number: u32) -> Command {
    let (at, Ports { http, https, dns, .. }) = (address(number).to_string(), ground.ports);
    let mut command = pinned(format!("{PLUGINS}/{name}"));
    match work {
        Work::Http => command.args(["-I", &at, "-p", &http.to_string(), "-u", "/"]),
        Work::Https => command.args([
            "-I",
            &at,
            "-p",
            &https.to_string(),
            "-u",
            "/",
            "-S",
            "--sni",
            "-H",
            NAME,
        ]),
        Work::Tcp => command.args(["-H", &at, "-p", &http.to_string()]),
        Work::Icmp => command.args(["-H", &at, "-n", "1"]),
        Work::Dns => {
            let question = format!("n{number}.{NAME}");
            command.args(["-H", &at, "-p", &dns.to_string(), "-l", &question])
        }
        Work::Http3 | Work::Journey => unreachable!("no plugin does {work:?}"),
    };
    command
}

/// A program that does many checks in a window.
pub(crate) fn tool(name: &str, work: Work, ground: &Ground, window: Duration) -> Command {
    let seconds = window.as_secs().max(1);
    match name {
        "wrk" => {
            let mut command = pinned(name);
            command.args(["-t1", "-c16", &format!("-d{seconds}s"), "-H", "Connection: close"]);
            let (scheme, port) = match work {
                Work::Https => ("https", ground.ports.https),
                _ => ("http", ground.ports.http),
            };
            command.arg(format!("{scheme}://{}:{port}/", address(0)));
            command
        }
        "fping" => {
            // Each of 16 hosts once a millisecond.
            let mut command = pinned(name);
            command.args(["-q", "-i", "0", "-p", "1", "-c", &(seconds * 1_000).to_string()]);
            command.args((0..16).map(|number| address(number).to_string()));
            command
        }
        "dnsperf" => {
            let mut questions = String::new();
            for number in 0..1_000 {
                let _ = writeln!(questions, "n{number}.{NAME} A");
            }
            let file = write(ground.scratch.path(), "questions", questions);
            let mut command = pinned(name);
            command.args(["-s", &address(0).to_string(), "-p", &ground.ports.dns.to_string()]);
            command.args(["-c", "16", "-q", "16", "-l", &seconds.to_string(), "-d"]).arg(file);
            command
        }
        other => unreachable!("no such tool: {other}"),
    }
}
