//! Scripted probes: they see the truth, say it under the production protocol, keep what is not
//! acknowledged, and go to the next coordinator when one does not answer.

use std::collections::BTreeSet;
use std::time::Duration;

use crosscheck_model::observation::{Clock, Firmness, Trigger};
use crosscheck_model::wire::{Health, Hello, Refusal, Report, WIRE_VERSION};
use crosscheck_model::{Cause, CheckId, Observation, Outcome, ProbeId, Status, Timestamp};

use super::ground::Word;
use super::plan::{CHECKS, INTERVAL, SITES};
use super::world::World;
use crate::cluster::record::Identity;

/// Between two reports.
const REPORT_EVERY: Duration = Duration::from_secs(4);
/// A coordinator that takes longer is passed over.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(500);
/// The only process life of a script.
const BOOT: u64 = 7;

pub(super) struct Probe {
    id: ProbeId,
    /// Which coordinator it turns to.
    turns_to: usize,
    epoch: Option<u64>,
    /// What it asked last, and until when it waits for the answer.
    asked: u64,
    waits: Option<Duration>,
    next: Duration,
    /// The report that is not acknowledged yet.
    report: Option<Report>,
    number: u64,
    seq: u64,
    spool: Vec<Observation>,
    /// The newest log time, and when it was heard.
    heard: Option<(Timestamp, Duration)>,
    runs: [Duration; CHECKS],
    failing: [Option<Timestamp>; CHECKS],
    pub(super) acknowledged: BTreeSet<Identity>,
}

impl Probe {
    pub(super) fn all() -> Vec<Self> {
        let probe = |index: usize| Self {
            id: ProbeId::new(format!("p{index}")),
            turns_to: index,
            epoch: None,
            asked: 0,
            waits: None,
            next: Duration::from_millis(8_000 + 130 * index as u64),
            report: None,
            number: 0,
            seq: 0,
            spool: Vec::new(),
            heard: None,
            runs: std::array::from_fn(|check| {
                Duration::from_millis(9_000 + 3_700 * index as u64 + 900 * check as u64)
            }),
            failing: [None; CHECKS],
            acknowledged: BTreeSet::new(),
        };
        (0..SITES.len()).map(probe).collect()
    }

    fn time(&self, now: Duration) -> Option<Timestamp> {
        self.heard.map(|(time, at)| time.plus(now.saturating_sub(at)))
    }

    fn see(&mut self, check: usize, rev: u64, is_down: bool, at: Timestamp) {
        self.seq += 1;
        let outcome = match is_down {
            true => Outcome::new(Status::Down, Some(Cause::Refused), "refused"),
            false => Outcome::new(Status::Up, None, ""),
        };
        let failing = &mut self.failing[check];
        *failing = is_down.then(|| failing.unwrap_or(at));
        self.spool.push(Observation {
            check: CheckId::new(format!("check {check}")),
            rev,
            boot: BOOT,
            seq: self.seq,
            started: at,
            at,
            clock: Clock::Leader,
            trigger: Trigger::Schedule,
            firmness: Firmness::Hard,
            failing_since: *failing,
            outcome,
        });
    }

    fn next_report(&mut self, epoch: u64) -> Report {
        if let Some(report) = &self.report {
            return report.clone();
        }
        self.number += 1;
        let report = Report {
            probe: self.id.clone(),
            epoch,
            seq: self.number,
            echo: self.heard.map_or(Timestamp::ZERO, |(time, _)| time),
            health: Health::UNTESTED,
            observations: self.spool.clone(),
            evidence: Vec::new(),
            spooled: 0,
            dropped: 0,
            running: CHECKS as u32,
        };
        self.report = Some(report.clone());
        report
    }

    fn is_answered(&mut self, asked: u64) -> bool {
        let mine = self.asked == asked && self.waits.is_some();
        if mine {
            self.waits = None;
        }
        mine
    }

