//! How fast a probe is: what a check costs the whole process beside a bare loop of the same
//! requests and beside the programs of others, what waiting checks weigh, how late they start, and
//! what is added to the times that they measure. `tests/speed` starts it; the section "Speed of a
//! probe" in `docs/manual/measured.md` has what came out.
//!
//! ```text
//! core 0: the racer          core 1: this driver, the targets, a sink for the probe's reports
//! ```
//!
//! All of it is on a network of its own, so that the kernel's counters are the race's alone.

mod added;
mod bare_times;
mod crowd;
mod figures;
mod floor;
mod ground;
mod peer;
mod program;
mod quic;
mod racer;
mod sink;
mod target;
mod usage;
mod work;

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::figures::{Amount, measure};
use crate::work::{Ports, Work};

/// Races a probe against a bare loop and the programs of others, and measures what waiting checks
/// weigh, how late they start and what is added to the times that they measure.
///
/// Start it by `tests/speed`, which installs and builds what it needs and gives it a network of its
/// own. It wants two processors.
#[derive(Parser)]
#[command(name = "speed", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Only these kinds.
    #[arg(long, value_enum, value_delimiter = ',')]
    kinds: Vec<Work>,
    /// Rounds of the race.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each window.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Only the probe and the bare loop race.
    #[arg(long)]
    no_peers: bool,
    /// No race.
    #[arg(long, conflicts_with = "only_race")]
    no_race: bool,
    /// Only what waiting checks weigh.
    #[arg(long, conflicts_with = "only_race")]
    only_memory: bool,
    /// Only the race: no memory, no lateness, no time added.
    #[arg(long)]
    only_race: bool,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What this program starts itself as.
#[derive(Subcommand)]
enum Role {
    /// The bare loop.
    #[command(hide = true)]
    Floor {
        work: Work,
        #[command(flatten)]
        ports: Ports,
        #[arg(long)]
        ca: PathBuf,
        #[arg(long)]
        millis: u64,
    },
    /// The bare loop that times the server of an exact time, beside so many checks of HTTP.
    #[command(hide = true)]
    Timed {
        #[command(flatten)]
        ports: Ports,
        #[arg(long)]
        held: u16,
        /// So many a second; left out, none.
        #[arg(long, default_value_t = 0)]
        per_second: u32,
        /// As many as it can do, besides.
        #[arg(long)]
        too_much: bool,
        #[arg(long)]
        millis: u64,
    },
    /// The server that answers after an exact time.
    #[command(hide = true)]
    Hold {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        millis: u64,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(text) if std::io::stdout().write_all(text.as_bytes()).is_ok() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "speed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Becomes the same on a network that has nothing but loopback and ends with it, on processor 1.
/// Returns only when that fails.
fn alone() -> std::io::Error {
    let own = match std::env::current_exe() {
        Ok(own) => own,
        Err(error) => return error,
    };
    let up = "ip link set lo up && exec taskset --cpu-list 1 \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--net", "--", "sh", "-c", up, "speed"]).arg(own);
    command.args(std::env::args_os().skip(1)).exec()
}

fn run(arguments: Arguments) -> anyhow::Result<String> {
    let Arguments { kinds, rounds, seconds, no_peers, only_race, only_memory, json, .. } =
        arguments;
    match arguments.role {
        Some(Role::Floor { work, ports, ca, millis }) => {
            let done = floor::run(work, ports, &ca, Duration::from_millis(millis))?;
            return Ok(format!("{done}\n"));
        }
        Some(Role::Timed { ports, held, per_second, too_much, millis }) => {
            let time = Duration::from_millis(millis);
            let took = bare_times::run((ports, held), (per_second, too_much), time)?;
            let lines = took.iter().map(|took| format!("{}\n", took.as_micros()));
            return Ok(lines.collect());
        }
        Some(Role::Hold { port, millis }) => {
            floor::hold(port, Duration::from_millis(millis))?;
            return Ok(String::new());
        }
        None if !ground::is_alone() => return Err(alone().into()),
        None => {}
    }
    // For the client that asks blackbox_exporter; it is the process's first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let works = match kinds.is_empty() {
        _ if arguments.no_race || only_memory => Vec::new(),
        true => Work::ALL.to_vec(),
        false => kinds,
    };
    let amount = Amount {
        works,
        peers: !no_peers,
        rounds,
        window: Duration::from_secs(seconds),
        times: !only_race && !only_memory,
        memory: !only_race,
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let figures = runtime.block_on(measure(&amount, |what| {
        // Whoever does not look misses nothing.
        let _ = writeln!(std::io::stderr(), "measuring: {what}");
    }));
    if json { Ok(serde_json::to_string_pretty(&figures)? + "\n") } else { Ok(figures.to_string()) }
}
