//! The files of a document: one file, or all `*.yaml` and `*.yml` of a directory.

use std::io;
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Level, Place};
use super::finding::Source;

/// The largest file read: a configuration of 100,000 checks has a quarter of it.
const FILE_LIMIT_BYTES: usize = 64 << 20;

/// Where files come from.
pub trait Files {
    /// The files in a directory, in any order; `None` when the path is no directory.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self, path: &Path) -> io::Result<Option<Vec<PathBuf>>>;

    /// A file's content.
    ///
    /// # Errors
    /// What the operating system says.
    fn content(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// Files of this host.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn list(&self, path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
        if !std::fs::metadata(path)?.is_dir() {
            return Ok(None);
        }
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map(Some)
    }

    fn content(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }
}

/// The sources at these paths, and what cannot be read.
pub fn read(
    paths: &[PathBuf],
    files: &dyn Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Source> {
    let mut sources = Vec::new();
    for path in paths {
        match expand(path, files) {
            Ok(found) if found.is_empty() => {
                let hint = "a directory is read from its `*.yaml` and `*.yml` files";
                diagnostics.push(unreadable(path, "no YAML file in this directory", Some(hint)));
            }
            Ok(found) => {
                for file in found {
                    match text(&file, files) {
                        Ok(text) => {
                            sources.push(Source { name: file.display().to_string(), text });
                        }
                        Err(message) => diagnostics.push(unreadable(&file, &message, None)),
                    }
                }
            }
            Err(error) => {
                diagnostics.push(unreadable(path, &format!("cannot be read: {error}"), None));
            }
        }
    }
    sources
}

/// The file itself, or the directory's YAML files by name; hidden ones are left out.
fn expand(path: &Path, files: &dyn Files) -> io::Result<Vec<PathBuf>> {
    let Some(mut found) = files.list(path)? else { return Ok(vec![path.to_owned()]) };
    found.retain(|file| {
        let yaml = file.extension().is_some_and(|end| end == "yaml" || end == "yml");
        let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        yaml && !hidden
    });
    found.sort();
    Ok(found)
}

fn text(path: &Path, files: &dyn Files) -> Result<String, String> {
    let bytes = files.content(path).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() > FILE_LIMIT_BYTES {
        return Err(format!("larger than {} MiB", FILE_LIMIT_BYTES >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8 text")
    })
}

fn unreadable(path: &Path, message: &str, hint: Option<&str>) -> Diagnostic {
    Diagnostic {
        level: Level::Error,
        place: Place::file(path.display().to_string()),
        message: message.to_owned(),
        hint: hint.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct Memory(BTreeMap<&'static str, &'static [u8]>);

    impl Files for Memory {
        fn list(&self, path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
            if self.0.keys().any(|name| Path::new(name) == path) {
                return Ok(None);
            }
            let inside = self.0.keys().map(PathBuf::from).filter(|file| file.starts_with(path));
            Ok(Some(inside.rev().collect()))
        }

        fn content(&self, path: &Path) -> io::Result<Vec<u8>> {
            let found = self.0.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| text.to_vec()).ok_or(io::ErrorKind::NotFound.into())
        }
    }

    fn read_names(files: &Memory, path: &str) -> (Vec<String>, Vec<String>) {
        let mut diagnostics = Vec::new();
        let sources = read(&[PathBuf::from(path)], files, &mut diagnostics);
        let names = sources.into_iter().map(|source| source.name).collect();
        (names, diagnostics.into_iter().map(|d| d.message).collect())
    }

    #[test]
    fn a_directory_is_its_yaml_files_by_name() {
        let names = ["d/b.yml", "d/a.yaml", "d/.hidden.yaml", "d/notes.txt"];
        let files = Memory(names.into_iter().map(|name| (name, b"x".as_slice())).collect());
        let wanted = vec!["d/a.yaml".to_owned(), "d/b.yml".to_owned()];
        assert_eq!(read_names(&files, "d"), (wanted, vec![]));
        assert_eq!(read_names(&files, "d/notes.txt").0, ["d/notes.txt"]);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let files = Memory([("d/a.yaml", b"a: 1\nb: \xff".as_slice())].into());
        assert_eq!(read_names(&files, "d").1, ["line 2 is not UTF-8 text"]);
        assert_eq!(read_names(&files, "e").1, ["no YAML file in this directory"]);
    }
}
