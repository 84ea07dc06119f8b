//! `crosscheck cluster remove`: a coordinator goes, for good.

use std::io::Write;

use serde_json::json;

use super::Done;
use crate::command::FINE;
use crate::command::remote::RemoteArgs;

/// Takes a coordinator out of the cluster, whether it runs or is lost.
///
/// It stops by itself when it runs. Its number is never used again. Nothing is changed when the
/// others would have no majority without it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: crosscheck cluster remove 2")]
pub(super) struct RemoveArgs {
    /// Its number; `crosscheck cluster status` shows it.
    node: u64,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn remove(args: &RemoveArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let node = args.node;
    let path = format!("/api/v1/cluster/members/{node}/remove");
    let Done {} = args.remote.post(&path, &json!({})).await?;
    match args.json {
        true => writeln!(out, "{}", json!({ "removed": node }))?,
        false => writeln!(out, "coordinator {node} was removed; its number is not used again")?,
    }
    Ok(FINE)
}
