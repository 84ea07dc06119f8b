//! What is recorded and crashed: a coordinator's directory, or a probe's spool.

use std::path::Path;

use super::coordinator_script::Script;
use super::mark::{Bounds, Marks};
use super::spool::Step;
use super::{coordinator, coordinator_run, spool};

/// A kind of program with its stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Raft log, snapshots and history.
    Coordinator,
    /// A probe's spool.
    Spool,
}

impl Subject {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Coordinator, Self::Spool];
}

/// What came of opening a crashed disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    AsItMust,
    /// The program does not start, and says why.
    Refused(String),
    /// The program starts with something that was never acknowledged, or without what was.
    Wrong(String),
}

/// What is wrong with a disk beside what the crash took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    None,
    /// A bit, under a checksum: it is noticed, or in nothing that counts.
    Checked,
    /// A bit of the measurements: it costs measurements and never a decision.
    History,
}

/// A subject with the script of one seed.
pub(super) enum Play {
    Coordinator(Box<Script>),
    Spool(Vec<Step>),
}

impl Play {
    pub(super) fn new(subject: Subject, seed: u64, small: bool) -> Self {
        match subject {
            Subject::Coordinator => Self::Coordinator(Box::new(Script::new(seed, small))),
            Subject::Spool => Self::Spool(spool::script(seed, small)),
        }
    }

    /// The recorded program.
    pub(super) fn record(self, data: &Path, marks: &Path) -> anyhow::Result<()> {
        let marks = Marks::create(marks)?;
        match self {
            Self::Coordinator(script) => {
                runtime()?.block_on(coordinator_run::record(*script, data, marks))
            }
            Self::Spool(steps) => spool::run(&steps, data, marks),
        }
    }

    /// Opens what a crash left.
    pub(super) fn judge(&self, data: &Path, bounds: &Bounds, damage: Damage) -> Opened {
        match self {
            Self::Coordinator(script) => {
                let runtime = runtime().expect("a runtime");
                runtime.block_on(coordinator::judge(script, data, bounds, damage))
            }
            Self::Spool(steps) => spool::judge(steps, data, bounds, damage != Damage::None),
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
