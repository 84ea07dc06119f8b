//! What the race needs: a network of its own, and on its loopback the targets, a server that holds
//! its answers back, and the kernel for echoes.

use std::fs;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::program::{Program, eventually, write};
use crate::target;
use crate::work::{NAME, Ports};

/// How long a server may take until it answers.
const START_WITHIN: Duration = Duration::from_secs(20);

/// How long answers are held back.
pub(crate) const HELD: Duration = Duration::from_millis(10);

/// Ports of a network that nobody else is on.
const PORTS: Ports = Ports { http: 8080, https: 8443, http3: 8444, dns: 5353 };

/// The port of the server that holds its answers back.
pub(crate) const HOLD_PORT: u16 = 8010;

/// What the race needs of this network: closed connections that are remembered by the kernel,
/// and room for those that wait to be accepted.
const KERNEL: [(&str, &str); 3] = [
    ("ipv4/tcp_max_tw_buckets", "4096"),
    ("core/somaxconn", "4096"),
    ("ipv4/ip_local_port_range", "10000 65000"),
];

/// The targets; they end with it.
pub(crate) struct Ground {
    /// Where they listen.
    pub(crate) ports: Ports,
    /// The PEM file of the only root to trust.
    pub(crate) ca: PathBuf,
    /// Where files of the racers go.
    pub(crate) scratch: TempDir,
    _programs: Vec<Program>,
}

impl Ground {
    /// Running targets.
    ///
    /// # Panics
    /// One does not run, or this is not a network of its own.
    pub(crate) async fn prepare() -> Self {
        assert!(is_alone(), "not on a network of its own; start this by `tests/speed`");
        for (key, value) in KERNEL {
            fs::write(format!("/proc/sys/net/{key}"), value).expect("a network of its own");
        }
        let scratch = TempDir::with_prefix("crosscheck-speed-").expect("a directory");
        let at = scratch.path();
        let ca = certify(at);
        let programs = vec![holder(at)];
        let pem = ["leaf.pem", "leaf.key"].map(|name| fs::read(at.join(name)).expect("written"));
        target::start(PORTS, pem);
        for port in [PORTS.http, PORTS.https, HOLD_PORT] {
            eventually(START_WITHIN, "a target listens", async || {
                let seen = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
                seen.map(drop).map_err(|error| format!("{port}: {error}"))
            })
            .await;
        }
        eventually(START_WITHIN, "names are answered", async || asked()).await;
        Self { ports: PORTS, ca, scratch, _programs: programs }
    }

    /// The URL of the server that holds its answers back.
    pub(crate) fn held_url(&self) -> String {
        format!("http://127.0.0.1:{HOLD_PORT}/")
    }

    /// How late the holding server's answers were since the last call, 99 of 100, at most.
    ///
    /// # Panics
    /// It does not answer.
    pub(crate) async fn held_back_late(&self) -> Duration {
        let url = format!("{}worst", self.held_url());
        let answer = reqwest::get(url).await.expect("it listens").text().await.expect("a number");
        Duration::from_micros(answer.parse().expect("a number"))
    }
}

/// Whether loopback is the only interface.
pub(crate) fn is_alone() -> bool {
    let text = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    text.lines().skip(2).all(|line| line.trim_start().starts_with("lo:"))
}

/// A root, and a certificate of it for the targets; the root's file.
fn certify(at: &Path) -> PathBuf {
    let key = || KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "The race's authority");
    let issuer = CertifiedIssuer::self_signed(params, key()).expect("signs itself");
    let (params, key) = (CertificateParams::new(vec![NAME.to_owned()]).expect("a name"), key());
    let certificate = params.signed_by(&key, &issuer).expect("signs");
    write(at, "leaf.pem", certificate.pem());
    write(at, "leaf.key", key.serialize_pem());
    write(at, "ca.pem", issuer.pem())
}

/// It waits with real-time priority, so that whoever else is busy does not make it late.
fn holder(at: &Path) -> Program {
    let own = std::env::current_exe().expect("a program has a file");
    let mut command = Command::new("chrt");
    command.args(["--fifo", "50"]).arg(own).arg("hold");
    command.args(["--port", &HOLD_PORT.to_string(), "--millis", &HELD.as_millis().to_string()]);
    Program::start(&mut command, at.join("hold.log"))
}

/// Asks for a name.
fn asked() -> Result<(), String> {
    let ask = || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        socket.connect((Ipv4Addr::LOCALHOST, PORTS.dns))?;
        socket.send(b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x01n\x06target\x04test\0\0\x01\0\x01")?;
        socket.recv(&mut [0; 512])
    };
    ask().map(drop).map_err(|error: std::io::Error| error.to_string())
}
