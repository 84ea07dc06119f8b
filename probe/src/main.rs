//! The program `crosscheck-probe`: arguments, configuration, log, signals; nothing else.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use crosscheck_checks::env::Secrets;
use crosscheck_probe::{Config, config::ConfigError, last_resort, metrics};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::AbortHandle;
use tracing_subscriber::EnvFilter;

/// At the end the disk is waited for this long; a service manager's patience is longer.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Runs the checks that the coordinators assign to this probe, and reports what it sees.
///
/// A probe needs to be told who it is, where it stands and where the coordinators are; what to
/// check comes from them. Cut off from them, it goes on checking, keeps its observations, and
/// delivers them later.
#[derive(Parser)]
#[command(version, after_long_help = EXAMPLE)]
struct Arguments {
    /// The configuration file (YAML); `--help` shows one.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Check the configuration and exit: 0 fine, 2 not.
    #[arg(long)]
    check_config: bool,
}

const EXAMPLE: &str = r#"A configuration, with everything it can say:

  probe: bj-ct-1                    # this probe's name
  site: bj-ct                       # one of the cluster's `sites:`
  coordinators:                     # all of them; any one suffices at a time
    - https://c1.example.com:8443
    - https://c2.example.com:8443
    - https://c3.example.com:8443
  key: "${file:/run/secrets/probe}" # what the coordinators let it in by
  ca: /etc/crosscheck/ca.pem        # who vouches for them; left out: the system's authorities
  data: /var/lib/crosscheck-probe   # keeps observations over a restart; left out: in memory only
  internal: false                   # true: checks may connect to private addresses
  metrics: 127.0.0.1:9464           # serves /metrics for Prometheus; left out: nowhere
  limits: { concurrency: 1000, spool: 200000 }
  last_resort:                      # mails from this probe alone when it reaches no coordinator
    mail: [ops@example.com]         # for 10 minutes, once an hour at most: to whom, and as in
    smtp: "smtp://mail.example.com:587"   # the `mail` channel
    from: crosscheck@example.com
    user: crosscheck
    password: "${file:/run/secrets/smtp}"
    after: 10m

The log goes to standard error: text on a terminal, JSON elsewhere; RUST_LOG=debug says more.
SIGTERM and SIGINT end the probe; what is undelivered is kept in `data`.
Exit status: 0 fine, 1 ours, 2 the configuration's."#;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "crosscheck-probe: {error:#}");
            if error.is::<ConfigError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() { log.init() } else { log.json().init() }
}

#[tokio::main]
async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::read(&arguments.config)?;
    let link = config.link()?;
    if arguments.check_config {
        writeln!(std::io::stdout(), "`{}` is fine", arguments.config.display())?;
        return Ok(());
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let metrics = match config.metrics {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .with_context(|| format!("listen on `{address}` for metrics"))?,
        ),
        None => None,
    };
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
    for task in [served.map(|task| task.abort_handle()), watch.map(|task| task.abort_handle())] {
        task.inspect(AbortHandle::abort);
    }
    Ok(())
}
