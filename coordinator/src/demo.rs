//! The whole product in one process on loopback, to be broken by its visitor: three coordinators,
//! five probes over three carriers, a target, and a mail box.
//!
//! ```text
//! probes -- real checks --> target        (cut by the switchboard)
//!    |----- HTTP ---------> coordinators  (cut by the switchboard, or really stopped)
//!                               |-- real Raft between them, over loopback
//!                               '-- SMTP --> mail box
//! visitor -- page, keys --> switchboard; page <- board <- any coordinator that lives
//! ```
//!
//! Nothing of what is judged, agreed on or sent is played: only the cables are.

mod advice;
mod board;
mod cables;
mod cluster;
mod keys;
mod mailbox;
mod message;
mod narrator;
mod routes;
mod rule;
mod scene;
mod switchboard;
mod target;

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use crosscheck_checks::env::{Env, Secrets};
use crosscheck_checks::guard::Guard;
use crosscheck_checks::programs::Programs;
use crosscheck_checks::resolve::Resolver;
use crosscheck_probe::Running;
use crosscheck_probe::runner::KindProber;
use tokio_util::sync::CancellationToken;

use board::Board;
use cables::{CutLink, CutProber};
use cluster::Cluster;
pub use keys::{HELP, act_of};
use mailbox::Mailbox;
pub use narrator::Narrator;
use scene::SITES;
use switchboard::Switchboard;
pub use switchboard::{Act, Mood};
use target::Target;

/// A running demonstration.
pub struct Demo {
    cluster: Arc<Cluster>,
    switches: Arc<Switchboard>,
    mailbox: Mailbox,
    probes: Vec<Running>,
    stop: CancellationToken,
}

impl Demo {
    /// Starts all parts; `url` is where the page will be.
    ///
    /// # Errors
    /// What this host does not allow.
    pub async fn start(url: &str) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let switches = Arc::new(Switchboard::default());
        let mailbox = Mailbox::start(stop.clone()).await.context("open the mail box")?;
        let target = Target::start(switches.watch(), stop.clone()).await;
        let target = target.context("start the target")?;
        let cluster = Arc::new(Cluster::start().await?);
        let yaml = scene::configuration(url, &target, mailbox.address());
        cluster.configure(scene::config(&yaml)?).await?;
        let probes = probes(&cluster, &switches)?;
        Ok(Self { cluster, switches, mailbox, probes, stop })
    }

    /// The page of the demonstration, and behind it the pages of whichever coordinator lives.
    pub fn routes(&self, operate: bool) -> Router {
        routes::routes(routes::Stage {
            cluster: self.cluster.clone(),
            switches: self.switches.clone(),
            mailbox: self.mailbox.clone(),
            operate,
        })
    }

    /// Does what the visitor asks.
    ///
    /// # Errors
    /// A coordinator cannot be started again.
    pub async fn act(&self, act: Act) -> anyhow::Result<()> {
        perform(&self.cluster, &self.switches, act).await
    }

    /// What has happened since the narrator last told.
    pub fn news(&self, narrator: &mut Narrator) -> Vec<String> {
        narrator.tell(&Board::look(&self.cluster, &self.switches.now(), &self.mailbox))
    }

    /// Ends all parts.
    pub async fn stop(self) {
        for probe in self.probes {
            probe.stop().await;
        }
        self.stop.cancel();
        self.cluster.stop().await;
    }
}

/// Does what the visitor asks; the only way in which anything is broken or healed.
async fn perform(cluster: &Cluster, switches: &Switchboard, act: Act) -> anyhow::Result<()> {
    tracing::info!(?act, "switched");
    match act {
        Act::Coordinator { node, live: true } => cluster.revive(node).await,
        Act::Coordinator { node, live: false } => {
            cluster.kill(node).await;
            Ok(())
        }
        Act::Leader => match cluster.dead() {
            Some(node) => cluster.revive(node).await,
            None => {
                if let Some(leader) = cluster.leader() {
                    cluster.kill(leader).await;
                }
                Ok(())
            }
        },
        Act::Heal => {
            switches.heal();
            while let Some(node) = cluster.dead() {
                cluster.revive(node).await?;
            }
            Ok(())
        }
        act => {
            switches.turn(act);
            Ok(())
        }
    }
}

/// One probe a site.
fn probes(cluster: &Cluster, switches: &Switchboard) -> anyhow::Result<Vec<Running>> {
    let start = |site: &'static scene::SitePlan| {
        let mut config = crosscheck_probe::Config::new(site.name, site.name);
        config.internal = true;
        config.coordinators = cluster.probe_urls();
        let link = CutLink::new(config.link(None)?, site, switches.watch());
        let env = Env {
            guard: Guard::Internal,
            resolver: Resolver::system(),
            secrets: Secrets::of_process(),
            programs: Programs::default(),
        };
        let prober = CutProber::new(KindProber::new(env), site, switches.watch());
        crosscheck_probe::start_with(&config, link, prober).context("start a probe")
    };
    SITES.iter().map(start).collect()
}
