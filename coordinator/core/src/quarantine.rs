//! Probes that are not believed until an operator says so: two processes run under one name
//! ([`crate::rival`]), or one has contradicted the others alone again and again.

use std::time::Duration;

use crosscheck_model::{ProbeId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::Reply;
use crate::effect::Effect;
use crate::incident::EventKind;
use crate::state::State;

/// So many times suspect within [`WINDOW`], and a probe is believed no more.
const EPISODES: usize = 3;
/// See [`EPISODES`].
const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a probe was suspect of late.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspicions {
    /// When it became so.
    pub began: Vec<Timestamp>,
    /// It became so too often: since then it is not believed.
    pub quarantined: Option<Timestamp>,
}

/// Why a probe is quarantined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Two processes run under its name.
    Rivals,
    /// It was suspect too often.
    Suspect,
}

impl Why {
    /// A word for interfaces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rivals => "rivals",
            Self::Suspect => "suspect",
        }
    }

    /// What stands in the place of its vote.
    pub(crate) const fn withheld(self) -> &'static str {
        match self {
            Self::Rivals => "withheld: two probes run under one name",
            Self::Suspect => "withheld: the probe was suspect three times within a day",
        }
    }

    /// What its operators are told.
    pub(crate) const fn advice(self) -> &'static str {
        match self {
            Self::Rivals => {
                "two processes run under its name and take the session from each other: its disk \
                 or its key was copied; its votes are withheld until one is stopped and the \
                 quarantine is lifted (`crosscheck probe reinstate`)"
            }
            Self::Suspect => {
                "it alone contradicted the other sites three times within a day; its votes are \
                 withheld until somebody has looked at its machine and its network and lifts the \
                 quarantine (`crosscheck probe reinstate`)"
            }
        }
    }
}

impl State {
    /// Since when a probe is quarantined, and why.
    pub fn quarantine(&self, probe: &ProbeId) -> Option<(Timestamp, Why)> {
        let rivals = self.rivals.get(probe).and_then(|rivalry| rivalry.quarantined);
        let suspect = self.suspicions.get(probe).and_then(|known| known.quarantined);
        let rivals = rivals.map(|since| (since, Why::Rivals));
        rivals.into_iter().chain(suspect.map(|since| (since, Why::Suspect))).min()
    }

    /// Since when a probe is quarantined.
    pub fn quarantined_since(&self, probe: &ProbeId) -> Option<Timestamp> {
        self.quarantine(probe).map(|(since, _)| since)
    }

    /// A probe has become suspect.
    pub(crate) fn note_suspicion(&mut self, probe: &ProbeId) {
        let now = self.now;
        let known = self.suspicions.entry(probe.clone()).or_default();
        known.began.retain(|began| now.since(*began) < WINDOW);
        known.began.push(now);
        if known.began.len() >= EPISODES {
            known.quarantined.get_or_insert(now);
        }
    }

    /// Others have come to say what the probe was suspect for: it was right, and first.
    pub(crate) fn withdraw_suspicion(&mut self, probe: &ProbeId) {
        if let Some(known) = self.suspicions.get_mut(probe) {
            known.began.pop();
        }
    }

    /// An operator has seen to it that the probe can be believed.
    pub(crate) fn reinstate(
        &mut self,
        probe: &ProbeId,
        by: &str,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        if self.quarantine(probe).is_none() {
            return Reply::Rejected(format!("the probe `{probe}` is not quarantined"));
        }
        self.rivals.remove(probe);
        self.suspicions.remove(probe);
        // What was said under its name meanwhile may be the other's word.
        for check in self.checks.values_mut() {
            check.votes.remove(probe);
        }
        let now = self.now;
        let Some(known) = self.probes.get_mut(probe) else { return Reply::Done };
        (known.suspect, known.doubted_since, known.calm_since) = (None, None, None);
        if let Some(incident) = known.incident.and_then(|open| self.incidents.get_mut(&open)) {
            let text = format!("{by} has lifted the quarantine");
            incident.note(now, EventKind::Changed, text, Vec::new());
            effects.push(Effect::Incident(incident.id));
        }
        Reply::Done
    }

    /// Forgets suspicions that are old.
    pub(crate) fn forget_suspicions(&mut self) {
        let now = self.now;
        self.suspicions.retain(|_, known| {
            known.began.retain(|began| now.since(*began) < WINDOW);
            known.quarantined.is_some() || !known.began.is_empty()
        });
    }
}
