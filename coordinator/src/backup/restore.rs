//! A backup becomes a new cluster of one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crosscheck_checks::clock;
use crosscheck_core::{State, snapshot};

use super::{BackupError, Frame, Head, Reader, everything};
use crate::access::{Authority, AuthorityError, KeyError, MemberKey, Passphrase};
use crate::cluster::identity::{Identity, IdentityError};
use crate::cluster::init::FIRST;
use crate::fatal::Fatal;
use crate::history::{History, HistoryError};
use crate::raft::{StartError, plant};
use crate::settings::Settings;

/// The authority of the new cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vouching<'a> {
    /// Seals its key.
    pub passphrase: Option<&'a Passphrase>,
    /// The old cluster's, as one of its coordinators had it; `None`: a new one.
    pub kept: Option<&'a Path>,
    /// Opens that file.
    pub opens: Option<&'a Passphrase>,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// What the backup is of.
    pub head: Head,
    /// Who this machine is now.
    pub identity: Identity,
    /// How many notifications were owed then and are not sent.
    pub withheld: usize,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The data directory.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The authority cannot be made or taken over.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The member's key cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The log or the snapshot cannot be written.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The measurements cannot be written.
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// Makes the empty data directory the first member's of a new cluster that stands where the
/// backup was made, with the authority of the old one if that was kept. `progress` hears how many
/// bytes of the file are used.
///
/// # Errors
/// The file cannot be used, or the directory is not empty.
pub async fn restore(
    settings: &Settings,
    file: &Path,
    authority: Vouching<'_>,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Restored, RestoreError> {
    inspect(file)?;
    Identity::claim(&settings.data)?;
    let Vouching { passphrase, kept, opens } = authority;
    match kept {
        Some(kept) => Authority::adopt(&settings.data, passphrase, kept, opens)?,
        None => Authority::create(&settings.data, passphrase, clock::wall())?,
    };
    let key = MemberKey::generate()?;
    key.keep(&settings.data)?;
    let mut read = 0;
    let counted = Counted { inner: open(file)?, read: &mut read };
    let mut reader = Reader::new(counted)?;
    let (head, state) = beginning(&mut reader)?;
    let cluster = format!("{:032x}", rand::random::<u128>());
    let (state, withheld) = state.restored(cluster.clone(), FIRST, key.fingerprint());
    let history = History::open(&settings.data, Fatal::exit())?;
    history.lack(head.index).await?;
    let (want, mut first) = (everything(head.index), None);
    while let Some(frame) = reader.next()? {
        let Frame::History(page) = frame else { return Err(unexpected().into()) };
        if !history.fill(&want, *page, &mut first).await? {
            return Err(unexpected().into());
        }
        progress(*reader.from.read);
    }
    if history.wanted().is_some() {
        return Err(BackupError::CutShort.into());
    }
    history.flush().await?;
    plant(&settings.data, FIRST, &settings.raft_url(), state, head.index).await?;
    let identity = Identity::new(FIRST, cluster, BTreeMap::new(), BTreeMap::new());
    identity.write(&settings.data)?;
    Ok(Restored { head, identity, withheld })
}

/// Checks all of a file: what it is a backup of.
///
/// # Errors
/// It cannot be used.
pub fn inspect(file: &Path) -> Result<Head, BackupError> {
    check(open(file)?)
}

fn open(file: &Path) -> Result<BufReader<File>, BackupError> {
    Ok(BufReader::new(File::open(file)?))
}

/// Reads all of it once: what it is a backup of.
///
/// # Errors
/// It cannot be used.
pub fn check(file: impl Read) -> Result<Head, BackupError> {
    let mut reader = Reader::new(file)?;
    let (head, _) = beginning(&mut reader)?;
    while reader.next()?.is_some() {}
    Ok(head)
}

fn beginning<R: Read>(reader: &mut Reader<R>) -> Result<(Head, State), BackupError> {
    let Some(Frame::Head(head)) = reader.next()? else { return Err(unexpected()) };
    let Some(Frame::State(bytes)) = reader.next()? else { return Err(unexpected()) };
    let state = snapshot::decode(&bytes.0);
    Ok((head, state.map_err(|error| BackupError::Damaged(error.to_string()))?))
}

fn unexpected() -> BackupError {
    BackupError::Damaged("its parts are not in order".to_owned())
}

/// Counts what is read.
struct Counted<'a, R> {
    inner: R,
    read: &'a mut u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(bytes)?;
        *self.read += read as u64;
        Ok(read)
    }
}
