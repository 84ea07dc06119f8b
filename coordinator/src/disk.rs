//! The data directory's disk: watched, so that it never ends in the middle of a write.
//!
//! At [`DISK_ALARM_PERCENT`] in use the operators are told and another coordinator leads; at
//! [`STOP_PERCENT`] this one stops in order. A ballast file keeps some space back, which is let
//! go for that: stopping writes, too.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crosscheck_core::Command;
use crosscheck_core::member::{DISK_ALARM_PERCENT, DISK_CALM_PERCENT};
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::raft::Role;
use crate::replica::{Ending, Inner, Replica};

/// From this much in use on a coordinator stops, and does not start.
pub const STOP_PERCENT: u8 = 95;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a report of it may take until the next look.
const TELL_LIMIT: Duration = Duration::from_secs(5);

/// What is kept back: more than the end of any write that is under way.
const BALLAST_BYTES: u64 = 64 * 1024 * 1024;
/// But not more than this part of a small disk, in percent.
const BALLAST_PERCENT: u64 = 2;

/// How full a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in use.
    pub used: u64,
    /// Bytes that can still be written.
    pub free: u64,
}

impl Usage {
    /// How much is in use, rounded up.
    pub fn percent(self) -> u8 {
        let all = u128::from(self.used) + u128::from(self.free);
        let percent = (u128::from(self.used) * 100).div_ceil(all.max(1));
        u8::try_from(percent).unwrap_or(u8::MAX)
    }

    /// The same after so many more bytes were written.
    fn after(self, bytes: u64) -> Self {
        let bytes = bytes.min(self.free);
        Self { used: self.used + bytes, free: self.free - bytes }
    }

    fn ballast(self) -> u64 {
        (self.used.saturating_add(self.free) / 100 * BALLAST_PERCENT).min(BALLAST_BYTES)
    }
}

/// Who tells how full the disk is.
pub trait Space: Send + Sync + 'static {
    /// How full it is now.
    ///
    /// # Errors
    /// The system does not say.
    fn usage(&self) -> io::Result<Usage>;
}

/// The file system of a directory.
#[derive(Clone, Debug)]
pub struct FileSystem(pub PathBuf);

impl Space for FileSystem {
    fn usage(&self) -> io::Result<Usage> {
        let stat = statvfs(&self.0)?;
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        // What is kept for the superuser is neither used nor free, as `df` counts.
        Ok(Usage { used: used * stat.f_frsize, free: stat.f_bavail * stat.f_frsize })
    }
}

/// The disk is too full to start.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// There would not be enough space.
    #[error("{0}")]
    Full(String),
    /// It cannot be told, or the ballast cannot be made.
    #[error("cannot use the disk of {0}: {1}")]
    Io(String, io::Error),
}

/// Space kept back.
pub struct Ballast(PathBuf);

impl Ballast {
    /// Keeps the space back in the directory `data`, where it is not yet, before anything else is
    /// written.
    ///
    /// # Errors
    /// The disk is too full, or fails.
    pub fn keep(data: &Path, space: &dyn Space) -> Result<Self, DiskError> {
        let io = |error| DiskError::Io(data.display().to_string(), error);
        let path = data.join("ballast");
        let usage = space.usage().map_err(io)?;
        let there = fs::metadata(&path).map_or(0, |file| file.len());
        let wanted = usage.ballast().max(there);
        let percent = usage.after(wanted - there).percent();
        if percent >= STOP_PERCENT {
            return Err(DiskError::Full(too_full(data, percent)));
        }
        let options = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(io)?;
        match fallocate(&file, FallocateFlags::empty(), 0, wanted) {
            Ok(()) => Ok(Self(path)),
            // Not every file system can: then nothing is kept back, and all else holds.
            Err(error) if error == rustix::io::Errno::OPNOTSUPP => {
                tracing::warn!("this file system keeps no space back for an orderly stop");
                Ok(Self(path))
            }
            Err(error) => Err(io(error.into())),
        }
    }

    /// Lets it go.
    fn release(&self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, "the ballast was not let go");
        }
    }
}

