//! `crosscheck coordinator`: one member of a cluster.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use crosscheck_checks::env::Secrets;
use tokio_util::sync::CancellationToken;

use super::{BAD_INPUT, FINE};
use crate::bearer::{self, BearerKey};
use crate::courier;
use crate::fatal::Fatal;
use crate::heartbeat::ping::Receiver;
use crate::leader::SystemClock;
use crate::member::Member;
use crate::replica::{ReplicaConfig, SNAPSHOT_EVERY};
use crate::serve;
use crate::settings::Settings;

/// Runs one member of a cluster of three or five.
///
/// The members agree on what to check (`crosscheck apply`), judge what the probes report, and
/// send what follows from it; each of them answers probes and serves the page.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLE)]
pub struct CoordinatorArgs {
    /// The settings file (YAML); `--help` shows one.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Check the settings and exit: 0 fine, 2 not.
    #[arg(long)]
    pub check_config: bool,
}

const EXAMPLE: &str = r#"A settings file, with everything it can say:

  node: 1                                 # this member's number, never given to another machine
  members:                                # all members, this one too: where they talk Raft
    1: http://10.0.1.1:7401
    2: http://10.0.2.1:7401
    3: http://10.0.3.1:7401
  data: /var/lib/crosscheck               # log, snapshots, history
  key: "${file:/etc/crosscheck/key}"      # what members and probes show to be let in
  operator_key: "${file:/etc/crosscheck/operator-key}"  # what operators show
  profile: lan                            # wan: members in several regions
  listen:                                 # what is left out is closed
    raft: 10.0.1.1:7401                   # for the other members
    probes: 10.0.1.1:7402                 # for probes
    operators: 127.0.0.1:7403             # the page and the whole API
    page: 0.0.0.0:8080                    # the page and the public part of the API
  heartbeats:                             # pinged while this member leads; whoever misses the
    - { url: "${file:/etc/crosscheck/ping-url}", every: 60s }  # pings raises the alarm. The same
    - { url: "https://cron.example.com/ping", method: post }   # list on every member
  last_resort:                            # mails from this member alone when nothing is agreed on
    mail: [ops@example.com]               # for 3 minutes: to whom, and as in the `mail` channel
    smtp: "smtp://mail.example.com:587"
    from: crosscheck@example.com
    user: crosscheck
    password: "${file:/etc/crosscheck/smtp}"
    after: 3m                             # each further member waits a third of that longer

Members and probes talk in clear text: put them on a private network or a VPN.

Exit status: 0 fine, 1 ours, 2 the settings'."#;

/// Runs until the process is told to end; the exit status.
///
/// # Errors
/// What is ours and not the user's.
pub async fn coordinator(args: &CoordinatorArgs) -> anyhow::Result<u8> {
    let secrets = Secrets::of_process();
    let settings = match Settings::read(&args.config).and_then(|settings| {
        let keys = (settings.key(&secrets)?, settings.operator_key(&secrets)?);
        let receivers = settings.receivers(&secrets)?;
        Ok((settings, keys, receivers))
    }) {
        Ok(settings) => settings,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error}")?;
            return Ok(BAD_INPUT);
        }
    };
    if args.check_config {
        writeln!(std::io::stdout(), "`{}` is fine", args.config.display())?;
        return Ok(FINE);
    }
    let (settings, (key, operator_key), receivers) = settings;
    run(&settings, key, operator_key, receivers, secrets).await?;
    Ok(FINE)
}

async fn run(
    settings: &Settings,
    key: Option<String>,
    operator_key: Option<String>,
    receivers: Vec<Receiver>,
    secrets: Secrets,
) -> anyhow::Result<()> {
    let mut end = super::Termination::new()?;
    let stop = CancellationToken::new();
    let listen = &settings.listen;
    let raft = serve::bind(listen.raft, "the other members").await?;
    let config = ReplicaConfig {
        id: settings.node,
        peers: settings.members.clone(),
        data: settings.data.clone(),
        profile: settings.profile.into(),
        key: key.clone(),
        snapshot_every: SNAPSHOT_EVERY,
        clock: Arc::new(SystemClock::start()),
        fatal: Fatal::exit(),
    };
    let member = Member::start(config, courier::by_channels(secrets.clone()))
        .await
        .with_context(|| format!("open the data directory {}", settings.data.display()))?;
    // The other members must reach this one until it has handed leadership over.
    let raft_stop = CancellationToken::new();
    let raft = serve::serve(raft, member.raft_routes(), raft_stop.clone());
    let mut served = Vec::new();
    let others: [(_, _, Router); 3] = [
        (listen.probes, "probes", member.probe_routes(key.as_deref())),
        (listen.page, "the status page", member.public_routes()),
        (listen.operators, "operators", guarded(member.operator_routes(), operator_key)),
    ];
    for (address, purpose, routes) in others {
        let Some(address) = address else { continue };
        let listener = serve::bind(address, purpose).await?;
        served.push(serve::serve(listener, routes, stop.clone()));
        tracing::info!(%address, "listening for {purpose}");
    }
    member.replica().initialize().await.context("form the cluster")?;
    member.beat(receivers, secrets.clone());
    if let Some(mail) = settings.last_resort.clone() {
        let name = format!("{} ({})", settings.node, listen.raft);
        member.keep_watch(&name, mail, secrets);
    }
    tracing::info!(node = settings.node, members = settings.members.len(), "running");
    end.asked().await;
    tracing::info!("stopping");
    stop.cancel();
    for listener in served {
        listener.await.context("end a listener")?;
    }
    member.stop().await;
    raft_stop.cancel();
    raft.await.context("end the listener for the other members")?;
    Ok(())
}

/// Only for those who show the key, where there is one.
fn guarded(routes: Router, key: Option<String>) -> Router {
    match key {
        Some(key) => bearer::guard(routes, BearerKey::new(&key)),
        None => routes,
    }
}
