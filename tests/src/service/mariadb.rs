//! A real MariaDB.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};

use super::{free, listens};
use crate::authority::Identity;
use crate::process::Process;
use crate::scratch::Scratch;

/// Where the tables of a new database are told; the name has changed with version 11.
const TABLES: [&str; 2] =
    ["/usr/share/mysql/mysql_system_tables.sql", "/usr/share/mariadb/mariadb_system_tables.sql"];

/// How many connections it takes, the least that it can be told.
const CONNECTIONS: usize = 10;

/// A MariaDB in which no user exists, and which begins TLS when asked to.
pub struct MariaDb {
    /// Its port.
    pub port: u16,
    _process: Process,
}

impl MariaDb {
    /// Starts one.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch, tls: &Identity) -> Self {
        let data = scratch.directory("mariadb");
        let command = || {
            let mut command = Command::new("mariadbd");
            command.arg("--no-defaults").arg("--user=root");
            command.arg(format!("--datadir={}", data.display()));
            command
        };
        let found = TABLES.iter().find_map(|path| fs::read_to_string(path).ok());
        let tables = found.expect("mariadb-server-core is installed");
        let tables = format!("create database if not exists mysql;\nuse mysql;\n{tables}");
        let tables = File::open(scratch.write("tables.sql", &tables)).expect("a file");
        let made = command().arg("--bootstrap").stdin(tables).stderr(Stdio::null()).status();
        assert!(made.is_ok_and(|status| status.success()), "mariadbd makes its tables");
        let port = free();
        let mut server = command();
        server.arg(format!("--port={port}")).arg("--bind-address=127.0.0.1,::1");
        server.arg(format!("--socket={}/socket", data.display()));
        server.arg(format!("--pid-file={}/pid", data.display()));
        server.arg(format!("--max-connections={CONNECTIONS}"));
        server.arg(format!("--ssl-cert={}", tls.certificate.display()));
        server.arg(format!("--ssl-key={}", tls.key.display()));
        let mut process = Process::start("mariadb", &mut server, &scratch.file("mariadb.log"));
        listens(&mut process, port).await;
        Self { port, _process: process }
    }

    /// Takes all of its connections; they are free again when dropped.
    ///
    /// # Panics
    /// It does not accept.
    pub fn crowd(&self) -> Vec<TcpStream> {
        let open = |_| TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("accepts");
        (0..=CONNECTIONS).map(open).collect()
    }
}
