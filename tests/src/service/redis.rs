//! A real Redis.

use std::process::Command;

use super::{free, listens};
use crate::authority::Identity;
use crate::process::Process;
use crate::scratch::Scratch;

/// A Redis that wants a password, `hunter22`, of the default user.
pub struct Redis {
    /// Its port.
    pub port: u16,
    /// Its port for TLS.
    pub tls_port: u16,
    process: Process,
}

impl Redis {
    /// Starts one.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch, tls: &Identity) -> Self {
        let (port, tls_port) = (free(), free());
        let text = format!(
            "port {port}\nbind 127.0.0.1 ::1\nrequirepass hunter22\nsave \"\"\ndir {at}\n\
             tls-port {tls_port}\ntls-cert-file {certificate}\ntls-key-file {key}\n\
             tls-ca-cert-file {certificate}\ntls-auth-clients no\n",
            at = scratch.path().display(),
            certificate = tls.certificate.display(),
            key = tls.key.display(),
        );
        let file = scratch.write("redis.conf", &text);
        let mut command = Command::new("redis-server");
        let mut process = Process::start("redis", command.arg(file), &scratch.file("redis.log"));
        listens(&mut process, tls_port).await;
        Self { port, tls_port, process }
    }

    /// Ends it: its ports are closed.
    pub fn stop(&mut self) {
        self.process.terminate();
    }
}
