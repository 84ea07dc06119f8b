//! The state as bytes: the level of its form, then postcard. A stored format: a new form may be
//! added, an old one must stay readable, and written as long as the cluster is at its level. Bytes
//! that do not parse are an error, never "no state".

use crosscheck_model::ProbeId;

use crate::level::{self, Newer};
use crate::state::State;

/// Why bytes are no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A newer program has written it.
    #[error("the snapshot cannot be read: {0}")]
    Newer(#[from] Newer),
    /// Nothing, not even a level.
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
    Ok(postcard::to_extend(state, vec![state.level()])?)
}

/// The state that the bytes hold.
///
/// # Errors
/// [`SnapshotError`]: the node must stop, not start empty.
pub fn decode(bytes: &[u8]) -> Result<State, SnapshotError> {
    let (&found, rest) = bytes.split_first().ok_or(SnapshotError::Empty)?;
    level::admit(found, level::NEWEST)?;
    let mut state: State = postcard::from_bytes(rest)?;
    share_names(&mut state);
    Ok(state)
}

/// Has equal names share one text again; see [`crosscheck_model::ids`].
fn share_names(state: &mut State) {
    let State { checks, probes, .. } = state;
    let shared =
        |id: &ProbeId| probes.get_key_value(id).map_or_else(|| id.clone(), |(id, _)| id.clone());
    for check in checks.values_mut() {
        check.assigned = check.assigned.iter().map(shared).collect();
        let votes = std::mem::take(&mut check.votes);
        check.votes = votes.into_iter().map(|(id, vote)| (shared(&id), vote)).collect();
    }
}
