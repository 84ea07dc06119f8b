//! A whole installation on one machine: three coordinators and five probes as processes, each on a
//! host of its own, with a target to break and a mail server that keeps what it gets.
//!
//! ```text
//!   c1 c2 c3      a1 a2 b1 b2 g1       hosts: network namespaces
//!    |  |  |       |  |  |  |  |
//!   =+==+==+=======+==+==+==+==+=====  the test's own host: target, mailbox, the test
//! ```
//!
//! **Invariants**
//! - Nothing leaves the private network, and nothing is left behind, however the test ends.
//! - Waiting is for a fact, with a limit; nothing is concluded from time alone.

pub mod coordinator;
pub mod load;
pub mod mailbox;
pub mod network;
pub mod probe;
pub mod program;
pub mod record;
pub mod target;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use coordinator::Coordinator;
use mailbox::Mailbox;
use network::{HUB, Network, Way};
use probe::Probe;
use target::Target;

/// The members.
pub const NODES: [usize; 3] = [1, 2, 3];

/// The sites, with region and carrier: two carriers with two sites and one with one, so that four
/// of five must agree.
pub const SITES: [(&str, &str, &str); 5] = [
    ("a1", "north", "alpha"),
    ("a2", "east", "alpha"),
    ("b1", "south", "beta"),
    ("b2", "north", "beta"),
    ("g1", "east", "gamma"),
];

/// The check that every cluster begins with.
pub const CHECK: &str = "shop";

/// Who is told: every alarm is one mail to each.
pub const CONTACTS: [&str; 2] = ["ops@example.com", "li@example.com"];

/// Three elections, a session limit (15 s) and a leader's grace (30 s), on a busy machine.
pub const SETTLED: Duration = Duration::from_secs(90);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Lines of each program's log that a failure shows.
const LOG_LINES: usize = 15;

/// An installation.
#[derive(Debug)]
pub struct Cluster {
    /// What is checked.
    pub target: Target,
    /// Where mails arrive.
    pub mailbox: Mailbox,
    probes: Vec<Probe>,
    coordinators: Vec<Coordinator>,
    directory: TempDir,
    _network: Network,
}

/// Runs a test on an installation of its own; `checks` more checks than the usual one look at the
/// same target. Without `probes` the test speaks for them.
///
/// # Errors
/// What the test says, with the end of each program's log.
pub fn run(
    plan: Plan,
    test: impl AsyncFnOnce(&mut Cluster) -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    let work = || {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let network = Network::enter()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut cluster = Cluster::start(network, plan).await?;
            let result = match cluster.settle(plan).await {
                Ok(()) => test(&mut cluster).await,
                Err(error) => Err(error),
            };
            result.map_err(|error| anyhow!("{error:#}\n{}", cluster.logs()))
        })
    };
    // A thread of its own, because it moves to another network.
    std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What an installation begins with.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many checks look at the target.
    pub checks: usize,
    /// Whether there are probes.
    pub probes: bool,
}

impl Plan {
    /// One check and all probes.
    pub const USUAL: Self = Self { checks: 1, probes: true };
}

