//! A real chrony, which serves the time of this machine as its own and sets no clock.

use std::process::Command;

use super::free_udp;
use crate::eventually::eventually;
use crate::process::Process;
use crate::scratch::Scratch;

/// The stratum that it claims.
pub const STRATUM: u8 = 5;

/// A running chrony.
pub struct Chrony {
    /// Its port on loopback of both families.
    pub port: u16,
    process: Process,
}

impl Chrony {
    /// Starts one; without a clock of its own it is never synchronised.
    ///
    /// # Panics
    /// It cannot be started.
    pub async fn start(scratch: &Scratch, has_clock: bool) -> Self {
        let port = free_udp();
        let local = if has_clock { format!("local stratum {STRATUM}\n") } else { String::new() };
        let text = format!(
            "port {port}\nbindaddress 127.0.0.1\nbindaddress ::1\nallow all\ncmdport 0\n{local}\
             pidfile {at}/chronyd-{port}.pid\nbindcmdaddress /\n",
            at = scratch.path().display()
        );
        let file = scratch.write(&format!("chrony-{port}.conf"), &text);
        let mut command = Command::new("chronyd");
        // In the foreground, without control of the clock, as whoever runs the test.
        command.args(["-d", "-x", "-u", "root", "-f"]).arg(file);
        let log = scratch.file(&format!("chrony-{port}.log"));
        let process = Process::start("chrony", &mut command, &log);
        let chrony = Self { port, process };
        eventually(super::START_WITHIN, "chrony serves", || {
            let log = chrony.process.log();
            let serves = log.contains("Disabled control of system clock");
            async move { if serves { Ok(()) } else { Err(log) } }
        })
        .await;
        chrony
    }

    /// Ends it: its port is closed.
    pub fn stop(&mut self) {
        self.process.terminate();
    }
}
