//! A real vsftpd.

use std::process::Command;

use super::listens;
use crate::authority::Identity;
use crate::port;
use crate::process::Process;
use crate::scratch::Scratch;

/// A vsftpd that knows `anonymous` alone, in clear text or over TLS.
pub struct Vsftpd {
    /// Its port, on IPv4.
    pub port: u16,
    _process: Process,
}

impl Vsftpd {
    /// Starts one; root must.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch, tls: &Identity) -> Self {
        let port = port::free();
        let text = format!(
            "listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\n\
             anonymous_enable=YES\nlocal_enable=NO\nanon_root={empty}\n\
             secure_chroot_dir={empty}\nssl_enable=YES\nallow_anon_ssl=YES\nssl_ciphers=HIGH\n\
             rsa_cert_file={certificate}\nrsa_private_key_file={key}\nseccomp_sandbox=NO\n\
             ftpd_banner=files ready\n",
            empty = scratch.directory("empty").display(),
            certificate = tls.certificate.display(),
            key = tls.key.display(),
        );
        let file = scratch.write("vsftpd.conf", &text);
        let mut command = Command::new("vsftpd");
        let log = scratch.file("vsftpd.log");
        let mut process = Process::start("vsftpd", command.arg(file), &log);
        listens(&mut process, port).await;
        Self { port, _process: process }
    }
}
