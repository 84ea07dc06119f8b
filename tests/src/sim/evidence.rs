//! The evidence as a stranger would collect it from the log alone: who is heard, what each said
//! last, and what follows by leaving one domain out. Written anew, so that a mistake in the state
//! machine is not made here too.

use std::collections::BTreeMap;

use crosscheck_core::command::{Applied, Stamped};
use crosscheck_core::{Command, Reply, State};
use crosscheck_model::observation::{Clock, Firmness};
use crosscheck_model::wire::{Health, Report};
use crosscheck_model::{CheckId, Family, Observation, ProbeId, Status, Timestamp};

use super::plan::Plan;

/// A probe is heard while its echo is not older, in milliseconds (decisions.md, 3.2).
const SESSION_MILLIS: u64 = 15_000;
/// After a change of leader no vote lapses for lack of contact for so long (decisions.md, 3.4).
const GRACE_MILLIS: u64 = 30_000;

/// Probes, one bit each.
pub(super) type Set = u32;

#[derive(Clone, Debug)]
struct Session {
    epoch: u64,
    boot: u64,
    seq: u64,
    echo: Timestamp,
    health: Health,
}

/// What a probe said of a check last, in a way that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) boot: u64,
    pub(super) seq: u64,
    pub(super) rev: u64,
    pub(super) status: Status,
    pub(super) started: Timestamp,
    pub(super) at: Timestamp,
}

/// Who may vote on a check now, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ballot {
    pub(super) assigned: Set,
    /// Those whose votes count.
    pub(super) live: Set,
    pub(super) failing: Set,
    /// Those of the live who are heard, and not only excused while a leader is new.
    pub(super) heard: Set,
}

/// The row of the decision table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    Suspect,
    Blind,
    Failing,
    Fine,
    Partial,
    Mixed,
}

pub(super) struct Evidence {
    probes: BTreeMap<ProbeId, usize>,
    /// For each dimension, the probes of each value.
    dimensions: [Vec<Set>; 3],
    sessions: BTreeMap<usize, Session>,
    /// Until when, in milliseconds, those are counted who were heard when a leader fell.
    excused: BTreeMap<usize, u64>,
    /// The log time of the entry read last, in milliseconds.
    now: u64,
    /// Who ran each check after the entry before.
    assigned: BTreeMap<CheckId, Set>,
    /// By check, and then by probe.
    seen: BTreeMap<CheckId, Vec<Option<Seen>>>,
    /// How everybody votes as of the newest tick.
    pub(super) ballots: BTreeMap<CheckId, Ballot>,
    /// Observations taken in the entry read last.
    pub(super) taken: usize,
}

impl Evidence {
    pub(super) fn of(plan: &Plan) -> Self {
        let count = plan.carriers.len();
        let by = |text: &str| {
            let mut values: BTreeMap<char, Set> = BTreeMap::new();
            for (index, value) in text.chars().enumerate() {
                *values.entry(value).or_default() |= 1 << index;
            }
            values.into_values().collect()
        };
        Self {
            probes: (0..count).map(|n| (ProbeId::new(format!("p{n}")), n)).collect(),
            dimensions: [(0..count).map(|n| 1 << n).collect(), by(plan.carriers), by(plan.regions)],
            sessions: BTreeMap::new(),
            excused: BTreeMap::new(),
            now: 0,
            assigned: BTreeMap::new(),
            seen: BTreeMap::new(),
            ballots: BTreeMap::new(),
            taken: 0,
        }
    }

    pub(super) fn index(&self, probe: &ProbeId) -> Option<usize> {
        self.probes.get(probe).copied()
    }

