//! A backup: one file with the state at one log entry and all measurements up to it, made while
//! the cluster works.
//!
//! ```text
//! "crosscheck backup" version | frame: Head | State | History .. | End
//! frame: length (4 bytes, LE) | CRC-32 of the content (4 bytes, LE) | content (postcard)
//! ```
//!
//! **Invariants**
//! - The last frame holds the SHA-256 of everything before it: without it the file is cut short.
//! - Nothing of a file is used before all of it was checked.

mod restore;
#[cfg(test)]
mod tests;

use std::io::{self, Read};

use bytes::Bytes;
use crosscheck_core::snapshot;
use crosscheck_model::Timestamp;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::restore::{RestoreError, Restored, Vouching, check, inspect, restore};
use crate::history::{Cursor, Page, Want};
use crate::raft::Blob;
use crate::replica::Replica;

/// What every backup begins with; the byte after it is the format's version.
const MAGIC: &[u8] = b"crosscheck backup\n";
/// The version of the format.
const VERSION: u8 = 1;
/// No frame is longer: a page of history is at most some MiB, the state 1 GiB.
const LONGEST_FRAME: usize = 1 << 30;

/// What a file is a backup of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The cluster's name.
    pub cluster: String,
    /// The last log entry in it.
    pub index: u64,
    /// The log time then.
    pub at: Timestamp,
    /// The version of the program that made it.
    pub version: String,
}

/// A part of the file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Frame {
    Head(Head),
    /// As `crosscheck_core::snapshot` encodes it.
    State(Blob),
    History(Box<Page>),
    /// The SHA-256 of all bytes before this frame.
    End([u8; 32]),
}

/// Why there is no backup, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file cannot be read or written.
    #[error("cannot read the backup: {0}")]
    Io(#[from] io::Error),
    /// Another kind of file.
    #[error("this is no backup of crosscheck")]
    Foreign,
    /// Written by a newer program.
    #[error("the backup has format {0}, this program knows {VERSION}: update crosscheck")]
    Version(u8),
    /// The end is missing.
    #[error("the backup is cut short: it was not written to its end")]
    CutShort,
    /// Bytes were changed.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// The coordinator cannot make one now.
    #[error("{0}")]
    NotNow(String),
}

impl Replica {
    /// The bytes of a backup as this coordinator stands now. An error ends them before their end,
    /// which whoever reads them notices.
    ///
    /// # Errors
    /// The history is not complete here.
    pub async fn backup(
        &self,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static, BackupError> {
        if !self.is_caught_up() {
            let what = "this coordinator is still fetching its history: ask another one";
            return Err(BackupError::NotNow(what.to_owned()));
        }
        let (state, index) = self.view();
        // The measurements of the last entry may still be on their way to the history.
        let mut commits = self.commits();
        let ended = || BackupError::NotNow("this coordinator is stopping".to_owned());
        commits.wait_for(|(applied, _)| *applied >= index).await.map_err(|_| ended())?;
        let kept = self.history().flush().await;
        let kept = kept.map_err(|error| BackupError::NotNow(error.to_string()))?;
        if kept < index {
            return Err(BackupError::NotNow("the history is behind: try again".to_owned()));
        }
        let (cluster, at) = (state.cluster.clone(), state.now);
        let version = crate::cluster::VERSION.to_owned();
        let head = Frame::Head(Head { cluster, index, at, version });
        let state = snapshot::encode(&state).map_err(io::Error::other)?;
        let mut writer = Writer::default();
        let mut begin = writer.begin();
        begin.extend(writer.frame(&head)?);
        begin.extend(writer.frame(&Frame::State(Blob(state.into())))?);
        let rest = Rest {
            replica: self.clone(),
            writer,
            next: Next::Page(everything(index)),
            raw_from: None,
        };
        let rest = stream::try_unfold(rest, Rest::step);
        Ok(stream::StreamExt::chain(stream::iter([Ok(Bytes::from(begin))]), rest))
    }
}

/// All measurements up to an entry.
fn everything(index: u64) -> Want {
    Want { after: 0, to: index, rollups_from: 0, cursor: Cursor::Rollups(0) }
}

/// What is still to be written.
struct Rest {
    replica: Replica,
    writer: Writer,
    next: Next,
    raw_from: Option<u64>,
}

enum Next {
    Page(Want),
    End,
    Nothing,
}

impl Rest {
    async fn step(mut self) -> io::Result<Option<(Bytes, Self)>> {
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Nothing => Ok(None),
            Next::End => {
                let sum = self.writer.sum();
                let bytes = self.writer.frame(&Frame::End(sum))?;
                Ok(Some((bytes.into(), self)))
            }
            Next::Page(mut want) => {
                let (history, asked) = (self.replica.history().clone(), want.clone());
                let page = tokio::task::spawn_blocking(move || history.page(&asked)).await;
                let page = page.map_err(io::Error::other)?.map_err(io::Error::other)?;
                let page = page.ok_or_else(|| io::Error::other("the history has gone"))?;
                if *self.raw_from.get_or_insert(page.raw_from()) != page.raw_from() {
                    return Err(io::Error::other("old measurements were forgotten meanwhile"));
                }
                self.next = match page.next.clone() {
                    Some(cursor) => {
                        want.cursor = cursor;
                        Next::Page(want)
                    }
                    None => Next::End,
                };
                let bytes = self.writer.frame(&Frame::History(Box::new(page)))?;
                Ok(Some((bytes.into(), self)))
            }
        }
    }
}

