//! A test's directory, removed with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Servers drop their privileges: they must get in, too.
const OPEN_TO_ALL: u32 = 0o755;

/// A directory for one test.
pub struct Scratch(TempDir);

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// A new, empty one.
    ///
    /// # Panics
    /// The system gives none.
    pub fn new() -> Self {
        let directory = TempDir::with_prefix("crosscheck-").expect("a directory");
        open(directory.path());
        Self(directory)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A directory in it, made when it is not there.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.file(name);
        fs::create_dir_all(&path).expect("a directory");
        open(&path);
        path
    }

    /// Writes a file at once: nobody reads half of it.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, new) = (self.file(name), self.file(&format!(".{name}.new")));
        fs::write(&new, text).expect("a file");
        fs::rename(&new, &path).expect("a file");
        path
    }
}

fn open(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(OPEN_TO_ALL)).expect("permissions");
}
