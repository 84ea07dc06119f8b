//! A real PostgreSQL.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{free, listens};
use crate::authority::Identity;
use crate::process::Process;
use crate::scratch::Scratch;

/// Where Debian has the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Who it runs as, for it refuses to be root: nobody, who exists everywhere.
const OWNER: u32 = 65_534;

/// A PostgreSQL that begins TLS when asked to.
pub struct Postgres {
    /// Its port.
    pub port: u16,
    process: Process,
}

impl Postgres {
    /// Starts one; root must.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch, tls: &Identity) -> Self {
        let data = scratch.directory("postgres");
        let key = scratch.file("postgres.key");
        fs::copy(&tls.key, &key).expect("a file");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("permissions");
        for path in [&data, &key] {
            chown(path, Some(OWNER), Some(OWNER)).expect("tests of PostgreSQL run as root");
        }
        let mut make = Command::new(program("initdb"));
        make.uid(OWNER).gid(OWNER).stdout(Stdio::null()).stderr(Stdio::null());
        make.args(["--auth=trust", "--no-sync", "-D"]).arg(&data);
        assert!(make.status().is_ok_and(|status| status.success()), "initdb makes its tables");
        let port = free();
        let mut command = Command::new(program("postgres"));
        command.uid(OWNER).gid(OWNER).arg("-D").arg(&data).arg("-p").arg(port.to_string());
        for setting in [
            "listen_addresses=127.0.0.1,::1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "fsync=off".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", tls.certificate.display()),
            format!("ssl_key_file={}", key.display()),
        ] {
            command.arg("-c").arg(setting);
        }
        let mut process = Process::start("postgres", &mut command, &scratch.file("postgres.log"));
        listens(&mut process, port).await;
        Self { port, process }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its own processes end when it is asked to; killed, it would leave them behind.
        self.process.ask_to_end();
        self.process.wait_for_end();
    }
}

/// The program of the newest version.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir(VERSIONS).expect("postgresql is installed");
    let paths = versions.map(|version| version.expect("a directory").path().join("bin").join(name));
    paths.filter(|path| path.exists()).max().expect("postgresql is installed")
}
