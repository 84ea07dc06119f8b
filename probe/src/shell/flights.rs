//! The runs under way, each a task of the runtime. A run ends by its deadline by itself; one that does
//! not is stopped from here, by the shell's timer. Not by a timer of its own: that would be set and
//! taken back with every run, for what no check should ever need.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_model::{Cause, Outcome};
use tokio::task::AbortHandle;

use crate::Mono;
use crate::probe::Event;

/// A run that ignores its deadline is stopped this much later, at the next look.
const GRACE: Duration = Duration::from_millis(500);

/// Between two looks. While runs are under way the timer wakes about as often.
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct Flights {
    flights: BTreeMap<u64, Flight>,
    next_look: Mono,
}

#[derive(Debug)]
struct Flight {
    task: AbortHandle,
    began: Mono,
    must_end: Mono,
}

impl Flights {
    /// A run has begun, and is to take no longer than `limit`.
    pub(super) fn begun(&mut self, run: u64, task: AbortHandle, began: Mono, limit: Duration) {
        let must_end = began.saturating_add(limit).saturating_add(GRACE);
        self.flights.insert(run, Flight { task, began, must_end });
    }

    /// A run has ended.
    pub(super) fn ended(&mut self, run: u64) {
        self.flights.remove(&run);
    }

    /// Stops a run; whether it was under way.
    pub(super) fn stop(&mut self, run: u64) -> bool {
        self.flights.remove(&run).inspect(|flight| flight.task.abort()).is_some()
    }

    /// Stops the runs that ignore their deadline: what is to be said of them.
    pub(super) fn overdue(&mut self, now: Mono) -> Vec<Event> {
        if now < self.next_look {
            return Vec::new();
        }
        self.next_look = now + LOOK_EVERY;
        let overdue = self.flights.extract_if(.., |_, flight| now >= flight.must_end);
        let ended = overdue.map(|(run, flight)| {
            flight.task.abort();
            let why = "the check ignored its deadline; this is a bug";
            let outcome = Box::new(Outcome::unknown(Cause::Setup, why));
            Event::Ended { run, started: flight.began, ended: now, outcome }
        });
        ended.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn who_ignores_the_deadline_is_stopped_once() {
        let mut flights = Flights::default();
        let tasks = [5, 1, 5].map(|limit| (limit, tokio::spawn(pending::<()>())));
        for (run, (limit, task)) in tasks.iter().enumerate() {
            flights.begun(run as u64, task.abort_handle(), S, *limit * S);
        }
        assert_eq!(flights.overdue(2 * S).len(), 0, "the grace");
        let events = flights.overdue(3 * S);
        let [Event::Ended { run: 1, started: S, ended, outcome }] = &*events else {
            panic!("{events:?}");
        };
        assert_eq!((*ended, outcome.cause), (3 * S, Some(Cause::Setup)));
        assert_eq!(flights.overdue(4 * S).len(), 0, "told once");
        flights.ended(0);
        assert!(flights.stop(2));
        assert!(!flights.stop(2) && !flights.stop(0));
        assert_eq!(flights.overdue(9 * S).len(), 0);
        let [(_, ended), (_, ignored), (_, stopped)] = tasks;
        assert!(ignored.await.is_err_and(|error| error.is_cancelled()));
        assert!(stopped.await.is_err_and(|error| error.is_cancelled()));
        assert!(!ended.is_finished(), "it has ended by itself, as far as is known here");
    }

    #[tokio::test]
    async fn it_is_not_looked_for_at_every_event() {
        let mut flights = Flights::default();
        assert!(flights.overdue(S).is_empty());
        flights.begun(1, tokio::spawn(pending::<()>()).abort_handle(), Mono::ZERO, Mono::ZERO);
        assert!(flights.overdue(S).is_empty(), "just looked");
        assert_eq!(flights.overdue(S + LOOK_EVERY).len(), 1);
    }
}
