//! How many transactions the log has committed, in a file beside it: finds a cut.
//!
//! SQLite takes a damaged frame of its write-ahead file for the end of it, and drops what was
//! committed after. The number in this file is written after each sync and never synced itself,
//! so after a loss of power it may be too small, but never too large.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::raft::wire::{seal, unseal};

/// More than the record needs; whatever follows it in the file does not matter.
const RECORD_BYTES: usize = 32;

pub(super) struct Head(File);

impl Head {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        Ok(Self(options.open(path)?))
    }

    /// The last number written; `None` when there is none that can be read: then nothing is
    /// known, and nothing is missed but this check.
    pub(super) fn read(&self) -> Option<u64> {
        let mut record = [0; RECORD_BYTES];
        let length = self.0.read_at(&mut record, 0).ok()?;
        let (size, record) = record[..length].split_first()?;
        unseal(0, record.get(..usize::from(*size))?).ok()
    }

    pub(super) fn write(&self, commits: u64) -> io::Result<()> {
        let record = seal(0, &commits).map_err(io::Error::other)?;
        // A sealed number takes at most 15 bytes.
        let size = u8::try_from(record.len()).map_err(io::Error::other)?;
        self.0.write_all_at(&[&[size], &record[..]].concat(), 0)
    }
}
