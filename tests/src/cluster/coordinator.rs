//! A coordinator of the cluster: its machine, its settings, its process, and what it answers.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use serde_json::Value;

use super::SETTLED;
use super::network::Host;
use crate::api::Api;
use crate::binary;
use crate::eventually::eventually;
use crate::process::Process;

/// For the other members.
const RAFT_PORT: u16 = 7401;
/// For probes.
const PROBES_PORT: u16 = 7402;
/// For operators.
const OPERATORS_PORT: u16 = 7403;
/// For everyone.
const PAGE_PORT: u16 = 8080;

/// What operators show to be let in.
const OPERATOR_KEY: &str = "a key of operators";

/// Adds text to the end of a file.
///
/// # Panics
/// There is no such file.
pub(super) fn append(file: &Path, text: &str) {
    let before = std::fs::read_to_string(file).expect("a file");
    std::fs::write(file, before + text).expect("a file");
}

/// A coordinator.
pub struct Coordinator {
    /// What its operators ask.
    pub api: Api,
    /// What everyone asks.
    pub page: Api,
    host: Host,
    directory: PathBuf,
    program: PathBuf,
    process: Option<Process>,
    variables: Vec<(String, String)>,
}

impl Coordinator {
    /// Settings are written; it does not run yet.
    pub(super) fn new(host: Host, directory: PathBuf, program: PathBuf) -> Self {
        let address = host.address();
        let text = format!(
            "data: {}\n\
             operator_key: \"${{env:OPERATOR_KEY}}\"\n\
             listen:\n  raft: {address}:{RAFT_PORT}\n  probes: {address}:{PROBES_PORT}\n  \
             operators: {address}:{OPERATORS_PORT}\n  page: {address}:{PAGE_PORT}\n",
            directory.join("data").display(),
        );
        std::fs::write(directory.join("coordinator.yaml"), text).expect("a file");
        let api = Api::at(format!("http://{address}:{OPERATORS_PORT}"), Some(OPERATOR_KEY));
        let page = Api::at(format!("http://{address}:{PAGE_PORT}"), None);
        Self { api, page, host, directory, program, process: None, variables: Vec::new() }
    }

