//! Lets runs begin no faster than the runtime gets through them. Whatever waits in the runtime's
//! queue is late by all that stands before it, and a run's times are its verdict: a thousand runs
//! that begin together would measure each other. So a few begin, and the next ones when whatever was
//! ready then has had its turn. Runs that only wait for their targets hold up nobody, and one that has
//! ended makes room for one that begins at once, if no others wait.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;

use crosscheck_model::observation::Trigger;
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::{Shell, State};
use crate::schedule::Run;

/// So many begin at a time for each thread of the runtime. One run costs 30 to 400 us of a core (TCP,
/// HTTPS; `cargo bench-probe`).
const AT_A_TIME: usize = 4;

/// Runs whose time has come, each kind in its order.
#[derive(Default)]
pub(super) struct Waiting {
    in_doubt: VecDeque<Run>,
    due: VecDeque<Run>,
}

impl Waiting {
    /// One more.
    pub(super) fn add(&mut self, run: Run) {
        let queue = match run.trigger {
            Trigger::Schedule => &mut self.due,
            _ => &mut self.in_doubt,
        };
        queue.push_back(run);
    }

    /// The next one: what is in doubt goes before what is due.
    fn next(&mut self) -> Option<Run> {
        self.in_doubt.pop_front().or_else(|| self.due.pop_front())
    }

    /// This one is not wanted any more.
    pub(super) fn cancel(&mut self, run: u64) {
        for queue in [&mut self.in_doubt, &mut self.due] {
            queue.retain(|waiting| waiting.id != run);
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.in_doubt.is_empty() && self.due.is_empty()
    }
}

/// Begins runs until the probe has ended. `bell` is rung when there are some, and at the end.
pub(super) async fn work(shell: Weak<Shell>, bell: Arc<Notify>) {
    loop {
        let Some(has_more) = shell.upgrade().and_then(|shell| begin_some(&shell)) else { return };
        match has_more {
            true => turn().await,
            false => bell.notified().await,
        }
    }
}

/// Ends when what is ready now has had its turn. Tokio promises neither of the two steps; that they
/// do it on its schedulers is measured ("time added" of `tests/speed`).
async fn turn() {
    // What the system has ready is asked for ..
    yield_now().await;
    // .. and stands in the queue; whoever wakes himself stands behind it.
    let mut stood = false;
    poll_fn(|context| {
        if std::mem::replace(&mut stood, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Begins as many as may; whether there are more, `None` after the end.
fn begin_some(shell: &Arc<Shell>) -> Option<bool> {
    let at_a_time = AT_A_TIME * shell.runtime.metrics().num_workers();
    let mut state = shell.lock();
    for _ in 0..at_a_time {
        if !begin_next(shell, &mut state) {
            break;
        }
    }
    (!state.ended).then(|| !state.waiting.is_empty())
}

/// Begins the next run; whether there was one.
pub(super) fn begin_next(shell: &Arc<Shell>, state: &mut State) -> bool {
    let Some(run) = state.waiting.next() else { return false };
    let (id, limit) = (run.id, run.check.spec.schedule.timeout);
    let task = shell.begin(run);
    state.runs.begun(id, task, shell.clock.elapsed(), limit);
    true
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Mono;
    use crate::sample::assigned;

    fn run(id: u64, trigger: Trigger) -> Run {
        Run { id, check: Arc::new(assigned("a", 60, 60)), due: Mono::ZERO, trigger }
    }

    #[test]
    fn what_is_in_doubt_begins_first_and_what_is_cancelled_never() {
        let mut waiting = Waiting::default();
        for (id, trigger) in [
            (1, Trigger::Schedule),
            (2, Trigger::Schedule),
            (3, Trigger::Confirm),
            (4, Trigger::Schedule),
            (5, Trigger::Confirm),
        ] {
            waiting.add(run(id, trigger));
        }
        waiting.cancel(2);
        waiting.cancel(9);
        assert!(!waiting.is_empty());
        let order: Vec<u64> = std::iter::from_fn(|| waiting.next()).map(|run| run.id).collect();
        assert_eq!(order, [3, 5, 1, 4]);
        assert!(waiting.is_empty());
    }

    /// More than a scheduler polls before it looks at the network (61, unless configured).
    const READY: usize = 200;

    async fn all_have_a_turn() -> usize {
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..READY {
            let done = Arc::clone(&done);
            tokio::spawn(async move { done.fetch_add(1, Ordering::Relaxed) });
        }
        turn().await;
        done.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn what_is_ready_has_its_turn_on_one_thread() {
        let done = tokio::spawn(all_have_a_turn()).await.expect("it does not panic");
        assert_eq!(done, READY);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_is_ready_has_its_turn_on_a_worker() {
        let done = tokio::spawn(all_have_a_turn()).await.expect("it does not panic");
        assert_eq!(done, READY);
    }
}
