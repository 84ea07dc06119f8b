//! A real Telnet server: the one of libtelnet's examples, as it needs neither inetd nor accounts.
//! It listens at every address, so it is for a network namespace.

use std::fs;
use std::process::Command;

use super::{START_WITHIN, free};
use crate::eventually::eventually;
use crate::process::Process;
use crate::scratch::Scratch;

/// A Telnet server that negotiates, and asks "Enter name: ".
pub struct Telnetd {
    /// Its port.
    pub port: u16,
    _process: Process,
}

impl Telnetd {
    /// Starts one.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch) -> Self {
        let port = free();
        let mut command = Command::new("telnet-chatd");
        command.arg(port.to_string());
        let mut process = Process::start("telnetd", &mut command, &scratch.file("telnetd.log"));
        // Nobody may knock in vain: it ends when a client goes while it speaks.
        eventually(START_WITHIN, "the Telnet server listens", || async {
            if listens(port) { Ok(()) } else { Err(process.log()) }
        })
        .await;
        assert!(process.ended().is_none(), "another program listens there");
        Self { port, _process: process }
    }
}

/// Whether somebody listens at a port of IPv4: the kernel's table has the local address second,
/// the state fourth.
fn listens(port: u16) -> bool {
    const LISTEN: &str = "0A";
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel tells");
    table.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let address = words.next().unwrap_or_default();
        address.ends_with(&format!(":{port:04X}")) && words.nth(1) == Some(LISTEN)
    })
}
