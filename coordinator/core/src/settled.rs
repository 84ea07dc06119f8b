//! Which checks are settled: their sites all say Up, their verdict is that they work, and nothing
//! is under way. A tick comes every second and a report brings hundreds of observations, most of
//! them of such checks; to ask the quorum of each, and to bring its incident in line, would cost a
//! coordinator more than everything else.
//!
//! **Invariant**
//! - A settled check that were judged would stay as it is but for its count of rounds, which means
//!   nothing while it works. A property test compares.

use std::collections::{BTreeMap, BTreeSet};

use crosscheck_model::{CheckId, Family, ProbeId, SiteQuorum, Status};

use crate::quorum::is_unanimous;
use crate::state::{CheckState, State};
use crate::verdict::Reason;

/// A probe, as far as its votes on any check go.
struct Seat<'a> {
    probe: &'a ProbeId,
    /// It is heard, and believed: neither suspect nor quarantined.
    counts: bool,
    /// It is not heard, but excused while a leader is new.
    excused: bool,
    fit: [bool; 2],
    /// Numbers of its site, carrier and region.
    place: [usize; 3],
}

impl Seat<'_> {
    fn is_fit(&self, family: Family) -> bool {
        self.fit[family as usize]
    }
}

/// All probes in their order, looked at once for many checks.
pub(crate) struct Roll<'a>(Vec<Seat<'a>>);

/// The values of each dimension among some probes, as far as it matters: whether they differ.
#[derive(Default)]
struct Spread {
    count: usize,
    first: [usize; 3],
    differs: [bool; 3],
}

impl Spread {
    fn add(&mut self, place: [usize; 3]) {
        if self.count == 0 {
            self.first = place;
        }
        self.count += 1;
        for (differs, (first, value)) in self.differs.iter_mut().zip(self.first.iter().zip(place)) {
            *differs |= *first != value;
        }
    }
}

impl State {
    /// Looks at every probe.
    pub(crate) fn roll(&self) -> Roll<'_> {
        let mut names: [BTreeMap<&str, usize>; 3] = Default::default();
        let mut number = |dimension: usize, name| {
            let next = names[dimension].len();
            *names[dimension].entry(name).or_insert(next)
        };
        let seats = self.probes.iter().filter_map(|(id, probe)| {
            let at = self.config.sites.get(&probe.site)?;
            let believed = probe.suspect.is_none() && self.quarantined_since(id).is_none();
            let live = self.is_live(probe);
            Some(Seat {
                probe: id,
                counts: live && believed,
                excused: !live && believed && self.counts_as_heard(probe),
                fit: [Family::V4, Family::V6].map(|family| probe.health.of(family).may_vote()),
                place: [
                    number(0, probe.site.as_str()),
                    number(1, &at.carrier),
                    number(2, &at.region),
                ],
            })
        });
        Roll(seats.collect())
    }

    /// The checks that must be judged.
    pub(crate) fn unsettled(&self) -> BTreeSet<CheckId> {
        let (roll, in_window) = (self.roll(), self.is_any_window_open());
        let settled = |check: &CheckState| self.is_settled(check, &roll, in_window);
        self.checks.iter().filter(|(_, check)| !settled(check)).map(|(id, _)| id.clone()).collect()
    }

    /// Those of these checks that must be judged.
    pub(crate) fn unsettled_of(&self, mut ids: BTreeSet<CheckId>) -> BTreeSet<CheckId> {
        let (roll, in_window) = (self.roll(), self.is_any_window_open());
        ids.retain(|id| {
            let check = self.checks.get(id);
            check.is_some_and(|check| !self.is_settled(check, &roll, in_window))
        });
        ids
    }

    fn is_any_window_open(&self) -> bool {
        self.windows.iter().any(|window| window.from <= self.now && self.now < window.to)
    }

    fn is_settled(&self, check: &CheckState, roll: &Roll<'_>, in_window: bool) -> bool {
        check.is_at_rest()
            && (!in_window || self.window_of(check).is_none())
            && self.all_say_up(check, roll)
    }

    /// Whether all whose votes count say Up, and suffice. Both lists are in the order of probes. A
    /// job that reports by itself has no probes, and so is never left out.
    fn all_say_up(&self, check: &CheckState, roll: &Roll<'_>) -> bool {
        let (mut seats, mut votes) = (roll.0.iter(), check.votes.iter().peekable());
        let (mut assigned, mut live) = (Spread::default(), Spread::default());
        let validity = check.spec.validity();
        for id in &check.assigned {
            let Some(seat) = seats.find(|seat| seat.probe >= id) else { return false };
            if seat.probe != id {
                return false;
            }
            assigned.add(seat.place);
            while votes.next_if(|(voter, _)| *voter < id).is_some() {}
            let Some((_, vote)) = votes.next_if(|(voter, _)| *voter == id) else { continue };
            let counts = vote.rev == check.rev
                && self.is_fresh(vote, validity)
                && vote.status != Status::Unknown
                && seat.is_fit(check.spec.family);
            if !counts || !seat.counts && !seat.excused {
                continue;
            }
            if seat.excused || vote.status != Status::Up {
                return false;
            }
            live.add(seat.place);
        }
        match check.spec.quorum {
            SiteQuorum::Diverse => live.count > 1 && live.differs == assigned.differs,
            other => is_unanimous(other, live.count, assigned.count),
        }
    }
}

impl CheckState {
    /// It works, nobody is to be told anything, and no count goes on that could change that.
    fn is_at_rest(&self) -> bool {
        self.verdict.reason == Reason::Working
            && self.tally.row == Reason::Working
            && self.tally.lame.is_none()
            && self.incident.is_none()
            && self.failed_from.is_none()
            && !self.confirm_wanted
            && !self.maintenance
            && !self.gap
            && self.drawn == Some((Some(Status::Up), false))
    }
}
