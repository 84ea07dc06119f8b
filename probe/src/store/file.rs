//! Records in segment files. Fsync: the file after each append, before the append is reported
//! done; the directory when a segment is made, replaced or deleted. A torn tail is cut off at the
//! start; every whole record before it comes back.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::frame::{self, HEADER};
use super::{Record, Store};
use crate::state::Weight;

/// A segment takes no more records than this: small enough to be rewritten within milliseconds.
const SEGMENT_RECORDS: usize = 4096;

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    /// Where the records that still count stand: offset and length.
    live: BTreeMap<u64, (u64, usize)>,
    /// Records in the file, counting or not.
    total: usize,
    length: u64,
}

/// A store in a directory of its own.
#[derive(Debug)]
pub struct FileStore {
    directory: PathBuf,
    /// By the first id they ever held.
    segments: BTreeMap<u64, Segment>,
    /// The segment that takes appends.
    active: Option<(u64, File)>,
    /// Held for the life of the store: two probes must not share it.
    _lock: File,
}

impl FileStore {
    /// Opens the store in `directory`, which is made when it is not there.
    ///
    /// # Errors
    /// When the directory cannot be used, or another process uses it.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        // What is kept in there lasts no longer than its name does.
        if let Some(parent) = directory.canonicalize()?.parent() {
            File::open(parent)?.sync_all()?;
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(directory.join("lock"))?;
        lock.try_lock().map_err(|error| {
            let what = format!("`{}` is in use by another probe: {error}", directory.display());
            io::Error::new(io::ErrorKind::ResourceBusy, what)
        })?;
        Ok(Self {
            directory: directory.to_owned(),
            segments: BTreeMap::new(),
            active: None,
            _lock: lock,
        })
    }

    fn path(&self, first: u64) -> PathBuf {
        self.directory.join(format!("{first:020}.segment"))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    /// The segment to append to, made when the last one is full.
    fn active(&mut self, first: u64) -> io::Result<(u64, File)> {
        if let Some((key, file)) = self.active.take() {
            match self.segments.get(&key) {
                Some(segment) if segment.total < SEGMENT_RECORDS => return Ok((key, file)),
                _ => self.compact(key)?,
            }
        }
        let path = self.path(first);
        if self.segments.contains_key(&first) {
            return Err(io::Error::other("the ids of the spool do not grow"));
        }
        // What may stand there was never complete.
        let mut file = File::create(&path)?;
        file.write_all(HEADER)?;
        file.sync_all()?;
        self.sync_directory()?;
        let segment =
            Segment { path, live: BTreeMap::new(), total: 0, length: HEADER.len() as u64 };
        self.segments.insert(first, segment);
        Ok((first, file))
    }

    /// Gives back the room of removed records, once they are the larger part of a full segment.
    fn compact(&mut self, key: u64) -> io::Result<()> {
        let is_active = self.active.as_ref().is_some_and(|(active, _)| *active == key);
        let Some(segment) = self.segments.get_mut(&key) else { return Ok(()) };
        if segment.live.is_empty() {
            fs::remove_file(&segment.path)?;
            self.segments.remove(&key);
            if is_active {
                self.active = None;
            }
            return self.sync_directory();
        }
        if is_active || 2 * segment.live.len() > segment.total {
            return Ok(());
        }
        let mut bytes = HEADER.to_vec();
        let mut live = BTreeMap::new();
        let old = fs::read(&segment.path)?;
        for (id, (offset, length)) in &segment.live {
            live.insert(*id, (bytes.len() as u64, *length));
            let from = usize::try_from(*offset).map_err(io::Error::other)?;
            bytes.extend(old.get(from..from + length).ok_or_else(|| shrunk(&segment.path))?);
        }
        let new = segment.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, &segment.path)?;
        (segment.total, segment.length) = (live.len(), bytes.len() as u64);
        segment.live = live;
        self.sync_directory()
    }
}

