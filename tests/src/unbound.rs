//! A real Unbound, which knows the zone `test` and nothing else.

use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

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
        let file = scratch.write("unbound.conf", &text);
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
