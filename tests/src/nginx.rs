//! A real nginx: the target of checks.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::authority::Identity;
use crate::eventually::eventually;
use crate::port;
use crate::process::Process;
use crate::scratch::Scratch;

/// How long it may take until it answers.
const START_WITHIN: Duration = Duration::from_secs(10);

/// An nginx that serves `/` ("Welcome to the shop"), `/broken` (status 500), `/other`
/// ("Under construction") and `/echo` (status 500, and what was sent), and over TLS the same.
pub struct Nginx {
    /// Its port for HTTP.
    pub port: u16,
    /// Its ports for HTTPS, one for each identity given.
    pub tls_ports: Vec<u16>,
    directory: PathBuf,
    process: Option<Process>,
}

impl Nginx {
    /// A running one.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch, identities: &[&Identity]) -> Self {
        let directory = scratch.directory("nginx");
        let port = port::free();
        let tls_ports: Vec<u16> = identities.iter().map(|_| port::free()).collect();
        let secure = tls_ports.iter().zip(identities);
        let servers: String = std::iter::once(server(&format!("listen 127.0.0.1:{port};")))
            .chain(secure.map(|(port, identity)| server(&listen_tls(*port, identity))))
            .collect();
        let text = configuration(&directory, &servers);
        std::fs::write(directory.join("nginx.conf"), text).expect("written");
        let mut nginx = Self { port, tls_ports, directory, process: None };
        nginx.run().await;
        nginx
    }

    /// Starts it again, on the same ports.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn run(&mut self) {
        let mut command = Command::new("nginx");
        command.arg("-e").arg("stderr").arg("-p").arg(&self.directory);
        command.arg("-c").arg(self.directory.join("nginx.conf"));
        let log = self.directory.join("nginx.log");
        let process = self.process.insert(Process::start("nginx", &mut command, &log));
        let port = self.port;
        eventually(START_WITHIN, "nginx listens", || {
            let listens = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            let seen = listens.map_err(|error| format!("{error}\n{}", process.log()));
            async move { seen.map(drop) }
        })
        .await;
        assert!(process.ended().is_none(), "another program listens there");
    }

    /// Ends it: its ports are closed.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate();
        }
    }

    /// What clients asked for, a line each: request line, fields `Authorization` and `X-Key`.
    pub fn requests(&self) -> String {
        std::fs::read_to_string(self.directory.join("access.log")).unwrap_or_default()
    }
}

fn listen_tls(port: u16, identity: &Identity) -> String {
    format!(
        "listen 127.0.0.1:{port} ssl; ssl_certificate {}; ssl_certificate_key {};",
        identity.certificate.display(),
        identity.key.display()
    )
}

fn server(listen: &str) -> String {
    format!(
        "server {{ {listen} default_type text/html;\n\
           location = / {{ return 200 'Welcome to the shop'; }}\n\
           location = /broken {{ return 500 'Fatal error'; }}\n\
           location = /echo {{ return 500 'Who is $http_authorization, $http_x_key?'; }}\n\
           location = /other {{ return 200 'Under construction'; }} }}\n"
    )
}

/// One process, in the foreground, all of whose files are in the directory.
fn configuration(directory: &Path, servers: &str) -> String {
    let at = directory.display();
    format!(
        "daemon off; master_process off; pid {at}/nginx.pid;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n\
           log_format all '$request $http_authorization $http_x_key';\n\
           access_log {at}/access.log all;\n\
           client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
           fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
           {servers}\
         }}\n"
    )
}
