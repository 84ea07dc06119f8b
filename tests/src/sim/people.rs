//! What people do meanwhile: edit checks, remove them and bring them back, plan maintenance,
//! acknowledge incidents, hold drills.

use std::time::Duration;

use crosscheck_core::Command;
use crosscheck_core::drill::Occasion;
use crosscheck_model::config::{Maintenance, Window};
use crosscheck_model::spec::Rule;
use crosscheck_model::{Config, ProbeId, Severity, Timestamp};
use jiff::civil::DateTime;

use super::fault::Fault;
use super::log::Origin;
use super::world::World;

/// Where people write their maintenance windows and drills. No moment of a simulation is one that Berlin's
/// clocks show twice.
pub(super) const ZONES: [&str; 3] = ["UTC", "Europe/Berlin", "Asia/Shanghai"];

/// The moments that somebody meant by a maintenance window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl World {
    pub(super) fn begin_people(&mut self) {
        let acknowledges = self.random.pick(&[Fault::Acknowledge, Fault::AcknowledgeRace]);
        let act = self.random.pick(&[Fault::Edit, Fault::Remove, Fault::Maintenance, acknowledges]);
        if self.plan.has(act) && self.log.is_led() {
            match act {
                Fault::Edit => self.edit(),
                Fault::Remove => self.remove(),
                Fault::Maintenance => self.maintain(),
                race => self.acknowledge(race),
            }
        }
        let pause = self.random.secs(60, 900);
        self.after(pause, "people", |world| {
            if !world.healing {
                world.begin_people();
            }
        });
    }

    fn configure(&mut self, config: Config, what: String) {
        self.tell(what);
        self.propose(Command::Configure(Box::new(config)), Origin::Nobody);
    }

    fn edit(&mut self) {
        let mut config = self.state().config.clone();
        if config.checks.is_empty() {
            return;
        }
        let index = self.random.below(config.checks.len());
        let spec = &mut config.checks[index];
        let what = self.random.below(6);
        match what {
            0 => spec.schedule.interval = Duration::from_secs(self.random.pick(&[30, 60, 120])),
            1 => spec.schedule.timeout = Duration::from_secs(self.random.pick(&[4, 5, 8, 10])),
            2 => spec.severity = self.random.pick(&[Severity::Disaster, Severity::Warning]),
            3 => spec.runbook = Some(format!("https://example.com/{}", self.random.below(100))),
            4 => spec.rule = Rule::Consecutive(self.random.pick(&[1, 2, 3])),
            _ => spec.target = format!("target {}", self.random.below(100)),
        }
        spec.schedule.retry_interval = spec.schedule.retry_interval.min(spec.schedule.interval);
        let text = format!("somebody edits {} ({what})", spec.id);
        self.coverage.fault(Fault::Edit);
        self.configure(config, text);
    }

    fn remove(&mut self) {
        let mut config = self.state().config.clone();
        if config.checks.len() < 5 {
            return;
        }
        let index = self.random.below(config.checks.len());
        let gone = config.checks.remove(index);
        self.coverage.fault(Fault::Remove);
        self.configure(config, format!("somebody removes {}", gone.id));
        let back = self.random.secs(20, 600);
        self.bring_back(back, gone);
    }

    fn bring_back(&mut self, after: Duration, gone: crosscheck_model::CheckSpec) {
        self.after(after, "people", move |world| {
            if !world.log.is_led() {
                // Nobody to tell it to: they try again.
                return world.bring_back(Duration::from_secs(10), gone);
            }
            let mut config = world.state().config.clone();
            if config.checks.iter().all(|spec| spec.id != gone.id) {
                let text = format!("somebody brings {} back", gone.id);
                config.checks.push(gone);
                world.configure(config, text);
            }
        });
    }

    fn maintain(&mut self) {
        let mut config = self.state().config.clone();
        let check = self.random.below(self.targets.len());
        // Some begin soon, and some so late that a zone's clocks may change before.
        let soon = self.random.pick(&[120, 2400]);
        let from = whole_seconds(self.state().now.plus(self.random.secs(5, soon)));
        let to = whole_seconds(from.plus(self.random.secs(60, 900)));
        let zone = self.random.pick(&ZONES);
        let now = self.state().now;
        let planned = &self.planned;
        config.maintenance.retain(|rule| planned.get(&rule.reason).is_none_or(|w| w.to > now));
        let reason = format!("release {}", self.planned.len());
        let (wall_from, wall_to) = (civil(from, zone), civil(to, zone));
        let text = format!(
            "maintenance of check {check} from {from} to {to}, {wall_from} to {wall_to} in {zone}"
        );
        config.maintenance.push(Maintenance {
            checks: vec![format!("check {check}")],
            customer: None,
            when: Window::Once { from: wall_from, to: wall_to },
            zone: zone.to_owned(),
            reason: reason.clone(),
        });
        self.planned.insert(reason, Planned { from, to });
        self.coverage.fault(Fault::Maintenance);
        self.configure(config, text);
    }

    /// Somebody looks at the machines of quarantined probes and lifts the quarantines, from now on
    /// once a minute.
    pub(super) fn reinstate(&mut self) {
        let probes = self.state().probes.keys();
        let quarantined = |probe: &&ProbeId| self.state().quarantined_since(probe).is_some();
        for probe in probes.filter(quarantined).cloned().collect::<Vec<_>>() {
            let by = "ops".to_owned();
            self.propose(Command::Reinstate { probe, by }, Origin::Nobody);
        }
        self.after(Duration::from_secs(60), "people", Self::reinstate);
    }

    /// Somebody wants to know whether alarms arrive, now and then.
    pub(super) fn begin_drills(&mut self) {
        if self.log.is_led() {
            let checks: Vec<_> = self.state().checks.keys().cloned().collect();
            let of_check = self.random.chance(700) && !checks.is_empty();
            let check = of_check.then(|| checks[self.random.below(checks.len())].clone());
            self.coverage.fault(Fault::Drill);
            let occasion = Occasion::Asked { check, by: "li".to_owned() };
            self.propose(Command::Drill(occasion), Origin::Nobody);
        }
        let pause = self.random.secs(120, 1800);
        self.after(pause, "people", |world| {
            if !world.healing {
                world.begin_drills();
            }
        });
    }

    fn acknowledge(&mut self, how: Fault) {
        let open: Vec<_> = self
            .state()
            .incidents
            .values()
            .filter(|incident| incident.resolved_at.is_none())
            .map(|incident| incident.id)
            .collect();
        if open.is_empty() {
            return;
        }
        let incident = self.random.pick(&open);
        self.coverage.fault(how);
        let who = if how == Fault::AcknowledgeRace { &["li", "ops"][..] } else { &["li"][..] };
        for by in who {
            let (by, note) = ((*by).to_owned(), String::new());
            self.propose(Command::Acknowledge { incident, by, note }, Origin::Nobody);
        }
    }
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis() / 1000 * 1000)
}

/// A clock on the wall in a zone at that moment, as configurations have it.
fn civil(at: Timestamp, zone: &str) -> String {
    wall_time(at, zone).to_string()
}

/// The same, to be read.
pub(super) fn wall_time(at: Timestamp, zone: &str) -> DateTime {
    let millis = i64::try_from(at.as_millis()).expect("a time of this age");
    let moment = jiff::Timestamp::from_millisecond(millis).expect("a time of this age");
    moment.in_tz(zone).expect("a zone of the database").datetime()
}
