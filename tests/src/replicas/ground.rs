//! What everybody in a world stands on: its time, its chance, and what they have to tell it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crosscheck_coordinator::replica::Ending;

use super::coverage::step_name;
use super::fault::{Fault, Step};
use super::lines::{Caller, Said};
use super::network::Network;
use super::sink::Sink;
use crate::coverage::Coverage;
use crate::sim::random::Random;
use crate::sim::trace::Trace;

/// A process: a seat, and how often it was started before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Life {
    pub(super) seat: usize,
    pub(super) life: u64,
}

/// What a process tells the world.
#[derive(Debug)]
pub(super) enum Word {
    /// It leads entries to a follower: an append's bytes.
    Appends(Life, Vec<u8>),
    /// It has answered: who asked, the route, question and answer.
    Answered(Life, String, Vec<u8>, Vec<u8>),
    /// It asks for a vote.
    Votes(Life, Vec<u8>),
    /// It has said something to a probe.
    ToProbe(Caller, Said),
    /// A coordinator has its number.
    Enrolled(Option<u64>),
    /// A coordinator was taken out, or not.
    Removed(u64, bool),
    /// Its disk cannot be trusted.
    Fatal(Life, String),
    /// It must not go on.
    Ended(Life, Ending),
    /// It dies now.
    Killed(Life, Step),
}

#[derive(Debug)]
pub(super) struct Ground {
    /// The beginning of the present turn.
    pub(super) now: Duration,
    pub(super) random: Random,
    pub(super) trace: Trace,
    pub(super) coverage: Coverage,
    pub(super) network: Network,
    pub(super) sink: Sink,
    pub(super) words: Vec<Word>,
    /// Seats with slow disks.
    pub(super) slow: Vec<usize>,
    /// How often a node dies at a step of the outbox, in thousandths.
    pub(super) kills: u64,
    pub(super) healing: bool,
}

/// Shared by the world and the processes in it; all on one thread.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<Ground>>);

impl Shared {
    pub(super) fn new(seed: u64, kills: u64) -> Self {
        Self(Arc::new(Mutex::new(Ground {
            now: Duration::ZERO,
            random: Random::new(seed, 22),
            trace: Trace::new(),
            coverage: Coverage::default(),
            network: Network::default(),
            sink: Sink::default(),
            words: Vec::new(),
            slow: Vec::new(),
            kills,
            healing: false,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ground> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ground {
    pub(super) fn tell(&mut self, text: String) {
        let now = self.now;
        self.trace.tell(now, text);
    }

    /// At each step on the way of a notification its node may die; whether it does.
    pub(super) fn perhaps_kill(&mut self, who: Life, step: Step) -> bool {
        if self.healing || self.kills == 0 || !self.random.chance(self.kills) {
            return false;
        }
        self.coverage.hit(&step_name(step));
        self.coverage.fault(Fault::KilledWhileSending);
        self.words.push(Word::Killed(who, step));
        true
    }
}
