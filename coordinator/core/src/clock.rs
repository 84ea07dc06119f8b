//! Coordinators whose wall clocks differ from the others': the leader says so in the log, and that
//! they do no more.

use std::time::Duration;

use crosscheck_model::Status;

use crate::command::Reply;
use crate::effect::Effect;
use crate::incident::Subject;
use crate::outbox::Edge;
use crate::state::State;

/// A clock further than this from the median of all is an alarm, in milliseconds.
pub const CLOCK_ALARM_MS: u64 = 5_000;
/// Within this it is over: not at once below the alarm's bound, or it would come and go.
pub const CLOCK_CALM_MS: u64 = 2_500;

/// Whether a clock that is so far off must be told of, given whether an incident says it already.
pub const fn is_news(is_open: bool, off_ms: i64) -> bool {
    let off = off_ms.unsigned_abs();
    if is_open { off < CLOCK_CALM_MS } else { off > CLOCK_ALARM_MS }
}

impl State {
    /// Takes note of how far a coordinator's clock is ahead of the median: one incident an
    /// episode, with its recovery.
    pub(crate) fn note_clock(
        &mut self,
        node: u64,
        off_ms: i64,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let open = self.watch.clocks.get(&node).copied();
        if !is_news(open.is_some(), off_ms) {
            return Reply::Done;
        }
        match open {
            None => self.miss_time(node, off_ms, effects),
            Some(_) => {
                let text = format!("the clock of coordinator {node} agrees with the others again");
                self.forget_clock(node, text, effects);
            }
        }
        Reply::Done
    }

    /// Ends the incident about a coordinator's clock, if there is one.
    pub(crate) fn forget_clock(&mut self, node: u64, text: String, effects: &mut Vec<Effect>) {
        if let Some(id) = self.watch.clocks.remove(&node) {
            self.resolve(id, self.now, text, Vec::new(), Edge::Recovery, effects);
        }
    }

    fn miss_time(&mut self, node: u64, off_ms: i64, effects: &mut Vec<Effect>) {
        let target = format!("coordinator {node}");
        let off = Duration::from_millis(off_ms.unsigned_abs()).as_secs();
        let way = if off_ms < 0 { "behind" } else { "ahead of" };
        let summary = format!(
            "the clock of coordinator {node} is {off} s {way} the other coordinators'; with more \
             of them wrong, all times would be: set it by NTP"
        );
        let (subject, since) = (Subject::Clock(node), self.now);
        let status = Status::Degraded;
        let id = self.alarm_operators(subject, status, &target, &summary, since, effects);
        self.watch.clocks.insert(node, id);
    }
}
