//! Probes that lapse: those that are not heard any more, those that are heard and run nothing of
//! what they are to run, and those that begin anew again and again. All that lapse together are one
//! incident, named by what they have in common, so that a lost carrier is one mail and not one a
//! probe.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_model::{CheckId, IncidentId, ProbeId, SiteId, Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::incident::Subject;
use crate::notify::listed;
use crate::notify::named;
use crate::outbox::Edge;
use crate::quorum::Domain;
use crate::state::{CheckState, ProbeState, State, Vote};
use crate::watch::{PATIENCE, TOGETHER};

/// A probe must be back for this long: one that comes and goes is one episode.
const RETURN_HOLD: Duration = Duration::from_secs(60);

/// What is the matter with a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lapse {
    /// It is not heard.
    Absent,
    /// It is heard, and no result of what it is to run arrives.
    Idle,
    /// Its process begins anew again and again; see [`crate::rival`].
    Unstable,
}

/// A probe in an open incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lapsed {
    /// Which.
    pub incident: IncidentId,
    /// Since when it is well again.
    pub back_since: Option<Timestamp>,
}

/// A probe that is heard and runs nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idle {
    /// Since when.
    pub since: Timestamp,
    /// The assignment that it was last seen to have ..
    pub assignment: u64,
    /// .. and when it got that: the first result of a new check may take an interval.
    pub assigned_at: Timestamp,
}

/// Those that lapsed together, and what they have in common.
struct Extent {
    target: String,
    summary: String,
}

impl State {
    /// Opens and closes the incidents about lapsing probes.
    pub(crate) fn reconcile_lapses(&mut self, effects: &mut Vec<Effect>) {
        self.note_idle();
        for lapse in Lapse::ALL {
            self.end_lapses(lapse, effects);
            self.begin_lapses(lapse, effects);
        }
    }

    /// A probe that is no longer expected leaves its incidents; with the last one they end.
    pub(crate) fn forget_lapses(&mut self, id: &ProbeId, why: &str, effects: &mut Vec<Effect>) {
        self.watch.idle.remove(id);
        for lapse in Lapse::ALL {
            let Some(lapsed) = self.watch.lapsed.remove(&(lapse, id.clone())) else { continue };
            if self.has_left(lapse, lapsed.incident, effects) {
                let text = format!("probe {id} is no longer expected: {why}");
                let (at, edge) = (self.now, Edge::Removed);
                self.resolve(lapsed.incident, at, text, Vec::new(), edge, effects);
            }
        }
    }

    /// The open incident that a probe's silence belongs to.
    pub(crate) fn lapse_incident(&self, id: &ProbeId) -> Option<IncidentId> {
        let of = |lapse| self.watch.lapsed.get(&(lapse, id.clone()));
        Lapse::ALL.into_iter().find_map(of).map(|lapsed| lapsed.incident)
    }

    /// Keeps book of who is heard and runs nothing.
    fn note_idle(&mut self) {
        let idle: Vec<(ProbeId, u64)> = self
            .probes
            .iter()
            .filter(|(id, probe)| self.is_live(probe) && self.is_idle(id, probe))
            .map(|(id, probe)| (id.clone(), probe.assignment))
            .collect();
        let (now, mut before) = (self.now, std::mem::take(&mut self.watch.idle));
        for (id, assignment) in idle {
            let new = || Idle { since: now, assignment, assigned_at: now };
            let mut known = before.remove(&id).unwrap_or_else(new);
            if known.assignment != assignment {
                (known.assignment, known.assigned_at) = (assignment, now);
            }
            self.watch.idle.insert(id, known);
        }
    }

    /// Whether the probe is to run something and runs nothing, or gives no result of any of it.
    /// The first result that is there ends the search.
    fn is_idle(&self, id: &ProbeId, probe: &ProbeState) -> bool {
        let mut duties =
            self.checks.values().filter(|check| check.assigned.contains(id)).peekable();
        let has_duties = duties.peek().is_some();
        let is_done = |check: &CheckState| {
            let fresh = |vote: &Vote| self.now.since(vote.at) <= check.spec.validity();
            check.votes.get(id).is_some_and(fresh)
        };
        has_duties && (probe.running == 0 || !duties.any(is_done))
    }

