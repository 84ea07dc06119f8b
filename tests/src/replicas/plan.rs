//! What a seed's world is: how many coordinators, what is checked, what may go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_model::config::{Channel, Contact, References, Route, Site};
use crosscheck_model::spec::{Rule, Schedule, SiteChoice, Source};
use crosscheck_model::{
    CheckId, CheckSpec, Config, ContactId, Family, Severity, SiteId, SiteQuorum,
};

use super::fault::Fault;
use crate::sim::random::Random;

/// Checks of each world.
pub(super) const CHECKS: usize = 3;
/// Carrier and region of each probe.
pub(super) const SITES: [(&str, &str); 5] =
    [("A", "1"), ("A", "2"), ("B", "1"), ("B", "3"), ("C", "2")];
/// How often a check is run.
pub(super) const INTERVAL: Duration = Duration::from_secs(20);
/// When somebody is lost for long, where that is the plan.
const LOST: (Duration, Duration) = (Duration::from_secs(45), Duration::from_secs(285));
/// How long faults go on before everything heals.
const SAFETY: Duration = Duration::from_secs(6 * 60);

/// A seed's world.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) founders: usize,
    pub(super) faults: BTreeSet<Fault>,
    /// Entries between two snapshots.
    pub(super) snapshot_every: u64,
    pub(super) safety: Duration,
    /// One that follows is dead from the first of these moments to the second.
    pub(super) lost: Option<(Duration, Duration)>,
    pub(super) config: Config,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed, 21);
        let mut faults: BTreeSet<Fault> = Fault::ALL.iter().copied().collect();
        // Swarm testing: a world without some faults reaches states that all faults together hide.
        if random.chance(700) {
            faults.retain(|_| random.chance(500));
        }
        let founders = if random.chance(600) { 3 } else { 5 };
        let snapshot_every = random.pick(&[40, 100, 300]);
        let (safety, lost, config) = (SAFETY, None, config());
        Self { seed, founders, faults, snapshot_every, safety, lost, config }
    }

    /// The same votes, and nothing goes wrong.
    pub(super) fn calm(seed: u64) -> Self {
        Self { faults: BTreeSet::new(), ..Self::of(seed) }
    }

    /// The same votes, and leaders die.
    pub(super) fn with_leader_kills(seed: u64) -> Self {
        Self { faults: BTreeSet::from([Fault::LeaderCrash]), ..Self::of(seed) }
    }

    /// The same votes, and one that follows is dead for longer than a leader is patient.
    pub(super) fn with_lost_member(seed: u64) -> Self {
        Self { lost: Some(LOST), ..Self::calm(seed) }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}

fn config() -> Config {
    let site = |(index, (carrier, region)): (usize, &(&str, &str))| {
        let place = Site { region: (*region).to_owned(), carrier: (*carrier).to_owned() };
        (SiteId::new(format!("s{index}")), place)
    };
    let ops = ContactId::new("ops");
    let contact = Contact { mail: vec!["ops@example.com".to_owned()], phone: None, apart: false };
    let channel = Channel { kind: "mail".to_owned(), settings: "{}".to_owned() };
    Config {
        sites: SITES.iter().enumerate().map(site).collect(),
        checks: (0..CHECKS).map(spec).collect(),
        contacts: BTreeMap::from([(ops.clone(), contact)]),
        channels: BTreeMap::from([("mail".to_owned(), channel)]),
        routes: vec![Route {
            severities: Vec::new(),
            checks: Vec::new(),
            customer: None,
            to: vec![ops.clone()],
            channels: vec!["mail".to_owned()],
        }],
        operators: vec![ops],
        references: references(),
        ..Config::default()
    }
}

fn references() -> References {
    References {
        v4: (1..=3).map(|number| format!("192.0.2.{number}:443")).collect(),
        must_fail: Some("192.0.2.9:443".to_owned()),
        ..References::default()
    }
}

fn spec(index: usize) -> CheckSpec {
    CheckSpec {
        id: CheckId::new(format!("check {index}")),
        name: format!("check {index}"),
        customer: None,
        kind: "tcp".to_owned(),
        settings: "{}".to_owned(),
        target: format!("target {index}"),
        family: Family::V4,
        schedule: Schedule {
            interval: INTERVAL,
            retry_interval: INTERVAL,
            timeout: Duration::from_secs(5),
            // A failing vote at once, or after a second look.
            attempts: if index == 1 { 2 } else { 1 },
            attempt_gap: Duration::from_secs(3),
        },
        rule: Rule::Consecutive(1),
        recovery_hold: Duration::from_secs(30),
        severity: Severity::High,
        sites: SiteChoice::All,
        quorum: SiteQuorum::Diverse,
        source: Source::Probes,
        runbook: None,
        depends_on: Vec::new(),
    }
}
