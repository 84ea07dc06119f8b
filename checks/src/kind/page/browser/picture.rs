//! Pictures of pages that failed: the last of each page, in a directory of the probe.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

/// The largest picture that is kept.
pub(super) const PICTURE_AT_MOST_BYTES: usize = 1 << 20;

/// Pictures kept, of as many pages; the oldest go.
const PICTURES_AT_MOST: usize = 64;

/// Keeps the picture, in place of the page's last one; where.
///
/// # Errors
/// It is too large, or cannot be written.
pub(super) fn keep(directory: &Path, page: &str, host: &str, jpeg: &[u8]) -> io::Result<PathBuf> {
    if jpeg.len() > PICTURE_AT_MOST_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    fs::create_dir_all(directory)?;
    let path = directory.join(name(page, host));
    make_room(directory, &path)?;
    // Whole or not at all, and for the probe's own eyes: a page may show what is nobody else's.
    let partial = path.with_extension(format!("{:016x}", rand::random::<u64>()));
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&partial)?;
    let written = file.write_all(jpeg).and_then(|()| fs::rename(&partial, &path));
    if written.is_err() {
        let _ = fs::remove_file(&partial); // The error counts.
    }
    written.map(|()| path)
}

/// A name that people recognise, and that no page can choose.
fn name(page: &str, host: &str) -> String {
    let hash = digest(&SHA256, page.as_bytes());
    let hash: String = hash.as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '_' };
    let host: String = host.chars().take(64).map(plain).collect();
    format!("{host}-{hash}.jpg")
}

/// Removes the oldest pictures of other pages until one more has its place.
fn make_room(directory: &Path, path: &Path) -> io::Result<()> {
    let mut others = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.path() != path {
            others.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    others.sort();
    let surplus = (others.len() + 1).saturating_sub(PICTURES_AT_MOST);
    others.iter().take(surplus).try_for_each(|(_, oldest)| fs::remove_file(oldest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_picture_of_each_page_is_kept_within_bounds() {
        let scratch = tempfile::tempdir().expect("a directory");
        let directory = scratch.path().join("pictures");
        let keep = |page: &str, bytes: &[u8]| keep(&directory, page, "shop.test", bytes);
        let first = keep("http://shop.test/", b"one").expect("kept");
        assert_eq!(keep("http://shop.test/", b"two").expect("kept"), first);
        assert_eq!(fs::read(&first).expect("a file"), b"two");
        let name = first.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(name.starts_with("shop.test-") && name.ends_with(".jpg"), "{name}");
        for page in 0..PICTURES_AT_MOST + 3 {
            keep(&format!("http://shop.test/{page}"), b"x").expect("kept");
        }
        let count = fs::read_dir(&directory).expect("a directory").count();
        assert_eq!(count, PICTURES_AT_MOST);
        assert!(keep("http://shop.test/", &vec![0; PICTURE_AT_MOST_BYTES + 1]).is_err());
    }

    #[test]
    fn no_page_chooses_where_its_picture_is() {
        let name = name("x", "../../etc/passwd");
        assert!(name.starts_with(".._.._etc_passwd-"), "{name}");
    }
}
