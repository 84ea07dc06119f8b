//! A coordinator of the cluster: its machine, its settings, its process, and what it answers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::network::Host;
use super::program::{Program, built};

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

/// An answer that takes longer will not come.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// A coordinator.
#[derive(Debug)]
pub struct Coordinator {
    host: Host,
    directory: PathBuf,
    process: Option<Program>,
    client: reqwest::Client,
}

impl Coordinator {
    /// Settings are written; it does not run yet.
    pub(super) fn new(
        host: Host,
        node: usize,
        members: &BTreeMap<usize, Ipv4Addr>,
        directory: PathBuf,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&directory)?;
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
        std::fs::write(directory.join("coordinator.yaml"), text)?;
        let client = reqwest::Client::builder().timeout(ANSWER_LIMIT).no_proxy().build()?;
        Ok(Self { host, directory, process: None, client })
    }

    /// Starts it, if it does not run.
    ///
    /// # Errors
    /// The program is not there.
    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.process.is_none() {
            let mut command = self.host.command(built("crosscheck")?);
            command.args(["coordinator", "--config"]).arg(self.directory.join("coordinator.yaml"));
            command.env("KEY", KEY).env("OPERATOR_KEY", OPERATOR_KEY);
            self.process = Some(Program::start(command, &self.directory.join("log"))?);
        }
        Ok(())
    }

    /// Kills it, as a loss of power would.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Whether it has been started and not killed.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Its machine.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The file of its measurements.
    pub fn history(&self) -> PathBuf {
        self.directory.join("data").join("history.db")
    }

    /// What it said.
    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Where probes reach it.
    pub fn probes_url(&self) -> String {
        format!("http://{}:{PROBES_PORT}", self.host.address())
    }

    /// Has the cluster take a configuration over.
    ///
    /// # Errors
    /// `crosscheck apply` fails, and what it said.
    pub fn apply(&self, configuration: &Path) -> anyhow::Result<()> {
        let url = format!("http://{}:{OPERATORS_PORT}", self.host.address());
        let mut command = self.host.command(built("crosscheck")?);
        command.args(["apply", "--url", &url, "--key", OPERATOR_KEY]).arg(configuration);
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "crosscheck apply: {said}");
        Ok(())
    }

    /// What its operators' API answers.
    ///
    /// # Errors
    /// It is not reached, or answers with an error.
    pub async fn api(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("http://{}:{OPERATORS_PORT}/api/v1/{path}", self.host.address());
        let response = self.client.get(&url).bearer_auth(OPERATOR_KEY).send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{url} answered {status}: {text}");
        serde_json::from_str(&text).with_context(|| format!("{url} answered `{text}`"))
    }

    /// The public page, as HTML.
    ///
    /// # Errors
    /// It is not reached.
    pub async fn page(&self) -> anyhow::Result<String> {
        let url = format!("http://{}:{PAGE_PORT}/", self.host.address());
        Ok(self.client.get(&url).send().await?.error_for_status()?.text().await?)
    }

    /// Whether it says that it can be relied on, and the rest of what it says of itself.
    ///
    /// # Errors
    /// It is not reached.
    pub async fn readiness(&self) -> anyhow::Result<(bool, Value)> {
        let url = format!("http://{}:{PAGE_PORT}/readyz", self.host.address());
        let response = self.client.get(&url).send().await?;
        Ok((response.status().is_success(), response.json().await?))
    }
}
