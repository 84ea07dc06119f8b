//! A real LDAP server: OpenLDAP's slapd.

use std::process::Command;

use super::{free, listens};
use crate::authority::Identity;
use crate::process::Process;
use crate::scratch::Scratch;

/// A slapd without any entry, which begins TLS when asked to.
pub struct Slapd {
    /// Its port.
    pub port: u16,
    _process: Process,
}

impl Slapd {
    /// Starts one.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch, tls: &Identity) -> Self {
        let port = free();
        let text = format!(
            "pidfile {at}/slapd.pid\nTLSCertificateFile {certificate}\n\
             TLSCertificateKeyFile {key}\n",
            at = scratch.path().display(),
            certificate = tls.certificate.display(),
            key = tls.key.display(),
        );
        let file = scratch.write("slapd.conf", &text);
        let mut command = Command::new("slapd");
        // With a debug level, be it none, it stays in the foreground.
        command.args(["-d", "0", "-f"]).arg(file);
        command.arg("-h").arg(format!("ldap://127.0.0.1:{port} ldap://[::1]:{port}"));
        let mut process = Process::start("slapd", &mut command, &scratch.file("slapd.log"));
        listens(&mut process, port).await;
        Self { port, _process: process }
    }
}