fn shrunk(path: &Path) -> io::Error {
    let what = format!("`{}` is shorter than it was; do not edit the spool", path.display());
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Store for FileStore {
    fn load(&mut self) -> io::Result<Vec<(u64, Weight)>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                // A replacement that was never completed; the original is still there.
                Some("new") => fs::remove_file(&path)?,
                Some("segment") => paths.push(path),
                _ => {}
            }
        }
        paths.sort();
        let mut kept = Vec::new();
        for path in paths {
            if let Some((first, segment)) = load_segment(path, &mut kept)? {
                self.segments.insert(first, segment);
            }
        }
        Ok(kept)
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let Some(first) = records.first() else { return Ok(()) };
        let (key, mut file) = self.active(first.id)?;
        let segment = self.segments.get_mut(&key).ok_or_else(|| io::Error::other("no segment"))?;
        let mut bytes = Vec::new();
        let mut places = Vec::with_capacity(records.len());
        for record in records {
            let offset = segment.length + bytes.len() as u64;
            let length = frame::write(record, &mut bytes).map_err(io::Error::other)?;
            places.push((record.id, (offset, length)));
        }
        let written = file
            .seek(SeekFrom::Start(segment.length))
            .and_then(|_| file.write_all(&bytes))
            .and_then(|()| file.sync_data());
        if let Err(error) = written {
            // A half-written record must not stand before later ones; should cutting fail too,
            // the next append begins at the same place and overwrites it.
            let cut = file.set_len(segment.length);
            self.active = Some((key, file));
            return Err(cut.err().unwrap_or(error));
        }
        segment.length += bytes.len() as u64;
        segment.total += places.len();
        segment.live.extend(places);
        self.active = Some((key, file));
        Ok(())
    }

    fn remove(&mut self, ids: &[u64]) -> io::Result<()> {
        let mut touched = Vec::new();
        for id in ids {
            if let Some((key, segment)) = self.segments.range_mut(..=id).next_back()
                && segment.live.remove(id).is_some()
                && touched.last() != Some(key)
            {
                touched.push(*key);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        touched.into_iter().try_for_each(|key| self.compact(key))
    }

    fn fetch(&mut self, ids: &[u64]) -> io::Result<Vec<Record>> {
        let mut found = Vec::with_capacity(ids.len());
        let mut open: Option<(u64, File)> = None;
        for id in ids {
            let Some((key, segment)) = self.segments.range(..=id).next_back() else { continue };
            let Some((offset, length)) = segment.live.get(id) else { continue };
            let file = match &mut open {
                Some((opened, file)) if opened == key => file,
                slot => &mut slot.insert((*key, File::open(&segment.path)?)).1,
            };
            let mut bytes = vec![0; *length];
            file.seek(SeekFrom::Start(*offset))?;
            file.read_exact(&mut bytes)?;
            match frame::read(&bytes) {
                Some((record, _)) => found.push(record),
                None => tracing::warn!(segment = %segment.path.display(), id, "record is damaged"),
            }
        }
        Ok(found)
    }
}

/// Reads a segment, cutting off a torn tail; a segment without any record is deleted.
fn load_segment(
    path: PathBuf,
    kept: &mut Vec<(u64, Weight)>,
) -> io::Result<Option<(u64, Segment)>> {
    let bytes = fs::read(&path)?;
    let (begin, rest) = bytes.split_at(bytes.len().min(HEADER.len()));
    if !HEADER.starts_with(begin) {
        let what = format!(
            "`{}` is not a spool of this version; move it away to start without it",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut live = BTreeMap::new();
    let mut at = 0;
    // Damage between whole records costs what it stands in, not what follows.
    while let Some(skipped) = frame::find(&rest[at..]) {
        let from = at + skipped;
        let Some((record, length)) = frame::read(&rest[from..]) else { break };
        if skipped > 0 {
            tracing::error!(segment = %path.display(), bytes = skipped, "records are damaged");
        }
        live.insert(record.id, ((HEADER.len() + from) as u64, length));
        kept.push((record.id, record.weight));
        at = from + length;
    }
    let length = (HEADER.len() + at) as u64;
    if at < rest.len() {
        tracing::warn!(segment = %path.display(), cut = rest.len() - at, "cut off a torn tail");
        let file = OpenOptions::new().write(true).open(&path)?;
        file.set_len(length)?;
        file.sync_all()?;
    }
    let name = path.file_stem().and_then(|name| name.to_str());
    let first = name.and_then(|name| name.parse().ok()).or_else(|| live.keys().next().copied());
    match first {
        Some(first) if !live.is_empty() => {
            let total = live.len();
            Ok(Some((first, Segment { path, live, total, length })))
        }
        _ => {
            fs::remove_file(&path)?;
            Ok(None)
        }
    }
}
