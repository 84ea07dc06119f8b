//! `crosscheck status`: every check, and what each site says of it.

use std::io::Write;

use serde_json::Value;

use super::remote::RemoteArgs;
use super::table::{self, Cell};
use super::{FINE, NOT_WELL, json};

/// Checks asked for at a time.
const PAGE: usize = 1_000;

/// Shows every check with its verdict and each site's vote.
///
/// Exit status 0: every check is up. 1: at least one is not.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Where to ask.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print the API's answer.
    #[arg(long)]
    pub json: bool,
}

/// Asks and shows; the exit status.
///
/// # Errors
/// The coordinator is not reached, or what the writer says.
pub async fn status(args: &StatusArgs, out: &mut dyn Write, colour: bool) -> anyhow::Result<u8> {
    let checks = all_checks(&args.remote).await?;
    let well = checks.iter().all(|check| text(check, "status") == "up");
    if args.json {
        json::pretty(out, &checks)?;
    } else {
        let rows: Vec<Vec<Cell>> = checks.iter().map(row).collect();
        table::write(out, &["CHECK", "STATUS", "SINCE", "SITES"], &rows, colour)?;
    }
    Ok(if well { FINE } else { NOT_WELL })
}

/// Every check, page by page.
async fn all_checks(remote: &RemoteArgs) -> anyhow::Result<Vec<Value>> {
    let mut checks: Vec<Value> = Vec::new();
    loop {
        let last = checks.last().map(|check| text(check, "id")).unwrap_or_default();
        let after = percent_encoding::utf8_percent_encode(last, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("/api/v1/checks?limit={PAGE}&after={after}");
        let page: Vec<Value> = remote.get(&path).await?;
        let is_last = page.len() < PAGE;
        checks.extend(page);
        if is_last {
            return Ok(checks);
        }
    }
}

fn row(check: &Value) -> Vec<Cell> {
    let name = match check.get("customer").and_then(Value::as_str) {
        Some(customer) => format!("{customer}/{}", text(check, "name")),
        None => text(check, "name").to_owned(),
    };
    vec![
        Cell::plain(name),
        Cell::status(text(check, "status")),
        Cell::plain(text(check, "since")),
        Cell::plain(sites(check)),
    ]
}

/// `bj-ct up 12 ms, sh-cu down (refused)`.
fn sites(check: &Value) -> String {
    let empty = Vec::new();
    let sites = check.get("sites").and_then(Value::as_array).unwrap_or(&empty);
    let words: Vec<String> = sites
        .iter()
        .map(|site| {
            let (name, status) = (text(site, "site"), text(site, "status"));
            match (text(site, "cause"), site.get("duration_ms").and_then(Value::as_f64)) {
                ("", Some(ms)) => format!("{name} {status} {ms:.0} ms"),
                ("", None) => format!("{name} {status}"),
                (cause, _) => format!("{name} {status} ({cause})"),
            }
        })
        .collect();
    words.join(", ")
}

/// A text of an object; empty when it is not there.
pub(super) fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}
