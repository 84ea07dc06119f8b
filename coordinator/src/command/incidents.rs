//! `crosscheck incidents`: what is and was wrong.

use std::io::Write;

use serde_json::Value;

use super::remote::RemoteArgs;
use super::status::text;
use super::table::{self, Cell};
use super::{FINE, json};

/// Shows incidents, open ones first.
#[derive(Debug, clap::Args)]
pub struct IncidentsArgs {
    /// Where to ask.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Only those that are not over.
    #[arg(long)]
    pub open: bool,
    /// Print the API's answer.
    #[arg(long)]
    pub json: bool,
}

/// Asks and shows; the exit status.
///
/// # Errors
/// The coordinator is not reached, or what the writer says.
pub async fn incidents(
    args: &IncidentsArgs,
    out: &mut dyn Write,
    colour: bool,
) -> anyhow::Result<u8> {
    let path = if args.open { "/api/v1/incidents?status=open" } else { "/api/v1/incidents" };
    let incidents: Vec<Value> = args.remote.get(path).await?;
    if args.json {
        json::pretty(out, &incidents)?;
    } else if incidents.is_empty() {
        writeln!(out, "no incidents")?;
    } else {
        let rows: Vec<Vec<Cell>> = incidents.iter().map(row).collect();
        let heads = ["ID", "WHAT", "STATUS", "SEVERITY", "SINCE", "UNTIL", "IN SHORT"];
        table::write(out, &heads, &rows, colour)?;
    }
    Ok(FINE)
}

fn row(incident: &Value) -> Vec<Cell> {
    let id = incident.get("id").map(Value::to_string).unwrap_or_default();
    let what = match text(incident, "check") {
        "" => text(incident, "target"),
        check => check,
    };
    let until = match text(incident, "resolved_at") {
        "" => "open",
        moment => moment,
    };
    vec![
        Cell::plain(id),
        Cell::plain(what),
        Cell::status(text(incident, "status")),
        Cell::plain(text(incident, "severity")),
        Cell::plain(text(incident, "first_failed_at")),
        Cell::plain(until),
        Cell::plain(text(incident, "summary")),
    ]
}
