//! The state as bytes: a format version, then postcard. A stored format: a new version may be
//! added, an old one must stay readable. Bytes that do not parse are an error, never "no state".

use crate::state::State;

/// The version written.
const VERSION: u8 = 1;

/// Why bytes are no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The first byte names a version that this program does not know.
    #[error("snapshot version {0} is not known to this program; was it written by a newer one?")]
    Version(u8),
    /// Nothing, not even a version.
    #[error("the snapshot is empty")]
    Empty,
    /// The content does not parse.
    #[error("the snapshot is damaged: {0}")]
    Damaged(#[from] postcard::Error),
}

/// The state as bytes. The same state gives the same bytes on every replica.
///
/// # Errors
/// None in practice: every part of the state has a binary form.
pub fn encode(state: &State) -> Result<Vec<u8>, SnapshotError> {
    Ok(postcard::to_extend(state, vec![VERSION])?)
}

/// The state that the bytes hold.
///
/// # Errors
/// [`SnapshotError`]: the node must stop, not start empty.
pub fn decode(bytes: &[u8]) -> Result<State, SnapshotError> {
    match bytes.split_first() {
        None => Err(SnapshotError::Empty),
        Some((&VERSION, rest)) => Ok(postcard::from_bytes(rest)?),
        Some((&version, _)) => Err(SnapshotError::Version(version)),
    }
}
