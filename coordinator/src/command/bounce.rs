//! `crosscheck bounce`: a mail server's report that a mail could not be delivered after all.

use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use serde_json::json;

use super::FINE;
use super::remote::RemoteArgs;
use super::terminal;
use crate::api::bounce::Known;
use crate::bounce::{self, Bounce};

/// Reads the report of a failed delivery (RFC 3464), so that its alarm is told by other ways.
///
/// The report comes to the address that alarms are sent from. Mail that is no such report, or is
/// about other mails, is left alone.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct BounceArgs {
    /// The report; left out: standard input.
    pub file: Option<PathBuf>,
    /// Where to tell it.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

const EXAMPLE: &str = "\
Example, in /etc/aliases of the mail server that has the sender's address:
  crosscheck: \"|/usr/bin/crosscheck bounce --url http://10.0.1.1:7403 --token ${file:/etc/k}\"
Exit status: 0 told, or of no concern; 75 not now: mail servers try again (sysexits.h).";

/// Exit status: not now, but perhaps later (`EX_TEMPFAIL`).
const LATER: u8 = 75;

/// More than this is read of no report: servers cut off what they send back.
const REPORT_LIMIT_BYTES: u64 = 16 << 20;

/// Reads and tells it; the exit status.
///
/// # Errors
/// The report cannot be read, or what the writers say.
pub async fn bounce(
    args: &BounceArgs,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> anyhow::Result<u8> {
    let mut report = Vec::new();
    match &args.file {
        Some(path) => {
            let file = std::fs::File::open(path).with_context(|| format!("read {path:?}"))?;
            file.take(REPORT_LIMIT_BYTES).read_to_end(&mut report)?;
        }
        None => {
            std::io::stdin().take(REPORT_LIMIT_BYTES).read_to_end(&mut report)?;
        }
    }
    let Bounce { key, failures } = match bounce::read(&report) {
        Ok(bounce) => bounce,
        Err(reason) => {
            writeln!(notes, "left alone: {reason}")?;
            return Ok(FINE);
        }
    };
    for failure in failures {
        let (recipient, why) = (failure.recipient, failure.why);
        let body = json!({ "key": key.to_string(), "recipient": recipient, "why": why });
        let told: Known = match args.remote.post("/api/v1/bounces", &body).await {
            Ok(told) => told,
            Err(error) => {
                writeln!(notes, "error: {}", terminal::lines(&format!("{error:#}")))?;
                return Ok(LATER);
            }
        };
        let (known, shown) = (told.known, terminal::line(&recipient));
        let words = if known { "has come back from" } else { "is not known any more; it was for" };
        writeln!(out, "{key} {words} {shown}")?;
    }
    Ok(FINE)
}