    /// Since when a probe lapses, and for how long it may.
    fn lapse_of(
        &self,
        lapse: Lapse,
        id: &ProbeId,
        probe: &ProbeState,
    ) -> Option<(Timestamp, Duration)> {
        match lapse {
            Lapse::Absent => (!self.is_live(probe)).then_some((heard(probe), PATIENCE)),
            Lapse::Idle => {
                let idle = self.watch.idle.get(id)?;
                if probe.running == 0 {
                    return Some((idle.since, PATIENCE));
                }
                let of_probe = self.checks.values().filter(|check| check.assigned.contains(id));
                let least = of_probe.map(|check| check.spec.validity()).min()?;
                Some((idle.since.max(idle.assigned_at), PATIENCE.max(least)))
            }
            Lapse::Unstable => {
                let since = self.rivals.get(id)?.unstable_since(self.now)?;
                Some((since, TOGETHER))
            }
        }
    }

    fn begin_lapses(&mut self, lapse: Lapse, effects: &mut Vec<Effect>) {
        let lapsing: Vec<(&ProbeId, Timestamp, Duration)> = self
            .probes
            .iter()
            .filter_map(|(id, probe)| {
                let (since, patience) = self.lapse_of(lapse, id, probe)?;
                Some((id, since, patience))
            })
            .filter(|(id, ..)| !self.watch.lapsed.contains_key(&(lapse, (*id).clone())))
            .collect();
        if !lapsing.iter().any(|(_, since, patience)| self.is_overdue(*since, *patience)) {
            return;
        }
        let together: Vec<(ProbeId, Timestamp)> = lapsing
            .into_iter()
            .filter(|(_, since, patience)| self.is_overdue(*since, *patience - TOGETHER))
            .map(|(id, since, _)| (id.clone(), since))
            .collect();
        let since = together.iter().map(|(_, since)| *since).min().unwrap_or(self.now);
        let members: BTreeSet<ProbeId> = together.into_iter().map(|(id, _)| id).collect();
        let Extent { target, summary } = self.extent(lapse, &members);
        let blind = self.left_blind(&members);
        let consequence = match blind.is_empty() {
            true => "every check has enough sites without it".to_owned(),
            false => format!("too few sites are left to judge {}", listed(&blind)),
        };
        let subject = match lapse {
            Lapse::Absent => Subject::Absent,
            Lapse::Idle => Subject::Idle,
            Lapse::Unstable => Subject::Unstable,
        };
        let summary = format!("{summary}; {consequence}");
        let incident =
            self.alarm_operators(subject, Status::Unknown, &target, &summary, since, effects);
        for id in members {
            let lapsed = Lapsed { incident, back_since: None };
            self.watch.lapsed.insert((lapse, id), lapsed);
        }
    }

    /// Who is well again for long enough leaves its incident; with the last one it ends.
    fn end_lapses(&mut self, lapse: Lapse, effects: &mut Vec<Effect>) {
        let now = self.now;
        let members: Vec<ProbeId> = self
            .watch
            .lapsed
            .keys()
            .filter(|(of, _)| *of == lapse)
            .map(|(_, id)| id.clone())
            .collect();
        for id in members {
            let Some(probe) = self.probes.get(&id) else { continue };
            // Who is not heard does not run again either.
            let is_well = self.is_live(probe) && self.lapse_of(lapse, &id, probe).is_none();
            let key = (lapse, id);
            let Some(lapsed) = self.watch.lapsed.get_mut(&key) else { continue };
            if !is_well {
                lapsed.back_since = None;
                continue;
            }
            let (incident, back) = (lapsed.incident, *lapsed.back_since.get_or_insert(now));
            if now.since(back) < RETURN_HOLD {
                continue;
            }
            self.watch.lapsed.remove(&key);
            if self.has_left(lapse, incident, effects) {
                let text = match lapse {
                    Lapse::Absent => "all are heard again",
                    Lapse::Idle => "results arrive again",
                    Lapse::Unstable => "none has begun anew for long",
                };
                self.resolve(incident, back, text.to_owned(), Vec::new(), Edge::Recovery, effects);
            }
        }
    }

