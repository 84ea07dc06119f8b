//! A probe of the cluster: its machine, its configuration, its process.

use std::path::PathBuf;

use super::coordinator::KEY;
use super::network::Host;
use super::program::{Program, built};

/// A probe and its site, which have the same name.
#[derive(Debug)]
pub struct Probe {
    name: &'static str,
    host: Host,
    directory: PathBuf,
    process: Option<Program>,
}

impl Probe {
    /// Its configuration is written; it does not run yet.
    pub(super) fn new(
        name: &'static str,
        host: Host,
        coordinators: &[String],
        directory: PathBuf,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        let text = format!(
            "probe: {name}\nsite: {name}\ncoordinators: {coordinators:?}\ndata: {}\n\
             key: \"${{env:KEY}}\"\ninternal: true\n",
            directory.join("data").display(),
        );
        std::fs::write(directory.join("probe.yaml"), text)?;
        Ok(Self { name, host, directory, process: None })
    }

    /// Starts it, if it does not run.
    ///
    /// # Errors
    /// The program is not there.
    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.process.is_none() {
            let mut command = self.host.command(built("crosscheck-probe")?);
            command.arg("--config").arg(self.directory.join("probe.yaml")).env("KEY", KEY);
            self.process = Some(Program::start(command, &self.log())?);
        }
        Ok(())
    }

    /// Its name, and its site's.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its machine.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// What it said.
    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("log")
    }
}
