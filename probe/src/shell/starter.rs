//! Lets runs begin no faster than the runtime gets through them. Whatever waits in the runtime's
//! queue is late by all that stands before it, and a run's times are its verdict: a thousand runs
//! that begin together would measure each other. So a few begin, and the next ones when the runtime
//! has looked at the network again and has nothing left to go on with. Runs that only wait for their
//! targets hold up nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use tokio::sync::Notify;
use tokio::task::yield_now;

use super::Shell;
use crate::schedule::Run;

/// So many begin at a time for each thread of the runtime. One run costs 30 to 400 us of a core (TCP,
/// HTTPS; `cargo bench-probe`).
const AT_A_TIME: usize = 4;

/// Runs whose time has come.
#[derive(Default)]
pub(super) struct Waiting(VecDeque<Run>);

impl Waiting {
    /// One more.
    pub(super) fn add(&mut self, run: Run) {
        self.0.push_back(run);
    }

    /// This one is not wanted any more.
    pub(super) fn cancel(&mut self, run: u64) {
        self.0.retain(|waiting| waiting.id != run);
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Begins runs until the probe has ended. `bell` is rung when there are some, and at the end.
pub(super) async fn work(shell: Weak<Shell>, bell: Arc<Notify>) {
    loop {
        let Some(has_more) = shell.upgrade().and_then(|shell| begin_some(&shell)) else { return };
        match has_more {
            // As tokio documents it: goes on after the runtime has asked the system for what is ready.
            true => yield_now().await,
            false => bell.notified().await,
        }
    }
}

/// Begins as many as may; whether there are more, `None` after the end.
fn begin_some(shell: &Arc<Shell>) -> Option<bool> {
    let at_a_time = AT_A_TIME * shell.runtime.metrics().num_workers();
    let mut state = shell.lock();
    for _ in 0..at_a_time {
        let Some(run) = state.waiting.0.pop_front() else { break };
        let id = run.id;
        let task = shell.begin(run);
        state.runs.insert(id, task);
    }
    (!state.ended).then(|| !state.waiting.is_empty())
}
