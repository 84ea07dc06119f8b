//! I12, time: the log time never goes back. (That probes' wall clocks decide nothing is shown by
//! pairs of runs; see the runner.)

use crosscheck_model::Timestamp;

use super::{Checker, Entry, Finding, View};

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
        self.tested += 1;
        self.last = stamp;
        Ok(())
    }
}
