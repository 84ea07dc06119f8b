//! Who was heard and when, and who began anew: what the log's entries alone tell of it. The
//! checkers' own account, in which the state has no part.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_core::{Command, Reply};
use crosscheck_model::wire::Report;
use crosscheck_model::{ProbeId, Timestamp};

use super::{Entry, View};

/// A probe is heard while its echo is not older.
pub(super) const SESSION: Duration = Duration::from_secs(15);
/// A log without an entry for as long was that of a cluster that could hear nobody.
const GAP: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Hearing {
    epochs: BTreeMap<ProbeId, (u64, u64)>,
    /// The lives of each probe that is expected, and when each opened its first session.
    lives: BTreeMap<ProbeId, BTreeMap<u64, Timestamp>>,
    echoes: BTreeMap<ProbeId, Timestamp>,
    /// Since when each probe is heard without a break.
    heard_since: BTreeMap<ProbeId, Timestamp>,
    /// Since when somebody could be heard.
    pub(super) hearing_since: Timestamp,
    last: Timestamp,
    ticked_at: Timestamp,
}

impl Hearing {
    /// An entry was applied just now.
    pub(super) fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) {
        let now = view.state().now;
        if self.last != Timestamp::ZERO && now.since(self.last) >= GAP {
            self.hearing_since = now;
        }
        self.last = now;
        self.interrupt(now);
        match (&entry.stamped.command, &entry.applied.reply) {
            (Command::Open(hello), Reply::Opened(Ok(welcome))) => {
                self.opened(&hello.probe, hello.boot, welcome.epoch, now);
            }
            (Command::Reinstate { probe, .. }, Reply::Done) => {
                let lives = self.lives.get_mut(probe).into_iter().flat_map(BTreeMap::values_mut);
                lives.for_each(|began| *began = Timestamp::ZERO);
            }
            (Command::Batch(reports), _) => reports.iter().for_each(|r| self.report(r, now)),
            (Command::Tick, _) => {
                self.ticked(now);
                self.lives.retain(|probe, _| view.state().probes.contains_key(probe));
                self.epochs.retain(|probe, _| view.state().probes.contains_key(probe));
            }
            _ => {}
        }
    }

    /// How old the last is that was heard of the probe.
    pub(super) fn age(&self, probe: &ProbeId, now: Timestamp) -> Duration {
        now.since(self.echoes.get(probe).copied().unwrap_or(now))
    }

    /// How long nobody has heard the probe, as far as anybody could.
    pub(super) fn silence(&self, probe: &ProbeId, now: Timestamp) -> Duration {
        self.age(probe, now).min(now.since(self.hearing_since))
    }

    /// How long it is heard without a break.
    pub(super) fn heard_for(&self, probe: &ProbeId, now: Timestamp) -> Option<Duration> {
        self.heard_since.get(probe).map(|since| now.since(*since))
    }

    /// Whether it was ever heard.
    pub(super) fn was_heard(&self, probe: &ProbeId) -> bool {
        self.heard_since.contains_key(probe)
    }

    /// How long ago each of its lives began that began anew.
    pub(super) fn begun(&self, probe: &ProbeId, now: Timestamp) -> impl Iterator<Item = Duration> {
        let lives = self.lives.get(probe).into_iter().flat_map(BTreeMap::values);
        lives.map(move |began| now.since(*began))
    }

    fn opened(&mut self, probe: &ProbeId, boot: u64, epoch: u64, now: Timestamp) {
        let known = self.epochs.insert(probe.clone(), (epoch, 0));
        let lives = self.lives.entry(probe.clone()).or_default();
        // The first of all begins, and not anew.
        let at = known.map_or(Timestamp::ZERO, |_| now);
        lives.entry(boot).or_insert(at);
        let known = self.echoes.entry(probe.clone()).or_insert(now);
        // Until it has echoed anything, the time counts from its newest session.
        if !self.heard_since.contains_key(probe) {
            *known = now;
        }
    }

    /// Whoever was heard again since the tick before, is so for the state from this one on: there
    /// are none while nobody leads.
    fn ticked(&mut self, now: Timestamp) {
        let before = std::mem::replace(&mut self.ticked_at, now);
        let new = self.heard_since.values_mut().filter(|since| **since > before);
        new.for_each(|since| *since = now);
    }

    /// Whoever is not heard at the time of an entry is not heard without a break.
    fn interrupt(&mut self, now: Timestamp) {
        for (probe, since) in &mut self.heard_since {
            let echo = self.echoes.get(probe).copied().unwrap_or(Timestamp::ZERO);
            if now.since(echo) > SESSION {
                *since = now;
            }
        }
    }

    fn report(&mut self, report: &Report, now: Timestamp) {
        let Some((epoch, seq)) = self.epochs.get_mut(&report.probe) else { return };
        if *epoch != report.epoch || report.seq <= *seq {
            return;
        }
        *seq = report.seq;
        let echo = report.echo.min(now);
        let known = self.echoes.entry(report.probe.clone()).or_insert(echo);
        if !self.heard_since.contains_key(&report.probe) {
            *known = echo;
        }
        *known = echo.max(*known);
        if echo > Timestamp::ZERO {
            self.heard_since.entry(report.probe.clone()).or_insert(now);
        }
    }
}
