//! `crosscheck cluster token`: lets one more machine in, once.

use std::io::Write;

use crosscheck_checks::text::Span;
use serde_json::json;

use crate::api::cluster::Token;
use crate::command::FINE;
use crate::command::remote::RemoteArgs;

/// Makes a token by which one machine joins, once.
///
/// Only its digest is kept, so it is printed here and nowhere else.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: crosscheck cluster token --ttl 10m")]
pub(super) struct TokenArgs {
    /// How long it is good for, at most 7 days.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    ttl: Span,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn token(args: &TokenArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let body = json!({ "lifetime_seconds": args.ttl.get().as_secs() });
    let token: Token = args.remote.post("/api/v1/cluster/tokens", &body).await?;
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string(&token)?)?,
        false => writeln!(out, "{}", token.token)?,
    }
    Ok(FINE)
}
