//! I19, blindness alarms: a probe that is not heard for B, a check that is blind for B and a
//! channel that delivers nothing for ten minutes are each in one open incident that operators
//! know of, no sooner than that, and leave it when they are well. A probe that begins anew again
//! and again is in one, too, and no other is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_core::absence::Lapse;
use crosscheck_core::incident::Subject;
use crosscheck_core::outbox::{Edge, Key, SendResult};
use crosscheck_core::verdict::{LEADER_GRACE, Reason};
use crosscheck_core::{Command, Effect, Reply};
use crosscheck_model::wire::Report;
use crosscheck_model::{CheckId, IncidentId, ProbeId, Timestamp};

use super::{Checker, Entry, Finding, View};

/// How long silence may last (B).
const PATIENCE: Duration = Duration::from_secs(180);
/// Those that fall silent within this time of each other may be told of together.
const TOGETHER: Duration = Duration::from_secs(60);
/// How long a channel may deliver nothing of what it owes.
const DEAF: Duration = Duration::from_secs(600);
/// A probe is heard while its echo is not older.
const SESSION: Duration = Duration::from_secs(15);
/// Who is well for as long has left its incident.
const BACK: Duration = Duration::from_secs(60);
/// A log without an entry for as long was that of a cluster that could hear nobody.
const GAP: Duration = Duration::from_secs(30);
/// A probe may begin anew so often ..
const RESTARTS: usize = 3;
/// .. within this time.
const RESTARTS_WITHIN: Duration = Duration::from_secs(600);
/// Ticks are a second apart.
const TICK: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Blindness {
    epochs: BTreeMap<ProbeId, (u64, u64)>,
    /// The lives of each probe that is expected, and when each opened its first session.
    lives: BTreeMap<ProbeId, BTreeMap<u64, Timestamp>>,
    echoes: BTreeMap<ProbeId, Timestamp>,
    /// Since when each probe is heard without a break.
    heard_since: BTreeMap<ProbeId, Timestamp>,
    /// When each channel last took something.
    taken: BTreeMap<String, Timestamp>,
    hearing_since: Timestamp,
    last: Timestamp,
    ticked_at: Timestamp,
    known: BTreeSet<IncidentId>,
    /// Silences told in time, and blind checks and channels likewise.
    tested: u64,
}

impl Checker for Blindness {
    fn name(&self) -> &'static str {
        "I19 blindness alarms"
    }

    fn tested(&self) -> u64 {
        self.tested
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        let now = view.state().now;
        if self.last != Timestamp::ZERO && now.since(self.last) >= GAP {
            self.hearing_since = now;
        }
        self.last = now;
        self.interrupt(now);
        match (&entry.stamped.command, &entry.applied.reply) {
            (Command::Open(hello), Reply::Opened(Ok(welcome))) => {
                let known = self.epochs.insert(hello.probe.clone(), (welcome.epoch, 0));
                let lives = self.lives.entry(hello.probe.clone()).or_default();
                // The first of all begins, and not anew.
                let at = known.map_or(Timestamp::ZERO, |_| now);
                lives.entry(hello.boot).or_insert(at);
                let known = self.echoes.entry(hello.probe.clone()).or_insert(now);
                // Until it has echoed anything, the time counts from its newest session.
                if !self.heard_since.contains_key(&hello.probe) {
                    *known = now;
                }
            }
            (Command::Reinstate { probe, .. }, Reply::Done) => {
                let lives = self.lives.get_mut(probe).into_iter().flat_map(BTreeMap::values_mut);
                lives.for_each(|began| *began = Timestamp::ZERO);
            }
            (Command::Batch(reports), _) => reports.iter().for_each(|r| self.report(r, now)),
            (Command::Settle { key, result, .. }, Reply::Done) => self.settled(view, *key, result),
            (Command::Tick, _) => {
                self.ticked(now);
                self.silences(view)?;
                self.restarts(view)?;
                self.blind_checks(view)?;
                self.channels(view)?;
            }
            _ => {}
        }
        for effect in &entry.applied.effects {
            if let Effect::Incident(id) = effect {
                self.opened(view, *id)?;
            }
        }
        Ok(())
    }
}

