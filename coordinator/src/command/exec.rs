//! Which programs checks may start, and which files they may send, from a process that somebody has started by hand.

use std::path::{Path, PathBuf};

use crosscheck_checks::programs::Programs;

/// What checks may start and send.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ExecArgs {
    /// Let checks of kind `exec` start this program, or those of this directory; may be given
    /// several times. Otherwise they start none.
    #[arg(long = "exec", value_name = "PATH", value_parser = absolute)]
    pub allow: Vec<PathBuf>,
    /// With `--exec`: let checks set this environment variable; may be given several times.
    #[arg(long = "exec-variable", value_name = "NAME", requires = "allow")]
    pub variables: Vec<String>,
    /// Let checks of kind `http` send this file, or those of this directory; may be given several
    /// times. Otherwise they send none.
    #[arg(long = "send-from", value_name = "PATH", value_parser = absolute)]
    pub files: Vec<PathBuf>,
    /// Let checks of kind `page` load pages with this browser (`/usr/bin/chromium`). Otherwise they
    /// have none.
    #[arg(long, value_name = "PATH", value_parser = absolute)]
    pub browser: Option<PathBuf>,
    /// With `--browser`: keep pictures of pages that fail in this directory.
    #[arg(long, value_name = "DIRECTORY", value_parser = absolute, requires = "browser")]
    pub pictures: Option<PathBuf>,
}

impl ExecArgs {
    /// As surroundings of checks.
    pub fn programs(&self) -> Programs {
        Programs::new(self.allow.clone(), self.variables.clone())
            .with_files(&self.files)
            .with_browser(self.browser.as_deref(), self.pictures.as_deref())
    }
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(Path::new(text)).map_err(|error| error.to_string())
}