    fn go_on(&mut self, next: Duration) {
        self.turns_to += 1;
        self.next = next;
    }
}

impl World {
    pub(super) fn run_probes(&mut self) {
        for index in 0..self.probes.len() {
            self.run_checks(index);
            let now = self.now;
            let probe = &mut self.probes[index];
            if probe.waits.is_some_and(|until| now >= until) {
                probe.waits = None;
                probe.go_on(now);
            }
            if probe.waits.is_none() && now >= probe.next {
                self.ask(index);
            }
        }
    }

    fn run_checks(&mut self, index: usize) {
        for check in 0..CHECKS {
            let now = self.now;
            if now < self.probes[index].runs[check] {
                continue;
            }
            self.probes[index].runs[check] += INTERVAL;
            let id = CheckId::new(format!("check {check}"));
            let rev = self.witness.state.checks.get(&id).map(|check| check.rev);
            let is_down = self.truth.is_down(check, now);
            let probe = &mut self.probes[index];
            if let (Some(rev), Some(at)) = (rev, probe.time(now)) {
                probe.see(check, rev, is_down, at);
            }
        }
    }

    /// A session, or a report.
    fn ask(&mut self, index: usize) {
        let now = self.now;
        let probe = &mut self.probes[index];
        let seat = probe.turns_to % self.seats.len();
        if self.seats[seat].running.is_none() || self.seats[seat].removed {
            return probe.go_on(now + PAUSE);
        }
        probe.asked += 1;
        probe.waits = Some(now + PATIENCE);
        let (asked, ground) = (probe.asked, self.ground.clone());
        let Some(epoch) = probe.epoch else {
            let hello = Hello {
                wire: WIRE_VERSION,
                probe: probe.id.clone(),
                site: format!("s{index}").as_str().into(),
                boot: BOOT,
                version: "script".to_owned(),
            };
            return self.seats[seat].give(Box::new(move |member| {
                let gate = member.gate();
                Box::pin(async move {
                    let answer = gate.open(hello).await;
                    ground.lock().words.push(Word::Opened(index, asked, answer));
                })
            }));
        };
        let report = probe.next_report(epoch);
        self.seats[seat].give(Box::new(move |member| {
            let gate = member.gate();
            Box::pin(async move {
                let answer = gate.report(report).await;
                ground.lock().words.push(Word::Reported(index, asked, answer));
            })
        }));
    }

    pub(super) fn opened(
        &mut self,
        index: usize,
        asked: u64,
        answer: Result<crosscheck_model::wire::Welcome, Refusal>,
    ) {
        let now = self.now;
        let probe = &mut self.probes[index];
        if !probe.is_answered(asked) {
            return;
        }
        match answer {
            Ok(welcome) => {
                probe.epoch = Some(welcome.epoch);
                probe.heard = Some((welcome.now, now));
                (probe.report, probe.number, probe.next) = (None, 0, now);
            }
            Err(_) => probe.go_on(now + PAUSE),
        }
    }

    pub(super) fn reported(
        &mut self,
        index: usize,
        asked: u64,
        answer: Result<crosscheck_model::wire::Receipt, Refusal>,
    ) {
        let now = self.now;
        let probe = &mut self.probes[index];
        if !probe.is_answered(asked) {
            return;
        }
        match answer {
            Ok(receipt) => {
                probe.heard = Some((receipt.now, now));
                let Some(report) = probe.report.take() else { return };
                let said = report.observations.len();
                let seen = probe.spool.drain(..said);
                let name = probe.id.to_string();
                probe.acknowledged.extend(seen.map(|seen| (name.clone(), seen.boot, seen.seq)));
                probe.next = now + REPORT_EVERY;
            }
            Err(Refusal::UnknownSession) => {
                (probe.epoch, probe.report) = (None, None);
                probe.next = now;
            }
            Err(_) => probe.go_on(now + PAUSE),
        }
    }
}
