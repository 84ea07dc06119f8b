//! A probe of the cluster: its machine, its configuration, its process.

use std::path::PathBuf;

use super::coordinator::{KEY, append};
use super::network::Host;
use crate::binary;
use crate::process::Process;

/// A probe and its site, which have the same name.
pub struct Probe {
    name: &'static str,
    host: Host,
    directory: PathBuf,
    process: Option<Process>,
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
             key: \"${{env:KEY}}\"\ninternal: true\n",
            directory.join("data").display(),
        );
        std::fs::write(directory.join("probe.yaml"), text).expect("a file");
        Self { name, host, directory, process: None }
    }

    /// Starts it, if it does not run.
    pub fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        let mut command = self.host.command(binary::crosscheck_probe());
        command.arg("--config").arg(self.directory.join("probe.yaml")).env("KEY", KEY);
        let log = self.directory.join("log");
        self.process = Some(Process::start(self.name, &mut command, &log));
    }

    /// Kills it and starts it with further lines in its configuration.
    pub fn restart_with(&mut self, text: &str) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
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