    /// Reads an entry; `state` is what it led to.
    pub(super) fn read(&mut self, stamped: &Stamped, applied: &Applied, state: &State) {
        self.taken = 0;
        let before = std::mem::replace(&mut self.now, state.now.as_millis());
        match (&stamped.command, &applied.reply) {
            (Command::Lead { .. }, _) => {
                let heard = |session: &Session| session.echo.as_millis() + SESSION_MILLIS >= before;
                let live = self.sessions.iter().filter(|(_, session)| heard(session));
                self.excused.extend(live.map(|(probe, _)| (*probe, self.now + GRACE_MILLIS)));
            }
            (Command::Open(hello), Reply::Opened(Ok(welcome))) => {
                let Some(&probe) = self.probes.get(&hello.probe) else { return };
                let known = self.sessions.get(&probe);
                let session = Session {
                    epoch: welcome.epoch,
                    boot: hello.boot,
                    seq: 0,
                    echo: known.map_or(Timestamp::ZERO, |known| known.echo),
                    health: known.map_or(Health::UNTESTED, |known| known.health.clone()),
                };
                self.sessions.insert(probe, session);
            }
            (Command::Batch(reports), _) => {
                reports.iter().for_each(|report| self.report(report, state));
            }
            // What was said under a name that was not believed says nothing when it is again.
            (Command::Reinstate { probe, .. }, Reply::Done) => {
                let Some(&probe) = self.probes.get(probe) else { return };
                self.seen.values_mut().for_each(|row| row[probe] = None);
            }
            (Command::Configure(_), _) => {
                self.seen.retain(|check, _| state.checks.contains_key(check));
            }
            (Command::Tick, _) => {
                let mut ballots = std::mem::take(&mut self.ballots);
                ballots.retain(|id, _| state.checks.contains_key(id));
                for id in state.checks.keys() {
                    let ballot = self.ballot(id, state);
                    match ballots.get_mut(id) {
                        Some(known) => *known = ballot,
                        None => drop(ballots.insert(id.clone(), ballot)),
                    }
                }
                self.ballots = ballots;
            }
            _ => {}
        }
        // Who is not asked any more has no say, not even when asked again later; nor has who is
        // asked from this entry on by what it said before.
        let reassigned = applied
            .effects
            .iter()
            .any(|effect| matches!(effect, crosscheck_core::Effect::Reassigned(_)));
        if reassigned {
            for (id, check) in &state.checks {
                let asked = check.assigned.iter().filter_map(|id| self.probes.get(id));
                let asked: Set = asked.fold(0, |set, probe| set | 1 << probe);
                let before = self.assigned.insert(id.clone(), asked).unwrap_or_default();
                let Some(seen) = self.seen.get_mut(id) else { continue };
                for (probe, seen) in seen.iter_mut().enumerate() {
                    if before & asked & 1 << probe == 0 {
                        *seen = None;
                    }
                }
            }
        }
    }

    fn report(&mut self, report: &Report, state: &State) {
        let Some(&probe) = self.probes.get(&report.probe) else { return };
        let Some(session) = self.sessions.get_mut(&probe) else { return };
        if session.epoch != report.epoch || report.seq <= session.seq {
            return;
        }
        session.seq = report.seq;
        session.echo = session.echo.max(report.echo.min(state.now));
        session.health = report.health.clone();
        let boot = session.boot;
        self.taken += report.observations.len();
        for observation in &report.observations {
            self.observation(probe, boot, observation, state);
        }
    }

    fn observation(&mut self, probe: usize, boot: u64, seen: &Observation, state: &State) {
        let Some(check) = state.checks.get(&seen.check) else { return };
        let assigned = check.assigned.iter().any(|id| self.probes.get(id) == Some(&probe));
        let hard = seen.clock == Clock::Leader && seen.firmness == Firmness::Hard;
        let current = seen.boot == boot && seen.rev == check.rev;
        let fresh = state.now.since(seen.at) <= check.spec.validity();
        if !(assigned && hard && current && fresh) {
            return;
        }
        if !self.seen.contains_key(&seen.check) {
            self.seen.insert(seen.check.clone(), vec![None; self.probes.len()]);
        }
        let Some(slot) = self.seen.get_mut(&seen.check).map(|row| &mut row[probe]) else { return };
        if slot.is_none_or(|old| old.boot != seen.boot || old.seq < seen.seq) {
            *slot = Some(Seen {
                boot: seen.boot,
                seq: seen.seq,
                rev: seen.rev,
                status: seen.outcome.status,
                started: seen.started.min(state.now),
                at: seen.at.min(state.now),
            });
        }
    }

