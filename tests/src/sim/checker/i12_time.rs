//! I12, time: the log time never goes back, and one wrong clock of three does not carry it away.
//! (That probes' wall clocks, and one coordinator's, decide nothing is shown by pairs of runs; see
//! the runner.)

use std::time::Duration;

use crosscheck_model::Timestamp;

use super::{Checker, Entry, Finding, View};

/// Clocks that are right differ by less than this.
const CLOCKS_APART: Duration = Duration::from_secs(6);

#[derive(Default)]
pub(super) struct Time {
    last: Timestamp,
    tested: u64,
}

impl Checker for Time {
    fn name(&self) -> &'static str {
        "I12 time"
    }

    fn tested(&self) -> u64 {
        self.tested
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        let (stamp, now) = (entry.stamped.at, view.state().now);
        if stamp < self.last || now != stamp {
            return Err(format!("the log time goes from {} to {stamp} ({now})", self.last));
        }
        if stamp > view.world.true_time().plus(CLOCKS_APART) {
            return Err(format!("the log time {stamp} is far ahead of the true time"));
        }
        self.tested += 1;
        self.last = stamp;
        Ok(())
    }
}