    /// A probe has left its incident: whether it was the last one. Else what is left is said.
    fn has_left(&mut self, lapse: Lapse, incident: IncidentId, effects: &mut Vec<Effect>) -> bool {
        let left: BTreeSet<ProbeId> = self
            .watch
            .lapsed
            .iter()
            .filter(|((of, _), lapsed)| *of == lapse && lapsed.incident == incident)
            .map(|((_, id), _)| id.clone())
            .collect();
        if !left.is_empty() {
            let summary = format!("still: {}", self.extent(lapse, &left).summary);
            self.restate(incident, summary, effects);
        }
        left.is_empty()
    }

    /// The checks that too few voters are left for and that one of these was to run.
    fn left_blind(&self, members: &BTreeSet<ProbeId>) -> Vec<CheckId> {
        self.checks
            .iter()
            .filter(|(_, check)| check.tally.lame.is_some())
            .filter(|(_, check)| !check.assigned.is_disjoint(members))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// What those that lapse together have in common, as narrowly as it can be said.
    fn extent(&self, lapse: Lapse, members: &BTreeSet<ProbeId>) -> Extent {
        let lapsed = |id: &ProbeId| {
            members.contains(id) || self.watch.lapsed.contains_key(&(lapse, id.clone()))
        };
        // Each site that has probes, and whether all of them lapse.
        let mut whole: BTreeMap<&SiteId, bool> = BTreeMap::new();
        for (id, probe) in &self.probes {
            *whole.entry(&probe.site).or_insert(true) &= lapsed(id);
        }
        let sites: BTreeSet<&SiteId> =
            members.iter().filter_map(|id| Some(&self.probes.get(id)?.site)).collect();
        let probes = named(members.iter().map(|id| format!("probe {id}")));
        let what = lapse.what(members.len());
        let is_blind = |whose: &str| match lapse {
            Lapse::Absent | Lapse::Idle => format!("{whose} blind: {probes} {what}"),
            Lapse::Unstable => format!("{probes} {what}"),
        };
        let (whose, summary) = if !sites.iter().all(|site| whole[*site]) {
            (probes.clone(), format!("{probes} {what}, but others at the same site are well"))
        } else if let Some(domain) = self.common(&sites, &whole) {
            (domain.to_string(), is_blind(&format!("{domain} is")))
        } else if sites.len() == whole.len() {
            (format!("all {} sites", sites.len()), is_blind("all sites are"))
        } else {
            let names = named(sites.iter().map(|site| format!("site {site}")));
            (names.clone(), is_blind(&format!("{names} are")))
        };
        Extent { target: format!("{} from {whose}", lapse.missing()), summary }
    }

    /// The one site, carrier or region that these sites are all of. All there are is no domain.
    fn common(&self, sites: &BTreeSet<&SiteId>, whole: &BTreeMap<&SiteId, bool>) -> Option<Domain> {
        let first = sites.first()?;
        if sites.len() == 1 {
            return Some(Domain::Site(first.to_string()));
        }
        let at = self.config.sites.get(*first)?;
        let domains = [Domain::Carrier(at.carrier.clone()), Domain::Region(at.region.clone())];
        domains.into_iter().filter(|_| sites.len() < whole.len()).find(|domain| {
            let within = |site: &SiteId| match (self.config.sites.get(site), domain) {
                (Some(at), Domain::Carrier(name)) => at.carrier == *name,
                (Some(at), Domain::Region(name)) => at.region == *name,
                _ => false,
            };
            sites.iter().all(|site| within(site))
                && whole.iter().all(|(site, whole)| *whole || !within(site))
        })
    }
}

impl Lapse {
    const ALL: [Self; 3] = [Self::Absent, Self::Idle, Self::Unstable];

    /// What does not come.
    const fn missing(self) -> &'static str {
        match self {
            Self::Absent => "reports",
            Self::Idle => "results",
            Self::Unstable => "steady reports",
        }
    }

    /// What so many probes do.
    const fn what(self, count: usize) -> &'static str {
        match (self, count) {
            (Self::Absent, 1) => "is not heard",
            (Self::Absent, _) => "are not heard",
            (Self::Idle, 1) => "is heard, but no result of it arrives",
            (Self::Idle, _) => "are heard, but no result of them arrives",
            (Self::Unstable, _) => "began anew more than 3 times in 10 minutes",
        }
    }
}

/// When a probe was last heard, or first asked to be.
fn heard(probe: &ProbeState) -> Timestamp {
    if probe.echo == Timestamp::ZERO { probe.opened_at } else { probe.echo }
}
