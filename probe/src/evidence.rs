//! When evidence is gathered, and about what: once for each episode of failure of a check, a few at
//! a time, and not faster than a rate. Pure: [`crosscheck_checks::gather`] does it.
//!
//! A failure that finds no room is gathered with the next failing run, so an outage of many checks
//! is looked into bit by bit, and costs the targets little.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_model::evidence::{Found, PhaseTimes};
use crosscheck_model::wire::Assigned;
use crosscheck_model::{Cause, CheckId, Outcome, Place, Status};

use crate::Mono;

/// Gatherings at the same time.
pub const IN_FLIGHT: usize = 4;

/// Gatherings that may begin at once after a quiet time.
pub const BURST: u32 = 8;

/// After a burst, one may begin this often.
pub const EVERY: Duration = Duration::from_secs(2);

/// A gathering to begin.
#[derive(Clone, Debug, PartialEq)]
pub struct Gathering {
    /// Names the answer.
    pub id: u64,
    /// The check that fails.
    pub check: Arc<Assigned>,
    /// Where its run was; `None`: where the settings say.
    pub place: Option<Box<Place>>,
}

/// A gathering that has ended.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) check: Arc<Assigned>,
    pub(crate) number: u64,
    pub(crate) failing_since: Mono,
    pub(crate) found: Found,
}

/// What is remembered of a check.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The episode that was looked into, by its beginning.
    looked_into: Option<Mono>,
    /// The phases of the last run that was up.
    usual: PhaseTimes,
}

#[derive(Debug)]
struct Flight {
    check: Arc<Assigned>,
    failing_since: Mono,
    /// Of the failing run.
    cause: Option<Cause>,
    phases: PhaseTimes,
    answer: String,
    usual: PhaseTimes,
}

/// The gatherings of a probe.
#[derive(Debug, Default)]
pub(crate) struct Gatherings {
    begun: u64,
    flights: BTreeMap<u64, Flight>,
    to_begin: Vec<Gathering>,
    /// When the next could begin if there were no burst: it runs ahead of time by what was begun.
    next: Mono,
}

impl Gatherings {
    /// A run has ended, and where, if it failed elsewhere than where the settings say; since when
    /// the check fails, if it does.
    pub(crate) fn judged(
        &mut self,
        now: Mono,
        check: &Arc<Assigned>,
        (outcome, place): (&Outcome, Option<Box<Place>>),
        failing_since: Option<Mono>,
        memory: &mut Memory,
    ) {
        if outcome.status == Status::Up {
            memory.usual = PhaseTimes::of(&outcome.phases);
        }
        let fails = matches!(outcome.status, Status::Down | Status::Degraded);
        let Some(failing_since) = failing_since.filter(|_| fails) else { return };
        if memory.looked_into == Some(failing_since) || !self.has_room(now) {
            return;
        }
        memory.looked_into = Some(failing_since);
        self.next = self.next.max(now) + EVERY;
        self.begun += 1;
        let flight = Flight {
            check: Arc::clone(check),
            failing_since,
            cause: outcome.cause,
            phases: PhaseTimes::of(&outcome.phases),
            answer: outcome.excerpt.clone(),
            usual: memory.usual,
        };
        self.flights.insert(self.begun, flight);
        self.to_begin.push(Gathering { id: self.begun, check: Arc::clone(check), place });
    }

    fn has_room(&self, now: Mono) -> bool {
        self.flights.len() < IN_FLIGHT && self.next < now + EVERY * BURST
    }

    /// Those to begin now.
    pub(crate) fn begin(&mut self) -> Vec<Gathering> {
        std::mem::take(&mut self.to_begin)
    }

    /// A gathering has ended; `None` when nobody wants to know any more.
    pub(crate) fn ended(&mut self, id: u64, found: Found) -> Option<Gathered> {
        let flight = self.flights.remove(&id)?;
        let Flight { check, failing_since, cause, phases, answer, usual } = flight;
        let found = Found { cause, phases_us: phases, usual_us: usual, answer, ..found };
        Some(Gathered { check, number: id, failing_since, found })
    }

