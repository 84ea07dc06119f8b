//! `crosscheck apply`: has the cluster take a configuration over, whole or not at all.

use std::io::Write;
use std::path::PathBuf;

use crosscheck_checks::document::{self, Disk, Document, Level};
use serde::Deserialize;

use super::catalogue::catalogue;
use super::remote::RemoteArgs;
use super::{BAD_INPUT, FINE};

/// Checks a configuration and has the cluster take it over: all of it, or none.
#[derive(Debug, clap::Args)]
pub struct ApplyArgs {
    /// Files, or directories of `*.yaml` and `*.yml`, that make up one configuration.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// The coordinator: its listener for operators.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// What the coordinator answers.
#[derive(Deserialize)]
struct Applied {
    revision: u64,
}

/// Checks, sends, and says what came of it; the exit status.
///
/// # Errors
/// The coordinator is not reached or refuses, or what the writers say.
pub async fn apply(
    args: &ApplyArgs,
    out: &mut dyn Write,
    notes: &mut dyn Write,
    colour: bool,
) -> anyhow::Result<u8> {
    let document = Document::load(&args.paths, &Disk, &catalogue());
    let Some(config) = document.config() else {
        let errors = document.diagnostics().iter().filter(|found| found.level == Level::Error);
        document::report(notes, &errors.cloned().collect::<Vec<_>>(), colour)?;
        return Ok(BAD_INPUT);
    };
    document::report(notes, document.diagnostics(), colour)?;
    let body = serde_json::to_value(config)?;
    let Applied { revision } = args.remote.post("/api/v1/config", &body).await?;
    let checks = config.checks.len();
    writeln!(out, "revision {revision} is in force: {checks} checks, {} sites", config.sites.len())?;
    Ok(FINE)
}
