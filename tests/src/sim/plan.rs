//! What a seed's world is: where probes stand, what they check, who is told, what may go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_model::config::{Channel, Contact, Drill, References, Route, Site};
use crosscheck_model::spec::{Rule, Schedule, SiteChoice, Source};
use crosscheck_model::{
    CheckId, CheckSpec, Config, ContactId, Family, Severity, SiteId, SiteQuorum, Timestamp,
};

use super::fault::{Fault, OF_WATCH};
use super::people::{ZONES, wall_time};
use super::random::Random;

/// When a simulation may begin: at a midnight in autumn, so that times are easy to read, and 40
/// minutes before Berlin's clocks go forward in spring (2027-03-28 01:00 UTC).
const STARTS: [Timestamp; 2] =
    [Timestamp::from_millis(1_795_305_600_000), Timestamp::from_millis(1_806_193_200_000)];

/// Carriers and regions of the probes, each at a site of its own.
const LAYOUTS: [(&str, &str); 6] = [
    ("AABBC", "11223"),
    ("AABBC", "12345"),
    ("ABCDE", "12312"),
    ("AABBCC", "123123"),
    ("AABBCCD", "1122334"),
    ("ABCDEFG", "1122334"),
];

/// The resolvers through which reference names are asked for; the first is the probe's own.
pub(super) const RESOLVERS: [&str; 2] = ["192.0.2.53:53", "192.0.2.54:53"];

/// What a seed is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Targets work, and one domain at a time suffers whatever there is (I1).
    OneDomain,
    /// Targets die while nothing, or one thing at a time, disturbs the probes (I5).
    Outages,
    /// Everything at once.
    Rough,
}

/// A seed's world.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// The true time at the beginning.
    pub(super) start: Timestamp,
    pub(super) class: Class,
    pub(super) carriers: &'static str,
    pub(super) regions: &'static str,
    pub(super) config: Config,
    pub(super) faults: BTreeSet<Fault>,
    /// The most observations that wait at a probe.
    pub(super) spool: usize,
    /// The probe that is set up so long after the others.
    pub(super) late: Option<(usize, Duration)>,
    /// The drills that are planned, and for which moment each.
    pub(super) drills: Vec<(Drill, Timestamp)>,
    /// How long faults go on before everything heals.
    pub(super) safety: Duration,
    /// Added to probes' wall clocks, in milliseconds; for pairs of runs (I12).
    pub(super) wall_shift: i64,
    /// Added to the first coordinator's clock, in milliseconds; likewise.
    pub(super) node_shift: i64,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed, 1);
        let class =
            [Class::OneDomain, Class::Rough, Class::Outages, Class::Rough][(seed % 4) as usize];
        let (carriers, regions) = random.pick(&LAYOUTS);
        let is_apart = |fault: &Fault| {
            OF_WATCH.contains(fault) || matches!(fault, Fault::Drill | Fault::MailBounce)
        };
        let others = Fault::ALL.iter().filter(|fault| !is_apart(fault));
        let mut faults: BTreeSet<Fault> = others.copied().collect();
        // Swarm testing: a world without some faults reaches states that all faults together hide.
        if random.chance(500) {
            faults.retain(|_| random.chance(500));
        }
        if class == Class::Outages && random.chance(700) {
            faults.remove(&Fault::KilledWhileSending);
        }
        let mut watched = Random::new(seed, 3);
        if class == Class::Rough && watched.chance(250) {
            faults.extend(OF_WATCH);
        }
        let late = faults
            .contains(&Fault::ProbeLate)
            .then(|| (watched.below(carriers.len()), watched.secs(240, 900)));
        let mut config = config(carriers, regions, &mut random);
        hang(&mut config, &mut Random::new(seed, 4));
        let spool = if random.chance(300) { 40 } else { 20_000 };
        let safety = random.secs(45 * 60, 75 * 60);
        let (wall_shift, node_shift) = (0, 0);
        let start = random.pick(&STARTS);
        if Random::new(seed, 6).chance(300) {
            faults.insert(Fault::MailBounce);
        }
        let mut drilled = Random::new(seed, 5);
        let mut drills = Vec::new();
        if drilled.chance(400) {
            faults.insert(Fault::Drill);
            drills = (0..drilled.below(3)).map(|_| drill(start, &config, &mut drilled)).collect();
            // The same one twice is one.
            drills.dedup();
            config.drills = drills.iter().map(|(drill, _)| drill.clone()).collect();
        }
        Self {
            seed,
            start,
            class,
            carriers,
            regions,
            config,
            faults,
            spool,
            late,
            drills,
            safety,
            wall_shift,
            node_shift,
        }
    }

    /// The same world with coordinators whose clocks are right, but for the first one's.
    pub(super) fn with_clocks(mut self, node_shift: i64) -> Self {
        self.faults.remove(&Fault::ClockOffset);
        Self { node_shift, ..self }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}

