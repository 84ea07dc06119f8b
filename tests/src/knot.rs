//! A real Knot DNS, which holds zones of `example` and signs them when told to.

use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::eventually::eventually;
use crate::port;
use crate::process::Process;
use crate::scratch::Scratch;

/// How long it may take until it answers and has signed.
const START_WITHIN: Duration = Duration::from_secs(30);

/// A running Knot.
pub struct Knot {
    /// The loopback address it listens at, port 53 over UDP and TCP.
    pub address: Ipv4Addr,
    directory: std::path::PathBuf,
    process: Process,
}

/// A zone that it holds.
pub struct Zone<'a> {
    /// Its name, without a final dot.
    pub name: &'a str,
    /// Its records in the form of a zone file.
    pub text: &'a str,
    /// Whether Knot signs it.
    pub signed: bool,
}

impl Knot {
    /// An address for one that is to be started: zones may name it.
    pub fn address() -> Ipv4Addr {
        port::address()
    }

    /// Starts one that holds these zones.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch, address: Ipv4Addr, zones: &[Zone<'_>]) -> Self {
        let directory = scratch.directory(&format!("knot-{address}"));
        std::fs::create_dir_all(directory.join("db")).expect("a directory");
        let at = directory.display();
        let mut text = format!(
            "server:\n  rundir: {at}\n  listen: {address}@53\n\
             database:\n  storage: {at}/db\n\
             policy:\n  - id: one\n    algorithm: ecdsap256sha256\n    single-type-signing: on\n\
             template:\n  - id: default\n    storage: {at}\n    zonefile-sync: -1\n\
             \x20   zonefile-load: difference-no-serial\n    journal-content: all\nzone:\n"
        );
        for zone in zones {
            std::fs::write(directory.join(zone.name), zone.text).expect("written");
            text.push_str(&format!("  - domain: {0}\n    file: {0}\n", zone.name));
            if zone.signed {
                text.push_str("    dnssec-signing: on\n    dnssec-policy: one\n");
            } else {
                text.push_str("    zonefile-load: whole\n    journal-content: none\n");
            }
        }
        let file = directory.join("knot.conf");
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new("knotd");
        command.arg("-c").arg(&file);
        let log = directory.join("log");
        let mut knot =
            Self { address, process: Process::start("knot", &mut command, &log), directory };
        let signed = zones.iter().filter(|zone| zone.signed).count();
        eventually(START_WITHIN, "Knot answers and has signed", || {
            let log = knot.process.log();
            // Its controls come a moment after its answers.
            let listens = TcpStream::connect((address, 53)).is_ok()
                && UnixStream::connect(knot.file("knot.sock")).is_ok();
            let ready = listens && log.matches("successfully signed").count() >= signed;
            async move { if ready { Ok(()) } else { Err(log) } }
        })
        .await;
        assert!(knot.process.ended().is_none(), "another program listens there");
        knot
    }

    /// The DS record of a signed zone's key, by SHA-256.
    ///
    /// # Panics
    /// It has none.
    pub fn ds(&self, zone: &str) -> String {
        let said = run("keymgr", &["-c", &self.file("knot.conf"), zone, "ds"]);
        let line = said.lines().find(|line| line.contains(" 13 2 ")).expect("a DS record");
        line.to_owned()
    }

    /// A zone as it is signed now, in the form of a zone file.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn signed_text(&self, zone: &str) -> String {
        let out = self.directory.join("flushed");
        std::fs::create_dir_all(&out).expect("a directory");
        let (socket, out) = (self.file("knot.sock"), out.display().to_string());
        run("knotc", &["-s", &socket, "-b", "zone-flush", zone, "+outdir", &out]);
        std::fs::read_to_string(Path::new(&out).join(zone)).expect("a zone file")
    }

    fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}
