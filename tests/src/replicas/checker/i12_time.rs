//! I12, time: no command is stamped earlier than what is committed before it, a minority of wrong
//! clocks carries the log time nowhere, and it does not stand still.

use std::time::Duration;

use super::super::fault::Fault;
use super::super::witness::Committed;
use super::super::world::World;
use super::{Checker, Finding};

/// Clocks that are right differ by nothing here; a look at them over the network by less.
const AHEAD: Duration = Duration::from_secs(1);
/// How far the log time may be behind when everything has been well for minutes: it was the truth
/// when the leader took over, and has gone on since; an entry is seen a little after its stamp.
const BEHIND: Duration = Duration::from_secs(4);

#[derive(Default)]
pub(super) struct Time {
    tested: u64,
}

impl Checker for Time {
    fn name(&self) -> &'static str {
        "I12 time"
    }

    fn entry(&mut self, world: &World, entry: &Committed) -> Finding {
        self.tested += 1;
        let at = entry.stamped.at;
        // A leader's first command is stamped before it knows what it finds in its log.
        let is_first = matches!(entry.stamped.command, crosscheck_core::Command::Lead { .. });
        if at < entry.before && !is_first {
            return Err(format!("entry {:?} is stamped {at}, after {}", entry.place, entry.before));
        }
        let truth = world.true_time();
        if at > truth.plus(AHEAD) {
            return Err(format!("the log time {at} is ahead of the true time {truth}"));
        }
        Ok(())
    }

    fn end(&mut self, world: &World) -> Finding {
        if world.plan.has(Fault::ClockOff) {
            // While too few clocks are heard to tell which one is wrong, the log time only goes on.
            return Ok(());
        }
        let (now, truth) = (world.witness.state.now, world.true_time());
        match truth.since(now) > BEHIND {
            true => Err(format!("the log time {now} has fallen behind the true time {truth}")),
            false => Ok(()),
        }
    }

    fn tested(&self, _: &World) -> u64 {
        self.tested
    }
}
