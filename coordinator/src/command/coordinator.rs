//! `crosscheck coordinator`: one member of a cluster.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use crosscheck_checks::env::Secrets;
use tokio_util::sync::CancellationToken;

use super::{BAD_INPUT, FINE, terminal};
use crate::access::{self, Authority, Credentials, MemberKey, Passphrase};
use crate::cluster::Program;
use crate::cluster::identity::Identity;
use crate::courier;
use crate::disk::{Ballast, FileSystem};
use crate::fatal::Fatal;
use crate::heartbeat::ping::Receiver;
use crate::leader::SystemClock;
use crate::member::Member;
use crate::replica::{Ending, ReplicaConfig, SNAPSHOT_EVERY};
use crate::serve;
use crate::settings::Settings;
use crate::surroundings::Surroundings;

/// Runs one member of a cluster, which `crosscheck cluster init` or `cluster join` has made.
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

  data: /var/lib/crosscheck               # log, snapshots, history
  url: https://10.0.1.1:7401              # where other members reach it, when not listen.raft
  operator_key: "${file:/etc/crosscheck/operator-key}"  # the first administrator's token
  authority_passphrase: "${file:/run/crosscheck/authority}"  # seals authority.pem, see below
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

Operators show a token. The first one shows the operator_key and makes the others:

  export CROSSCHECK_TOKEN='${file:/etc/crosscheck/operator-key}'
  crosscheck token create --name li --role administrator

The key may be taken out of the settings afterwards. Without a key, a listener for operators on
loopback lets in whoever reaches it, and one elsewhere whoever has a token.

Who belongs to the cluster is not in it: `crosscheck cluster --help`.

Profiles: how long a dead leader is waited for. All members have the same.
  lan   heartbeats each 75 ms, election after 0.4 to 0.7 s: a new leader within 2 s
  wan   heartbeats each 300 ms, election after 1.5 to 3 s: a new leader within 6.5 s

/readyz answers 200 when this member serves: it votes, hears a quorum and a leader, has caught up
with the log and its history, and is not stopping. Else 503, with what is missing.

Disk: from 90 % in use on the operators are told (an incident of the installation's own) and another
member leads; from 95 % on it stops in order, and does not start before there is space again.

Members and probes talk TLS 1.3, with certificates of this installation's own authority, whose key
is `authority.pem` in the data directory: whoever has it can let probes in, and pretend to probes to
be a coordinator. Members know each other by keys of their own (`member-key.pem`), too.

A passphrase seals the authority's key on this machine's disk: `authority_passphrase`, or else the
credential `crosscheck.authority` of systemd (LoadCredentialEncrypted=). Make it with
`openssl rand -hex 32`, another one for each member, and keep it off the disk that it protects. A key
that is there in clear is sealed at the next start. Changing it, and the copy to keep: "Sealing the
authority's key" in docs/manual/operations.md.

Exit status: 0 stopped in order, 1 ours, 2 the settings' or the data directory's: starting it
again would not help."#;

/// Runs until the process is told to end; the exit status.
///
/// # Errors
/// What is ours and not the user's.
pub async fn coordinator(args: &CoordinatorArgs, program: Program) -> anyhow::Result<u8> {
    let secrets = Secrets::of_process();
    let read = Settings::read_with_passphrase(&args.config, &secrets);
    let settings = match read.and_then(|(settings, passphrase)| {
        let key = settings.operator_key(&secrets)?;
        let receivers = settings.receivers(&secrets)?;
        Ok((settings, passphrase, key, receivers))
    }) {
        Ok(settings) => settings,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {}", terminal::lines(&error.to_string()))?;
            return Ok(BAD_INPUT);
        }
    };
    if args.check_config {
        writeln!(std::io::stdout(), "`{}` is fine", args.config.display())?;
        return Ok(FINE);
    }
    let (settings, passphrase, operator_key, receivers) = settings;
    let identity = match Identity::read(&settings.data) {
        Ok(identity) => identity,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {}", terminal::lines(&error.to_string()))?;
            return Ok(BAD_INPUT);
        }
    };
    let credentials = match credentials(&settings, passphrase.as_ref(), &identity) {
        Ok(credentials) => Arc::new(credentials),
        Err(error) => {
            writeln!(std::io::stderr(), "error: {}", terminal::lines(&error))?;
            return Ok(BAD_INPUT);
        }
    };
    let own = Own { credentials, operator_key, receivers, program };
    match run(&settings, &identity, own, secrets).await? {
        None => Ok(FINE),
        Some(Ending::Removed(reason)) => {
            identity.remove(&settings.data, &reason)?;
            writeln!(std::io::stderr(), "stopped: {reason}")?;
            Ok(FINE)
        }
        Some(Ending::DiskFull(reason)) => anyhow::bail!("stopped in order: {reason}"),
        Some(Ending::Refused(reason)) => {
            writeln!(std::io::stderr(), "error: {reason}")?;
            Ok(BAD_INPUT)
        }
    }
}

