//! I19, one alarm an episode: whoever is in trouble is told of once, in one incident, until the
//! trouble is over; the incident lasts until then and no longer, and ends with a word to everybody
//! who was alarmed. Troubles: a probe that is not heard, that runs nothing, that begins anew again
//! and again; a site that nobody was ever heard from; a check without enough voters; a coordinator
//! that does not follow.
//!
//! Whether a trouble is over is the checker's own reckoning. Where it cannot tell to the tick, both
//! are allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_core::absence::Lapse;
use crosscheck_core::follower::Following;
use crosscheck_core::incident::Subject;
use crosscheck_core::outbox::{Edge, Key, SendResult};
use crosscheck_core::{Command, Effect, State};
use crosscheck_model::spec::SiteChoice;
use crosscheck_model::{CheckId, ContactId, IncidentId, ProbeId, SiteId, Timestamp};

use super::hearing::{Hearing, SESSION};
use super::{Checker, Entry, Finding, View};

/// Ticks are a second apart; two, for those that are late.
const TICK: Duration = Duration::from_secs(2);
/// A probe is well again when it has been for as long.
const HOLD: Duration = Duration::from_secs(60);
/// A probe may begin anew so often ..
const RESTARTS: usize = 3;
/// .. within this time.
const RESTARTS_WITHIN: Duration = Duration::from_secs(600);

/// Who is in trouble, and which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Lapse(Lapse, ProbeId),
    Awaited(SiteId),
    Blind(CheckId),
    Follower(u64),
}

/// Whether a trouble is over at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Now {
    Ill,
    Unsure,
    Well,
}

/// A trouble that is, or was, told of.
#[derive(Clone, Copy, Debug)]
struct Episode {
    incident: IncidentId,
    /// Since when it is perhaps over.
    perhaps: Option<Timestamp>,
    /// Since when it is over for sure.
    surely: Option<Timestamp>,
    /// It may have been over for long enough since it was told.
    is_over: bool,
}

/// Who was told of an incident.
#[derive(Debug, Default)]
struct Told {
    alarmed: BTreeSet<(ContactId, String)>,
    relieved: BTreeSet<(ContactId, String)>,
}

#[derive(Default)]
pub(super) struct OneAlarm {
    hearing: Hearing,
    episodes: BTreeMap<Trouble, Episode>,
    told: BTreeMap<IncidentId, Told>,
    open: BTreeSet<IncidentId>,
    keys: BTreeSet<Key>,
    /// Incidents with a word that did not get through: it goes to the operators then.
    untold: BTreeSet<IncidentId>,
    /// Sites that somebody was heard from.
    seen: BTreeSet<SiteId>,
    /// Coordinators that the leader has said to follow, or to be gone.
    following: BTreeSet<u64>,
    /// Episodes that were told of and are over.
    tested: u64,
}

impl Checker for OneAlarm {
    fn name(&self) -> &'static str {
        "I19 one alarm an episode"
    }

    fn tested(&self) -> u64 {
        self.tested
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        let state = view.state();
        self.hearing.entry(view, entry);
        if let Command::Follower { node, following } = &entry.stamped.command {
            match following {
                Following::Behind { .. } => self.following.remove(node),
                Following::Caught | Following::Gone => self.following.insert(*node),
            };
        }
        if let Command::Settle { key, result, .. } = &entry.stamped.command
            && *result != SendResult::Delivered
        {
            self.untold.extend(state.outbox.get(key).map(|owed| owed.notice.incident));
        }
        if entry.applied.effects.contains(&Effect::Owed) {
            self.notified(state)?;
        }
        for effect in &entry.applied.effects {
            if let Effect::Incident(id) = effect {
                self.incident(state, *id)?;
            }
        }
        let is_tick = entry.stamped.command == Command::Tick;
        self.reckon(state, is_tick);
        self.compare(state, is_tick)?;
        if is_tick { self.lasting(state) } else { Ok(()) }
    }
}

impl OneAlarm {
    /// How every trouble that is told of stands.
    fn reckon(&mut self, state: &State, is_tick: bool) {
        let heard = state.probes.iter().filter(|(id, _)| self.hearing.was_heard(id));
        self.seen.extend(heard.map(|(_, probe)| probe.site.clone()));
        self.seen.retain(|site| state.config.sites.contains_key(site));
        let now = state.now;
        let mut episodes = std::mem::take(&mut self.episodes);
        episodes.retain(|trouble, _| is_expected(state, trouble));
        for (trouble, episode) in &mut episodes {
            let how = self.how(state, trouble);
            // What is so between two ticks only need not be noticed, and may be: an edit has everything
            // looked at, for one.
            if is_tick {
                episode.perhaps = episode.perhaps.or(Some(now)).filter(|_| how != Now::Ill);
            }
            episode.surely = match how {
                Now::Well if is_tick => episode.surely.or(Some(now)),
                Now::Well => episode.surely,
                Now::Unsure | Now::Ill => None,
            };
            let lasts = |since: Timestamp| now.since(since) + TICK + TICK >= hold(trouble);
            let at_once = hold(trouble) == Duration::ZERO && how != Now::Ill;
            episode.is_over |= at_once || episode.perhaps.is_some_and(lasts);
        }
        self.episodes = episodes;
    }

