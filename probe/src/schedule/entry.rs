//! One check in the schedule: its slots, and where it is between them.

use std::sync::Arc;
use std::time::Duration;

use crosscheck_model::observation::Trigger;
use crosscheck_model::spec::Schedule as Times;
use crosscheck_model::wire::Assigned;

use super::FIRST_WITHIN;
use crate::{Mono, spread};

#[derive(Debug)]
pub(super) enum Stage {
    Waiting,
    Ready,
    Running(u64),
    Judging,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) check: Arc<Assigned>,
    pub(super) hash: u64,
    pub(super) slot: Option<Mono>,
    pub(super) next: Mono,
    pub(super) trigger: Trigger,
    pub(super) stage: Stage,
    pub(super) failing: bool,
    pub(super) stamp: u32,
    /// The target has asked to be left alone until then.
    pub(super) alone_until: Mono,
    /// When the next confirmation would come, if they came at their pace.
    pub(super) confirmation: Mono,
}

impl Entry {
    pub(super) fn times(&self) -> &Times {
        &self.check.spec.schedule
    }

    pub(super) fn interval(&self) -> Duration {
        let times = self.times();
        spread::at_least_a_tick(if self.failing { times.retry_interval } else { times.interval })
    }

    /// The slot after the last one.
    pub(super) fn next_slot(&self, now: Mono) -> Mono {
        let times = self.times();
        match self.slot {
            None => {
                let within = spread::at_least_a_tick(times.interval.min(FIRST_WITHIN));
                now + spread::phase(self.hash, within)
            }
            Some(slot) if self.failing => slot + self.interval(),
            Some(slot) => self.grid(slot + self.interval()),
        }
    }

    /// The first moment of the fixed-rate grid that is not before `at`.
    pub(super) fn grid(&self, at: Mono) -> Mono {
        let interval = self.interval();
        spread::not_before(at, spread::phase(self.hash, interval), interval)
    }

    /// Whether a confirmation may run now. Orders keep their distance when they are given; what a slow
    /// line brings together must not ask the target more often for that. One may come half of the
    /// distance early, all of them together no more than that (as the generic cell rate algorithm,
    /// ITU-T I.371, has it).
    pub(super) fn take_confirmation(&mut self, now: Mono) -> bool {
        if now < self.alone_until {
            return false;
        }
        let times = self.times();
        let distance = spread::at_least_a_tick(times.retry_interval.min(times.interval / 3));
        if now + distance / 2 < self.confirmation {
            return false;
        }
        self.confirmation = self.confirmation.max(now) + distance;
        true
    }

    /// Moves a slot that passed long ago to the newest one passed; how many were lost.
    pub(super) fn catch_up(&mut self, now: Mono) -> u64 {
        if self.trigger != Trigger::Schedule {
            return 0;
        }
        let interval = self.interval();
        let lost = spread::whole(now.saturating_sub(self.next), interval);
        self.next += spread::times(interval, lost);
        lost
    }
}
