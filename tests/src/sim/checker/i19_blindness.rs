//! I19, blindness alarms: a probe that is not heard for B, a check that is blind for B and a
//! channel that delivers nothing for ten minutes are each in one open incident that operators
//! know of, no sooner than that, and leave it when they are well. A probe that begins anew again
//! and again is in one, too, and no other is; so is one that is heard and runs nothing, and a site
//! that nobody was ever heard from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_core::absence::Lapse;
use crosscheck_core::incident::Subject;
use crosscheck_core::outbox::{Edge, Key, SendResult};
use crosscheck_core::state::ProbeState;
use crosscheck_core::verdict::{LEADER_GRACE, Reason};
use crosscheck_core::{Command, Effect, Reply};
use crosscheck_model::spec::SiteChoice;
use crosscheck_model::{CheckId, IncidentId, ProbeId, SiteId, Timestamp};

use super::hearing::{Hearing, SESSION};
use super::i19_one_alarm::is_idle;
use super::{Checker, Entry, Finding, View};

/// How long silence may last (B).
const PATIENCE: Duration = Duration::from_secs(180);
/// Those that fall silent within this time of each other may be told of together.
const TOGETHER: Duration = Duration::from_secs(60);
/// How long a channel may deliver nothing of what it owes.
const DEAF: Duration = Duration::from_secs(600);
/// Who is well for as long has left its incident.
const BACK: Duration = Duration::from_secs(60);
/// A probe may begin anew so often ..
const RESTARTS: usize = 3;
/// .. within this time.
const RESTARTS_WITHIN: Duration = Duration::from_secs(600);
/// Ticks are a second apart.
const TICK: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Blindness {
    hearing: Hearing,
    /// When each channel last took something.
    taken: BTreeMap<String, Timestamp>,
    known: BTreeSet<IncidentId>,
    /// Who is heard and runs nothing, of which assignment and since when.
    idle: BTreeMap<ProbeId, (u64, Timestamp)>,
    /// Since when each site is configured that nobody was ever heard from.
    unseen: BTreeMap<SiteId, Timestamp>,
    seen: BTreeSet<SiteId>,
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
        self.hearing.entry(view, entry);
        match (&entry.stamped.command, &entry.applied.reply) {
            (Command::Settle { key, result, .. }, Reply::Done) => self.settled(view, *key, result),
            (Command::Tick, _) => {
                self.silences(view)?;
                self.idlers(view)?;
                self.restarts(view)?;
                self.sites(view)?;
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

    fn silences(&mut self, view: &View<'_>) -> Finding {
        let state = view.state();
        for probe in state.probes.keys() {
            let told = state.watch.lapsed.contains_key(&(Lapse::Absent, probe.clone()));
            let silence = self.hearing.silence(probe, state.now);
            if silence > PATIENCE + LEADER_GRACE + TICK {
                if !told {
                    return Err(format!("{probe} is not heard for {silence:?}: nobody is told"));
                }
                self.tested += 1;
            }
            let Some(well) = self.hearing.heard_for(probe, state.now) else { continue };
            if told && well > BACK + TICK + TICK {
                return Err(format!("{probe} is heard for {well:?}, and still told absent"));
            }
        }
        Ok(())
    }

    /// Who is heard and gives no result of anything is told of.
    fn idlers(&mut self, view: &View<'_>) -> Finding {
        let state = view.state();
        let is_heard =
            |id: &ProbeId| self.hearing.was_heard(id) && self.hearing.age(id, state.now) <= SESSION;
        let idle = state.probes.iter().filter(|(id, _)| is_heard(id) && is_idle(state, id));
        let since = |(id, probe): (&ProbeId, &ProbeState)| {
            let known = self.idle.get(id).filter(|(assignment, _)| *assignment == probe.assignment);
            (id.clone(), known.copied().unwrap_or((probe.assignment, state.now)))
        };
        self.idle = idle.map(since).collect();
        for (probe, (_, since)) in &self.idle {
            let duties = state.checks.values().filter(|check| check.assigned.contains(probe));
            let longest = duties.map(|check| check.spec.validity()).max().unwrap_or_default();
            let lasts = state.now.since((*since).max(self.hearing.hearing_since));
            if lasts <= PATIENCE.max(longest) + LEADER_GRACE + TICK {
                continue;
            }
            if !state.watch.lapsed.contains_key(&(Lapse::Idle, probe.clone())) {
                return Err(format!("{probe} runs nothing for {lasts:?}: nobody is told"));
            }
            self.tested += 1;
        }
        Ok(())
    }

    /// A site that is configured and that nobody was ever heard from is told of.
    fn sites(&mut self, view: &View<'_>) -> Finding {
        let state = view.state();
        let heard = state.probes.iter().filter(|(id, _)| self.hearing.was_heard(id));
        self.seen.extend(heard.map(|(_, probe)| probe.site.clone()));
        let is_used = state.checks.values().any(|check| check.spec.sites == SiteChoice::All);
        let unseen = state.config.sites.keys().filter(|site| is_used && !self.seen.contains(*site));
        let since =
            |site: &SiteId| (site.clone(), self.unseen.get(site).copied().unwrap_or(state.now));
        self.unseen = unseen.map(since).collect();
        for (site, since) in &self.unseen {
            let lasts = state.now.since((*since).max(self.hearing.hearing_since));
            if lasts <= PATIENCE + LEADER_GRACE + TICK {
                continue;
            }
            if state.watch.awaited.get(site).is_none_or(|awaited| awaited.incident.is_none()) {
                return Err(format!("nobody is heard from {site} for {lasts:?}: nobody is told"));
            }
            self.tested += 1;
        }
        Ok(())
    }

    /// Who has begun anew four times in ten minutes, a while ago, is told of; who has not, is not.
    fn restarts(&mut self, view: &View<'_>) -> Finding {
        let now = view.state().now;
        let waited = TOGETHER + LEADER_GRACE + TICK;
        for probe in view.state().probes.keys() {
            let told = view.state().watch.lapsed.contains_key(&(Lapse::Unstable, probe.clone()));
            let begun = self.hearing.begun(probe, now);
            let begun: Vec<Duration> = begun.filter(|ago| *ago <= RESTARTS_WITHIN).collect();
            let known = begun.iter().filter(|ago| **ago > waited).count() > RESTARTS;
            if known && now.since(self.hearing.hearing_since) > waited {
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
            let begun = self.hearing.begun(probe, state.now);
            let begun = begun.filter(|ago| *ago <= RESTARTS_WITHIN).count();
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
            .map(|((_, probe), _)| self.hearing.silence(probe, state.now))
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
            let since = lame.since.max(self.hearing.hearing_since).max(check.settling_until);
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
            let since = owed.created.max(taken).max(self.hearing.hearing_since);
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
