//! A real SNMP agent: Debian's snmpd.

use std::process::Command;

use super::free_udp;
use crate::eventually::eventually;
use crate::process::Process;
use crate::scratch::Scratch;

/// A running agent with the community `public`, and the user `probe` of SNMPv3, whose passwords for
/// authentication (SHA) and encryption (AES) are `hunter22`; without both it says nothing to them.
pub struct Snmpd {
    /// Its port on loopback of both families.
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
        let text = "rocommunity public 127.0.0.1\nrocommunity6 public ::1\nrouser probe authpriv\n\
                    createUser probe SHA hunter22 AES hunter22\nsysName crosscheck.test\n";
        let file = scratch.write("snmpd.conf", text);
        let mut command = Command::new("snmpd");
        command.args(["-f", "-Lo", "-C", "-c"]).arg(file);
        command.arg(format!("udp:127.0.0.1:{port}")).arg(format!("udp6:[::1]:{port}"));
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