/// Makes frames, and sums up what was written.
#[derive(Default)]
struct Writer(Sha256);

impl Writer {
    fn begin(&mut self) -> Vec<u8> {
        let bytes = [MAGIC, &[VERSION]].concat();
        self.0.update(&bytes);
        bytes
    }

    fn frame(&mut self, frame: &Frame) -> io::Result<Vec<u8>> {
        let content = postcard::to_stdvec(frame).map_err(io::Error::other)?;
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(crc32fast::hash(&content).to_le_bytes());
        bytes.extend(content);
        self.0.update(&bytes);
        Ok(bytes)
    }

    fn sum(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

/// Reads frames, and checks each and the whole.
struct Reader<R> {
    from: R,
    sum: Sha256,
}

impl<R: Read> Reader<R> {
    fn new(mut from: R) -> Result<Self, BackupError> {
        let mut begin = [0; MAGIC.len() + 1];
        from.read_exact(&mut begin).map_err(|_| BackupError::Foreign)?;
        match begin.split_last() {
            Some((&VERSION, magic)) if magic == MAGIC => {}
            Some((&version, magic)) if magic == MAGIC => return Err(BackupError::Version(version)),
            _ => return Err(BackupError::Foreign),
        }
        let mut sum = Sha256::new();
        sum.update(begin);
        Ok(Self { from, sum })
    }

    /// The next frame; `None` after the last, when all of it is as it was written.
    fn next(&mut self) -> Result<Option<Frame>, BackupError> {
        let so_far: [u8; 32] = self.sum.clone().finalize().into();
        let mut prefix = [0; 8];
        self.fill(&mut prefix)?;
        let [l0, l1, l2, l3, checksum @ ..] = prefix;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > LONGEST_FRAME {
            return Err(BackupError::Damaged(format!("a frame of {length} bytes")));
        }
        let mut content = Vec::new();
        (&mut self.from).take(length as u64).read_to_end(&mut content)?;
        if content.len() < length {
            return Err(BackupError::CutShort);
        }
        if crc32fast::hash(&content).to_le_bytes() != checksum {
            return Err(BackupError::Damaged("a checksum is wrong".to_owned()));
        }
        let frame = postcard::from_bytes(&content);
        let frame = frame.map_err(|error| BackupError::Damaged(error.to_string()))?;
        self.sum.update(prefix);
        self.sum.update(&content);
        match frame {
            Frame::End(sum) if sum == so_far => Ok(None),
            Frame::End(_) => Err(BackupError::Damaged("the sum of all is wrong".to_owned())),
            frame => Ok(Some(frame)),
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        self.from.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BackupError::CutShort,
            _ => BackupError::Io(error),
        })
    }
}
