//! One process to a data directory: two that write the same log would tear it apart.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// A directory that no other replica can take; free again when it ends, however it ends.
pub(super) struct Occupied(File);

impl Occupied {
    /// Takes the directory.
    ///
    /// # Errors
    /// Another replica has it, or no file can be made in it.
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let file = directory.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(file)?;
        file.try_lock().map_err(|error| {
            let what = format!("it is in use by another process: {error}");
            Error::new(ErrorKind::ResourceBusy, what)
        })?;
        Ok(Self(file))
    }

    /// Lets the next one in, although handles of this replica may still be about.
    pub(super) fn leave(&self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the data directory stays locked until the process ends");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_outside_until_the_first_has_left() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let first = Occupied::new(directory.path()).expect("free");
        assert!(Occupied::new(directory.path()).is_err_and(|error| {
            error.kind() == ErrorKind::ResourceBusy && error.to_string().contains("in use")
        }));
        first.leave();
        let second = Occupied::new(directory.path()).expect("free again");
        drop(second);
        assert!(Occupied::new(directory.path()).is_ok());
    }
}
