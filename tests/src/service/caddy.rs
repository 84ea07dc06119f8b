//! A real server of HTTP/3: Debian's caddy.

use std::process::Command;

use super::free_udp;
use crate::authority::Identity;
use crate::eventually::eventually;
use crate::process::Process;
use crate::scratch::Scratch;

/// A running server that says over which protocol it was asked.
pub struct Caddy {
    /// Its port on loopback, for TCP and UDP.
    pub port: u16,
    _process: Process,
}

impl Caddy {
    /// Starts one for `service.test` that speaks these protocols (`h1 h2 h3`).
    ///
    /// # Panics
    /// It cannot be started.
    pub async fn start(scratch: &Scratch, identity: &Identity, protocols: &str) -> Self {
        let port = free_udp();
        let (chain, key) = (identity.certificate.display(), identity.key.display());
        let text = format!(
            "{{\n admin off\n auto_https off\n skip_install_trust\n\
             servers {{\n protocols {protocols}\n }}\n}}\n\
             https://service.test:{port} {{\n bind 127.0.0.1 ::1\n tls {chain} {key}\n\
             redir /old /new 302\n respond /large \"{}\"\n\
             respond \"served by {{http.request.proto}}\"\n}}\n",
            "0123456789".repeat(5_000)
        );
        let file = scratch.write(&format!("Caddyfile-{port}"), &text);
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
        command.env("HOME", scratch.directory("caddy"));
        let log = scratch.file(&format!("caddy-{port}.log"));
        let process = Process::start("caddy", &mut command, &log);
        eventually(super::START_WITHIN, "caddy listens", || {
            let log = process.log();
            let listens = log.contains("serving initial configuration");
            async move { if listens { Ok(()) } else { Err(log) } }
        })
        .await;
        Self { port, _process: process }
    }
}