    /// What is told is told once, and until it is over. That it is over is noticed by a tick: there are
    /// none while nobody leads.
    fn compare(&mut self, state: &State, is_tick: bool) -> Finding {
        let told = told(state);
        for (trouble, incident) in &told {
            match self.episodes.get(trouble) {
                Some(known) if known.incident == *incident => {}
                Some(known) if !known.is_over => {
                    let before = known.incident;
                    return Err(format!(
                        "{trouble:?} is told in incident {incident}, and not over since {before} told it"
                    ));
                }
                _ => {
                    let (perhaps, surely, is_over) = (None, None, false);
                    let episode = Episode { incident: *incident, perhaps, surely, is_over };
                    self.episodes.insert(trouble.clone(), episode);
                }
            }
        }
        for (trouble, Episode { incident, surely, is_over, .. }) in &self.episodes {
            match (told.get(trouble), surely) {
                (None, _) if !is_over => {
                    return Err(format!("{trouble:?} is not over, and not in {incident} any more"));
                }
                (Some(_), Some(since))
                    if is_tick && state.now.since(*since) > hold(trouble) + TICK + TICK =>
                {
                    return Err(format!("{trouble:?} is over since {since}, and in {incident}"));
                }
                _ => {}
            }
        }
        let over = self.episodes.iter().filter(|(trouble, _)| !told.contains_key(trouble));
        let over: Vec<Trouble> = over.map(|(trouble, _)| trouble.clone()).collect();
        self.tested += over.len() as u64;
        over.iter().for_each(|trouble| {
            self.episodes.remove(trouble);
        });
        Ok(())
    }

    /// An incident is open as long as somebody is in it.
    fn lasting(&self, state: &State) -> Finding {
        let told = told(state);
        let within: BTreeSet<IncidentId> = told.values().copied().collect();
        if let Some(left) = self.open.iter().find(|open| !within.contains(open)) {
            return Err(format!("nobody is in incident {left} any more, and it is open"));
        }
        match told.iter().find(|(_, incident)| !self.open.contains(incident)) {
            Some((trouble, incident)) => {
                Err(format!("{trouble:?} is in {incident}, which is over"))
            }
            None => Ok(()),
        }
    }

    /// Nobody is alarmed of an incident twice, or told twice that it is over.
    fn notified(&mut self, state: &State) -> Finding {
        for owed in state.outbox.values() {
            if !self.keys.insert(owed.key) {
                continue;
            }
            let (id, edge) = (owed.notice.incident, owed.notice.edge);
            let incident = state.incidents.get(&id);
            if !incident.is_some_and(|incident| is_of_troubles(&incident.subject)) {
                continue;
            }
            let told = self.told.entry(id).or_default();
            let told = match edge {
                Edge::Alarm(_) => &mut told.alarmed,
                Edge::Recovery | Edge::Removed => &mut told.relieved,
            };
            let to = (owed.contact.clone(), owed.channel.clone());
            if !told.insert(to) {
                let (contact, channel) = (&owed.contact, &owed.channel);
                return Err(format!("{contact} is told {edge:?} of {id} twice by {channel}"));
            }
            let is_operators = state.config.operators.contains(&owed.contact);
            if matches!(edge, Edge::Alarm(_)) && is_operators && !self.untold.contains(&id) {
                told_elsewhere(state, id)?;
            }
        }
        Ok(())
    }

    /// An incident's beginning is told to the operators, and its end to everybody who was alarmed.
    fn incident(&mut self, state: &State, id: IncidentId) -> Finding {
        let Some(incident) = state.incidents.get(&id) else { return Ok(()) };
        if !is_of_troubles(&incident.subject) {
            return Ok(());
        }
        let told = self.told.entry(id).or_default();
        if incident.resolved_at.is_some() {
            self.open.remove(&id);
            return match told.alarmed == told.relieved {
                true => Ok(()),
                false => Err(format!("incident {id} is over for {told:?}")),
            };
        }
        if !self.open.insert(id) || incident.subject == Subject::Blind {
            return Ok(());
        }
        for contact in &state.config.operators {
            for channel in state.config.channels.keys() {
                if !told.alarmed.contains(&(contact.clone(), channel.clone())) {
                    return Err(format!("incident {id} opens, untold to {contact} by {channel}"));
                }
            }
        }
        Ok(())
    }

