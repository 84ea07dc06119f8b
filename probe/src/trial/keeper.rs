//! Keeps a [`Trial`] on disk, and says in the log what comes of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crosscheck_model::wire::Assigned;
use crosscheck_model::{CheckId, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::MissedTickBehavior;

use super::{Hold, Life, News, Trial};
use crate::private_file;

/// In the probe's data directory.
const FILE: &str = "trial.json";

/// The file's format. What has another one is begun anew: it is a help and no evidence.
const FORMAT: u32 = 1;

/// Time is looked at this often: short against [`super::PROBATION`].
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// New orders wait no longer than this for the disk: a check that runs without a record is better
/// than a probe that runs nothing.
const DISK_LIMIT: Duration = Duration::from_secs(2);

/// So many checks are named in the log; the rest is counted.
const NAMED: usize = 10;

#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    trial: Trial,
}

/// What it shows never goes back.
type Clock = dyn Fn() -> Timestamp + Send + Sync;

/// The trial of a probe at work.
pub struct Keeper {
    /// `None`: nothing outlives the process, so nothing is on trial.
    path: Option<PathBuf>,
    clock: Box<Clock>,
    state: Mutex<State>,
    /// Held while the file is written, so that the newest state is what stays.
    writing: Mutex<()>,
    /// So that runs need not ask the state when all is proven.
    is_over: AtomicBool,
}

struct State {
    trial: Trial,
    ended: bool,
}

impl Keeper {
    /// A process begins; `directory` has the record of those before.
    pub fn open(
        directory: Option<&Path>,
        life: Life,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        let path = directory.map(|directory| directory.join(FILE));
        let before = path.as_deref().map(read).unwrap_or_default();
        let (trial, news) = Trial::begin(before.clone(), life, clock());
        let is_changed = trial != before;
        let keeper = Self {
            path,
            clock: Box::new(clock),
            is_over: AtomicBool::new(trial.is_over()),
            state: Mutex::new(State { trial, ended: false }),
            writing: Mutex::new(()),
        };
        tell(&news);
        if is_changed {
            keeper.write();
        }
        keeper
    }

    /// Looks at the time for as long as the keeper is there.
    pub(crate) async fn watch(keeper: Weak<Self>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let Some(keeper) = keeper.upgrade() else { return };
            if !keeper.is_over() {
                keeper.change(Trial::time).await;
            }
        }
    }

    /// Takes new orders down, on disk, before anything of them runs.
    pub async fn ordered(self: &Arc<Self>, checks: &[Assigned]) {
        if self.path.is_some() {
            self.change(|trial, now, news| trial.ordered(now, checks, news)).await;
        }
    }

    async fn change(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Trial, Timestamp, &mut Vec<News>) -> bool,
    ) {
        let mut news = Vec::new();
        let is_changed = {
            let mut state = self.lock();
            let is_changed = !state.ended && change(&mut state.trial, (self.clock)(), &mut news);
            self.is_over.store(state.trial.is_over(), Ordering::Relaxed);
            is_changed
        };
        tell(&news);
        if is_changed {
            let keeper = Arc::clone(self);
            let written = tokio::task::spawn_blocking(move || keeper.write());
            if tokio::time::timeout(DISK_LIMIT, written).await.is_err() {
                tracing::warn!("the disk is slow: checks run before it is on record");
            }
        }
    }

    /// Whether all checks are proven.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Why this check does not run; `None`: it does.
    pub fn hold(&self, check: &CheckId) -> Option<Hold> {
        if self.is_over() { None } else { self.lock().trial.hold(check) }
    }

    /// A run of this check has ended.
    pub fn ran(&self, check: &CheckId) {
        self.lock().trial.ran(check);
    }

    /// How many checks are held back.
    pub fn held(&self) -> usize {
        if self.is_over() { 0 } else { self.lock().trial.held() }
    }

    /// The process ends as it should.
    pub fn end(&self) {
        let is_changed = {
            let mut state = self.lock();
            state.ended = true;
            state.trial.end()
        };
        if is_changed {
            self.write();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) {
        let Some(path) = &self.path else { return };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = Kept { format: FORMAT, trial: self.lock().trial.clone() };
        let text = serde_json::to_string(&kept).map_err(io::Error::other);
        if let Err(error) = text.and_then(|text| private_file::write(path, &text)) {
            let file = path.display();
            tracing::warn!(%file, %error, "deaths of this process are not counted now");
        }
    }
}

fn read(path: &Path) -> Trial {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Trial::default(),
        text => text.map_err(|error| error.to_string()),
    };
    let kept = text.and_then(|text| {
        let kept: Kept = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let format = kept.format;
        if format == FORMAT { Ok(kept.trial) } else { Err(format!("it has format {format}")) }
    });
    kept.unwrap_or_else(|why| {
        tracing::warn!(file = %path.display(), why, "begun anew: all checks are on trial");
        Trial::default()
    })
}

fn tell(news: &[News]) {
    for news in news {
        match news {
            News::Died { checks, deaths } => tracing::warn!(
                checks = named(checks),
                deaths,
                "the process before this one died while these checks were new"
            ),
            News::Held { checks, deaths, until } => tracing::error!(
                checks = named(checks),
                deaths,
                %until,
                "held back: the process died again and again while these checks were new"
            ),
            News::Tried(checks) => {
                tracing::warn!(checks = named(checks), "tried again after they were held back");
            }
            News::Proven(checks) => tracing::info!(checks = named(checks), "held back no more"),
        }
    }
}

fn named(checks: &[CheckId]) -> String {
    let names: Vec<&str> = checks.iter().take(NAMED).map(CheckId::as_str).collect();
    match checks.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests;
