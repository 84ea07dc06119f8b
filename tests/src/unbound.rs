//! A real Unbound, which knows the zone `test` and nothing else, or asks the servers it is told of.

use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::authority::Identity;
use crate::eventually::eventually;
use crate::port;
use crate::process::Process;
use crate::scratch::Scratch;

/// How long it may take until it answers.
const START_WITHIN: Duration = Duration::from_secs(10);

/// The port that `resolv.conf` cannot change.
const DNS_PORT: u16 = 53;

/// A running Unbound.
pub struct Unbound {
    /// The loopback address it listens at, port 53.
    pub address: Ipv4Addr,
    _process: Process,
}

impl Unbound {
    /// Starts one that knows `names` to be at 127.0.0.1, and all others below `test` not to be.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch, names: &[&str]) -> Self {
        let address = port::address();
        let data: String =
            names.iter().map(|name| format!("  local-data: \"{name}. A 127.0.0.1\"\n")).collect();
        let text = format!(
            "server:\n  interface: {address}\n  port: {DNS_PORT}\n  access-control: 127.0.0.0/8 allow\n\
             \x20 do-daemonize: no\n  chroot: \"\"\n  username: \"\"\n  directory: \"{at}\"\n\
             \x20 pidfile: \"{at}/unbound.pid\"\n  use-syslog: no\n  logfile: \"\"\n\
             \x20 module-config: \"iterator\"\n  do-ip6: no\n  local-zone: \"test.\" static\n{data}\
             remote-control:\n  control-enable: no\n",
            at = scratch.path().display()
        );
        Self::run(scratch, address, &text).await
    }

    /// Starts one that asks these servers for these zones, trusts these keys (DS records), and
    /// answers over TLS and HTTPS too, on both families.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn resolving(
        scratch: &Scratch,
        tls: &Identity,
        zones: &[(&str, Ipv4Addr)],
        anchors: &[String],
    ) -> Resolving {
        let address = port::address();
        let [port, tls_port, https_port] = [(); 3].map(|()| port::free());
        let interfaces: String = [
            format!("{address}@{DNS_PORT}"),
            format!("::1@{port}"),
            format!("127.0.0.1@{port}"),
            format!("::1@{tls_port}"),
            format!("127.0.0.1@{tls_port}"),
            format!("::1@{https_port}"),
            format!("127.0.0.1@{https_port}"),
        ]
        .map(|interface| format!("  interface: {interface}\n"))
        .concat();
        let anchors: String =
            anchors.iter().map(|anchor| format!("  trust-anchor: \"{anchor}\"\n")).collect();
        // Whatever else it looks for, it finds nobody at the root, and sends nothing elsewhere.
        let nobody = "stub-zone:\n  name: \".\"\n  stub-addr: 127.0.0.1@1\n";
        let stubs: String = zones
            .iter()
            .map(|(zone, at)| format!("stub-zone:\n  name: \"{zone}\"\n  stub-addr: {at}\n"))
            .collect();
        let text = format!(
            "server:\n{interfaces}  tls-port: {tls_port}\n  https-port: {https_port}\n\
             \x20 tls-service-pem: \"{certificate}\"\n  tls-service-key: \"{key}\"\n\
             \x20 access-control: 127.0.0.0/8 allow\n  access-control: ::1 allow\n\
             \x20 do-daemonize: no\n  chroot: \"\"\n  username: \"\"\n  directory: \"{at}\"\n\
             \x20 pidfile: \"{at}/unbound.pid\"\n  use-syslog: no\n  logfile: \"\"\n\
             \x20 do-not-query-localhost: no\n  target-fetch-policy: \"0 0 0 0 0\"\n\
             \x20 module-config: \"validator iterator\"\n{anchors}{stubs}{nobody}\
             remote-control:\n  control-enable: no\n",
            at = scratch.path().display(),
            certificate = tls.certificate.display(),
            key = tls.key.display(),
        );
        let unbound = Self::run(scratch, address, &text).await;
        Resolving { unbound, port, tls_port, https_port }
    }

    async fn run(scratch: &Scratch, address: Ipv4Addr, text: &str) -> Self {
        let file = scratch.write("unbound.conf", text);
        let mut command = Command::new("unbound");
        command.arg("-d").arg("-c").arg(file);
        let mut process = Process::start("unbound", &mut command, &scratch.file("unbound.log"));
        eventually(START_WITHIN, "Unbound listens", || {
            let listens = TcpStream::connect((address, DNS_PORT));
            let seen = listens.map_err(|error| format!("{error}\n{}", process.log()));
            async move { seen.map(drop) }
        })
        .await;
        assert!(process.ended().is_none(), "another program listens there");
        Self { address, _process: process }
    }
}

/// A running Unbound that asks others.
pub struct Resolving {
    /// It.
    pub unbound: Unbound,
    /// Its port for DNS in clear text on loopback of both families.
    pub port: u16,
    /// Its port for DNS over TLS on loopback of both families.
    pub tls_port: u16,
    /// Its port for DNS over HTTPS there.
    pub https_port: u16,
}
