//! Real proxies: Tinyproxy for HTTP, microsocks for SOCKS5. Both let in the user `probe` with the
//! password `hunter22`.

use std::process::Command;

use super::{free, listens};
use crate::process::Process;
use crate::scratch::Scratch;

/// A running proxy.
pub struct Proxy {
    /// Its port.
    pub port: u16,
    process: Process,
}

impl Proxy {
    /// Tinyproxy, which lets nobody ask for the host `forbidden.test`.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn http(scratch: &Scratch) -> Self {
        let port = free();
        let filter = scratch.write("tinyproxy.filter", "forbidden\n");
        let text = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 30\nMaxClients 20\nBasicAuth probe hunter22\n\
             Filter \"{}\"\nLogLevel Info\n",
            filter.display()
        );
        let file = scratch.write("tinyproxy.conf", &text);
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(file);
        let log = scratch.file("tinyproxy.log");
        let mut process = Process::start("tinyproxy", &mut command, &log);
        listens(&mut process, port).await;
        Self { port, process }
    }

    /// microsocks.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn socks(scratch: &Scratch) -> Self {
        let port = free();
        let mut command = Command::new("microsocks");
        command.args(["-i", "127.0.0.1", "-p", &port.to_string(), "-u", "probe", "-P", "hunter22"]);
        let log = scratch.file("microsocks.log");
        let mut process = Process::start("microsocks", &mut command, &log);
        listens(&mut process, port).await;
        Self { port, process }
    }

    /// What it has said.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
