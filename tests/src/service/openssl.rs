//! OpenSSL's own authority, responder and server: what other servers hide behind their settings.

use std::path::PathBuf;
use std::process::Command;

use super::{free, listens};
use crate::process::Process;
use crate::scratch::Scratch;

/// An authority with one certificate for `service.test`, made by OpenSSL.
pub struct OpenSsl<'a> {
    scratch: &'a Scratch,
    /// The file of the authority's certificate.
    pub ca: PathBuf,
}

/// A server of it.
pub struct Server {
    /// Its port.
    pub port: u16,
    _process: Process,
}

impl<'a> OpenSsl<'a> {
    /// Makes both. The certificate is good for ten days, its authority's for 30.
    ///
    /// # Panics
    /// A file cannot be made.
    pub fn new(scratch: &'a Scratch) -> Self {
        let made = Self { scratch, ca: scratch.file("root.pem") };
        scratch.write("names", "subjectAltName=DNS:service.test\n");
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        made.run(&format!(
            "req -x509 {key} -keyout root.key -out root.pem -subj /CN=Root -days 30"
        ));
        made.run(&format!("req {key} -keyout leaf.key -out leaf.csr -subj /CN=service.test"));
        made.run(
            "x509 -req -in leaf.csr -CA root.pem -CAkey root.key -set_serial 4096 -days 10 \
             -extfile names -out leaf.pem",
        );
        made
    }

    /// A response about the certificate: `V` for good, `R` for revoked.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn status(&self, letter: char) -> PathBuf {
        let revoked = if letter == 'R' { "261101000000Z" } else { "" };
        let line = format!("{letter}\t361231000000Z\t{revoked}\t1000\tunknown\t/CN=service.test\n");
        self.scratch.write("index.txt", &line);
        let name = format!("status-{letter}.der");
        self.run(&format!(
            "ocsp -index index.txt -rsigner root.pem -rkey root.key -CA root.pem -issuer root.pem \
             -cert leaf.pem -ndays 7 -respout {name}"
        ));
        self.scratch.file(&name)
    }

    /// A server that shows the whole chain, with more options of `s_server`.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn serve(&self, options: &[&str]) -> Server {
        let port = free();
        let mut command = Command::new("openssl");
        command.current_dir(self.scratch.path()).args(["s_server", "-www", "-cert", "leaf.pem"]);
        command.args(["-key", "leaf.key", "-cert_chain", "root.pem"]);
        command.args(["-accept", &format!("127.0.0.1:{port}")]).args(options);
        let log = self.scratch.file(&format!("s_server-{port}.log"));
        let mut process = Process::start("openssl", &mut command, &log);
        listens(&mut process, port).await;
        Server { port, _process: process }
    }

    fn run(&self, words: &str) {
        let mut command = Command::new("openssl");
        command.current_dir(self.scratch.path()).args(words.split_ascii_whitespace());
        let said = command.output().expect("openssl is there");
        assert!(said.status.success(), "{words}: {}", String::from_utf8_lossy(&said.stderr));
    }
}
