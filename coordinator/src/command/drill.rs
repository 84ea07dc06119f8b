//! `crosscheck drill`: would an alarm arrive? One is sent, marked as a drill, and waited for.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::remote::RemoteArgs;
use super::status::text;
use super::table::{self, Cell, GREEN, RED};
use super::{FINE, NOT_WELL, json as print, terminal};

/// Simulates a failure: an alarm, marked `[DRILL]`, to whom a real one would go, and its end.
///
/// Nothing changes for the check, its page or its figures. The messages go the way of all: by the
/// channels of the routes, tried again, and by other ways when they are refused. A drill ends when
/// everybody has been told, after a quarter of an hour at most.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct DrillArgs {
    /// As if this check were down (its id); left out: as if the installation itself had trouble,
    /// which is told to the operators.
    pub check: Option<String>,
    /// Where to ask.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Begin it, print the number of its incident, and do not wait.
    #[arg(long)]
    pub begin: bool,
    /// Print what came of each message as JSON.
    #[arg(long)]
    pub json: bool,
}

const EXAMPLE: &str = "\
Examples:
  crosscheck drill
  crosscheck drill shop --url https://status.example.com --token '${file:/etc/crosscheck/token}'
Regularly, in the configuration:
  drills: [{ check: shop, every: \"Mon-Fri 09:00\", zone: Europe/Berlin }]
Exit status: 0 everybody was told, 1 somebody was not.";

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Holds one; the exit status.
///
/// # Errors
/// The coordinator is not reached, or refuses, or what the writers say.
pub async fn drill(
    args: &DrillArgs,
    out: &mut dyn Write,
    notes: &mut dyn Write,
    colour: bool,
) -> anyhow::Result<u8> {
    let begun: Value = args.remote.post("/api/v1/drills", &json!({ "check": args.check })).await?;
    let incident =
        begun.get("incident").and_then(Value::as_u64).context("understand the answer")?;
    if args.begin {
        match args.json {
            true => print::pretty(out, &begun)?,
            false => writeln!(out, "{incident}")?,
        }
        return Ok(FINE);
    }
    writeln!(notes, "drill {incident} has begun; it ends when everybody has been told")?;
    let ended = until_over(&args.remote, incident).await?;
    let messages = messages(&args.remote, incident).await?;
    if args.json {
        print::pretty(out, &json!({ "incident": ended, "messages": messages }))?;
    } else {
        let rows: Vec<Vec<Cell>> = messages.iter().map(row).collect();
        table::write(
            out,
            &["WHO", "BY", "PROGRESS", "OWED", "SINCE", "LAST ERROR"],
            &rows,
            colour,
        )?;
        writeln!(out, "{}", terminal::line(text(&ended, "summary")))?;
    }
    Ok(if messages.iter().all(is_delivered) { FINE } else { NOT_WELL })
}

/// The incident of a drill, when it is over.
async fn until_over(remote: &RemoteArgs, incident: u64) -> anyhow::Result<Value> {
    let path = format!("/api/v1/incidents/{incident}");
    loop {
        let found: Value = remote.get(&path).await?;
        if !text(&found, "resolved_at").is_empty() {
            return Ok(found);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The alarms of a drill, in the order in which they were owed.
async fn messages(remote: &RemoteArgs, incident: u64) -> anyhow::Result<Vec<Value>> {
    let mut all: Vec<Value> = remote.get("/api/v1/outbox").await?;
    all.retain(|owed| owed.get("incident").and_then(Value::as_u64) == Some(incident));
    all.retain(|owed| text(owed, "event") == "alarm");
    all.reverse();
    Ok(all)
}

fn is_delivered(owed: &Value) -> bool {
    text(owed, "progress") == "delivered"
}

fn row(owed: &Value) -> Vec<Cell> {
    let progress = text(owed, "progress");
    vec![
        Cell::plain(text(owed, "contact")),
        Cell::plain(text(owed, "channel")),
        Cell::coloured(progress, if is_delivered(owed) { GREEN } else { RED }),
        Cell::plain(text(owed, "created")),
        Cell::plain(text(owed, "progress_at")),
        Cell::plain(text(owed, "last_error")),
    ]
}
