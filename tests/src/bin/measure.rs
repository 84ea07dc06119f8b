//! `cargo measure`: takes the figures of `docs/manual/measured.md` from real processes.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use crosscheck_tests::measure::{Amount, measure};

/// Measures failover, commits, detection, blindness and mails under faults, with real processes on
/// a private network (needs root, iproute2, nftables). Some six minutes.
///
/// Build the programs first: cargo build --release --workspace --bins
#[derive(Parser)]
#[command(name = "measure")]
struct Arguments {
    /// How often the leader is killed to be timed.
    #[arg(long, default_value_t = 20)]
    failovers: usize,
    /// Outages without a fault, for the time that an alarm takes.
    #[arg(long, default_value_t = 10)]
    quiet: usize,
    /// Outages in which the leader is lost: killed in every other one, cut off in the rest.
    #[arg(long, default_value_t = 20)]
    faults: usize,
    /// What the random moments follow from; without it, something new.
    #[arg(long)]
    seed: Option<u64>,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Arguments { failovers, quiet, faults, seed, json } = Arguments::parse();
    let amount = Amount { failovers, quiet, faults, seed: seed.unwrap_or_else(rand::random) };
    let figures = measure(amount, |what| {
        // Whoever does not look misses nothing.
        let _ = writeln!(std::io::stderr(), "measuring: {what}");
    });
    let text = if json {
        serde_json::to_string_pretty(&figures).expect("figures are JSON") + "\n"
    } else {
        figures.to_string()
    };
    let mails = &figures.faults.mails;
    let kept = mails.lost == 0 && mails.doubled == 0 && mails.unexpected == 0;
    let printed = std::io::stdout().write_all(text.as_bytes()).is_ok();
    if kept && printed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