fn credentials(
    settings: &Settings,
    passphrase: Option<&Passphrase>,
    identity: &Identity,
) -> Result<Credentials, String> {
    let authority =
        Authority::open(&settings.data, passphrase).map_err(|error| error.to_string())?;
    if passphrase.is_none() {
        tracing::warn!(
            "the key of the authority lies on this disk in clear: whoever reads the disk can let \
             probes in, and pretend to be a coordinator; `authority_passphrase` seals it"
        );
    }
    let key = MemberKey::open(&settings.data).map_err(|error| error.to_string())?;
    let made = Credentials::new(authority, key, identity.node, identity.keys.clone());
    made.map_err(|error| error.to_string())
}

/// What a member has beside its settings.
struct Own {
    credentials: Arc<Credentials>,
    operator_key: Option<String>,
    receivers: Vec<Receiver>,
    program: Program,
}

fn replica_config(
    settings: &Settings,
    identity: &Identity,
    credentials: Arc<Credentials>,
    program: Program,
) -> ReplicaConfig {
    tracing::info!(version = program.version, level = program.level, "this is crosscheck");
    ReplicaConfig {
        id: identity.node,
        url: settings.raft_url(),
        acquaintances: identity.members.clone(),
        data: settings.data.clone(),
        profile: settings.profile.into(),
        credentials: Some(credentials),
        snapshot_every: SNAPSHOT_EVERY,
        clock: Arc::new(SystemClock::start()),
        fatal: Fatal::exit(),
        surroundings: Surroundings::default(),
        program,
    }
}

/// Runs until the process is asked to end, or the member must stop, and why.
async fn run(
    settings: &Settings,
    identity: &Identity,
    own: Own,
    secrets: Secrets,
) -> anyhow::Result<Option<Ending>> {
    let Own { credentials, operator_key, receivers, program } = own;
    let mut end = super::Termination::new()?;
    let stop = CancellationToken::new();
    let listen = &settings.listen;
    let raft = serve::bind(listen.raft, "the other members").await?;
    let space = Arc::new(FileSystem(settings.data.clone()));
    let ballast = Ballast::keep(&settings.data, &*space)?;
    let config = replica_config(settings, identity, credentials.clone(), program);
    let member = Member::start(config, courier::by_channels(secrets.clone()))
        .await
        .with_context(|| format!("open the data directory {}", settings.data.display()))?;
    // The other members must reach this one until it has handed leadership over.
    let raft_stop = CancellationToken::new();
    let raft = access::serve(raft, &credentials, member.raft_routes(), &raft_stop)?;
    let renewal = tokio::spawn(credentials.clone().keep_fresh(stop.clone()));
    let mut served = vec![renewal];
    if let Some(address) = listen.probes {
        let listener = serve::bind(address, "probes").await?;
        let routes = member.access_routes(&credentials);
        served.push(access::serve(listener, &credentials, routes, &stop)?);
        tracing::info!(%address, "listening for probes");
    }
    let local = listen.operators.is_some_and(|address| address.ip().is_loopback());
    let operators = match operator_key.as_deref() {
        None if local => member.loopback_routes(),
        key => member.operator_routes(key),
    };
    let others: [(_, _, Router); 2] = [
        (listen.page, "the status page", member.public_routes()),
        (listen.operators, "operators", operators),
    ];
    for (address, purpose, routes) in others {
        let Some(address) = address else { continue };
        let listener = serve::bind(address, purpose).await?;
        served.push(serve::serve(listener, routes, stop.clone()));
        tracing::info!(%address, "listening for {purpose}");
    }
    member.replica().ask_for_admission();
    member.replica().watch_disk(settings.data.clone(), space, ballast);
    member.beat(receivers, secrets.clone());
    if let Some(mail) = settings.last_resort.clone() {
        let name = format!("{} ({})", identity.node, listen.raft);
        member.keep_watch(&name, mail, secrets);
    }
    tracing::info!(node = identity.node, cluster = identity.cluster, "running");
    let ending = tokio::select! {
        () = end.asked() => None,
        ending = member.replica().ended() => Some(ending),
    };
    tracing::info!(?ending, "stopping");
    stop.cancel();
    for listener in served {
        listener.await.context("end a listener")?;
    }
    member.stop().await;
    raft_stop.cancel();
    raft.await.context("end the listener for the other members")?;
    Ok(ending)
}