impl Blindness {
    /// Whoever was heard again since the tick before, is so for the state from this one on: there
    /// are none while nobody leads.
    fn ticked(&mut self, now: Timestamp) {
        let before = std::mem::replace(&mut self.ticked_at, now);
        let new = self.heard_since.values_mut().filter(|since| **since > before);
        new.for_each(|since| *since = now);
    }

    /// Whoever is not heard at the time of an entry is not heard without a break.
    fn interrupt(&mut self, now: Timestamp) {
        for (probe, since) in &mut self.heard_since {
            let echo = self.echoes.get(probe).copied().unwrap_or(Timestamp::ZERO);
            if now.since(echo) > SESSION {
                *since = now;
            }
        }
    }

    fn report(&mut self, report: &Report, now: Timestamp) {
        let Some((epoch, seq)) = self.epochs.get_mut(&report.probe) else { return };
        if *epoch != report.epoch || report.seq <= *seq {
            return;
        }
        *seq = report.seq;
        let echo = report.echo.min(now);
        let known = self.echoes.entry(report.probe.clone()).or_insert(echo);
        if !self.heard_since.contains_key(&report.probe) {
            *known = echo;
        }
        *known = echo.max(*known);
        if echo > Timestamp::ZERO {
            self.heard_since.entry(report.probe.clone()).or_insert(now);
        }
    }

    fn settled(&mut self, view: &View<'_>, key: Key, result: &SendResult) {
        let Some(owed) = view.state().outbox.get(&key) else { return };
        let taken = match result {
            SendResult::Delivered => true,
            SendResult::Partly { reached, .. } => !reached.is_empty(),
            _ => false,
        };
        if taken {
            self.taken.insert(owed.channel.clone(), view.state().now);
        }
    }

    /// How long nobody has heard the probe, as far as anybody could.
    fn silence(&self, probe: &ProbeId, now: Timestamp) -> Duration {
        let echo = self.echoes.get(probe).copied().unwrap_or(now);
        now.since(echo.max(self.hearing_since))
    }

    fn silences(&mut self, view: &View<'_>) -> Finding {
        let state = view.state();
        for probe in state.probes.keys() {
            let told = state.watch.lapsed.contains_key(&(Lapse::Absent, probe.clone()));
            let silence = self.silence(probe, state.now);
            if silence > PATIENCE + LEADER_GRACE + TICK {
                if !told {
                    return Err(format!("{probe} is not heard for {silence:?}: nobody is told"));
                }
                self.tested += 1;
            }
            let Some(since) = self.heard_since.get(probe) else { continue };
            let well = state.now.since(*since);
            if told && well > BACK + TICK + TICK {
                return Err(format!("{probe} is heard for {well:?}, and still told absent"));
            }
        }
        Ok(())
    }

    /// Who has begun anew four times in ten minutes, a while ago, is told of; who has not, is not.
    fn restarts(&mut self, view: &View<'_>) -> Finding {
        let now = view.state().now;
        self.lives.retain(|probe, _| view.state().probes.contains_key(probe));
        self.epochs.retain(|probe, _| view.state().probes.contains_key(probe));
        let waited = TOGETHER + LEADER_GRACE + TICK;
        for probe in view.state().probes.keys() {
            let told = view.state().watch.lapsed.contains_key(&(Lapse::Unstable, probe.clone()));
            let begun: Vec<Duration> = self
                .lives
                .get(probe)
                .into_iter()
                .flat_map(BTreeMap::values)
                .map(|began| now.since(*began))
                .filter(|ago| *ago <= RESTARTS_WITHIN)
                .collect();
            let known = begun.iter().filter(|ago| **ago > waited).count() > RESTARTS;
            if known && now.since(self.hearing_since) > waited {
                if !told {
                    return Err(format!("{probe} begins anew {begun:?} ago: nobody is told"));
                }
                self.tested += 1;
            }
        }
        Ok(())
    }

