//! A running `crosscheck standalone`.

use std::fs;
use std::future::ready;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::api::Api;
use crate::authority::Authority;
use crate::binary;
use crate::eventually::eventually;
use crate::port;
use crate::process::Process;
use crate::scratch::Scratch;

/// How long it may take until it is ready.
const START_WITHIN: Duration = Duration::from_secs(20);

/// The settings that make a story short; everything else is as people get it.
pub const FAST: &str = "defaults: { interval: 1s, timeout: 1s, attempts: 2, attempt_gap: 1s, \
     retry_interval: 1s, recovery_hold: 2s }\n";

/// Everyone is told by mail through a server at a port of loopback; over TLS where an authority
/// vouches for it.
pub fn mail_through(port: u16, authority: Option<&Authority>) -> String {
    let tls = match authority {
        Some(authority) => format!("tls: required, ca: {}", authority.file.display()),
        None => "tls: none".to_owned(),
    };
    format!(
        "contacts: {{ ops: {{ mail: [ops@example.com] }} }}\n\
         routes: [{{ to: [ops] }}]\n\
         channels: {{ mail: {{ smtp: \"smtp://127.0.0.1:{port}\", {tls}, \
           from: \"crosscheck@example.com\" }} }}\n"
    )
}

/// The process, and the file it watches.
pub struct Standalone {
    /// Its client.
    pub api: Api,
    /// The process; its log is all lives' log.
    pub process: Process,
    /// Its data directory.
    pub data: PathBuf,
    start: Start,
}

/// How to start it, and start it again.
struct Start {
    config: PathBuf,
    port: u16,
    variables: Vec<(String, String)>,
    resolv_conf: Option<PathBuf>,
    log: PathBuf,
}

/// What a test wants of a process before it starts.
#[derive(Default)]
pub struct Wanted<'a> {
    /// The environment's variables besides the test's own.
    pub variables: &'a [(&'a str, &'a str)],
    /// The only name server that it knows.
    pub name_server: Option<Ipv4Addr>,
}

impl Standalone {
    /// Starts one with a configuration, and waits until it is ready.
    ///
    /// # Panics
    /// It does not become ready.
    pub async fn start(scratch: &Scratch, config: &str) -> Self {
        Self::start_as(scratch, config, Wanted::default()).await
    }

    /// As [`Self::start`], with more wishes.
    ///
    /// # Panics
    /// It does not become ready.
    pub async fn start_as(scratch: &Scratch, config: &str, wanted: Wanted<'_>) -> Self {
        let variables = wanted.variables.iter();
        let start = Start {
            config: scratch.write("checks.yaml", config),
            port: port::free(),
            variables: variables.map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            resolv_conf: wanted.name_server.map(|address| {
                let text = format!("nameserver {address}\noptions attempts:2 timeout:1\n");
                scratch.write("resolv.conf", &text)
            }),
            log: scratch.file("standalone.log"),
        };
        let data = scratch.file("data");
        let process = start.process(&data);
        let mut standalone = Self { api: Api::new(start.port), process, data, start };
        standalone.ready().await;
        standalone
    }

    /// Starts it again with the same data, after it has ended.
    ///
    /// # Panics
    /// It does not become ready.
    pub async fn again(&mut self) {
        self.process = self.start.process(&self.data);
        self.ready().await;
    }

    /// Writes what the process watches.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn edit(&self, config: &str) {
        let new = self.start.config.with_extension("new");
        fs::write(&new, config).expect("a file");
        fs::rename(&new, &self.start.config).expect("a file");
    }

    /// The arguments that it was started with, after the name of the command.
    pub fn arguments(&self) -> Vec<String> {
        self.start.arguments(&self.data)
    }

    /// The file that it watches.
    pub fn config(&self) -> &Path {
        &self.start.config
    }

    /// Waits until its log has a line that contains `words`; the whole log.
    ///
    /// # Panics
    /// It does not say so `within` the time.
    pub async fn says(&self, within: Duration, words: &str) -> String {
        eventually(within, &format!("it says `{words}`"), || {
            let log = self.process.log();
            ready(if log.contains(words) { Ok(log) } else { Err(log) })
        })
        .await
    }

    async fn ready(&mut self) {
        let (api, process) = (&self.api, &mut self.process);
        eventually(START_WITHIN, "crosscheck is ready", || {
            let ended = process.ended().map(|status| format!("{status}: {}", process.log()));
            assert_eq!(ended, None, "crosscheck has ended");
            async { api.json("/readyz").await.map(drop) }
        })
        .await;
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        let log = self.process.log();
        assert!(std::thread::panicking() || !log.contains("panicked at"), "{log}");
    }
}

impl Start {
    fn arguments(&self, data: &Path) -> Vec<String> {
        let (config, data) = (self.config.display(), data.display());
        let listen = format!("127.0.0.1:{}", self.port);
        vec![config.to_string(), "--data".into(), data.to_string(), "--listen".into(), listen]
    }

    fn process(&self, data: &Path) -> Process {
        let program = binary::crosscheck();
        let mut command = match &self.resolv_conf {
            None => Command::new(program),
            // In a mount namespace of its own, so that nobody else's names change.
            Some(file) => {
                let mut command = Command::new("unshare");
                let script = "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";
                command.args(["--mount", "sh", "-c", script, "sh"]).arg(file).arg(program);
                command
            }
        };
        command.arg("standalone").args(self.arguments(data));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Process::start("crosscheck standalone", &mut command, &self.log)
    }
}
