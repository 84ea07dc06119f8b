//! A coordinator of the cluster: its machine, its settings, its process, and what it answers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::network::Host;
use crate::api::Api;
use crate::binary;
use crate::process::Process;

/// For the other members.
const RAFT_PORT: u16 = 7401;
/// For probes.
const PROBES_PORT: u16 = 7402;
/// For operators.
const OPERATORS_PORT: u16 = 7403;
/// For everyone.
const PAGE_PORT: u16 = 8080;

/// What members and probes show to be let in.
pub(super) const KEY: &str = "a key of members and probes";
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
    process: Option<Process>,
}

impl Coordinator {
    /// Settings are written; it does not run yet.
    pub(super) fn new(
        host: Host,
        node: usize,
        members: &BTreeMap<usize, Ipv4Addr>,
        directory: PathBuf,
    ) -> Self {
        let address = host.address();
        let members: Vec<String> = members
            .iter()
            .map(|(node, address)| format!("{node}: \"http://{address}:{RAFT_PORT}\""))
            .collect();
        let text = format!(
            "node: {node}\n\
             members: {{ {} }}\n\
             data: {}\n\
             key: \"${{env:KEY}}\"\n\
             operator_key: \"${{env:OPERATOR_KEY}}\"\n\
             listen:\n  raft: {address}:{RAFT_PORT}\n  probes: {address}:{PROBES_PORT}\n  \
             operators: {address}:{OPERATORS_PORT}\n  page: {address}:{PAGE_PORT}\n",
            members.join(", "),
            directory.join("data").display(),
        );
        std::fs::write(directory.join("coordinator.yaml"), text).expect("a file");
        let api = Api::at(format!("http://{address}:{OPERATORS_PORT}"), Some(OPERATOR_KEY));
        let page = Api::at(format!("http://{address}:{PAGE_PORT}"), None);
        Self { api, page, host, directory, process: None }
    }

    /// Starts it, if it does not run.
    pub fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        let mut command = self.host.command(binary::crosscheck());
        command.args(["coordinator", "--config"]).arg(self.directory.join("coordinator.yaml"));
        command.env("KEY", KEY).env("OPERATOR_KEY", OPERATOR_KEY);
        let name = format!("coordinator {}", self.host.address());
        self.process = Some(Process::start(&name, &mut command, &self.directory.join("log")));
    }

    /// Kills it (SIGKILL), as a loss of power would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
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
        self.directory.join("data").join("history.db")
    }

    /// Where probes reach it.
    pub fn probes_url(&self) -> String {
        format!("http://{}:{PROBES_PORT}", self.host.address())
    }

    /// Has the cluster take a configuration over, by `crosscheck apply`.
    ///
    /// # Panics
    /// It is refused.
    pub fn apply(&self, configuration: &Path) {
        let url = self.api.address("");
        let mut command = self.host.command(binary::crosscheck());
        command.args(["apply", "--url", &url, "--key", OPERATOR_KEY]).arg(configuration);
        let output = command.output().expect("crosscheck runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "crosscheck apply: {said}");
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