    /// Starts it, if it does not run.
    pub fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        let mut command = self.program();
        command.args(["coordinator", "--config"]).arg(self.settings());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let name = format!("coordinator {}", self.host.address());
        self.process = Some(Process::start(&name, &mut command, &self.directory.join("log")));
    }

    /// What its next start finds in its environment.
    pub fn set_variables(&mut self, variables: &[(&str, &str)]) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.variables = variables.iter().map(owned).collect();
    }

    /// Makes it the first of a new cluster.
    ///
    /// # Panics
    /// It cannot be.
    pub fn init(&self) {
        succeed(self.program().args(["cluster", "init", "--config"]).arg(self.settings()));
    }

    /// A token by which one more machine joins.
    ///
    /// # Panics
    /// The cluster gives none.
    pub fn token(&self) -> String {
        self.operate(&["cluster", "token"]).trim().to_owned()
    }

    /// Makes it a member of the cluster that `other` belongs to, by a token: its number.
    ///
    /// # Panics
    /// It is not let in.
    pub fn join(&self, other: &Self, token: &str) -> u64 {
        let mut command = self.program();
        command.args(["cluster", "join", "--json", "--token", token, "--config"]);
        let answer = succeed(command.arg(self.settings()).arg(other.raft_url()));
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["node"].as_u64().expect("a number")
    }

    /// A token by which one probe joins at a site.
    ///
    /// # Panics
    /// The cluster gives none.
    pub fn probe_token(&self, site: &str) -> String {
        self.operate(&["probe", "token", "create", "--site", site]).trim().to_owned()
    }

    /// What a command that operates the cluster prints, when this member is asked.
    ///
    /// # Panics
    /// It fails.
    pub fn operate(&self, arguments: &[&str]) -> String {
        succeed(&mut self.operation(arguments))
    }

    /// A command that operates the cluster, to be asked of this member.
    pub fn operation(&self, arguments: &[&str]) -> Command {
        let mut command = self.crosscheck();
        command.args(arguments).args(["--url", &self.api.address(""), "--token", OPERATOR_KEY]);
        command
    }

    /// Installs another release on its machine, for its next start.
    pub fn install(&mut self, program: PathBuf) {
        self.program = program;
    }

    /// What is installed on its machine, with what its settings refer to.
    pub fn program(&self) -> Command {
        self.command(self.program.clone())
    }

    /// The present program on its machine, with what its settings refer to.
    pub fn crosscheck(&self) -> Command {
        self.command(binary::crosscheck())
    }

    fn command(&self, program: PathBuf) -> Command {
        let mut command = self.host.command(program);
        command.env("OPERATOR_KEY", OPERATOR_KEY);
        command
    }

    /// What it has printed since the beginning.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Where the other members reach it, as an address.
    pub fn raft_address(&self) -> std::net::SocketAddr {
        (self.host.address(), RAFT_PORT).into()
    }

    /// Where probes reach it, as an address.
    pub fn probes_address(&self) -> std::net::SocketAddr {
        (self.host.address(), PROBES_PORT).into()
    }

    /// Its settings file.
    pub fn settings(&self) -> PathBuf {
        self.directory.join("coordinator.yaml")
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Where the other members reach it.
    pub fn raft_url(&self) -> String {
        format!("https://{}:{RAFT_PORT}", self.host.address())
    }

    /// Asks it to end (SIGTERM), and waits; the mail server, which the test is, works meanwhile.
    ///
    /// # Panics
    /// It does not end, or not in order.
    pub async fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        process.ask_to_end();
        let status = ends(&mut process).await;
        assert!(status.success(), "it ended with {status}: {}", process.log());
    }

    /// Waits until it has ended by itself: how, and its log. It can be started again then.
    ///
    /// # Panics
    /// It does not end, or was not started.
    pub async fn ended(&mut self) -> (ExitStatus, String) {
        let mut process = self.process.take().expect("it was started");
        (ends(&mut process).await, process.log())
    }

    /// Kills it (SIGKILL), as a loss of power would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
    }

    /// Suspends it (SIGSTOP), as an overloaded host would: it keeps its connections and answers
    /// nothing.
    ///
    /// # Panics
    /// It does not run.
    pub fn pause(&mut self) {
        self.process.as_mut().expect("it was started").stop();
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Panics
    /// It does not run.
    pub fn resume(&mut self) {
        self.process.as_mut().expect("it was started").cont();
    }

    /// Adds lines to its settings, for its next start.
    pub fn add_settings(&self, text: &str) {
        append(&self.directory.join("coordinator.yaml"), text);
    }

    /// Its machine.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The file of its measurements.
    pub fn history(&self) -> PathBuf {
        self.data().join("history.db")
    }

    /// Where probes reach it.
    pub fn probes_url(&self) -> String {
        format!("https://{}:{PROBES_PORT}", self.host.address())
    }

    /// Has the cluster take a configuration over, by `crosscheck apply`.
    ///
    /// # Panics
    /// It is refused.
    pub fn apply(&self, configuration: &Path) {
        succeed(self.operation(&["apply"]).arg(configuration));
    }

    /// Whether it says that it can be relied on, and the rest of what it says of itself.
    ///
    /// # Errors
    /// It is not reached.
    pub async fn readiness(&self) -> Result<(bool, Value), String> {
        let (status, text) = self.page.get("/readyz").await?;
        let health = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        Ok((status == 200, health))
    }
}

/// Runs a command that must succeed: what it prints.
fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("crosscheck runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

async fn ends(process: &mut Process) -> ExitStatus {
    eventually(SETTLED, "it ends", || {
        let ended = process.ended().ok_or_else(|| "it runs".to_owned());
        async move { ended }
    })
    .await
}