    fn how(&self, state: &State, trouble: &Trouble) -> Now {
        match trouble {
            Trouble::Lapse(lapse, probe) => {
                let heard = at_most(self.hearing.age(probe, state.now), SESSION);
                match lapse {
                    Lapse::Absent => heard,
                    Lapse::Idle => {
                        heard.and(if is_idle(state, probe) { Now::Ill } else { Now::Well })
                    }
                    Lapse::Unstable => heard.and(self.is_steady(state, probe)),
                }
            }
            Trouble::Awaited(site) if self.seen.contains(site) => Now::Well,
            Trouble::Awaited(_) => Now::Ill,
            Trouble::Blind(check) => {
                let lame = state.checks.get(check).is_some_and(|check| check.tally.lame.is_some());
                if lame { Now::Ill } else { Now::Well }
            }
            Trouble::Follower(node) if self.following.contains(node) => Now::Well,
            Trouble::Follower(_) => Now::Ill,
        }
    }

    fn is_steady(&self, state: &State, probe: &ProbeId) -> Now {
        let within = |time: Duration| {
            self.hearing.begun(probe, state.now).filter(|ago| *ago <= time).count() <= RESTARTS
        };
        match (within(RESTARTS_WITHIN + TICK), within(RESTARTS_WITHIN)) {
            (true, _) => Now::Well,
            (false, true) => Now::Unsure,
            (false, false) => Now::Ill,
        }
    }
}

impl Now {
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Ill, _) | (_, Self::Ill) => Self::Ill,
            (Self::Well, Self::Well) => Self::Well,
            _ => Self::Unsure,
        }
    }
}

fn at_most(time: Duration, limit: Duration) -> Now {
    match time {
        time if time <= limit => Now::Well,
        time if time <= limit + TICK => Now::Unsure,
        _ => Now::Ill,
    }
}

/// How long a trouble must be over before that is said.
const fn hold(trouble: &Trouble) -> Duration {
    match trouble {
        Trouble::Lapse(..) => HOLD,
        Trouble::Awaited(_) | Trouble::Blind(_) | Trouble::Follower(_) => Duration::ZERO,
    }
}

const fn is_of_troubles(subject: &Subject) -> bool {
    use Subject::{Absent, Awaited, Blind, Follower, Idle, Unstable};
    matches!(subject, Absent | Idle | Unstable | Awaited | Blind | Follower(_))
}

/// Who is told to be in trouble, and in which incident.
fn told(state: &State) -> BTreeMap<Trouble, IncidentId> {
    let watch = &state.watch;
    let lapsed = watch
        .lapsed
        .iter()
        .map(|((lapse, probe), lapsed)| (Trouble::Lapse(*lapse, probe.clone()), lapsed.incident));
    let awaited = watch.awaited.iter();
    let awaited = awaited
        .filter_map(|(site, awaited)| Some((Trouble::Awaited(site.clone()), awaited.incident?)));
    let blind = state.blind.iter().map(|(check, id)| (Trouble::Blind(check.clone()), *id));
    let behind = watch.behind.iter().map(|(node, id)| (Trouble::Follower(*node), *id));
    lapsed.chain(awaited).chain(blind).chain(behind).collect()
}

/// Whether anybody expects it to be well.
fn is_expected(state: &State, trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Lapse(_, probe) => state.probes.contains_key(probe),
        Trouble::Awaited(site) => {
            let uses = |choice: &SiteChoice| match choice {
                SiteChoice::List(sites) => sites.contains(site),
                SiteChoice::All | SiteChoice::Pick { .. } => true,
            };
            state.config.sites.contains_key(site)
                && state.checks.values().any(|check| uses(&check.spec.sites))
        }
        Trouble::Blind(check) => state.checks.contains_key(check),
        Trouble::Follower(node) => !state.dismissed.contains_key(node),
    }
}

/// Whether a probe has something to do and does nothing of it.
pub(super) fn is_idle(state: &State, id: &ProbeId) -> bool {
    let duties: Vec<_> = state.checks.values().filter(|c| c.assigned.contains(id)).collect();
    let is_done = |check: &&crosscheck_core::state::CheckState| {
        let vote = check.votes.get(id);
        vote.is_some_and(|vote| state.now.since(vote.at) <= check.spec.validity())
    };
    let runs = state.probes.get(id).is_some_and(|probe| probe.running > 0);
    !duties.is_empty() && (!runs || !duties.iter().any(is_done))
}