fn config(carriers: &str, regions: &str, random: &mut Random) -> Config {
    let site = |(index, (carrier, region)): (usize, (char, char))| {
        let place = Site { region: region.to_string(), carrier: carrier.to_string() };
        (SiteId::new(format!("s{index}")), place)
    };
    let checks = 6 + random.below(5);
    let contact =
        |name: &str| Contact { mail: addresses(name).to_vec(), phone: None, apart: false };
    let channel = |kind: &str| Channel { kind: kind.to_owned(), settings: "{}".to_owned() };
    let (ops, li) = (ContactId::new("ops"), ContactId::new("li"));
    let route = |severities: Vec<Severity>, to: Vec<ContactId>, channels: &[&str]| Route {
        severities,
        checks: Vec::new(),
        customer: None,
        to,
        channels: channels.iter().map(|name| (*name).to_owned()).collect(),
    };
    let mut references = References {
        v4: (1..=3).map(|n| format!("192.0.2.{n}:443")).collect(),
        must_fail: Some("192.0.2.9:443".to_owned()),
        ..References::default()
    };
    if random.chance(500) {
        references.v6 = (1..=3).map(|n| format!("[2001:db8::{n}]:443")).collect();
        references.names = vec!["example.com".to_owned()];
        references.resolvers = RESOLVERS.map(str::to_owned).to_vec();
    }
    Config {
        sites: carriers.chars().zip(regions.chars()).enumerate().map(site).collect(),
        checks: (0..checks).map(|index| spec(index, random)).collect(),
        contacts: BTreeMap::from([(ops.clone(), contact("ops")), (li.clone(), contact("li"))]),
        channels: BTreeMap::from([
            ("mail".to_owned(), channel("mail")),
            ("phone".to_owned(), channel("phone")),
        ]),
        routes: vec![
            route(vec![Severity::Disaster], vec![ops.clone(), li], &["mail", "phone"]),
            route(Vec::new(), vec![ops.clone()], &["mail"]),
        ],
        operators: vec![ops],
        references: if random.chance(600) { references } else { References::default() },
        ..Config::default()
    }
}

/// In half of the worlds some checks cannot work without others, and some of those without a third.
fn hang(config: &mut Config, random: &mut Random) {
    if random.chance(500) {
        return;
    }
    for child in 1..config.checks.len() {
        if random.chance(400) {
            config.checks[child].depends_on = vec![config.checks[random.below(child)].id.clone()];
        }
    }
}

/// A daily drill, of a check or of the operators' alarm, and when it is held in the simulation.
fn drill(start: Timestamp, config: &Config, random: &mut Random) -> (Drill, Timestamp) {
    const MINUTE_MS: u64 = 60_000;
    let at = start.plus(random.secs(10 * 60, 75 * 60)).as_millis() / MINUTE_MS * MINUTE_MS;
    let at = Timestamp::from_millis(at);
    let zone = random.pick(&ZONES);
    let wall = wall_time(at, zone);
    let check = &config.checks[random.below(config.checks.len())].id;
    let check = random.chance(700).then(|| check.clone());
    let minute = u16::try_from(i32::from(wall.hour()) * 60 + i32::from(wall.minute()));
    let minute = minute.expect("of a day");
    (Drill { check, days: (1..=7).collect(), minute, zone: zone.to_owned() }, at)
}

/// A contact's addresses.
pub(super) fn addresses(contact: &str) -> [String; 2] {
    [format!("{contact}@example.com"), format!("{contact}@example.org")]
}

/// The check of this number.
fn spec(index: usize, random: &mut Random) -> CheckSpec {
    let interval = Duration::from_secs(random.pick(&[30, 60, 60, 60, 120]));
    let schedule = Schedule {
        interval,
        retry_interval: interval.min(Duration::from_secs(random.pick(&[30, 60]))),
        timeout: Duration::from_secs(random.pick(&[5, 10])),
        attempts: random.pick(&[1, 2, 2, 2, 3]),
        attempt_gap: Duration::from_secs(3),
    };
    CheckSpec {
        id: CheckId::new(format!("check {index}")),
        name: format!("check {index}"),
        customer: None,
        kind: "tcp".to_owned(),
        settings: "{}".to_owned(),
        target: format!("target {index}"),
        source: Source::Probes,
        family: if index % 4 == 2 { Family::V6 } else { Family::V4 },
        schedule,
        rule: Rule::Consecutive(random.pick(&[1, 1, 2, 3])),
        recovery_hold: Duration::from_secs(60),
        severity: random.pick(&[Severity::Disaster, Severity::High, Severity::Average]),
        sites: if index == 1 {
            SiteChoice::Pick { count: 5, region: None }
        } else {
            SiteChoice::All
        },
        quorum: SiteQuorum::Diverse,
        runbook: None,
        depends_on: Vec::new(),
    }
}
