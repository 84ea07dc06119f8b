//! Two processes under one name: a probe's disk was copied, or its key was stolen. Each takes the
//! session from the other, so that neither can be relied on, and votes would come from two places
//! as if from one. Both are quarantined until an operator lifts it ([`crate::quarantine`]).
//!
//! A restart is one new life, and the old one never comes back. Of two that are alive at once,
//! each comes back after the other, again and again; a thief who begins a new life each time only
//! makes the other one come back. One that begins anew more than three times in ten minutes
//! does not run: operators hear of it ([`crate::absence`]).

use std::time::Duration;

use crosscheck_model::{ProbeId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::state::State;

/// A life that came back so often was not alone; a late copy of a message brings one back once.
const RETURNS: u32 = 3;

/// A probe may begin anew so often within [`WINDOW`]: an upgrade, and a second try.
const STARTS: usize = 3;

/// Lives that do not meet within this time are not alive at once.
const WINDOW: Duration = Duration::from_secs(10 * 60);

/// The most lives kept of a name: more than sessions may be opened at once, or a thief's new lives
/// would drive out the one that comes back.
const LIVES: usize = 64;

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
    /// The one that had the session last at the end.
    pub lives: Vec<Life>,
    /// When the session last went from one to another.
    pub seen: Timestamp,
    /// When the newest lives began, the newest last; one more than are allowed.
    pub starts: Vec<Timestamp>,
    /// Since when it began anew too often without a pause.
    pub unstable: Option<Timestamp>,
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
        let left = self.take(from).unwrap_or(Life { boot: from, returns: 0 });
        let came = match self.take(to) {
            Some(life) => Life { returns: life.returns.saturating_add(1), ..life },
            None => {
                self.begin(now);
                Life { boot: to, returns: 0 }
            }
        };
        if came.returns >= RETURNS {
            self.quarantined.get_or_insert(now);
        }
        self.lives.extend([left, came]);
        while self.lives.len() > LIVES {
            let fewest = self.lives.iter().enumerate().min_by_key(|(_, life)| life.returns);
            let Some((place, _)) = fewest else { break };
            self.lives.remove(place);
        }
    }

    /// A life begins that was not met before.
    fn begin(&mut self, now: Timestamp) {
        let before = self.unstable_since(now);
        self.starts.drain(..self.starts.len().saturating_sub(STARTS));
        self.starts.push(now);
        self.unstable = before.or(self.starts.first().copied());
    }

    /// Since when it begins anew, again and again.
    pub(crate) fn unstable_since(&self, now: Timestamp) -> Option<Timestamp> {
        let first = *self.starts.first()?;
        self.unstable.filter(|_| self.starts.len() > STARTS && now.since(first) <= WINDOW)
    }

    fn take(&mut self, boot: u64) -> Option<Life> {
        let place = self.lives.iter().position(|life| life.boot == boot)?;
        Some(self.lives.remove(place))
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
