//! Orders on trial: a probe whose process dies again and again since it got new or changed checks
//! helps itself. Three such deaths, and these checks are held back: they have no opinion, and the
//! others run as before. Pure: [`Keeper`] reads and writes the record.
//!
//! ```text
//! orders --> on trial --- ran, and the process lives 5 minutes with it --> proven
//!              |    ^                                                        ^
//!     3 deaths |    | a changed check is a new one                           | lives
//!              v    |                                                        |
//!             held back (in two halves) --- 10 minutes; alone: an hour --> tried again
//!              ^                                                             | dies
//!              +-------------------------------------------------------------+
//! ```
//!
//! Nobody knows which check it was, nor whether it was one: someone may have killed the process. So
//! no hold is for ever. What is held is tried again by halves, one after the other, until the bad
//! check stands alone; that one costs a death an hour until it is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use crosscheck_model::wire::Assigned;
use crosscheck_model::{CheckId, CheckSpec, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

mod guard;
mod keeper;

pub(crate) use guard::Guarded;
pub use keeper::Keeper;

/// So many deaths with a check on trial, and it is held back.
pub const DEATHS: u32 = 3;

/// A check is proven when it has run and the process has lived this long with it.
pub const PROBATION: Duration = Duration::from_secs(5 * 60);

/// From a death to the next trial of what is held back: fewer deaths than the coordinators call
/// unstable.
pub const PAUSE: Duration = Duration::from_secs(10 * 60);

/// The same for a check that was on trial alone, which leaves little doubt.
pub const PAUSE_ALONE: Duration = Duration::from_secs(60 * 60);

/// Tells settings of a check from others, as far as its runs depend on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Print(String);

impl Print {
    /// Of these settings. Revisions would not do: they begin anew when a backup is restored.
    pub fn of(spec: &CheckSpec) -> Self {
        let CheckSpec { kind, settings, family, schedule, rule, .. } = spec;
        let all = format!("{:?}", (kind, settings, family, schedule, rule));
        Self(Sha256::digest(all)[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What a death is judged by besides the checks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The program's version: another one deserves another trial.
    pub program: String,
    /// Differs after each start of the machine: whoever went down with it did not die of a check.
    pub machine: String,
}

/// Checks that are on trial, or held back, together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Batch {
    checks: BTreeMap<CheckId, Print>,
    /// How many processes died while these ran.
    deaths: u32,
    /// Held back until then.
    until: Timestamp,
    /// Since when they run in the present life.
    runs_since: Option<Timestamp>,
    /// Those that have ended a run in the present life.
    #[serde(skip)]
    ran: BTreeSet<CheckId>,
}

impl Batch {
    fn is_suspect(&self) -> bool {
        self.deaths >= DEATHS
    }

    fn is_held(&self) -> bool {
        self.is_suspect() && self.runs_since.is_none()
    }

    /// Whether so much time has passed since they run that they may be proven.
    fn has_lasted(&self, now: Timestamp) -> bool {
        self.runs_since.is_some_and(|since| now.since(since) >= PROBATION)
    }

    fn names(&self) -> Vec<CheckId> {
        self.checks.keys().cloned().collect()
    }

    /// What becomes of it when the process has died.
    fn after_death(mut self, now: Timestamp) -> Vec<Self> {
        self.deaths = self.deaths.saturating_add(1);
        if !self.is_suspect() {
            return vec![self];
        }
        if self.checks.len() == 1 {
            self.until = now.plus(PAUSE_ALONE);
            return vec![self];
        }
        self.until = now.plus(PAUSE);
        let middle = self.checks.keys().nth(self.checks.len() / 2).cloned();
        let later = middle.map(|middle| self.checks.split_off(&middle)).unwrap_or_default();
        let later = Self { checks: later, ..self.clone() };
        vec![self, later]
    }
}

/// What people want to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The process before died while these were on trial; none is held back for it yet.
    Died {
        /// Which.
        checks: Vec<CheckId>,
        /// How often, so far.
        deaths: u32,
    },
    /// These are held back.
    Held {
        /// Which.
        checks: Vec<CheckId>,
        /// How often the process has died while they ran.
        deaths: u32,
        /// When they may run again.
        until: Timestamp,
    },
    /// These were held back, and run again.
    Tried(Vec<CheckId>),
    /// These were held back, and have run well since.
    Proven(Vec<CheckId>),
}

/// Why a check does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How often the process has died while it ran.
    pub deaths: u32,
    /// When it may run again.
    pub until: Timestamp,
}

/// The checks of one probe, and what is known of them. All of it outlives the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    life: Life,
    proven: BTreeMap<CheckId, Print>,
    batches: Vec<Batch>,
}

