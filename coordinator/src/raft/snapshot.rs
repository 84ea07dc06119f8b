//! Snapshots of the state as files: whole or not there, the newest and the one before it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use crosscheck_core::State;
use crosscheck_core::level::Level;
use openraft::alias::SnapshotMetaOf;
use serde::{Deserialize, Serialize};

use super::wire::{FormatError, Types, seal_at, unseal_up_to};

pub(super) type Meta = SnapshotMetaOf<Types>;

/// How many files are kept: the newest, and the one before it for an operator's eyes.
const KEPT: usize = 2;

/// Why there is no usable snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file system reports an error.
    #[error("cannot use the snapshots in {path}: {error}")]
    Io {
        /// The snapshots' directory.
        path: String,
        /// What it reports.
        error: io::Error,
    },
    /// The newest snapshot is damaged, or of another format.
    #[error("the snapshot {name} cannot be trusted: {error}")]
    Format {
        /// The file.
        name: String,
        /// What is wrong with it.
        error: FormatError,
    },
}

impl From<SnapshotError> for io::Error {
    fn from(error: SnapshotError) -> Self {
        Self::other(error)
    }
}

/// What stands in a file, sealed: the cluster's level, postcard in the form of that level, CRC-32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) meta: Meta,
    pub(super) state: State,
}

impl Content {
    fn index(&self) -> u64 {
        self.meta.last_log_id.map_or(0, |last| last.index)
    }

    pub(super) fn encode(&self) -> Result<Bytes, SnapshotError> {
        let sealed = seal_at(self.state.level(), self.index(), self);
        let name = || file_name(self.index());
        Ok(sealed.map_err(|error| SnapshotError::Format { name: name(), error })?.into())
    }

    /// `index` is the last entry that the snapshot must stand for; `known` the newest level that
    /// the program knows.
    pub(super) fn decode(index: u64, bytes: &[u8], known: Level) -> Result<Self, SnapshotError> {
        unseal_up_to(known, index, bytes)
            .map_err(|error| SnapshotError::Format { name: file_name(index), error })
    }
}

/// The directory of snapshots.
#[derive(Clone, Debug)]
pub(super) struct Snapshots(PathBuf);

impl Snapshots {
    pub(super) fn open(data: &Path) -> Result<Self, SnapshotError> {
        let snapshots = Self(data.join("snapshots"));
        snapshots.io(fs::create_dir_all(&snapshots.0))?;
        // The log is purged in reliance on what is in there: the directory itself must last too.
        snapshots.io(File::open(data).and_then(|parent| parent.sync_all()))?;
        Ok(snapshots)
    }

    /// The newest snapshot's bytes and content. A file that does not parse is an error and never
    /// "none": an older state would take back what was decided.
    pub(super) fn newest(&self, known: Level) -> Result<Option<(Bytes, Content)>, SnapshotError> {
        let Some(index) = self.indexes()?.last().copied() else { return Ok(None) };
        let bytes = self.io(fs::read(self.0.join(file_name(index))))?;
        let content = Content::decode(index, &bytes, known)?;
        Ok(Some((bytes.into(), content)))
    }

    /// Makes a snapshot last: written beside, synced, renamed, and the directory synced.
    pub(super) fn write(&self, index: u64, bytes: &[u8]) -> Result<(), SnapshotError> {
        let target = self.0.join(file_name(index));
        if fs::read(&target).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let aside = self.0.join("unfinished");
        self.io(write_synced(&aside, bytes))?;
        self.io(fs::rename(&aside, &target))?;
        self.io(File::open(&self.0).and_then(|directory| directory.sync_all()))?;
        let indexes = self.indexes()?;
        for old in indexes.iter().rev().skip(KEPT) {
            self.io(fs::remove_file(self.0.join(file_name(*old))))?;
        }
        Ok(())
    }

    /// The last entries that the files stand for, oldest first.
    fn indexes(&self) -> Result<Vec<u64>, SnapshotError> {
        let mut indexes = Vec::new();
        for file in self.io(fs::read_dir(&self.0))? {
            let name = self.io(file)?.file_name();
            indexes.extend(name.to_str().and_then(index_of));
        }
        indexes.sort_unstable();
        Ok(indexes)
    }

    fn io<T>(&self, result: io::Result<T>) -> Result<T, SnapshotError> {
        result.map_err(|error| SnapshotError::Io { path: self.0.display().to_string(), error })
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn file_name(index: u64) -> String {
    format!("state-{index}.snapshot")
}

fn index_of(name: &str) -> Option<u64> {
    name.strip_prefix("state-")?.strip_suffix(".snapshot")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use crosscheck_core::level::NEWEST;
    use openraft::LogId;
    use openraft::vote::leader_id_std::CommittedLeaderId;

    use super::*;

    fn content(index: u64) -> Content {
        let last_log_id = Some(LogId::new(CommittedLeaderId::new(1), index));
        let meta = Meta { last_log_id, ..Meta::default() };
        Content { meta, state: State { revision: index, ..State::default() } }
    }

    #[test]
    fn the_newest_counts_and_the_one_before_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let snapshots = Snapshots::open(directory.path()).expect("opens");
        assert!(snapshots.newest(NEWEST).expect("reads").is_none());
        for index in [9, 10, 100] {
            let bytes = content(index).encode().expect("encodes");
            snapshots.write(index, &bytes).expect("writes");
        }
        let (_, newest) = snapshots.newest(NEWEST).expect("reads").expect("there");
        assert_eq!(newest, content(100));
        assert_eq!(snapshots.indexes().expect("lists"), [10, 100]);
    }

    #[test]
    fn the_state_of_a_newer_level_is_refused_by_an_earlier_program() {
        let state = State { level: 2, ..State::default() };
        let content = Content { meta: Meta::default(), state };
        let bytes = content.encode().expect("encodes");
        assert_eq!(Content::decode(0, &bytes, 2).expect("reads"), content);
        let refused = Content::decode(0, &bytes, 1).expect_err("an earlier program").to_string();
        assert!(refused.contains("update crosscheck"), "{refused}");
    }

    #[test]
    fn a_damaged_one_is_an_error_and_not_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let snapshots = Snapshots::open(directory.path()).expect("opens");
        for index in [1, 2] {
            snapshots.write(index, &content(index).encode().expect("encodes")).expect("writes");
        }
        let newest = directory.path().join("snapshots/state-2.snapshot");
        let mut bytes = fs::read(&newest).expect("reads");
        bytes[3] ^= 1;
        fs::write(&newest, bytes).expect("writes");
        assert!(matches!(snapshots.newest(NEWEST), Err(SnapshotError::Format { .. })));
    }
}
