//! A real OpenSSH server.

use std::fs;
use std::process::{Command, Stdio};

use super::{free, listens};
use crate::process::Process;
use crate::scratch::Scratch;

/// Where the server's unprivileged half goes; packages make it at the start of the system.
const EMPTY: &str = "/run/sshd";

/// The types of host keys.
const TYPES: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

/// An OpenSSH server with a host key of each type.
pub struct Sshd {
    /// Its port.
    pub port: u16,
    /// The fingerprint of each key, by the type's name.
    pub fingerprints: Vec<(&'static str, String)>,
    _process: Process,
}

impl Sshd {
    /// Starts one; root must.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch) -> Self {
        fs::create_dir_all(EMPTY).expect("tests of OpenSSH run as root");
        let port = free();
        let fingerprints = TYPES.map(|name| (name, make_key(scratch, name))).to_vec();
        let keys: String = TYPES
            .iter()
            .map(|name| format!("HostKey {}\n", scratch.file(name).display()))
            .collect();
        let text = format!(
            "ListenAddress 127.0.0.1:{port}\nListenAddress [::1]:{port}\nPidFile none\nUsePAM no\n\
             {keys}"
        );
        let file = scratch.write("sshd_config", &text);
        let mut command = Command::new("/usr/sbin/sshd"); // It insists on the whole path.
        command.arg("-D").arg("-e").arg("-f").arg(file);
        let mut process = Process::start("sshd", &mut command, &scratch.file("sshd.log"));
        listens(&mut process, port).await;
        Self { port, fingerprints, _process: process }
    }
}

/// Makes a key; gives its fingerprint, as `ssh-keygen -l` prints it between blanks.
fn make_key(scratch: &Scratch, name: &str) -> String {
    let file = scratch.file(name);
    let keygen = || {
        let mut command = Command::new("ssh-keygen");
        command.arg("-f").arg(&file).stdin(Stdio::null());
        command
    };
    let made = keygen().args(["-q", "-N", "", "-t", name]).status();
    assert!(made.is_ok_and(|status| status.success()), "ssh-keygen makes a key");
    let shown = keygen().arg("-l").output().expect("ssh-keygen shows it").stdout;
    let shown = String::from_utf8(shown).expect("text");
    shown.split(' ').nth(1).expect("a fingerprint").to_owned()
}
