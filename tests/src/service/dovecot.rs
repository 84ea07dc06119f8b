//! A real Dovecot.

use std::os::unix::fs::chown;
use std::process::Command;

use super::{free, listens};
use crate::authority::Identity;
use crate::process::Process;
use crate::scratch::Scratch;

/// Who owns the mailboxes: nobody, who exists everywhere.
const OWNER: u32 = 65_534;

/// A Dovecot that lets everybody in whose password is `hunter22`.
pub struct Dovecot {
    /// IMAP, with STARTTLS.
    pub imap: u16,
    /// IMAP over TLS.
    pub imaps: u16,
    /// POP3, with STLS.
    pub pop3: u16,
    /// POP3 over TLS.
    pub pop3s: u16,
    process: Process,
}

impl Dovecot {
    /// Starts one; root must.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch, tls: &Identity) -> Self {
        let [imap, imaps, pop3, pop3s] = [free(), free(), free(), free()];
        let mail = scratch.directory("mail");
        chown(&mail, Some(OWNER), Some(OWNER)).expect("tests of Dovecot run as root");
        let text = format!(
            "base_dir = {run}\nlog_path = /dev/stderr\nprotocols = imap pop3\n\
             listen = 127.0.0.1, ::1\nssl = yes\nssl_cert = <{certificate}\nssl_key = <{key}\n\
             mail_location = maildir:{mail}/%u\n\
             passdb {{\n  driver = static\n  args = password=hunter22\n}}\n\
             userdb {{\n  driver = static\n  args = uid={OWNER} gid={OWNER} home={mail}/%u\n}}\n\
             service imap-login {{\n  inet_listener imap {{\n    port = {imap}\n  }}\n  \
             inet_listener imaps {{\n    port = {imaps}\n  }}\n}}\n\
             service pop3-login {{\n  inet_listener pop3 {{\n    port = {pop3}\n  }}\n  \
             inet_listener pop3s {{\n    port = {pop3s}\n  }}\n}}\n",
            run = scratch.directory("dovecot").display(),
            certificate = tls.certificate.display(),
            key = tls.key.display(),
            mail = mail.display(),
        );
        let file = scratch.write("dovecot.conf", &text);
        let mut command = Command::new("dovecot");
        command.arg("-F").arg("-c").arg(file);
        let mut process = Process::start("dovecot", &mut command, &scratch.file("dovecot.log"));
        for port in [imap, imaps, pop3, pop3s] {
            listens(&mut process, port).await;
        }
        Self { imap, imaps, pop3, pop3s, process }
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Its own processes end when it is asked to; killed, it would leave them behind.
        self.process.ask_to_end();
        self.process.wait_for_end();
    }
}
