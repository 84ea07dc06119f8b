//! A program under test: its output goes to a file, and it ends with its guard.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;

/// A running program.
#[derive(Debug)]
pub struct Program {
    child: Child,
}

impl Program {
    /// Starts it; what it says is added to the file.
    ///
    /// # Errors
    /// It is not there, or the file cannot be written.
    pub fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        Ok(Self { child })
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where cargo puts a program of this workspace: beside the test's own directory.
///
/// # Errors
/// It has not been built.
pub fn built(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let directory =
        here.parent().and_then(Path::parent).context("a test is in target/debug/deps")?;
    let program = directory.join(name);
    anyhow::ensure!(
        program.exists(),
        "{} is not built: cargo build --workspace",
        program.display()
    );
    Ok(program)
}
