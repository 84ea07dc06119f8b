//! The leader's time on this probe: the newest log time heard plus monotonic time since. No wall
//! clock is involved once a coordinator was heard. Pure.

use crosscheck_model::Timestamp;
use crosscheck_model::mutant::{self, Mutant};
use crosscheck_model::observation::Clock;

use crate::Mono;

/// Turns monotonic moments into moments that others understand.
#[derive(Clone, Copy, Debug)]
pub struct Anchor {
    wall: Timestamp,
    heard: Option<(Timestamp, Mono)>,
}

impl Anchor {
    /// `wall` is what the wall clock said when the monotonic clock began.
    pub fn new(wall: Timestamp) -> Self {
        Self { wall, heard: None }
    }

    /// A coordinator said that it is `log`. An older word than one heard before is no news.
    pub fn hear(&mut self, log: Timestamp, now: Mono) {
        if self.heard.is_none_or(|(newest, _)| log > newest) {
            self.heard = Some((log, now));
        }
    }

    /// The moment in the leader's time, which is a lower bound since the word took its time to
    /// come; before any word, in wall time.
    pub fn moment(&self, at: Mono) -> (Timestamp, Clock) {
        match self.heard {
            Some(_) if mutant::is(Mutant::WallClockVotes) => (self.wall.plus(at), Clock::Leader),
            Some((log, mono)) if at >= mono => (log.plus(at - mono), Clock::Leader),
            Some((log, mono)) => (log.minus(mono - at), Clock::Leader),
            None => (self.wall.plus(at), Clock::Wall),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn moments_follow_the_newest_word() {
        let (ms, at) = (Duration::from_millis, Timestamp::from_millis);
        let mut anchor = Anchor::new(at(1_000_000));
        assert_eq!(anchor.moment(ms(5)), (at(1_000_005), Clock::Wall));
        anchor.hear(at(500), ms(100));
        anchor.hear(at(400), ms(150));
        assert_eq!(anchor.moment(ms(130)), (at(530), Clock::Leader));
        assert_eq!(anchor.moment(ms(40)), (at(440), Clock::Leader));
        anchor.hear(at(700), ms(200));
        assert_eq!(anchor.moment(ms(201)), (at(701), Clock::Leader));
    }
}
