//! The promises in figures, taken from real processes on a network of their own: how long a lost
//! leader is missed, what a commit costs, how long an outage takes to be told and of what that
//! consists, and what becomes of mails and page while leaders are lost.
//!
//! ```text
//! a cluster without probes: failover, commits | a cluster with all probes: outages --> Figures
//! ```
//!
//! Times depend on the machine, and on whoever else uses it; the load is told with them. Counts
//! (mails lost, mails doubled) must hold on any.

mod commits;
mod failover;
mod outages;
mod sight;
mod spread;

use std::fmt;
use std::fs;

use serde::Serialize;

pub use commits::Commits;
pub use outages::{Detection, Fault, Faults, Mails};
pub use spread::Spread;

use crate::cluster::proposer::{Member, Proposer};
use crate::cluster::{NODES, Plan, run_of};

/// How many propose at once, one stretch after the other.
const PROPOSERS: [usize; 3] = [1, 16, 64];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// How often the leader is killed to be timed.
    pub failovers: usize,
    /// Outages without a fault.
    pub quiet: usize,
    /// Outages with one.
    pub faults: usize,
    /// What the random moments follow from.
    pub seed: u64,
}

/// All that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The machine's state.
    pub machine: Machine,
    /// From the death of a leader to the next commit by way of another coordinator.
    pub failover: Spread,
    /// Commits in a second.
    pub commits: Vec<Commits>,
    /// From the failure of a target to the alarm.
    pub detection: Detection,
    /// What faults did.
    pub faults: Faults,
    /// What the random moments followed from.
    pub seed: u64,
}

/// What the figures depend on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Its processors.
    pub processors: usize,
    /// How many processes wanted one, over a minute (`/proc/loadavg`), before.
    pub load_before: String,
    /// And after.
    pub load_after: String,
    /// Whether the programs are optimised.
    pub optimised: bool,
}

/// Measures all of it; `say` hears what is being done.
///
/// # Panics
/// A cluster does not come about, or does not recover: a fault, not a figure.
pub fn measure(amount: Amount, say: impl Fn(&str) + Sync) -> Figures {
    let Amount { failovers, quiet, faults, seed } = amount;
    let load_before = load();
    let (failover, commits) =
        run_of(NODES.len(), Plan { checks: 1, probes: false }, async |cluster| {
            let proposer = Proposer::new(cluster.coordinator(1));
            say(&format!("failover, {failovers} times"));
            let took = failover::failovers(cluster, &proposer, failovers).await;
            let leader = cluster.ready(&cluster.members()).await;
            let folder = cluster.directory("bare");
            let leader = Member::new(leader, cluster.coordinator(leader));
            let mut rates = Vec::new();
            for proposers in PROPOSERS {
                say(&format!("commits, {proposers} at once"));
                let rate = commits::commits(&proposer, &leader, proposers, &folder).await;
                rates.push(rate.expect("a file can be written"));
            }
            (Spread::of(took), rates)
        });
    let plan = Plan { checks: 1 + quiet + faults, probes: true };
    let (detection, faults) = run_of(NODES.len(), plan, async |cluster| {
        say(&format!("{quiet} outages, and {faults} with a fault"));
        outages::outages(cluster, quiet, faults, seed).await
    });
    let machine = Machine {
        processors: std::thread::available_parallelism().map_or(0, usize::from),
        load_before,
        load_after: load(),
        optimised: !cfg!(debug_assertions),
    };
    Figures { machine, failover, commits, detection, faults, seed }
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { processors, load_before, load_after, optimised } = &self.machine;
        let build = if *optimised { "release" } else { "debug: times mean nothing" };
        writeln!(f, "{processors} processors, load {load_before} to {load_after}, build: {build}")?;
        let mut row = |what: &str, figure: String| writeln!(f, "{what:32} {figure}");
        row("kill -9 of the leader to commit", self.failover.to_string())?;
        for rate in &self.commits {
            let Commits { proposers, per_second, waited, disk_per_second } = rate;
            row(
                &format!("commits a second, {proposers} at once"),
                format!(
                    "{per_second:8.0}   median wait {:.2} ms   disk alone {disk_per_second:.0}/s, \
                     ratio {:.3}",
                    waited.median_ms,
                    per_second / disk_per_second
                ),
            )?;
        }
        let Detection { whole, first_run, evidence, decision, mail } = &self.detection;
        row("target fails to alarm mail", whole.to_string())?;
        row("  waiting for the first run", first_run.to_string())?;
        row("  4 of 5 sites fail twice", evidence.to_string())?;
        row("  report, batch, decision", decision.to_string())?;
        row("  claim, leadership, SMTP", mail.to_string())?;
        let Faults { blind_by_kill, blind_by_cut, blind_without, mails } = &self.faults;
        row("nothing fresh, leader killed", with_sum(blind_by_kill))?;
        row("nothing fresh, leader cut off", with_sum(blind_by_cut))?;
        row("nothing fresh, no fault", with_sum(blind_without))?;
        let Mails { owed, lost, doubled_in_doubt, doubled, unexpected } = mails;
        let faults = blind_by_kill.count + blind_by_cut.count;
        row(
            &format!("mails over {faults} faults"),
            format!(
                "{owed} owed, {lost} lost, {doubled} doubled, {doubled_in_doubt} doubled after an \
                 attempt in doubt, {unexpected} unexpected (seed {})",
                self.seed
            ),
        )
    }
}

fn with_sum(spread: &Spread) -> String {
    format!("{spread}   sum {:.1} s", spread.sum_ms / 1_000.0)
}