    /// The check is gone, or means something else.
    pub(crate) fn forget(&mut self, check: &CheckId) {
        self.flights.retain(|_, flight| flight.check.spec.id != *check);
        self.to_begin.retain(|gathering| gathering.check.spec.id != *check);
    }
}

#[cfg(test)]
mod tests {
    use crosscheck_model::Family;

    use super::*;
    use crate::sample::assigned;

    const S: Duration = Duration::from_secs(1);

    fn check(name: &str) -> Arc<Assigned> {
        Arc::new(assigned(name, 60, 60))
    }

    fn down() -> Outcome {
        Outcome::new(Status::Down, Some(Cause::Refused), "")
    }

    #[test]
    fn an_episode_is_looked_into_once() {
        let (mut gatherings, mut memory) = (Gatherings::default(), Memory::default());
        let check = check("a");
        for (now, since, begins) in [(10, 10, 1), (13, 10, 0), (90, 10, 0), (200, 190, 1)] {
            gatherings.judged(now * S, &check, (&down(), None), Some(since * S), &mut memory);
            let begun = gatherings.begin();
            assert_eq!(begun.len(), begins, "at {now}");
            for gathering in begun {
                let gathered = gatherings.ended(gathering.id, Found::default()).expect("wanted");
                assert_eq!(gathered.failing_since, since * S);
                assert!(gatherings.ended(gathering.id, Found::default()).is_none(), "once");
            }
        }
    }

    #[test]
    fn what_came_back_is_kept_and_where_the_run_was_is_looked_at() {
        let (mut gatherings, mut memory) = (Gatherings::default(), Memory::default());
        let outcome = Outcome { excerpt: "<h1>gone".to_owned(), ..down() };
        let place = Box::new(Place::tcp("elsewhere.test".to_owned(), 443, Family::V4));
        let failed = (&outcome, Some(place.clone()));
        gatherings.judged(S, &check("a"), failed, Some(S), &mut memory);
        let begun = gatherings.begin();
        assert_eq!(begun[0].place, Some(place));
        let gathered = gatherings.ended(begun[0].id, Found::default()).expect("wanted");
        assert_eq!(gathered.found.answer, "<h1>gone");
        assert_eq!(gathered.found.cause, Some(Cause::Refused));
    }

    #[test]
    fn what_is_no_failure_is_not_looked_into() {
        let (mut gatherings, mut memory) = (Gatherings::default(), Memory::default());
        for status in [Status::Up, Status::Unknown] {
            let outcome = Outcome::new(status, None, "");
            gatherings.judged(S, &check("a"), (&outcome, None), Some(S), &mut memory);
        }
        gatherings.judged(S, &check("a"), (&down(), None), None, &mut memory);
        assert!(gatherings.begin().is_empty());
    }

    #[test]
    fn many_failures_are_looked_into_a_few_at_a_time_and_all_in_the_end() {
        let mut gatherings = Gatherings::default();
        let mut checks: Vec<_> =
            (0..30).map(|n| (check(&n.to_string()), Memory::default())).collect();
        let (mut begun, mut per_round) = (0, Vec::new());
        for round in 0..60 {
            let now = round * S;
            for (check, memory) in &mut checks {
                gatherings.judged(now, check, (&down(), None), Some(S), memory);
                assert!(gatherings.flights.len() <= IN_FLIGHT);
            }
            let these = gatherings.begin();
            per_round.push(these.len());
            begun += these.len();
            these.iter().for_each(|g| drop(gatherings.ended(g.id, Found::default())));
        }
        assert_eq!(per_round[..3], [4, 4, 1], "first a burst, then the rate");
        assert_eq!(begun, 30, "each in the end, and none twice");
    }

    #[test]
    fn a_removed_check_is_not_waited_for() {
        let (mut gatherings, mut memory) = (Gatherings::default(), Memory::default());
        gatherings.judged(S, &check("a"), (&down(), None), Some(S), &mut memory);
        let begun = gatherings.begin();
        gatherings.forget(&CheckId::new("a"));
        assert!(gatherings.ended(begun[0].id, Found::default()).is_none());
    }
}
