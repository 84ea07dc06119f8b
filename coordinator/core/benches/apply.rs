//! What the state machine costs a coordinator: `cargo bench -p crosscheck-core`. Ten thousand
//! checks at twenty sites, each run once a minute: the CPU time that an observation and a tick
//! take while all is well, and while one carrier reaches no target.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crosscheck_core::{Command, Reply, State, apply, snapshot};
use crosscheck_model::config::{Channel, Contact, Route, Site};
use crosscheck_model::observation::{Clock, Firmness, Trigger};
use crosscheck_model::spec::{Rule, Schedule, SiteChoice, Source};
use crosscheck_model::wire::{Health, Hello, Report, WIRE_VERSION};
use crosscheck_model::{
    Cause, CheckId, CheckSpec, Config, ContactId, Family, Observation, Outcome, ProbeId, Severity,
    SiteId, SiteQuorum, Status, Timestamp,
};

const CHECKS: usize = 10_000;
const SITES: usize = 20;
const CARRIERS: usize = 5;
const INTERVAL: Duration = Duration::from_secs(60);
/// Batches a second.
const BATCHES: u64 = 4;

fn main() {
    let mut fleet = Fleet::new();
    // Everybody has looked once, and has been well for long.
    fleet.run(130);
    fleet.report("all is well", 60);
    fleet.broken = Some(0);
    fleet.run(70);
    fleet.report("a carrier reaches no target", 60);
    let before = cpu();
    let bytes = snapshot::encode(&fleet.state).expect("a state has bytes").len();
    let took = cpu().saturating_sub(before);
    say(&format!("a snapshot of {:.1} MB: {:.0} ms", bytes as f64 / 1e6, millis(took)));
}

/// CPU time of this thread. Others on the machine do not count, as they would by the clock.
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[expect(clippy::print_stdout, reason = "the output of a benchmark")]
fn say(text: &str) {
    println!("{text}");
}

struct Fleet {
    state: State,
    now: Timestamp,
    started: Timestamp,
    epochs: Vec<u64>,
    seq: u64,
    /// The carrier that reaches nothing.
    broken: Option<usize>,
    ticks: Vec<Duration>,
    batches: Vec<Duration>,
    observations: u64,
}

impl Fleet {
    fn new() -> Self {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let mut fleet = Self {
            state: State::default(),
            now,
            started: now,
            epochs: Vec::new(),
            seq: 0,
            broken: None,
            ticks: Vec::new(),
            batches: Vec::new(),
            observations: 0,
        };
        fleet.put(Command::Lead { node: 1, term: 1, cluster: "bench".to_owned() });
        fleet.put(Command::Configure(Box::new(config())));
        for site in 0..SITES {
            let hello = Hello {
                wire: WIRE_VERSION,
                probe: ProbeId::new(format!("probe-{site:02}")),
                site: site_id(site),
                boot: 1,
                version: "bench".to_owned(),
            };
            if let Reply::Opened(Ok(welcome)) = fleet.put(Command::Open(hello)) {
                fleet.epochs.push(welcome.epoch);
            }
        }
        fleet
    }

    fn put(&mut self, command: Command) -> Reply {
        apply(&mut self.state, self.now, command).reply
    }

