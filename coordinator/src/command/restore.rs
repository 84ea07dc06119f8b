//! `crosscheck restore`: a backup becomes a new cluster of one.

use std::io::{Write, stderr};
use std::path::PathBuf;

use crosscheck_checks::env::Secrets;
use serde_json::json;

use super::remote::Token;
use super::{BAD_INPUT, FINE, terminal};
use crate::access::Passphrase;
use crate::backup::{self, Vouching};
use crate::settings::Settings;

/// How many bytes between two words about progress.
const TOLD_EVERY: u64 = 16 << 20;

/// Makes a backup a new cluster of one, in an empty data directory; others then join it.
///
/// It is another cluster, with a name of its own. So that nobody is told twice: what was owed when
/// the backup was made is not sent, since its cluster went on and sent it; `GET /api/v1/outbox`
/// lists it as given up. What was alarmed and is over by now gets its recovery, and what fails now
/// is judged anew from fresh votes: an outage that began after the backup may be alarmed again.
/// Operators' tokens stay good; tokens to join by do not. Stop the old cluster first, or both will
/// watch and alarm.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: crosscheck restore --config coordinator.yaml monday.backup")]
pub struct RestoreArgs {
    /// The file that `crosscheck backup` wrote.
    pub file: PathBuf,
    /// The settings file of the first coordinator.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The `authority.pem` of a coordinator of the old cluster: probes that had joined it go on.
    /// Left out, the new cluster has an authority of its own, and every probe joins anew, by a
    /// token with its name (`crosscheck probe token create --name`). It is not in the backup.
    #[arg(long, value_name = "FILE")]
    pub authority: Option<PathBuf>,
    /// What that coordinator had sealed the key with, if it is not this one's
    /// `authority_passphrase`: `${file:/path}` or `${env:NAME}`.
    #[arg(long, value_name = "PASSPHRASE", requires = "authority")]
    pub authority_passphrase: Option<Token>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Checks, restores, and says what it was; the exit status.
///
/// # Errors
/// What the writer says.
pub async fn restore(
    args: &RestoreArgs,
    out: &mut dyn Write,
    progress: bool,
) -> anyhow::Result<u8> {
    let secrets = Secrets::of_process();
    let (settings, passphrase) = match Settings::read_with_passphrase(&args.config, &secrets) {
        Ok(read) => read,
        Err(error) => return refuse(&error),
    };
    let given = args.authority_passphrase.as_ref();
    let its = given.map(|given| Passphrase::new(given.read(&secrets)?)).transpose();
    let its = match its {
        Ok(its) => its,
        Err(error) => return refuse(&error),
    };
    let authority = Vouching {
        passphrase: passphrase.as_ref(),
        kept: args.authority.as_deref(),
        opens: its.as_ref().or(passphrase.as_ref()),
    };
    let mut told = 0;
    let mut tell = |bytes: u64| {
        if progress && bytes / TOLD_EVERY > told {
            told = bytes / TOLD_EVERY;
            // Nobody misses a word about progress.
            let _ = writeln!(stderr(), "{} MiB", bytes >> 20);
        }
    };
    let restored = match backup::restore(&settings, &args.file, authority, &mut tell).await {
        Ok(restored) => restored,
        Err(error) => return refuse(&error),
    };
    let (cluster, withheld) = (restored.identity.cluster, restored.withheld);
    let (old, at) = (restored.head.cluster, restored.head.at);
    if args.json {
        let node = restored.identity.node;
        let line =
            json!({ "node": node, "cluster": cluster, "of": old, "at": at, "withheld": withheld });
        writeln!(out, "{line}")?;
    } else {
        writeln!(
            out,
            "This is coordinator 1 of the new cluster {cluster}, with everything of {old} up to \
             {at}.\n{withheld} notifications were owed then and are not sent.\n\
             Start it:  crosscheck coordinator --config {}",
            args.config.display(),
        )?;
    }
    Ok(FINE)
}

fn refuse(error: &dyn std::fmt::Display) -> anyhow::Result<u8> {
    writeln!(stderr(), "error: {}", terminal::lines(&error.to_string()))?;
    Ok(BAD_INPUT)
}
