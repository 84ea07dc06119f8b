//! `crosscheck cluster transfer`: another coordinator leads.

use std::io::Write;

use serde_json::json;

use super::Done;
use crate::command::FINE;
use crate::command::remote::RemoteArgs;

/// Has a coordinator lead, for example before another is updated.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: crosscheck cluster transfer 3")]
pub(super) struct TransferArgs {
    /// Its number; `crosscheck cluster status` shows it.
    node: u64,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn transfer(args: &TransferArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let node = args.node;
    let path = format!("/api/v1/cluster/members/{node}/transfer");
    let Done {} = args.remote.post(&path, &json!({})).await?;
    match args.json {
        true => writeln!(out, "{}", json!({ "leader": node }))?,
        false => writeln!(out, "coordinator {node} leads")?,
    }
    Ok(FINE)
}
