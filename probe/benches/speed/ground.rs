//! The targets of the race, all on this network's loopback: nginx, knot, a server of HTTP/3 within
//! this process, one that holds its answers back, and the kernel for echoes.

use std::fs;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::program::{Program, eventually, write};
use crate::quic;
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
        // Servers drop their privileges: they must get in, too.
        fs::set_permissions(at, fs::Permissions::from_mode(0o755)).expect("permissions");
        let ca = certify(at);
        let programs = vec![nginx(at), knot(at), holder(at)];
        let pem = ["leaf.pem", "leaf.key"].map(|name| fs::read(at.join(name)).expect("written"));
        quic::serve(PORTS.http3, &pem);
        for port in [PORTS.http, PORTS.https, HOLD_PORT] {
            eventually(START_WITHIN, "a target listens", async || {
                let seen = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
                seen.map(drop).map_err(|error| format!("{port}: {error}"))
            })
            .await;
        }
        eventually(START_WITHIN, "knot answers", async || asked()).await;
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

fn nginx(at: &Path) -> Program {
    let (path, Ports { http, https, .. }) = (at, PORTS);
    let at = path.display();
    let text = format!(
        "daemon off; master_process off; pid {at}/nginx.pid; worker_rlimit_nofile 65536;\n\
         events {{ worker_connections 16384; }}\n\
         http {{ access_log off;\n\
           client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
           fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
           ssl_protocols TLSv1.3; ssl_session_tickets off; ssl_session_cache off;\n\
           server {{ listen {http} backlog=4096; listen {https} ssl backlog=4096;\n\
             ssl_certificate {at}/leaf.pem; ssl_certificate_key {at}/leaf.key;\n\
             location / {{ return 200 'ok'; }} }} }}\n"
    );
    let file = write(path, "nginx.conf", text);
    let mut command = Command::new("nginx");
    command.arg("-e").arg("stderr").arg("-p").arg(path).arg("-c").arg(file);
    Program::start(&mut command, path.join("nginx.log"))
}

fn knot(path: &Path) -> Program {
    let at = path.display();
    let zone = format!(
        "$ORIGIN {NAME}.\n$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\n\
         ns A 127.0.0.1\n* A 192.0.2.1\n"
    );
    write(path, "zone", zone);
    let text = format!(
        "server:\n  rundir: {at}\n  listen: 0.0.0.0@{}\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\n\
         database:\n  storage: {at}\n\
         template:\n  - id: default\n    storage: {at}\n    zonefile-load: whole\n    \
         journal-content: none\n\
         zone:\n  - domain: {NAME}\n    file: zone\n",
        PORTS.dns
    );
    let file = write(path, "knot.conf", text);
    let mut command = Command::new("knotd");
    command.arg("-c").arg(file);
    Program::start(&mut command, path.join("knot.log"))
}

/// It waits with real-time priority, so that whoever else is busy does not make it late.
fn holder(at: &Path) -> Program {
    let own = std::env::current_exe().expect("a program has a file");
    let mut command = Command::new("chrt");
    command.args(["--fifo", "50"]).arg(own).arg("hold");
    command.args(["--port", &HOLD_PORT.to_string(), "--millis", &HELD.as_millis().to_string()]);
    Program::start(&mut command, at.join("hold.log"))
}

/// Asks knot for a name.
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