    /// So many seconds: the reports of each, and its tick.
    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            for _ in 0..BATCHES {
                self.now = self.now.plus(Duration::from_millis(1000 / BATCHES));
                let reports: Vec<Report> = (0..SITES).map(|site| self.report_of(site)).collect();
                let before = cpu();
                self.put(Command::Batch(reports));
                self.batches.push(cpu().saturating_sub(before));
            }
            let before = cpu();
            self.put(Command::Tick);
            self.ticks.push(cpu().saturating_sub(before));
        }
    }

    /// What a site sees within a quarter of a second: its share of all checks.
    fn report_of(&mut self, site: usize) -> Report {
        self.seq += 1;
        let slots = INTERVAL.as_secs() * BATCHES;
        let quarter = self.now.since(self.started).as_millis() as u64 * BATCHES / 1000;
        // Each site has phases of its own.
        let slot = (quarter + site as u64 * 7) % slots;
        let due = (0..CHECKS).filter(|check| *check as u64 % slots == slot);
        let observations: Vec<Observation> =
            due.map(|check| self.observation(site, check)).collect();
        self.observations += observations.len() as u64;
        Report {
            probe: ProbeId::new(format!("probe-{site:02}")),
            epoch: self.epochs[site],
            seq: self.seq,
            echo: self.now,
            health: Health::UNTESTED,
            observations,
            evidence: Vec::new(),
            spooled: 0,
            dropped: 0,
            running: CHECKS as u32,
        }
    }

    fn observation(&self, site: usize, check: usize) -> Observation {
        let fails = self.broken == Some(site % CARRIERS);
        let id = check_id(check);
        let outcome = match fails {
            true => Outcome::new(Status::Down, Some(Cause::ConnectTimeout), ""),
            false => Outcome::new(Status::Up, None, ""),
        };
        Observation {
            rev: self.state.checks.get(&id).map_or(0, |check| check.rev),
            check: id,
            boot: 1,
            seq: self.seq,
            started: self.now.minus(Duration::from_millis(80)),
            at: self.now,
            clock: Clock::Leader,
            trigger: Trigger::Schedule,
            firmness: Firmness::Hard,
            failing_since: fails.then_some(self.now),
            outcome,
        }
    }

    fn report(&mut self, what: &str, seconds: u64) {
        (self.ticks, self.batches, self.observations) = (Vec::new(), Vec::new(), 0);
        self.run(seconds);
        let each = self.batches.iter().sum::<Duration>() / self.observations.max(1) as u32;
        let tick = self.ticks.iter().sum::<Duration>() / self.ticks.len() as u32;
        let worst = self.ticks.iter().max().copied().unwrap_or_default();
        let all = self.batches.iter().chain(&self.ticks).sum::<Duration>();
        let share = 100.0 * all.as_secs_f64() / seconds as f64;
        say(&format!(
            "{what}: {:.1} us an observation, {:.1} ms a tick (worst {:.0}), {share:.1} % of a core",
            each.as_secs_f64() * 1e6,
            millis(tick),
            millis(worst),
        ));
    }
}

fn check_id(check: usize) -> CheckId {
    CheckId::new(format!("customer-{}/check {check}", check % 100))
}

fn site_id(site: usize) -> SiteId {
    SiteId::new(format!("site-{site:02}"))
}

fn config() -> Config {
    let place = |site: usize| Site {
        region: format!("region {}", site / CARRIERS),
        carrier: format!("carrier {}", site % CARRIERS),
    };
    let (ops, mail) = (ContactId::new("ops"), "mail".to_owned());
    let contact = Contact { mail: vec!["ops@example.com".to_owned()], phone: None, apart: false };
    let route = Route {
        severities: Vec::new(),
        checks: Vec::new(),
        customer: None,
        to: vec![ops.clone()],
        channels: vec![mail.clone()],
    };
    let channel = Channel { kind: mail.clone(), settings: "{}".to_owned() };
    Config {
        sites: (0..SITES).map(|site| (site_id(site), place(site))).collect(),
        checks: (0..CHECKS).map(spec).collect(),
        contacts: BTreeMap::from([(ops.clone(), contact)]),
        channels: BTreeMap::from([(mail, channel)]),
        routes: vec![route],
        operators: vec![ops],
        ..Config::default()
    }
}

fn spec(check: usize) -> CheckSpec {
    CheckSpec {
        id: check_id(check),
        name: format!("check {check}"),
        customer: None,
        kind: "http".to_owned(),
        settings: "{}".to_owned(),
        target: format!("https://{check}.example.com/"),
        source: Source::Probes,
        family: Family::V4,
        schedule: Schedule {
            interval: INTERVAL,
            retry_interval: INTERVAL,
            timeout: Duration::from_secs(10),
            attempts: 2,
            attempt_gap: Duration::from_secs(3),
        },
        rule: Rule::Consecutive(1),
        recovery_hold: INTERVAL,
        severity: Severity::High,
        sites: SiteChoice::All,
        quorum: SiteQuorum::Diverse,
        runbook: None,
        depends_on: Vec::new(),
    }
}
