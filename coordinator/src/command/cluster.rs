//! `crosscheck cluster`: coordinators come and go, one at a time.

mod init;
mod join;
mod remove;
mod status;
mod token;
mod transfer;

use std::io::Write;

use serde::Deserialize;

use super::{BAD_INPUT, terminal};
use crate::cluster::Program;

/// Forms a cluster, and changes and shows who belongs to it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLE)]
pub struct ClusterArgs {
    #[command(subcommand)]
    what: What,
}

const EXAMPLE: &str = "A cluster of three, each machine with a coordinator.yaml of its own:

  first machine   crosscheck cluster init --config coordinator.yaml
                  crosscheck coordinator --config coordinator.yaml
                  export CROSSCHECK_URL=http://127.0.0.1:7403   # listen.operators
                  export CROSSCHECK_TOKEN='${file:/etc/crosscheck/operator-key}'
                  crosscheck cluster token
  each other one  crosscheck cluster join --config coordinator.yaml --token T https://10.0.1.1:7401
                  crosscheck coordinator --config coordinator.yaml
  first machine   crosscheck cluster status

A machine that is lost: `cluster remove` its number on one that runs, then `cluster join` the new
machine. A number is never used again: a coordinator that lost its disk must not vote for what it
does not know any more.";

#[derive(Debug, clap::Subcommand)]
enum What {
    Init(init::InitArgs),
    Token(token::TokenArgs),
    Join(join::JoinArgs),
    Remove(remove::RemoveArgs),
    Transfer(transfer::TransferArgs),
    Status(status::StatusArgs),
}

/// Carries out what was asked for; the exit status.
///
/// # Errors
/// What is not the user's to correct, or what the cluster refuses.
pub async fn cluster(
    args: &ClusterArgs,
    program: Program,
    out: &mut dyn Write,
    colour: bool,
) -> anyhow::Result<u8> {
    match &args.what {
        What::Init(args) => init::init(args, program, out).await,
        What::Token(args) => token::token(args, out).await,
        What::Join(args) => join::join(args, &program, out).await,
        What::Remove(args) => remove::remove(args, out).await,
        What::Transfer(args) => transfer::transfer(args, out).await,
        What::Status(args) => status::status(args, out, colour).await,
    }
}

/// Says what the user must correct.
fn bad_input(error: &dyn std::fmt::Display) -> anyhow::Result<u8> {
    writeln!(std::io::stderr(), "error: {}", terminal::lines(&error.to_string()))?;
    Ok(BAD_INPUT)
}

/// An answer of which only the success matters.
#[derive(Deserialize)]
struct Done {}
