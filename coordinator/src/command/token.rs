//! `crosscheck token`: whom the coordinators let in, and as what.

use std::io::Write;

use anyhow::Context;
use crosscheck_checks::text::Span;
use crosscheck_core::operator::Role;
use serde_json::Value;

use super::remote::RemoteArgs;
use super::table::{self, Cell};
use super::{FINE, json};
use crate::api::token::{Made, Revoked, Token, Wanted};

/// Makes, lists and revokes operators' tokens.
///
/// A token has a role: a viewer looks, an operator acts on what happens (acknowledges), an
/// administrator configures and makes tokens. One for some customers sees only theirs.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

const EXAMPLE: &str = "\
Examples:
  crosscheck token create --name ci --role operator --ttl 90d
  crosscheck token create --name acme-desk --role viewer --customer acme
  crosscheck token revoke ci

The first administrator shows the `operator_key` of the coordinator's settings as --token.";

/// What to do with tokens.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Makes a token and prints it, this once.
    Create(CreateArgs),
    /// Lists tokens, without what proves them.
    List(ListArgs),
    /// Lets nobody in by a token any more, from now on.
    Revoke(RevokeArgs),
}

/// A token to make.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// What to call it; it stands in the audit trail.
    #[arg(long)]
    pub name: String,
    /// What it lets do: viewer, operator or administrator.
    #[arg(long)]
    pub role: Role,
    /// Only for this customer; may be given several times. Left out: for all.
    #[arg(long = "customer", value_name = "CUSTOMER")]
    pub customers: Vec<String>,
    /// For how long, such as 12h or 90d. Left out: until it is revoked.
    #[arg(long, value_name = "TIME")]
    pub ttl: Option<Span>,
    /// Where to ask.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print the API's answer.
    #[arg(long)]
    pub json: bool,
}

/// Which tokens to list.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Where to ask.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print the API's answer.
    #[arg(long)]
    pub json: bool,
}

/// A token to revoke.
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    /// Its name or its id.
    #[arg(value_name = "TOKEN")]
    pub which: String,
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
/// The coordinator is not reached or refuses, or what the writers say.
pub async fn token(
    args: &TokenArgs,
    out: &mut dyn Write,
    notes: &mut dyn Write,
    colour: bool,
) -> anyhow::Result<u8> {
    match &args.what {
        What::Create(args) => create(args, out, notes).await?,
        What::List(args) => list(args, out, colour).await?,
        What::Revoke(args) => revoke(args, out).await?,
    }
    Ok(FINE)
}

async fn create(
    args: &CreateArgs,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> anyhow::Result<()> {
    let customers = args.customers.iter().cloned().collect();
    let wanted = Wanted {
        name: args.name.clone(),
        role: args.role,
        customers: (!args.customers.is_empty()).then_some(customers),
        ttl_s: args.ttl.map(|ttl| ttl.get().as_secs()),
    };
    let made: Value = args.remote.post("/api/v1/tokens", &serde_json::to_value(&wanted)?).await?;
    if args.json {
        json::pretty(out, &made)?;
        return Ok(());
    }
    let made: Made = serde_json::from_value(made).context("understand the answer")?;
    // Alone on standard output, to be taken into a file or a variable.
    writeln!(out, "{}", made.token)?;
    writeln!(notes, "token `{}` ({}): keep it now, it is not shown again", made.name, made.id)?;
    Ok(())
}

async fn list(args: &ListArgs, out: &mut dyn Write, colour: bool) -> anyhow::Result<()> {
    let tokens: Vec<Value> = args.remote.get("/api/v1/tokens").await?;
    if args.json {
        json::pretty(out, &tokens)?;
        return Ok(());
    }
    if tokens.is_empty() {
        writeln!(out, "no tokens")?;
        return Ok(());
    }
    let tokens: Vec<Token> =
        serde_json::from_value(Value::Array(tokens)).context("understand the answer")?;
    let rows: Vec<Vec<Cell>> = tokens.iter().map(row).collect();
    table::write(out, &["ID", "NAME", "ROLE", "CUSTOMERS", "MADE", "BY", "ENDS"], &rows, colour)?;
    Ok(())
}

fn row(token: &Token) -> Vec<Cell> {
    let customers = token.customers.as_ref().map_or("all".to_owned(), |names| names.join(", "));
    let ends = match (token.expires_at, token.expired) {
        (Some(at), true) => format!("{at} (over)"),
        (Some(at), false) => at.to_string(),
        (None, _) => "when revoked".to_owned(),
    };
    vec![
        Cell::plain(&token.id),
        Cell::plain(&token.name),
        Cell::plain(token.role.as_str()),
        Cell::plain(customers),
        Cell::plain(token.created_at.to_string()),
        Cell::plain(&token.created_by),
        Cell::plain(ends),
    ]
}

async fn revoke(args: &RevokeArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let path = format!("/api/v1/tokens/{}/revoke", crate::page::segment(&args.which));
    let revoked: Revoked = args.remote.post(&path, &Value::Null).await?;
    if args.json {
        json::pretty(out, &revoked)?;
    } else {
        writeln!(out, "token {} lets nobody in any more", revoked.revoked)?;
    }
    Ok(())
}