impl fmt::Debug for Ballast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ballast({})", self.0.display())
    }
}

fn too_full(data: &Path, percent: u8) -> String {
    format!(
        "the disk of {} is {percent} % full, and from {STOP_PERCENT} % on a coordinator does not \
         run: free some space, or give it a larger disk, and start it again",
        data.display()
    )
}

impl Replica {
    /// Watches the disk from now on.
    pub fn watch_disk(&self, data: PathBuf, space: Arc<dyn Space>, ballast: Ballast) {
        self.0.spawn(watch(self.0.clone(), data, space, ballast));
    }
}

async fn watch(inner: Arc<Inner>, data: PathBuf, space: Arc<dyn Space>, ballast: Ballast) {
    loop {
        match space.usage() {
            Ok(usage) => {
                let percent = usage.percent();
                inner.disk.send_replace(Some(percent));
                if percent >= STOP_PERCENT {
                    ballast.release();
                    return inner.end(Ending::DiskFull(too_full(&data, percent)));
                }
                // Later is early enough: the next look comes again.
                let _ = tokio::time::timeout(TELL_LIMIT, tell(&inner, percent)).await;
                if percent >= DISK_ALARM_PERCENT {
                    step_down(&inner).await;
                }
            }
            Err(error) => tracing::warn!(%error, "cannot tell how full the disk is"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Reports what the state does not know yet.
async fn tell(inner: &Inner, percent: u8) {
    let node = inner.id;
    let known = inner.shared.read(|state| state.members.get(&node).map(|m| m.incident.is_some()));
    let news = match known {
        Some(false) => percent >= DISK_ALARM_PERCENT,
        Some(true) => percent < DISK_CALM_PERCENT,
        None => false,
    };
    if news && let Err(error) = inner.submit(Command::Disk { node, percent }).await {
        tracing::debug!(%error, "nobody was told how full the disk is");
    }
}

/// Lets a coordinator with more space lead, if this one does.
async fn step_down(inner: &Inner) {
    if !inner.leadership.borrow().is_leader {
        return;
    }
    let group = inner.node.group();
    let fit = |id: &u64| {
        group.get(id).is_some_and(|known| known.role == Role::Voter)
            && inner.node.is_caught_up(*id)
            && inner
                .shared
                .read(|state| state.members.get(id).is_some_and(|m| m.incident.is_none()))
    };
    let target = inner.node.followed().into_keys().find(fit);
    if let Some(target) = target {
        tracing::warn!(target, "the disk is nearly full: another coordinator is to lead");
        inner.node.transfer(target, inner.profile.submit_limit()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Usage);

    impl Space for Fixed {
        fn usage(&self) -> io::Result<Usage> {
            Ok(self.0)
        }
    }

    #[test]
    fn the_part_in_use_is_rounded_up() {
        for (used, free, percent) in
            [(0, 0, 0), (0, 10, 0), (1, 999, 1), (899, 101, 90), (1, 0, 100)]
        {
            assert_eq!(Usage { used, free }.percent(), percent, "{used} {free}");
        }
    }

    #[test]
    fn the_ballast_is_really_taken_and_counts_when_it_is_not_there() {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path();
        const MIB: u64 = 1024 * 1024;
        let free = Fixed(Usage { used: 50 * MIB, free: 50 * MIB });
        let ballast = Ballast::keep(data, &free).expect("enough space");
        let size = || fs::metadata(data.join("ballast")).expect("there");
        assert_eq!(size().len(), 2 * MIB);
        assert!(std::os::unix::fs::MetadataExt::blocks(&size()) * 512 >= 2 * MIB, "a hole");

        // With 94 % in use it runs as long as the ballast is there, and does not start without.
        let nearly = Fixed(Usage { used: 94 * MIB, free: 6 * MIB });
        Ballast::keep(data, &nearly).expect("the ballast is among what is used");
        ballast.release();
        let error = Ballast::keep(data, &nearly).expect_err("too full").to_string();
        assert!(error.contains("96 % full"), "{error}");
        assert!(!data.join("ballast").exists());
    }
}
