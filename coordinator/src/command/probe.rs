//! `crosscheck probe`: who may be a probe.

use std::io::Write;

use crosscheck_checks::text::Span;
use serde_json::{Value, json as object};

use super::remote::RemoteArgs;
use super::status::text;
use super::table::{self, Cell};
use super::{FINE, json};

/// Lets probes join, shows them, and shuts them out.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct ProbeArgs {
    #[command(subcommand)]
    what: What,
}

const EXAMPLE: &str = "Example:\n\n  \
crosscheck probe token create --site bj-ct                     # an operator, anywhere\n  \
crosscheck-probe join --token xcjoin-.. --config probe.yaml    # on the probe, once\n  \
crosscheck probe list";

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Makes tokens by which probes join.
    #[command(subcommand)]
    Token(TokenCommand),
    List(ListArgs),
    Revoke(RevokeArgs),
    Reinstate(ReinstateArgs),
}

#[derive(Debug, clap::Subcommand)]
enum TokenCommand {
    Create(CreateArgs),
}

/// Makes a token by which one probe joins, once, at one site.
///
/// Only its digest is kept, so it is printed here and nowhere else.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: crosscheck probe token create --site bj-ct --ttl 10m")]
struct CreateArgs {
    /// Where the probe stands: one of the configured sites. It cannot choose another.
    #[arg(long)]
    site: String,
    /// The only name that it may take; a probe that has joined under it before is shut out.
    #[arg(long)]
    name: Option<String>,
    /// How long the token is good for, at most 7 days.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    ttl: Span,
    #[command(flatten)]
    common: Common,
}

/// Shows the probes: where each stands, how it is, and until when its certificate is good.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: crosscheck probe list --json")]
struct ListArgs {
    #[command(flatten)]
    common: Common,
}

/// Shuts a probe out, at once and for good: it can only join anew, by a token with its name.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: crosscheck probe revoke bj-ct-1")]
struct RevokeArgs {
    /// Its name.
    name: String,
    #[command(flatten)]
    common: Common,
}

/// Lifts a quarantine: the probe's votes count again.
///
/// `probe list` says why it is quarantined. One that alone contradicted the others too often: mend
/// its network first. Two processes under one name: stop one of them first; if its key was stolen,
/// do not reinstate it, but create a token with its name and join anew, which shuts out whoever has
/// the old key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: crosscheck probe reinstate bj-ct-1")]
struct ReinstateArgs {
    /// Its name.
    name: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
}

/// Carries out what was asked for; the exit status.
///
/// # Errors
/// The coordinator is not reached or refuses, or what the writer says.
pub async fn probe(args: &ProbeArgs, out: &mut dyn Write, colour: bool) -> anyhow::Result<u8> {
    match &args.what {
        What::Token(TokenCommand::Create(args)) => create(args, out).await?,
        What::List(args) => list(args, out, colour).await?,
        What::Revoke(args) => {
            let done = format!("{} is shut out", args.name);
            act(&args.common, &args.name, "revoke", &done, out).await?;
        }
        What::Reinstate(args) => {
            let done = format!("the votes of {} count again", args.name);
            act(&args.common, &args.name, "reinstate", &done, out).await?;
        }
    }
    Ok(FINE)
}

async fn create(args: &CreateArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let lifetime = args.ttl.get().as_secs();
    let body = object!({ "site": args.site, "name": args.name, "lifetime_seconds": lifetime });
    let token: Value = args.common.remote.post("/api/v1/probes/tokens", &body).await?;
    match args.common.json {
        true => json::pretty(out, &token)?,
        // Alone on its line, so that a script can take it.
        false => writeln!(out, "{}", text(&token, "token"))?,
    }
    Ok(())
}

async fn list(args: &ListArgs, out: &mut dyn Write, colour: bool) -> anyhow::Result<()> {
    let probes: Vec<Value> = args.common.remote.get("/api/v1/probes").await?;
    if args.common.json {
        json::pretty(out, &probes)?;
    } else if probes.is_empty() {
        writeln!(out, "no probes")?;
    } else {
        let rows: Vec<Vec<Cell>> = probes.iter().map(row).collect();
        let heads = ["PROBE", "SITE", "STATE", "HEARD", "CERTIFICATE UNTIL", "VERSION"];
        table::write(out, &heads, &rows, colour)?;
    }
    Ok(())
}

fn row(probe: &Value) -> Vec<Cell> {
    let is_set = |key: &str| probe.get(key).is_some_and(Value::is_string);
    let state = match () {
        () if is_set("revoked_at") => "revoked",
        () if text(probe, "quarantined_for") == "suspect" => "quarantined: suspect too often",
        () if is_set("quarantined_at") => "quarantined: two processes",
        () if is_set("suspect_since") => "suspect",
        () if probe.get("live") == Some(&Value::Bool(true)) => "live",
        () if is_set("heard_at") => "silent",
        () => "never seen",
    };
    vec![
        Cell::plain(text(probe, "probe")),
        Cell::plain(text(probe, "site")),
        Cell::plain(state),
        Cell::plain(text(probe, "heard_at")),
        Cell::plain(text(probe, "certificate_until")),
        Cell::plain(text(probe, "version")),
    ]
}

async fn act(
    common: &Common,
    name: &str,
    act: &str,
    done: &str,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    let path = format!("/api/v1/probes/{name}/{act}");
    let answer: Value = common.remote.post(&path, &object!({})).await?;
    match common.json {
        true => json::pretty(out, &answer)?,
        false => writeln!(out, "{done}")?,
    }
    Ok(())
}