impl Trial {
    /// A process begins: what the one before has left says how that ended.
    #[must_use]
    pub fn begin(before: Self, life: Life, now: Timestamp) -> (Self, Vec<News>) {
        let same_machine = before.life.machine == life.machine;
        let same_program = before.life.program == life.program;
        let mut trial = Self { life, proven: before.proven, batches: Vec::new() };
        let (mut news, mut is_setback) = (Vec::new(), false);
        for mut batch in before.batches.into_iter().filter(|_| same_program) {
            // Should the clock have jumped meanwhile.
            batch.until = batch.until.min(now.plus(PAUSE_ALONE));
            let died = batch.runs_since.take().is_some() && same_machine;
            let was_suspect = batch.is_suspect();
            let batches = if died { batch.after_death(now) } else { vec![batch] };
            for batch in batches.iter().filter(|_| died) {
                let (checks, deaths, until) = (batch.names(), batch.deaths, batch.until);
                news.push(match batch.is_suspect() {
                    true => News::Held { checks, deaths, until },
                    false => News::Died { checks, deaths },
                });
            }
            is_setback |= died && was_suspect;
            trial.batches.extend(batches);
        }
        for batch in trial.batches.iter_mut().filter(|_| is_setback) {
            // One death at a time, however many checks are held back.
            batch.until = batch.until.max(now.plus(PAUSE));
        }
        (trial, news)
    }

    /// These are to run from now on; whether there is anything new to be kept.
    pub fn ordered(&mut self, now: Timestamp, checks: &[Assigned], news: &mut Vec<News>) -> bool {
        let before = self.clone();
        let mut new: BTreeMap<CheckId, Print> =
            checks.iter().map(|check| (check.spec.id.clone(), Print::of(&check.spec))).collect();
        let known = self.batches.iter_mut().map(|batch| &mut batch.checks);
        for known in known.chain([&mut self.proven]) {
            known.retain(|id, print| new.get(id) == Some(print));
        }
        let known = self.batches.iter().map(|batch| &batch.checks).chain([&self.proven]);
        known.flat_map(BTreeMap::keys).for_each(|id| {
            new.remove(id);
        });
        self.batches.push(Batch { checks: new, ..Batch::default() });
        self.batches.retain(|batch| !batch.checks.is_empty());
        for batch in self.batches.iter_mut().filter(|batch| !batch.is_suspect()) {
            batch.runs_since.get_or_insert(now);
        }
        self.time(now, news);
        *self != before
    }

    /// Time has passed; whether there is anything new to be kept.
    pub fn time(&mut self, now: Timestamp, news: &mut Vec<News>) -> bool {
        let mut is_changed = false;
        for batch in self.batches.iter_mut().filter(|batch| batch.has_lasted(now)) {
            let ran = mem::take(&mut batch.ran);
            let well = batch.checks.extract_if(.., |id, _| ran.contains(id));
            let well: BTreeMap<CheckId, Print> = well.collect();
            is_changed |= !well.is_empty();
            if batch.is_suspect() && !well.is_empty() {
                news.push(News::Proven(well.keys().cloned().collect()));
            }
            self.proven.extend(well);
        }
        self.batches.retain(|batch| !batch.checks.is_empty());
        let in_doubt = |batch: &Batch| {
            batch.is_suspect() && batch.runs_since.is_some() && !batch.has_lasted(now)
        };
        if !self.batches.iter().any(in_doubt) {
            let due = self.batches.iter_mut().filter(|b| b.is_held() && b.until <= now);
            if let Some(next) = due.min_by_key(|batch| batch.until) {
                next.runs_since = Some(now);
                news.push(News::Tried(next.names()));
                is_changed = true;
            }
        }
        is_changed
    }

    /// A run of this check has ended, and the process lives.
    pub fn ran(&mut self, check: &CheckId) {
        let on_trial = self.batches.iter_mut().filter(|batch| batch.runs_since.is_some());
        for batch in on_trial {
            if batch.checks.contains_key(check) && !batch.ran.contains(check) {
                batch.ran.insert(check.clone());
            }
        }
    }

    /// The process ends as it should; whether there is anything new to be kept.
    pub fn end(&mut self) -> bool {
        let ended = self.batches.iter_mut().map(|batch| batch.runs_since.take().is_some());
        ended.fold(false, |any, one| any | one)
    }

    /// Why this check does not run; `None`: it does.
    pub fn hold(&self, check: &CheckId) -> Option<Hold> {
        let holds = |batch: &&Batch| batch.is_held() && batch.checks.contains_key(check);
        let batch = self.batches.iter().find(holds)?;
        Some(Hold { deaths: batch.deaths, until: batch.until })
    }

    /// How many checks are held back.
    pub fn held(&self) -> usize {
        let held = self.batches.iter().filter(|batch| batch.is_held());
        held.map(|batch| batch.checks.len()).sum()
    }

    /// Whether all checks are proven.
    pub fn is_over(&self) -> bool {
        self.batches.is_empty()
    }
}

#[cfg(test)]
mod tests;
