//! A real Apache: Digest authentication and compression.

use std::process::Command;

use super::{free, listens};
use crate::process::Process;
use crate::scratch::Scratch;

/// An Apache that serves a page of some length at `/plain/`, `/gzip/` and `/br/`, packed as the
/// names say, and at `/digest/` to the user `probe` with the password `hunter22`.
pub struct Apache {
    /// Its port.
    pub port: u16,
    _process: Process,
}

/// Where Debian keeps its modules.
const MODULES: &str = "/usr/lib/apache2/modules";

/// What is not built in.
const LOADED: [&str; 11] = [
    "mpm_event",
    "authn_core",
    "authz_core",
    "authn_file",
    "authz_user",
    "auth_digest",
    "filter",
    "deflate",
    "brotli",
    "mime",
    "dir",
];

/// MD5 of `probe:shop:hunter22`, as `htdigest` writes it.
const ACCOUNT: &str = "probe:shop:266bf792ce7ec54770ab96dcf434ef1e\n";

impl Apache {
    /// Starts one.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch) -> Self {
        let (port, at) = (free(), scratch.directory("apache"));
        for place in ["plain", "gzip", "br", "digest"] {
            let directory = scratch.directory(&format!("apache/www/{place}"));
            let page = format!("<p>{place}</p>{}", "<p>Welcome to the shop</p>".repeat(200));
            std::fs::write(directory.join("index.html"), page).expect("a page");
        }
        let accounts = scratch.write("apache.accounts", ACCOUNT);
        let loaded: String = LOADED
            .iter()
            .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
            .collect();
        let (at, accounts) = (at.display(), accounts.display());
        let text = format!(
            "{loaded}ServerName web.test\nListen 127.0.0.1:{port}\nUser www-data\n\
             Group www-data\nServerRoot {at}\nDefaultRuntimeDir {at}\nPidFile {at}/pid\n\
             ErrorLog {at}/error.log\nDocumentRoot {at}/www\nDirectoryIndex index.html\n\
             TypesConfig /dev/null\nAddType text/html .html\n\
             <Location /gzip/>\nSetOutputFilter DEFLATE\n</Location>\n\
             <Location /br/>\nSetOutputFilter BROTLI_COMPRESS\n</Location>\n\
             <Location /digest/>\nAuthType Digest\nAuthName shop\nAuthDigestProvider file\n\
             AuthUserFile {accounts}\nRequire valid-user\n</Location>\n"
        );
        let file = scratch.write("apache.conf", &text);
        let mut command = Command::new("apache2");
        command.arg("-D").arg("FOREGROUND").arg("-f").arg(file);
        let mut process = Process::start("apache2", &mut command, &scratch.file("apache.log"));
        listens(&mut process, port).await;
        Self { port, _process: process }
    }
}