/// Operators hear of a blind check from one incident only: not where one about each of its probes
/// has told them since.
fn told_elsewhere(state: &State, id: IncidentId) -> Finding {
    let mut within = state.blind.iter().filter(|(_, incident)| **incident == id).peekable();
    if within.peek().is_none() {
        return Ok(());
    }
    let is_explained = |check: &CheckId| {
        let Some(check) = state.checks.get(check) else { return false };
        let Some(lame) = &check.tally.lame else { return false };
        let since = |probe: &ProbeId, lapse| {
            let lapsed = state.watch.lapsed.get(&(lapse, probe.clone()))?;
            Some(state.incidents.get(&lapsed.incident)?.opened_at >= lame.since)
        };
        let lapses = [Lapse::Absent, Lapse::Idle];
        !check.assigned.is_empty()
            && check.assigned.iter().all(|probe| {
                lapses.into_iter().find_map(|lapse| since(probe, lapse)).unwrap_or(false)
            })
    };
    match within.all(|(check, _)| is_explained(check)) {
        true => Err(format!("operators are told of {id}, though they know of each of its probes")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crosscheck_core::absence::Lapsed;
    use crosscheck_core::incident::Incident;
    use crosscheck_model::{Severity, Status};

    use super::*;

    fn incident(id: u64, resolved_at: Option<Timestamp>) -> Incident {
        Incident {
            id: IncidentId(id),
            subject: Subject::Absent,
            target: String::new(),
            customer: None,
            severity: Severity::Warning,
            status: Status::Unknown,
            summary: String::new(),
            finding: None,
            opened_at: Timestamp::ZERO,
            first_failed_at: Timestamp::ZERO,
            acknowledged: None,
            resolved_at,
            timeline: Vec::new(),
            checks: Vec::new(),
            told: Vec::new(),
            inhibited: BTreeMap::new(),
            inhibited_by: Vec::new(),
            flapping: false,
        }
    }

    /// A state in which the probe is told absent in this incident.
    fn absent(incident: Option<u64>) -> State {
        let mut state = State::default();
        if let Some(id) = incident {
            let lapsed = Lapsed { incident: IncidentId(id), back_since: None };
            state.watch.lapsed.insert((Lapse::Absent, "p".into()), lapsed);
        }
        state
    }

    #[test]
    fn a_second_alarm_of_one_episode_is_noticed() {
        let mut checker = OneAlarm::default();
        assert_eq!(checker.compare(&absent(Some(1)), true), Ok(()));
        assert_eq!(checker.compare(&absent(Some(1)), true), Ok(()));
        assert!(checker.compare(&absent(Some(2)), true).is_err());
        // Once it was over, the next is another episode.
        checker.episodes.values_mut().for_each(|episode| episode.is_over = true);
        assert_eq!(checker.compare(&absent(Some(2)), true), Ok(()));
    }

    #[test]
    fn an_end_before_the_end_is_noticed() {
        let mut checker = OneAlarm::default();
        assert_eq!(checker.compare(&absent(Some(1)), true), Ok(()));
        assert!(checker.compare(&absent(None), true).is_err());
        checker.episodes.values_mut().for_each(|episode| episode.is_over = true);
        assert_eq!((checker.compare(&absent(None), true), checker.tested), (Ok(()), 1));
    }

    #[test]
    fn an_end_that_does_not_come_is_noticed() {
        let mut checker = OneAlarm::default();
        let mut state = absent(Some(1));
        assert_eq!(checker.compare(&state, true), Ok(()));
        checker.episodes.values_mut().for_each(|one| one.surely = Some(Timestamp::ZERO));
        state.now = Timestamp::ZERO.plus(HOLD + 3 * TICK);
        assert!(checker.compare(&state, true).is_err());

        checker.open.insert(IncidentId(1));
        assert_eq!(checker.lasting(&absent(Some(1))), Ok(()));
        assert!(checker.lasting(&absent(None)).is_err());
        assert!(checker.lasting(&absent(Some(2))).is_err());
    }

    #[test]
    fn an_alarm_without_its_recovery_is_noticed() {
        let mut checker = OneAlarm::default();
        let mut state = State::default();
        state.incidents.insert(IncidentId(1), incident(1, None));
        assert_eq!(checker.incident(&state, IncidentId(1)), Ok(()));
        let to = ("ops".into(), "mail".to_owned());
        checker.told.entry(IncidentId(1)).or_default().alarmed.insert(to);
        state.incidents.insert(IncidentId(1), incident(1, Some(Timestamp::ZERO)));
        assert!(checker.incident(&state, IncidentId(1)).is_err());
    }

    #[test]
    fn an_incident_that_nobody_is_told_of_is_noticed() {
        let mut checker = OneAlarm::default();
        let mut state = State::default();
        state.config.operators.push("ops".into());
        let channel = crosscheck_model::config::Channel {
            kind: "mail".to_owned(),
            settings: "{}".to_owned(),
        };
        state.config.channels.insert("mail".to_owned(), channel);
        state.incidents.insert(IncidentId(1), incident(1, None));
        assert!(checker.incident(&state, IncidentId(1)).is_err());
    }
}
