//! Two processes under one name: a probe's disk was copied, or its key was stolen. Each takes the
//! session from the other, so that neither can be relied on, and votes would come from two places
//! as if from one. Both are quarantined until an operator lifts it ([`crate::quarantine`]).
//!
//! A restart is one new life, and the old one never comes back. Of two that are alive at once,
//! each comes back after the other, again and again.

use std::time::Duration;

use crosscheck_model::{ProbeId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::state::State;

/// So often must each of two lives have come back; a late copy of a message brings one back once.
const RETURNS: u32 = 3;

/// Lives that do not meet within this time are not alive at once.
const WINDOW: Duration = Duration::from_secs(10 * 60);

/// The most lives kept of a name: a probe that crashes in a loop has many.
const LIVES: usize = 8;

/// A process life that had the session, and how often it came back after another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Its number.
    pub boot: u64,
    /// How often it took the session back.
    pub returns: u32,
}

/// The lives of one name, of late.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rivalry {
    /// Oldest first.
    pub lives: Vec<Life>,
    /// When the session last went from one to another.
    pub seen: Timestamp,
    /// Two of them are alive at once: since then neither is believed.
    pub quarantined: Option<Timestamp>,
}

impl Rivalry {
    /// The session goes from one life to another.
    fn pass(&mut self, now: Timestamp, from: u64, to: u64) {
        if now.since(self.seen) > WINDOW {
            self.lives.clear();
        }
        self.seen = now;
        if !self.lives.iter().any(|life| life.boot == from) {
            self.lives.push(Life { boot: from, returns: 0 });
        }
        match self.lives.iter_mut().find(|life| life.boot == to) {
            Some(life) => life.returns = life.returns.saturating_add(1),
            None => self.lives.push(Life { boot: to, returns: 0 }),
        }
        let surplus = self.lives.len().saturating_sub(LIVES);
        self.lives.drain(..surplus);
        if self.lives.iter().filter(|life| life.returns >= RETURNS).count() >= 2 {
            self.quarantined.get_or_insert(now);
        }
    }
}

impl State {
    /// A session of a probe is about to be replaced by one of the life `boot`.
    pub(crate) fn note_life(&mut self, probe: &ProbeId, boot: u64) {
        let before = self.probes.get(probe).map(|known| known.boot);
        if let Some(before) = before.filter(|before| *before != boot) {
            self.rivals.entry(probe.clone()).or_default().pass(self.now, before, boot);
        }
    }

    /// Forgets lives that nobody has met for long.
    pub(crate) fn forget_rivals(&mut self) {
        let now = self.now;
        self.rivals.retain(|_, rivalry| {
            rivalry.quarantined.is_some() || now.since(rivalry.seen) <= WINDOW
        });
    }
}