    pub(super) fn newest(&self, check: &CheckId, probe: usize) -> Option<&Seen> {
        self.seen.get(check)?[probe].as_ref()
    }

    /// The probe is heard and hears.
    fn is_heard(&self, probe: usize) -> bool {
        let heard = |session: &Session| session.echo.as_millis() + SESSION_MILLIS >= self.now;
        self.sessions.get(&probe).is_some_and(heard)
    }

    /// The probe is fit, and a lack of contact does not count against it.
    fn may_vote(&self, probe: usize, id: &ProbeId, family: Family, state: &State) -> bool {
        let suspect = state.probes.get(id).is_none_or(|probe| probe.suspect.is_some());
        let excused = self.excused.get(&probe).is_some_and(|until| self.now < *until);
        let fit = |session: &Session| session.health.of(family).may_vote();
        let fit = self.sessions.get(&probe).is_some_and(fit);
        let quarantined = state.quarantined_since(id).is_some();
        fit && !suspect && !quarantined && (excused || self.is_heard(probe))
    }

    pub(super) fn ballot(&self, id: &CheckId, state: &State) -> Ballot {
        let mut ballot = Ballot::default();
        let Some(check) = state.checks.get(id) else { return ballot };
        for probe_id in &check.assigned {
            let Some(&probe) = self.probes.get(probe_id) else { continue };
            ballot.assigned |= 1 << probe;
            let Some(seen) = self.newest(id, probe) else { continue };
            let fresh = seen.rev == check.rev && state.now.since(seen.at) <= check.spec.validity();
            let down = seen.status == Status::Down;
            let old = down && seen.started <= check.closed_at;
            if fresh
                && !old
                && seen.status != Status::Unknown
                && self.may_vote(probe, probe_id, check.spec.family, state)
            {
                ballot.live |= 1 << probe;
                ballot.failing |= u32::from(down) << probe;
                ballot.heard |= u32::from(self.is_heard(probe)) << probe;
            }
        }
        ballot
    }

    /// Whether the members suffice among the live, leaving any one domain out.
    pub(super) fn suffices(&self, assigned: Set, live: Set, members: Set) -> bool {
        let most = |members: Set, of: Set| 2 * members.count_ones() > of.count_ones();
        if members.count_ones() < 2 || !most(members, live) {
            return false;
        }
        let active = |values: &&Vec<Set>| values.iter().filter(|v| *v & assigned != 0).count() > 1;
        self.dimensions.iter().filter(active).all(|values| {
            values.iter().filter(|value| *value & live != 0).all(|value| {
                let rest = live & !value;
                rest != 0 && most(members & rest, rest)
            })
        })
    }

    /// Whether these lie within one domain of a dimension in which the assigned differ.
    fn within_one(&self, assigned: Set, members: Set) -> bool {
        let active = |values: &&Vec<Set>| values.iter().filter(|v| *v & assigned != 0).count() > 1;
        self.dimensions
            .iter()
            .filter(active)
            .any(|values| values.iter().any(|value| members & !value == 0))
    }

    /// What the votes come to. Nothing, where those who are heard could not say anything by
    /// themselves: the excused have a say, but no answer rests on them alone.
    pub(super) fn row(&self, ballot: &Ballot) -> Row {
        let Ballot { assigned, live, failing, heard } = *ballot;
        if heard == 0 || !self.suffices(assigned, heard, heard) {
            let all_fail = heard != 0 && failing & heard == heard;
            return if all_fail { Row::Suspect } else { Row::Blind };
        }
        if self.suffices(assigned, live, failing) {
            Row::Failing
        } else if self.suffices(assigned, live, live & !failing) {
            Row::Fine
        } else if self.within_one(assigned, failing) {
            Row::Partial
        } else {
            Row::Mixed
        }
    }
}
