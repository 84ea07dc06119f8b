//! `crosscheck ack`: somebody takes an incident on.

use std::io::Write;

use serde_json::{Value, json};

use super::FINE;
use super::remote::RemoteArgs;

/// Takes an incident on: the others see who looks after it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct AckArgs {
    /// The incident's number, as its mail and `crosscheck incidents` have it.
    pub incident: u64,
    /// Who takes it on.
    #[arg(long, value_name = "NAME", env = "USER")]
    pub by: String,
    /// What they say, for the incident's timeline.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub note: String,
    /// Where to ask.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

const EXAMPLE: &str = "\
Examples:
  crosscheck ack 17
  crosscheck ack 17 --by li --note \"restarting shop-1\"";

/// Does it; the exit status.
///
/// # Errors
/// The coordinator is not reached, or refuses: the incident is over, or somebody was first.
pub async fn ack(args: &AckArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let AckArgs { incident, by, note, remote } = args;
    let path = format!("/api/v1/incidents/{incident}/acknowledge");
    let _: Value = remote.post(&path, &json!({ "by": by, "note": note })).await?;
    writeln!(out, "incident {incident} is taken on by {}", super::terminal::line(by))?;
    Ok(FINE)
}
