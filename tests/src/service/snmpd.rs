//! A real SNMP agent: Debian's snmpd.

use std::process::Command;

use super::free_udp;
use crate::eventually::eventually;
use crate::process::Process;
use crate::scratch::Scratch;

/// A running agent with the community `public`.
pub struct Snmpd {
    /// Its port on loopback.
    pub port: u16,
    _process: Process,
}

impl Snmpd {
    /// Starts one.
    ///
    /// # Panics
    /// It cannot be started.
    pub async fn start(scratch: &Scratch) -> Self {
        let port = free_udp();
        let text = "rocommunity public 127.0.0.1\nsysName crosscheck.test\n";
        let file = scratch.write("snmpd.conf", text);
        let mut command = Command::new("snmpd");
        command.args(["-f", "-Lo", "-C", "-c"]).arg(file);
        command.arg(format!("udp:127.0.0.1:{port}"));
        // Without the files of names, which Debian does not have: numbers are enough.
        command.env("MIBS", "").env("SNMP_PERSISTENT_DIR", scratch.directory("snmp"));
        let process = Process::start("snmpd", &mut command, &scratch.file("snmpd.log"));
        eventually(super::START_WITHIN, "snmpd listens", || {
            let log = process.log();
            let listens = log.contains("NET-SNMP version");
            async move { if listens { Ok(()) } else { Err(log) } }
        })
        .await;
        Self { port, _process: process }
    }
}
