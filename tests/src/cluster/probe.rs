//! A probe of the cluster: its machine, its configuration, its process.

use std::path::PathBuf;
use std::process::Output;

use super::coordinator::append;
use super::network::Host;
use crate::binary;
use crate::process::Process;

/// A probe and its site, which have the same name.
pub struct Probe {
    name: &'static str,
    host: Host,
    directory: PathBuf,
    process: Option<Process>,
    variables: Vec<(String, String)>,
}

impl Probe {
    /// Its configuration is written; it does not run yet.
    pub(super) fn new(
        name: &'static str,
        host: Host,
        coordinators: &[String],
        directory: PathBuf,
    ) -> Self {
        let text = format!(
            "probe: {name}\nsite: {name}\ncoordinators: {coordinators:?}\ndata: {}\n\
             internal: true\n",
            directory.join("data").display(),
        );
        std::fs::write(directory.join("probe.yaml"), text).expect("a file");
        Self { name, host, directory, process: None, variables: Vec::new() }
    }

    /// Starts it, if it does not run.
    pub fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        let mut command = self.host.command(binary::crosscheck_probe());
        command.arg("--config").arg(self.settings());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let log = self.directory.join("log");
        self.process = Some(Process::start(self.name, &mut command, &log));
    }

    /// What its next start finds in its environment.
    pub fn set_variables(&mut self, variables: &[(&str, &str)]) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.variables = variables.iter().map(owned).collect();
    }

    /// Lets it join by a token.
    ///
    /// # Panics
    /// It is not let in.
    pub fn join(&self, token: &str) {
        let output = self.try_join(token);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} joins: {said}", self.name);
    }

    /// What `crosscheck-probe join` says to a token.
    ///
    /// # Panics
    /// It does not run.
    pub fn try_join(&self, token: &str) -> Output {
        let mut command = self.host.command(binary::crosscheck_probe());
        command
            .arg("join")
            .arg("--config")
            .arg(self.settings())
            .env("CROSSCHECK_JOIN_TOKEN", token);
        command.output().expect("crosscheck-probe runs")
    }

    /// Asks it to end (SIGTERM), and waits.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate();
        }
    }

    /// Kills it (SIGKILL): it cannot say goodbye.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
    }

    /// Its configuration file.
    pub fn settings(&self) -> PathBuf {
        self.directory.join("probe.yaml")
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// What it has printed since the beginning.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Kills it and starts it with further lines in its configuration.
    pub fn restart_with(&mut self, text: &str) {
        self.kill();
        append(&self.directory.join("probe.yaml"), text);
        self.start();
    }

    /// Its name, and its site's.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its machine.
    pub fn host(&self) -> &Host {
        &self.host
    }
}
