//! Which steps of its script a recorded program had begun and ended at each moment.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;

/// How far the program was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Steps from the first on that were acknowledged, without a gap.
    pub(super) done: usize,
    /// Steps from the first on that were begun.
    pub(super) begun: usize,
    /// Steps that the program was told to have failed.
    pub(super) failed: BTreeSet<usize>,
}

impl Bounds {
    /// Takes a mark in.
    pub(super) fn take(&mut self, mark: u64) {
        let step = usize::try_from(mark / KINDS).unwrap_or(usize::MAX);
        match mark % KINDS {
            BEGUN => self.begun = step,
            DONE => self.done = step,
            _ => drop(self.failed.insert(step)),
        }
    }
}

const KINDS: u64 = 3;
const BEGUN: u64 = 0;
const DONE: u64 = 1;
const FAILED: u64 = 2;

/// The program's side. A mark is a length of the file: a system call that nothing else in a trace
/// is mistaken for, and that a full disk does not stop.
pub(super) struct Marks(File);

impl Marks {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(File::create(path)?))
    }

    /// So many steps have begun.
    pub(super) fn begun(&self, steps: usize) -> io::Result<()> {
        self.mark(steps, BEGUN)
    }

    /// So many steps are done, as far as the program was told.
    pub(super) fn done(&self, steps: usize) -> io::Result<()> {
        self.mark(steps, DONE)
    }

    /// This step has failed, and the program goes on.
    pub(super) fn failed(&self, step: usize) -> io::Result<()> {
        self.mark(step, FAILED)
    }

    fn mark(&self, step: usize, kind: u64) -> io::Result<()> {
        self.0.set_len(step as u64 * KINDS + kind)
    }
}