impl Cluster {
    async fn start(mut network: Network, plan: Plan) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let members: BTreeMap<usize, Ipv4Addr> =
            NODES.map(|node| (node, Ipv4Addr::new(10, 77, 0, node as u8))).into();
        let mut coordinators = Vec::new();
        for (node, address) in &members {
            let host = network.host(*address)?;
            let place = directory.path().join(format!("c{node}"));
            coordinators.push(Coordinator::new(host, *node, &members, place)?);
        }
        let urls: Vec<String> = coordinators.iter().map(Coordinator::probes_url).collect();
        let mut probes = Vec::new();
        for (place, (site, _, _)) in SITES.iter().enumerate().filter(|_| plan.probes) {
            let host = network.host(Ipv4Addr::new(10, 77, 0, 11 + place as u8))?;
            probes.push(Probe::new(site, host, &urls, directory.path().join(site))?);
        }
        let target = Target::start(SocketAddr::from((HUB, 8000))).await?;
        let mailbox = Mailbox::start(SocketAddr::from((HUB, 2525))).await?;
        Ok(Self { target, mailbox, probes, coordinators, directory, _network: network })
    }

    /// Starts all programs, applies the configuration, and waits until all is well.
    async fn settle(&mut self, plan: Plan) -> anyhow::Result<()> {
        for coordinator in &mut self.coordinators {
            coordinator.start()?;
        }
        self.await_ready(&NODES).await?;
        let file = self.directory.path().join("configuration.yaml");
        std::fs::write(&file, configuration(plan.checks))?;
        self.coordinator(1).apply(&file)?;
        for probe in &mut self.probes {
            probe.start()?;
        }
        if plan.probes {
            self.await_status(1, "up", |check| votes(check, "up") == SITES.len()).await?;
        }
        Ok(())
    }

    /// A member.
    pub fn coordinator(&self, node: usize) -> &Coordinator {
        &self.coordinators[node - 1]
    }

    /// A member, to be started or killed.
    pub fn coordinator_mut(&mut self, node: usize) -> &mut Coordinator {
        &mut self.coordinators[node - 1]
    }

    /// A probe, by its site.
    pub fn probe(&self, site: &str) -> &Probe {
        let found = self.probes.iter().find(|probe| probe.name() == site);
        found.unwrap_or_else(|| panic!("no probe at `{site}`"))
    }

    /// All probes.
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// The addresses of all coordinators, to be cut off from.
    pub fn coordinator_addresses(&self) -> Vec<Ipv4Addr> {
        self.coordinators.iter().map(|coordinator| coordinator.host().address()).collect()
    }

    /// Cuts the sites off from the target.
    ///
    /// # Errors
    /// nftables refuses.
    pub fn cut_from_target(&self, sites: &[&str]) -> anyhow::Result<()> {
        sites.iter().try_for_each(|site| self.probe(site).host().cut(Way::Both, &[HUB]))
    }

    /// Waits until these members say that they can be relied on, and agree on a leader: its number.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn await_ready(&self, nodes: &[usize]) -> anyhow::Result<usize> {
        eventually("a leader that all members know", SETTLED, async || {
            let mut leaders = Vec::new();
            for node in nodes {
                let (ready, health) = self.coordinator(*node).readiness().await?;
                leaders.push(if ready { health["leader"].as_u64() } else { None });
            }
            leaders.dedup();
            match leaders[..] {
                [Some(leader)] => Ok(leader as usize),
                _ => bail!("leaders: {leaders:?}"),
            }
        })
        .await
    }

    /// The usual check, as a member sees it.
    ///
    /// # Errors
    /// The member does not answer.
    pub async fn check(&self, node: usize) -> anyhow::Result<Value> {
        self.coordinator(node).api(&format!("checks/{CHECK}")).await
    }

    /// Waits until the usual check has this status and fits, as a member sees it; the check.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn await_status(
        &self,
        node: usize,
        status: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        eventually(&format!("status {status}"), SETTLED, async || {
            let check = self.check(node).await?;
            if check["status"] == status && fits(&check) { Ok(check) } else { bail!("{check}") }
        })
        .await
    }

    /// Waits until every probe's vote is on a run that ended after all votes of `before`, this
    /// many times: what was to follow from the first ones has followed.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn await_rounds(&self, node: usize, rounds: u32) -> anyhow::Result<()> {
        for _ in 0..rounds {
            let before = newest(&self.check(node).await?);
            eventually("a fresh vote of every probe", SETTLED, async || {
                let check = self.check(node).await?;
                let sites = check["sites"].as_array().context("sites")?;
                let fresh = |site: &Value| {
                    site["silent"].is_string() || site["at"].as_str() > before.as_deref()
                };
                if sites.iter().all(fresh) { Ok(()) } else { bail!("{check}") }
            })
            .await?;
        }
        Ok(())
    }

    /// Waits for this many mails of an event (`alarm`, `recovery`) in all.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn await_mails(&self, event: &str, count: usize) -> anyhow::Result<()> {
        let what = format!("{count} mails of the event {event}");
        // A notification whose first attempt failed is tried again after a minute.
        eventually(&what, SETTLED + Duration::from_secs(60), async || {
            let mails = self.mails(event);
            if mails >= count { Ok(()) } else { bail!("{mails} so far") }
        })
        .await
    }

    /// How many mails of an event came.
    pub fn mails(&self, event: &str) -> usize {
        self.mailbox.mails().iter().filter(|mail| mail.event() == event).count()
    }

    /// What came, as (event, contact), oldest first.
    pub fn events(&self) -> Vec<(String, String)> {
        let mails = self.mailbox.mails();
        mails.into_iter().map(|mail| (mail.event().to_owned(), mail.to)).collect()
    }

    /// The end of each program's log.
    fn logs(&self) -> String {
        let coordinators = self.coordinators.iter().map(Coordinator::log);
        let probes = self.probes.iter().map(Probe::log);
        coordinators.chain(probes).map(|log| tail(&log)).collect()
    }
}

/// How many sites of a check have this vote.
pub fn votes(check: &Value, status: &str) -> usize {
    let sites = check["sites"].as_array();
    sites.map_or(0, |sites| sites.iter().filter(|site| site["status"] == status).count())
}

/// When the newest run among a check's votes ended.
fn newest(check: &Value) -> Option<String> {
    let sites = check["sites"].as_array()?;
    sites.iter().filter_map(|site| site["at"].as_str()).max().map(str::to_owned)
}

/// Looks again and again until there is an answer.
///
/// # Errors
/// There is none within the limit; what the last look met.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    look: impl AsyncFn() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let until = Instant::now() + limit;
    loop {
        match look().await {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() >= until => {
                return Err(error.context(format!("waited {limit:?} for {what}")));
            }
            Err(_) => sleep(LOOK_EVERY).await,
        }
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let end = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
    format!("--- {}\n{end}\n", log.display())
}

/// What is applied: every site, and `checks` checks on the target at short intervals.
fn configuration(checks: usize) -> String {
    let mut text = String::from("sites:\n");
    for (site, region, carrier) in SITES {
        text.push_str(&format!("  {site}: {{ region: {region}, carrier: {carrier} }}\n"));
    }
    text.push_str(&format!(
        "defaults: {{ interval: 1s, retry_interval: 1s, timeout: 1s, attempt_gap: 1s, \
         recovery_hold: 2s, severity: disaster }}\n\
         contacts: {{ ops: {{ mail: [{}] }}, li: {{ mail: [{}] }} }}\n\
         channels: {{ mail: {{ smtp: \"smtp://{HUB}:2525\", tls: none, from: \"crosscheck@example.com\" }} }}\n\
         routes: [ {{ to: [ops, li] }} ]\n\
         pages: {{ public: {{ title: Shop, checks: [\"{CHECK}*\"] }} }}\n\
         checks:\n",
        CONTACTS[0], CONTACTS[1]
    ));
    for number in 0..checks {
        let name = if number == 0 { CHECK.to_owned() } else { format!("{CHECK} {number}") };
        text.push_str(&format!(
            "  - {{ name: {name}, http: {{ url: \"http://{HUB}:8000/{number}\" }}, alarm: {{ after: 1 }} }}\n"
        ));
    }
    text
}
