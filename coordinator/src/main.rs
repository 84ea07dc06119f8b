//! The program `crosscheck`: arguments, log, exit status; nothing else.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use crosscheck_checks::env::{Env, Secrets};
use crosscheck_checks::guard::Guard;
use crosscheck_checks::resolve::Resolver;
use crosscheck_coordinator::cluster::Program;
use crosscheck_coordinator::command::catalogue::catalogue;
use crosscheck_coordinator::command::{
    ack, apply, audit, backup, bounce, cluster, colour, coordinator, demo, drill, import,
    incidents, probe, push, restore, run, schema, standalone, status, terminal, token, validate,
};
use tracing_subscriber::EnvFilter;

/// A synthetic probe network: probes in several regions and carriers look at your targets, the
/// coordinators agree on what is up, and whoever must know is told once.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = AFTER)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "Start with `crosscheck demo`, then `crosscheck standalone CHECKS.yaml`.\n\
The log goes to standard error: text on a terminal, JSON elsewhere; RUST_LOG=debug says more.\n\
Exit status: 0 fine, 1 not well or ours, 2 the input's.";

#[derive(Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Standalone(standalone::StandaloneArgs),
    Coordinator(coordinator::CoordinatorArgs),
    Cluster(cluster::ClusterArgs),
    Probe(probe::ProbeArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Validate(validate::ValidateArgs),
    Run(run::RunArgs),
    Schema(schema::SchemaArgs),
    Import(import::ImportArgs),
    Apply(apply::ApplyArgs),
    Status(status::StatusArgs),
    Incidents(incidents::IncidentsArgs),
    Ack(ack::AckArgs),
    Drill(drill::DrillArgs),
    Bounce(bounce::BounceArgs),
    Push(push::PushArgs),
    Token(token::TokenArgs),
    Audit(audit::AuditArgs),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log(match arguments.command {
        // Its own lines tell what happens; that a peer is gone is no news.
        Command::Demo(_) => "error,openraft=off",
        Command::Cluster(_) => "warn,openraft=off",
        _ => "info,openraft=warn",
    });
    // For clients that take the process's provider; checks have their own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let work = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(carry_out(&arguments.command)),
        Err(error) => Err(error.into()),
    };
    match work {
        Ok(status) => ExitCode::from(status),
        // `crosscheck .. | head` has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::from(BROKEN_PIPE),
        Err(error) => {
            let _ = writeln!(stderr(), "error: {}", terminal::lines(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// The shell's exit status of a program whose reader has gone: 128 and SIGPIPE.
const BROKEN_PIPE: u8 = 141;

/// Whether nobody reads the output any more. What a connection met has a context around it.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let first = error.chain().next();
    let io = first.and_then(|error| error.downcast_ref::<std::io::Error>());
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

async fn carry_out(command: &Command) -> anyhow::Result<u8> {
    let shown = |terminal: bool| colour(terminal, |name| std::env::var_os(name));
    let (out_colour, notes_colour) = (shown(stdout().is_terminal()), shown(stderr().is_terminal()));
    let (mut out, mut notes) = (stdout(), stderr());
    match command {
        Command::Demo(args) => demo::demo(args, &mut out).await,
        Command::Standalone(args) => standalone::standalone(args, notes_colour).await,
        Command::Coordinator(args) => coordinator::coordinator(args, Program::this()).await,
        Command::Probe(args) => probe::probe(args, &mut out, out_colour).await,
        Command::Cluster(args) => {
            cluster::cluster(args, Program::this(), &mut out, out_colour).await
        }
        Command::Backup(args) => {
            let progress = stderr().is_terminal();
            backup::backup(args, &mut out, &mut notes, progress).await
        }
        Command::Restore(args) => {
            let progress = stderr().is_terminal();
            restore::restore(args, &mut out, progress).await
        }
        Command::Validate(args) => {
            let secrets = Secrets::of_process();
            Ok(validate::validate(args, &catalogue(), &secrets, &mut out, out_colour)?)
        }
        Command::Run(args) => {
            let env = Env {
                guard: Guard::Internal,
                resolver: Resolver::system(),
                secrets: Secrets::of_process(),
                programs: args.exec.programs(),
            };
            let progress = stderr().is_terminal();
            let (out, notes) = (&mut out, &mut notes);
            let mut screen = run::Screen { out, notes, colour: out_colour, progress };
            Ok(run::run(args, &catalogue(), &env, &mut screen).await?)
        }
        Command::Schema(args) => Ok(schema::schema(args, &catalogue(), &mut out)?),
        Command::Import(args) => Ok(import::import(args, &catalogue(), &mut out, &mut notes)?),
        Command::Apply(args) => apply::apply(args, &mut out, &mut notes, notes_colour).await,
        Command::Status(args) => status::status(args, &mut out, out_colour).await,
        Command::Incidents(args) => incidents::incidents(args, &mut out, out_colour).await,
        Command::Ack(args) => ack::ack(args, &mut out).await,
        Command::Drill(args) => drill::drill(args, &mut out, &mut notes, out_colour).await,
        Command::Bounce(args) => bounce::bounce(args, &mut out, &mut notes).await,
        Command::Push(args) => push::push(args, &mut out, &mut notes).await,
        Command::Token(args) => token::token(args, &mut out, &mut notes, out_colour).await,
        Command::Audit(args) => audit::audit(args, &mut out, out_colour).await,
    }
}

fn log(unless_told: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(unless_told));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    if stderr().is_terminal() { log.init() } else { log.json().init() }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Longer lines are broken where they stand: what was to be copied is not whole any more.
    const HELP_COLUMNS: usize = 100;

    fn assert_fits(command: &clap::Command) {
        for text in [command.get_after_help(), command.get_after_long_help()].into_iter().flatten()
        {
            let text = text.to_string();
            let copied = |line: &&str| line.starts_with("  ") || line.starts_with("Example");
            for line in text.lines().filter(copied) {
                assert!(line.chars().count() <= HELP_COLUMNS, "{}: {line}", command.get_name());
            }
        }
        command.get_subcommands().for_each(assert_fits);
    }

    #[test]
    fn no_example_is_broken_into_lines() {
        assert_fits(&Arguments::command());
    }

    #[test]
    fn no_argument_stands_in_anothers_way() {
        Arguments::command().debug_assert();
    }
}
