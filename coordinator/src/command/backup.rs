//! `crosscheck backup`: one file of everything, while the cluster works.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::FINE;
use super::remote::RemoteArgs;
use crate::backup;

/// How many bytes between two words about progress.
const TOLD_EVERY: u64 = 16 << 20;

/// Writes a backup of state and measurements to one file, while the cluster works.
///
/// The file stands for one moment, is checked as a whole, and appears under its name only when it
/// is complete. It holds the configuration with references to secrets, never the secrets.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: crosscheck backup --url http://127.0.0.1:7403 --out monday.backup"
)]
pub struct BackupArgs {
    /// The file to write; one that is there is replaced.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Whom to ask: its listener for operators.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Downloads, checks, and says what it is; the exit status.
///
/// # Errors
/// The coordinator is not reached or refuses, or the file cannot be written.
pub async fn backup(
    args: &BackupArgs,
    out: &mut dyn Write,
    notes: &mut dyn Write,
    progress: bool,
) -> anyhow::Result<u8> {
    let mut name = args.out.file_name().context("--out names a file")?.to_owned();
    name.push(".unfinished");
    let aside = args.out.with_file_name(name);
    let bytes = download(args, &aside, notes, progress).await?;
    let head = backup::inspect(&aside).context("check what was received")?;
    fs::rename(&aside, &args.out).with_context(|| format!("write {}", args.out.display()))?;
    let (file, index, at) = (args.out.display().to_string(), head.index, head.at);
    if args.json {
        let cluster = head.cluster;
        let line =
            json!({ "file": file, "bytes": bytes, "cluster": cluster, "index": index, "at": at });
        writeln!(out, "{line}")?;
    } else {
        writeln!(out, "{file}: {bytes} bytes, everything up to {at} (log entry {index})")?;
    }
    Ok(FINE)
}

async fn download(
    args: &BackupArgs,
    aside: &Path,
    notes: &mut dyn Write,
    progress: bool,
) -> anyhow::Result<u64> {
    let mut answer = args.remote.stream("/api/v1/backup").await?;
    let write = || format!("write {}", aside.display());
    let mut file = BufWriter::new(File::create(aside).with_context(write)?);
    let (mut bytes, mut told) = (0_u64, 0);
    while let Some(part) = answer.chunk().await.context("the backup broke off; try again")? {
        file.write_all(&part).with_context(write)?;
        bytes += part.len() as u64;
        if progress && bytes / TOLD_EVERY > told {
            told = bytes / TOLD_EVERY;
            writeln!(notes, "{} MiB", bytes >> 20)?;
        }
    }
    let file = file.into_inner().map_err(|error| error.into_error()).with_context(write)?;
    file.sync_all().with_context(write)?;
    Ok(bytes)
}