    /// A probe is told to begin anew because it does.
    fn unsteady(&self, view: &View<'_>, id: IncidentId) -> Finding {
        let state = view.state();
        let members = state.watch.lapsed.iter().filter(|(_, lapsed)| lapsed.incident == id);
        for ((_, probe), _) in members {
            let lives = self.lives.get(probe).into_iter().flat_map(BTreeMap::values);
            let of_late = |began: &&Timestamp| state.now.since(**began) <= RESTARTS_WITHIN;
            let begun = lives.filter(of_late).count();
            if begun <= RESTARTS {
                return Err(format!("incident {id} opens: {probe} began anew {begun} times"));
            }
        }
        Ok(())
    }

    /// An incident about silent probes has a reason, and each probe is in one.
    fn opened(&mut self, view: &View<'_>, id: IncidentId) -> Finding {
        let state = view.state();
        let Some(incident) = state.incidents.get(&id) else { return Ok(()) };
        let is_of_probes = matches!(incident.subject, Subject::Absent | Subject::Unstable);
        if !is_of_probes || !self.known.insert(id) {
            return Ok(());
        }
        if incident.subject == Subject::Unstable {
            return self.unsteady(view, id);
        }
        let members: Vec<Duration> = state
            .watch
            .lapsed
            .iter()
            .filter(|((lapse, _), lapsed)| *lapse == Lapse::Absent && lapsed.incident == id)
            .map(|((_, probe), _)| self.silence(probe, state.now))
            .collect();
        let soon = members.iter().any(|silence| *silence < PATIENCE - TOGETHER);
        if soon || !members.iter().any(|silence| *silence >= PATIENCE) {
            return Err(format!("incident {id} opens for silences of {members:?}"));
        }
        Ok(())
    }

    fn blind_checks(&mut self, view: &View<'_>) -> Finding {
        let state = view.state();
        for (id, check) in &state.checks {
            let Some(lame) = &check.tally.lame else { continue };
            let patience = PATIENCE.max(3 * check.spec.schedule.interval);
            let since = lame.since.max(self.hearing_since).max(check.settling_until);
            let own = check.verdict.reason == Reason::Suspect || check.maintenance;
            if own || state.now.since(since) <= patience + LEADER_GRACE + TICK {
                continue;
            }
            let Some(open) = state.blind.get(id) else {
                return Err(format!("{id} is blind since {since} and in no incident"));
            };
            if !self.operators_know(view, id, *open) {
                return Err(format!("{id} is blind since {since} and no operator was told why"));
            }
            self.tested += 1;
        }
        Ok(())
    }

    /// They were told of the check, or lately of a probe that it lacks.
    fn operators_know(&self, view: &View<'_>, id: &CheckId, blind: IncidentId) -> bool {
        let state = view.state();
        let told = |incident: IncidentId| {
            state.outbox.values().any(|owed| {
                owed.notice.incident == incident
                    && matches!(owed.notice.edge, Edge::Alarm(_))
                    && state.config.operators.contains(&owed.contact)
            })
        };
        let lapsed = state.watch.lapsed.iter();
        let assigned = &state.checks[id].assigned;
        let of_check = lapsed.filter(|((_, probe), _)| assigned.contains(probe));
        let lately = state.watch.explained.get(id).is_some_and(|at| {
            state.now.since(*at) <= PATIENCE.max(3 * state.checks[id].spec.schedule.interval)
        });
        told(blind) || lately || of_check.map(|(_, lapsed)| lapsed.incident).any(told)
    }

    fn channels(&mut self, view: &View<'_>) -> Finding {
        let state = view.state();
        let waits = state
            .outbox
            .values()
            .filter(|owed| owed.last_error.is_some() && !owed.progress.is_settled());
        for owed in waits {
            let taken = self.taken.get(&owed.channel).copied().unwrap_or(Timestamp::ZERO);
            let since = owed.created.max(taken).max(self.hearing_since);
            if state.now.since(since) <= DEAF + LEADER_GRACE + TICK {
                continue;
            }
            let known = state.watch.deliveries.get(&owed.channel);
            if known.is_none_or(|delivery| delivery.incident.is_none()) {
                return Err(format!("{} delivers nothing since {since}: untold", owed.channel));
            }
            self.tested += 1;
        }
        Ok(())
    }
}
