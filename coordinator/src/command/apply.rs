//! `crosscheck apply`: has the cluster take a configuration over, whole or not at all.

use std::io::Write;
use std::path::PathBuf;

use crosscheck_checks::document::{self, Disk, Document, Level, Source};

use super::catalogue::catalogue;
use super::remote::RemoteArgs;
use super::validate::counted;
use super::{BAD_INPUT, FINE};
use crate::api::configuration::{Applied, Configuration, File};

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
    let file = |source: Source| File { name: source.name, text: source.text };
    let files = document::read(&args.paths, &Disk, &mut Vec::new());
    let body = Configuration { files: files.into_iter().map(file).collect() };
    let applied: Applied =
        args.remote.post("/api/v1/configuration", &serde_json::to_value(&body)?).await?;
    let revision = applied.revision;
    let (checks, sites) =
        (counted(config.checks.len(), "check"), counted(config.sites.len(), "site"));
    writeln!(out, "revision {revision} is in force: {checks}, {sites}")?;
    Ok(FINE)
}
