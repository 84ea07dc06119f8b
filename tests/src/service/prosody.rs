//! A real XMPP server: Prosody.

use std::process::Command;

use super::{free, listens};
use crate::authority::Identity;
use crate::process::Process;
use crate::scratch::Scratch;

/// A Prosody that serves clients of one host, over TLS alone.
pub struct Prosody {
    /// Its port for clients.
    pub port: u16,
    _process: Process,
}

impl Prosody {
    /// Starts one for this host.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch, tls: &Identity, host: &str) -> Self {
        let port = free();
        let text = format!(
            "daemonize = false\nrun_as_root = true\npidfile = \"{at}/pid\"\n\
             data_path = \"{at}\"\ncertificates = \"{at}\"\n\
             log = {{ {{ levels = {{ min = \"info\" }}, to = \"console\" }} }}\n\
             modules_enabled = {{ \"tls\"; \"saslauth\" }}\n\
             modules_disabled = {{ \"s2s\"; \"posix\" }}\ninterfaces = {{ \"127.0.0.1\", \"::1\" }}\n\
             c2s_ports = {{ {port} }}\ns2s_ports = {{}}\nc2s_require_encryption = true\n\
             VirtualHost \"{host}\"\n\
             \x20 ssl = {{ certificate = \"{certificate}\", key = \"{key}\" }}\n",
            at = scratch.directory("prosody").display(),
            certificate = tls.certificate.display(),
            key = tls.key.display(),
        );
        let file = scratch.write("prosody.cfg.lua", &text);
        let mut command = Command::new("prosody");
        command.arg("--config").arg(file);
        let mut process = Process::start("prosody", &mut command, &scratch.file("prosody.log"));
        listens(&mut process, port).await;
        Self { port, _process: process }
    }
}
