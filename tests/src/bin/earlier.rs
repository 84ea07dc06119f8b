//! `crosscheck` as the release before this one: it says so, reads and writes formats of the level
//! before, and refuses what is newer. Only what a coordinator itself needs; clusters are operated
//! by the present program.
//!
//! The same program otherwise: what differs between two releases for the coordinators is what they
//! read, write, and tell each other.

use std::io::{stderr, stdout};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use crosscheck_coordinator::cluster::Program;
use crosscheck_coordinator::command::{cluster, coordinator};
use crosscheck_core::level;

/// The version that it tells the other coordinators.
const VERSION: &str = "0.0.9";

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Coordinator(coordinator::CoordinatorArgs),
    Cluster(cluster::ClusterArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::new("info,openraft=warn");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).json().init();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let program = Program { version: VERSION.to_owned(), level: level::NEWEST - 1 };
    let status = match &arguments.command {
        Command::Coordinator(args) => coordinator::coordinator(args, program).await?,
        Command::Cluster(args) => cluster::cluster(args, program, &mut stdout(), false).await?,
    };
    Ok(ExitCode::from(status))
}
