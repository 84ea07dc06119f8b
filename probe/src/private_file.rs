//! Files that only their owner may read: keys.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Only the owner reads and writes.
const OWNER_ONLY: u32 = 0o600;

/// Writes the file whole or not at all, and durably; nobody else can read it at any moment.
///
/// # Errors
/// What the system says.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let new = beside(path);
    // What an interrupted write left may have another owner's rights.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(directory)?.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn nobody_else_reads_it_not_even_after_an_interrupted_write() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("deep").join("key.pem");
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(beside(&path), "half").expect("left behind, readable by all");
        for text in ["one", "two"] {
            write(&path, text).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("there"), text);
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, OWNER_ONLY);
        }
        assert!(!beside(&path).exists());
    }
}
