//! `crosscheck standalone`: one coordinator and a probe in one process, and a status page.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use crosscheck_checks::clock;
use crosscheck_checks::document::{self, Disk, Document, LOCAL_SITE};
use crosscheck_checks::env::Secrets;
use crosscheck_model::config::Site;
use crosscheck_model::spec::{SiteChoice, SiteQuorum};
use crosscheck_model::{Config, SiteId};
use tokio_util::sync::CancellationToken;

use super::catalogue::catalogue;
use super::exec::ExecArgs;
use super::{BAD_INPUT, FINE};
use crate::access::{self, Authority, AuthorityError, Credentials, MemberKey, Passphrase};
use crate::courier;
use crate::fatal::Fatal;
use crate::inside::InsideLink;
use crate::leader::SystemClock;
use crate::member::Member;
use crate::replica::{Profile, ReplicaConfig, SNAPSHOT_EVERY};
use crate::serve;
use crate::surroundings::Surroundings;

/// How often the files are looked at. Reading them is cheaper than any way of being told that
/// works on every mount.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where other members would reach this one: there are none.
const NOBODY: &str = "http://127.0.0.1:1";

/// The one member of this cluster.
const NODE: u64 = 1;

/// Runs the checks from here, sends the mails, and serves the status page: all in one process.
///
/// The files are watched: a good edit takes effect within seconds, a bad one is reported and the
/// running configuration stays. With one site nothing is cross-checked; let more probes in by
/// `--probes`, or run a cluster (`crosscheck coordinator`).
#[derive(Debug, clap::Args)]
pub struct StandaloneArgs {
    /// Files, or directories of `*.yaml` and `*.yml`, that make up one configuration.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Where the status page and the API are served. Beyond loopback everyone who reaches it may
    /// look, and nobody may acknowledge.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The directory of log and history; made when it is not there.
    #[arg(long, value_name = "DIRECTORY", default_value = "crosscheck-data")]
    pub data: PathBuf,
    /// Let further probes (`crosscheck-probe`) in at this address; the configured sites and
    /// quorums then hold. Beyond loopback they talk TLS and must join: `crosscheck probe token
    /// create`, which asks `--listen` on loopback.
    #[arg(long, value_name = "ADDRESS")]
    pub probes: Option<SocketAddr>,
    /// With `--probes`: which configured site the probe in this process stands for; left out, it
    /// has none, and only the others look.
    #[arg(long, value_name = "SITE", requires = "probes")]
    pub site: Option<String>,
    /// A name server to ask beside this host's own when evidence about a failure is gathered, with
    /// port 53 when left out (`192.0.2.53`).
    #[arg(long, value_name = "ADDRESS", value_parser = name_server)]
    pub second_resolver: Option<SocketAddr>,
    /// Programs for checks of kind `exec`.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// Runs until the process is told to end; the exit status.
///
/// # Errors
/// What is ours and not the user's.
pub async fn standalone(args: &StandaloneArgs, colour: bool) -> anyhow::Result<u8> {
    let mut errors = std::io::stderr();
    let Some(config) = load(args, &mut errors, colour)? else { return Ok(BAD_INPUT) };
    let page = match serve::bind(args.listen, "the status page").await {
        Ok(listener) => listener,
        Err(error) => return refuse(&mut errors, &error.to_string()),
    };
    let stop = CancellationToken::new();
    let credentials = credentials(args)?;
    let member = start(args, credentials.clone()).await?;
    if let Some(address) = args.probes {
        let listener = serve::bind(address, "probes").await?;
        match &credentials {
            Some(credentials) => {
                access::serve(listener, credentials, member.access_routes(credentials), &stop)?;
                tokio::spawn(credentials.clone().keep_fresh(stop.clone()));
            }
            None => {
                serve::serve(listener, member.probe_routes(), stop.clone());
            }
        }
    }
    configure(&member, config, args).await?;
    let probe = match site_of(args) {
        Some(site) => Some(embedded(args, &member, &site)?),
        None => None,
    };
    let address = page.local_addr().context("ask the listener for its address")?;
    // Whoever reaches loopback is an operator of this host; beyond it, everyone only looks.
    let routes = match args.listen.ip().is_loopback() {
        true => member.loopback_routes(),
        false => member.public_routes(),
    };
    let served = serve::serve(page, routes, stop.clone());
    tracing::info!(page = %format!("http://{address}/"), data = %args.data.display(), "running");
    watch(args, &member, colour).await?;
    tracing::info!("stopping");
    stop.cancel();
    if let Some(probe) = probe {
        probe.stop().await;
    }
    served.await.context("end the listener")?;
    member.stop().await;
    Ok(FINE)
}

/// As `second_resolver` of a probe's configuration.
fn name_server(text: &str) -> Result<SocketAddr, String> {
    crosscheck_probe::config::server(text)
        .ok_or_else(|| "it is no address; write `192.0.2.53` or `[2001:db8::53]:5353`".to_owned())
}

fn refuse(errors: &mut dyn Write, why: &str) -> anyhow::Result<u8> {
    writeln!(errors, "error: {why}")?;
    Ok(BAD_INPUT)
}

/// Reads the configuration and says what is wrong with it; `None` when it cannot be used.
fn load(
    args: &StandaloneArgs,
    errors: &mut dyn Write,
    colour: bool,
) -> anyhow::Result<Option<Config>> {
    let document = Document::load(&args.paths, &Disk, &catalogue());
    let mut found = document.diagnostics().to_vec();
    found.extend(document.unreadable_secrets(&Secrets::of_process()));
    document::report(errors, &found, colour)?;
    let config = document.config().cloned();
    let unknown = args
        .site
        .as_ref()
        .zip(config.as_ref())
        .filter(|(site, config)| !config.sites.contains_key(&SiteId::new(site.as_str())));
    if let Some((site, config)) = unknown {
        let known: Vec<&str> = config.sites.keys().map(SiteId::as_str).collect();
        writeln!(errors, "error: --site `{site}` is not configured; known: {}", known.join(", "))?;
        return Ok(None);
    }
    Ok(config.map(|config| fitted(config, args)))
}

/// Without further probes there is one place to look from, whatever sites are configured.
fn fitted(mut config: Config, args: &StandaloneArgs) -> Config {
    if config.public_url.is_none() {
        config.public_url = Some(format!("http://{}", args.listen));
    }
    if args.probes.is_some() {
        return config;
    }
    if config.sites.len() > 1 {
        tracing::warn!(
            sites = config.sites.len(),
            "all checks run from here only, so nothing is cross-checked; see --probes"
        );
    }
    let site = Site { region: "here".to_owned(), carrier: "this host's".to_owned() };
    config.sites = [(SiteId::new(LOCAL_SITE), site)].into();
    for check in config.checks.iter_mut().filter(|check| !check.source.is_push()) {
        check.sites = SiteChoice::All;
        check.quorum = SiteQuorum::Single;
    }
    config
}

/// The site that the probe in this process stands for.
fn site_of(args: &StandaloneArgs) -> Option<String> {
    match args.probes {
        None => Some(LOCAL_SITE.to_owned()),
        Some(_) => args.site.clone(),
    }
}

/// What this process proves itself by to probes beyond loopback; made at the first start.
fn credentials(args: &StandaloneArgs) -> anyhow::Result<Option<Arc<Credentials>>> {
    if args.probes.is_none_or(|address| address.ip().is_loopback()) {
        return Ok(None);
    }
    let passphrase = Passphrase::find(None, &Secrets::of_process())?;
    let passphrase = passphrase.as_ref();
    let authority = match Authority::open(&args.data, passphrase) {
        Err(AuthorityError::Missing(_)) => {
            Authority::create(&args.data, passphrase, clock::wall())?
        }
        opened => opened?,
    };
    // Probes know coordinators by the authority; there is no other member to know this one's key.
    let key = MemberKey::generate()?;
    Ok(Some(Arc::new(Credentials::new(authority, key, NODE, BTreeMap::new())?)))
}

async fn start(
    args: &StandaloneArgs,
    credentials: Option<Arc<Credentials>>,
) -> anyhow::Result<Member> {
    let config = ReplicaConfig {
        id: NODE,
        url: NOBODY.to_owned(),
        acquaintances: BTreeMap::new(),
        data: args.data.clone(),
        profile: Profile::Lan,
        credentials,
        snapshot_every: SNAPSHOT_EVERY,
        clock: Arc::new(SystemClock::start()),
        fatal: Fatal::exit(),
        surroundings: Surroundings::default(),
        program: crate::cluster::Program::this(),
    };
    let carry = courier::by_channels(Secrets::of_process());
    let directory = args.data.display();
    let member = Member::start(config, carry)
        .await
        .with_context(|| format!("open the data directory {directory}"))?;
    member.replica().form().await.context("form the cluster of one")?;
    Ok(member)
}

fn embedded(
    args: &StandaloneArgs,
    member: &Member,
    site: &str,
) -> anyhow::Result<crosscheck_probe::Running> {
    let mut config = crosscheck_probe::Config::new(site, site);
    config.data = Some(args.data.join("probe"));
    // Beside the probe's own: the authority's key.
    config.closed = vec![args.data.clone()];
    config.internal = true;
    config.exec = args.exec.programs();
    config.second_resolver = args.second_resolver.map(|server| server.to_string());
    let link = InsideLink::new(vec![member.gate()]);
    crosscheck_probe::start(&config, link).context("start the probe")
}

async fn configure(member: &Member, config: Config, args: &StandaloneArgs) -> anyhow::Result<()> {
    let checks = config.checks.len();
    let revision = member.configure(config).await.context("take the configuration over")?;
    let paths: Vec<String> = args.paths.iter().map(|p| p.display().to_string()).collect();
    tracing::info!(revision, checks, from = paths.join(", "), "configuration in force");
    Ok(())
}

/// Takes good edits over until the process is told to end.
async fn watch(args: &StandaloneArgs, member: &Member, colour: bool) -> anyhow::Result<()> {
    let mut end = super::Termination::new()?;
    let mut known = Document::load(&args.paths, &Disk, &catalogue());
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.asked() => return Ok(()),
            _ = look.tick() => {}
        }
        let paths = args.paths.clone();
        let read = tokio::task::spawn_blocking(move || Document::load(&paths, &Disk, &catalogue()));
        let document = read.await.context("read the configuration")?;
        if document == known {
            continue;
        }
        if document.config().is_some() {
            if let Some(config) = load(args, &mut std::io::stderr(), colour)? {
                configure(member, config, args).await?;
            }
        } else {
            document::report(&mut std::io::stderr(), document.diagnostics(), colour)?;
            tracing::error!("the edit is wrong; the running configuration stays");
        }
        known = document;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_there_is_one_site_and_one_voice() {
        let args = StandaloneArgs {
            paths: vec![],
            listen: "127.0.0.1:8080".parse().expect("an address"),
            data: PathBuf::new(),
            probes: None,
            site: None,
            second_resolver: None,
            exec: ExecArgs::default(),
        };
        let site = |carrier: &str| Site { region: "r".to_owned(), carrier: carrier.to_owned() };
        let config = Config {
            sites: [(SiteId::new("a"), site("a")), (SiteId::new("b"), site("b"))].into(),
            ..Config::default()
        };
        let alone = fitted(config.clone(), &args);
        assert_eq!(alone.sites.keys().map(SiteId::as_str).collect::<Vec<_>>(), [LOCAL_SITE]);
        assert_eq!(alone.public_url.as_deref(), Some("http://127.0.0.1:8080"));
        let with_others = StandaloneArgs { probes: Some(args.listen), ..args };
        assert_eq!(fitted(config, &with_others).sites.len(), 2);
    }

    #[test]
    fn a_second_resolver_has_port_53_unless_it_says_otherwise() {
        let of = |text| name_server(text).map(|server| server.to_string());
        assert_eq!(of("192.0.2.53").as_deref(), Ok("192.0.2.53:53"));
        assert_eq!(of("[2001:db8::53]:5353").as_deref(), Ok("[2001:db8::53]:5353"));
        assert!(of("ns1").is_err_and(|why| why.contains("no address")));
    }
}
