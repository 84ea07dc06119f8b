//! From system calls to changes of the disk, and to the marks between them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::disk::{Change, Disk, Node};
use super::mark::Bounds;
use super::trace::Call;

/// A descriptor that is open.
#[derive(Clone, Copy, Debug)]
enum Open {
    Node { node: Node, offset: u64 },
    Marks,
}

/// What a call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Did {
    Nothing,
    /// Something was written into a file.
    Wrote,
    /// Anything else that a crash may take back or not: names, lengths.
    Changed,
    Synced,
    Marked,
}

/// A disk that follows a trace.
pub(super) struct Replay {
    pub(super) disk: Disk,
    pub(super) bounds: Bounds,
    root: PathBuf,
    marks: PathBuf,
    open: BTreeMap<i64, Open>,
}

impl Replay {
    pub(super) fn new(root: &Path, marks: &Path) -> Self {
        Self {
            disk: Disk::new(),
            bounds: Bounds::default(),
            root: root.to_owned(),
            marks: marks.to_owned(),
            open: BTreeMap::new(),
        }
    }

    /// Takes one call in.
    pub(super) fn step(&mut self, call: &Call) -> Result<Did, String> {
        if call.result < 0 {
            if ["fsync", "fdatasync"].contains(&call.name.as_str())
                && let Some(Open::Node { node, .. }) = self.open.get(&call.number(0)?)
            {
                self.disk.fail_sync(*node);
            }
            return Ok(Did::Nothing);
        }
        match call.name.as_str() {
            "open" => self.opened(call, 0),
            "openat" => self.opened(call, 1),
            "close" => {
                self.open.remove(&call.number(0)?);
                Ok(Did::Nothing)
            }
            "write" => self.written(call, None),
            "pwrite64" => self.written(call, Some(call.number(3)?.cast_unsigned())),
            "lseek" => {
                if let Some(Open::Node { offset, .. }) = self.open.get_mut(&call.number(0)?) {
                    *offset = call.result.cast_unsigned();
                }
                Ok(Did::Nothing)
            }
            "ftruncate" => match self.open.get(&call.number(0)?) {
                Some(Open::Node { node, .. }) => {
                    let length = call.number(1)?.cast_unsigned();
                    self.disk.change(Change::Resize { file: *node, length });
                    Ok(Did::Changed)
                }
                Some(Open::Marks) => {
                    self.bounds.take(call.number(1)?.cast_unsigned());
                    Ok(Did::Marked)
                }
                None => Ok(Did::Nothing),
            },
            "fsync" | "fdatasync" => match self.open.get(&call.number(0)?) {
                Some(Open::Node { node, .. }) => {
                    self.disk.sync(*node);
                    Ok(Did::Synced)
                }
                _ => Ok(Did::Nothing),
            },
            "mkdir" => self.named(call, 0, |disk, path| disk.create(path, true).map(drop)),
            "unlink" => self.named(call, 0, Disk::unlink),
            "unlinkat" => self.named(call, 1, Disk::unlink),
            "rename" => {
                let to = self.inside(call.bytes(1)?)?;
                self.named(call, 0, |disk, from| {
                    disk.rename(from, &to.ok_or("a rename out of the folder")?)
                })
            }
            "mmap" => self.mapped(call),
            other => self.unknown(call, other),
        }
    }

    /// Takes in no more than the marks, for a trace that has not all of the rest.
    pub(super) fn mark(&mut self, call: &Call) -> Result<(), String> {
        let is_marks = match call.name.as_str() {
            "openat" => call.bytes(1)? == self.marks.as_os_str().as_encoded_bytes(),
            "ftruncate" => matches!(self.open.get(&call.number(0)?), Some(Open::Marks)),
            _ => false,
        };
        if is_marks { self.step(call).map(drop) } else { Ok(()) }
    }

    fn opened(&mut self, call: &Call, at: usize) -> Result<Did, String> {
        let path = call.bytes(at)?;
        if path == self.marks.as_os_str().as_encoded_bytes() {
            self.open.insert(call.result, Open::Marks);
            return Ok(Did::Nothing);
        }
        let Some(path) = self.inside(path)? else { return Ok(Did::Nothing) };
        let flags = call.word(at + 1);
        let (node, mut did) = match self.disk.find(&path) {
            Some(node) => (node, Did::Nothing),
            None if flags.contains("O_CREAT") => (self.disk.create(&path, false)?, Did::Changed),
            None => return Err(format!("{} was opened, but never made", path.display())),
        };
        if flags.contains("O_TRUNC") && self.disk.length(node) > 0 {
            self.disk.change(Change::Resize { file: node, length: 0 });
            did = Did::Changed;
        }
        let offset = if flags.contains("O_APPEND") { self.disk.length(node) } else { 0 };
        self.open.insert(call.result, Open::Node { node, offset });
        Ok(did)
    }

    fn written(&mut self, call: &Call, at: Option<u64>) -> Result<Did, String> {
        let count = usize::try_from(call.result).map_err(|error| error.to_string())?;
        match self.open.get_mut(&call.number(0)?) {
            None => Ok(Did::Nothing),
            Some(Open::Marks) => Err("something was written between the marks".to_owned()),
            Some(Open::Node { node, offset }) => {
                let bytes = call.bytes(1)?[..count].into();
                let place = at.unwrap_or(*offset);
                if at.is_none() {
                    *offset += call.result.cast_unsigned();
                }
                self.disk.change(Change::Write { file: *node, offset: place, bytes });
                Ok(Did::Wrote)
            }
        }
    }

    fn named(
        &mut self,
        call: &Call,
        at: usize,
        act: impl FnOnce(&mut Disk, &Path) -> Result<(), String>,
    ) -> Result<Did, String> {
        let Some(path) = self.inside(call.bytes(at)?)? else { return Ok(Did::Nothing) };
        act(&mut self.disk, &path)?;
        Ok(Did::Changed)
    }

    /// What is written through a mapping is in no trace.
    fn mapped(&self, call: &Call) -> Result<Did, String> {
        let is_written = call.word(2).contains("PROT_WRITE") && call.word(3).contains("MAP_SHARED");
        match call.number(4).ok().and_then(|fd| self.open.get(&fd)) {
            Some(Open::Node { .. }) if is_written => Err("a file is written by mapping".to_owned()),
            _ => Ok(Did::Nothing),
        }
    }

    fn unknown(&self, call: &Call, name: &str) -> Result<Did, String> {
        let is_ours = match call.number(0) {
            Ok(fd) => self.open.contains_key(&fd),
            Err(_) => call.bytes(0).is_ok_and(|path| matches!(self.inside(path), Ok(Some(_)))),
        };
        if is_ours { Err(format!("{name} is not modelled")) } else { Ok(Did::Nothing) }
    }

    /// The path from the root; `None` for what is elsewhere, and for SQLite's shared memory, which
    /// is made anew at each start.
    fn inside(&self, path: &[u8]) -> Result<Option<PathBuf>, String> {
        let path = str::from_utf8(path).map_err(|error| error.to_string())?;
        if path.ends_with("-shm") {
            return Ok(None);
        }
        Ok(Path::new(path).strip_prefix(&self.root).ok().map(Path::to_owned))
    }
}
