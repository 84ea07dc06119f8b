//! The program `crosscheck-probe`: arguments, configuration, log, signals; nothing else.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use crosscheck_checks::env::Secrets;
use crosscheck_probe::config::{Config, ConfigError};
use crosscheck_probe::join::{self, JoinError};
use crosscheck_probe::{last_resort, metrics, renewal};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// At the end the disk is waited for this long; a service manager's patience is longer.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Runs the checks that the coordinators assign to this probe, and reports what it sees.
///
/// A probe needs to be told who it is, where it stands and where the coordinators are; what to
/// check comes from them. Cut off from them, it goes on checking, keeps its observations, and
/// delivers them later.
#[derive(Parser)]
#[command(version, after_long_help = EXAMPLE, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    work: Option<Work>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Args)]
struct Work {
    /// The configuration file (YAML); `--help` shows one.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Check the configuration and exit: 0 fine, 2 not.
    #[arg(long)]
    check_config: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Joins an installation, once, by a token.
    ///
    /// The key is made here and never leaves; the certificate is kept beside it, in the
    /// configuration's `data`, and is renewed by the running probe.
    #[command(after_long_help = JOIN_EXAMPLE)]
    Join(Join),
}

#[derive(clap::Args)]
struct Join {
    /// What `crosscheck probe token create` printed; `-` reads it from standard input, `@FILE`
    /// from a file.
    #[arg(long, env = "CROSSCHECK_JOIN_TOKEN", hide_env_values = true)]
    token: String,
    /// The probe's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print what came of it as JSON.
    #[arg(long)]
    json: bool,
}

const JOIN_EXAMPLE: &str = "Example:\n\n  \
crosscheck probe token create --site bj-ct          # an operator, anywhere\n  \
crosscheck-probe join --token xcjoin-.. --config /etc/crosscheck/probe.yaml\n\n\
Exit status: 0 joined, 1 not let in or not reached, 2 the input's.";

const EXAMPLE: &str = r#"A configuration, with everything it can say:

  probe: bj-ct-1                    # this probe's name
  site: bj-ct                       # one of the cluster's `sites:`
  coordinators:                     # all of them; any one suffices at a time
    - https://c1.example.com:8443
    - https://c2.example.com:8443
    - https://c3.example.com:8443
  data: /var/lib/crosscheck-probe   # its key and certificate; keeps observations over a restart
  internal: false                   # true: checks may connect to private addresses as well
  exec:                             # programs that checks may start, and variables that they may
    allow: [/usr/lib/nagios/plugins/check_disk]   # set for them; left out: none
    variables: [PGPASSWORD]
  files: { allow: [/srv/crosscheck] }   # files that checks may send; left out: none
  browser: /usr/bin/chromium        # loads pages for checks that want one; left out: none
  secrets:                          # what checks may read as ${file:..} and ${env:..}, and nothing
    files: [/etc/crosscheck/checks] # else; left out: whatever the probe may. Of `data`, /proc and
    variables: ["CHECK_*"]          # /sys nothing is ever read
  second_resolver: 192.0.2.53       # asked too when a failure is looked into
  metrics: 127.0.0.1:9464           # serves /metrics for Prometheus; left out: nowhere
  limits: { concurrency: 1000, spool: 200000 }
  last_resort:                      # mails from this probe alone when it reaches no coordinator
    mail: [ops@example.com]         # for 10 minutes, once an hour at most: to whom, and as in
    smtp: "smtp://mail.example.com:587"   # the `mail` channel
    from: crosscheck@example.com
    user: crosscheck
    password: "${file:/run/secrets/smtp}"
    after: 10m

Join once, with a token from an operator, before the first start: `crosscheck-probe join --help`.

The log goes to standard error: text on a terminal, JSON elsewhere; RUST_LOG=debug says more.
SIGTERM and SIGINT end the probe; what is undelivered is kept in `data`.
Exit status: 0 fine, 1 ours, 2 the configuration's."#;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log();
    let done = match (&arguments.command, &arguments.work) {
        (Some(Command::Join(join)), _) => enrol(join),
        (None, Some(work)) => run(work),
        (None, None) => Err(anyhow::Error::new(ConfigError::Wrong(vec![
            "say where the configuration is: --config FILE (--help shows one)".to_owned(),
        ]))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "crosscheck-probe: {error:#}");
            let is_input = error.is::<ConfigError>()
                || error.downcast_ref::<JoinError>().is_some_and(JoinError::is_input);
            if is_input { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

#[tokio::main]
async fn enrol(args: &Join) -> anyhow::Result<()> {
    let config = Config::read(&args.config)?;
    let token = join::read_token(&args.token)?;
    let outcome = join::join(&config, &token).await?;
    let until = outcome.identity.until();
    if let Some((ours, theirs)) = outcome.clock_off {
        tracing::warn!(%ours, %theirs, "this host's clock is off: certificates are judged by it");
    }
    let mut out = std::io::stdout();
    if args.json {
        let said = serde_json::json!({
            "probe": config.probe, "site": config.site, "certificate_until": until,
        });
        writeln!(out, "{said:#}")?;
    } else {
        writeln!(
            out,
            "{} has joined at site {}; its certificate is good until {until}",
            config.probe, config.site
        )?;
        writeln!(out, "start it: crosscheck-probe --config {}", args.config.display())?;
    }
    Ok(())
}

fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() { log.init() } else { log.json().init() }
}

/// Where there is one processor, one thread does it all and shares its queue with nobody: that costs
/// less than a pool of one. `TOKIO_WORKER_THREADS` asks for a pool.
fn run(arguments: &Work) -> anyhow::Result<()> {
    let is_single = std::thread::available_parallelism().is_ok_and(|count| count.get() == 1);
    let mut builder = match is_single && std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build()?.block_on(work(arguments))
}

async fn work(arguments: &Work) -> anyhow::Result<()> {
    let config = Config::read(&arguments.config)?;
    if arguments.check_config {
        writeln!(std::io::stdout(), "`{}` is fine", arguments.config.display())?;
        return Ok(());
    }
    let identity = config.identity()?;
    let link = config.link(identity.as_ref())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let metrics = match config.metrics {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .with_context(|| format!("listen on `{address}` for metrics"))?,
        ),
        None => None,
    };
    let renewed = identity.map(|own| tokio::spawn(renewal::keep_fresh(own, link.clone())));
    let probe = crosscheck_probe::start(&config, link).context("start the probe")?;
    tracing::info!(probe = %config.probe, site = %config.site, "probe started");
    let served = metrics.map(|listener| tokio::spawn(metrics::serve(listener, probe.remote())));
    let secrets = Secrets::of_process();
    let watch = config.last_resort.clone().map(|mail| {
        let (config, remote) = (config.clone(), probe.remote());
        tokio::spawn(async move { last_resort::run(&config, mail, remote, secrets).await })
    });
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    tracing::info!("stopping");
    if tokio::time::timeout(STOP_LIMIT, probe.stop()).await.is_err() {
        tracing::warn!("the disk took too long; some observations may not be kept");
    }
    let helpers = [
        served.map(|task| task.abort_handle()),
        renewed.map(|task| task.abort_handle()),
        watch.map(|task| task.abort_handle()),
    ];
    helpers.into_iter().flatten().for_each(|task| task.abort());
    Ok(())
}
