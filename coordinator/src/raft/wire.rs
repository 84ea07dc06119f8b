//! What stands in the log and travels between coordinators: openraft's types and our bytes.

use std::fmt;

use bytes::Bytes;
use crosscheck_core::Reply;
use crosscheck_core::command::Stamped;
use openraft::impls::{BasicNode, leader_id_std};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

openraft::declare_raft_types!(
    /// openraft's types, chosen. One leader a term: the outbox's claims name the term.
    pub Types:
        D = Proposal,
        R = Answered,
        NodeId = u64,
        Node = BasicNode,
        LeaderId = leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = super::runtime::Runtime,
);

/// The version of a proposal's bytes. A stored format: `Command` is add-only within it.
const FORMAT: u8 = 1;

/// A stamped command as bytes: encoded once by the leader, decoded once by each replica.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal(Blob);

/// Bytes that this program does not understand.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A newer version of crosscheck has written it.
    #[error("it has format {0}, this program knows {FORMAT}: update crosscheck on this node")]
    Version(u8),
    /// The bytes make no sense.
    #[error("it is damaged: {0}")]
    Encoding(#[from] postcard::Error),
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// The bytes are not those that were written, or not in their place.
    #[error("its checksum is wrong")]
    Checksum,
}

impl Proposal {
    /// The command's bytes.
    pub fn encode(stamped: &Stamped) -> Result<Self, FormatError> {
        Ok(Self(Blob(postcard::to_extend(stamped, vec![FORMAT])?.into())))
    }

    /// Bytes of a format that does not exist.
    #[cfg(test)]
    pub(crate) fn nonsense() -> Self {
        Self(Blob(Bytes::from_static(&[9, 0])))
    }

    /// The command.
    pub fn decode(&self) -> Result<Stamped, FormatError> {
        match self.0.0.split_first() {
            Some((&FORMAT, rest)) => Ok(postcard::from_bytes(rest)?),
            Some((&other, _)) => Err(FormatError::Version(other)),
            None => Err(FormatError::Empty),
        }
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command of {} bytes", self.0.0.len())
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Bytes, to be read and written at once: a `Vec<u8>` would be taken one number at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Blob(pub(crate) Bytes);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BlobVisitor)
    }
}

struct BlobVisitor;

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(Blob(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Blob, E> {
        Ok(Blob(bytes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Blob, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(Blob(bytes.into()))
    }
}

/// What applying an entry gave; `None` for Raft's own entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered(pub(crate) Option<Reply>);

/// A value on the disk: format, postcard, CRC-32 over both and over the place it belongs to, so
/// that a record that was moved is as bad as one that was changed.
///
/// # Errors
/// The value has no binary form.
pub fn seal<T: Serialize>(place: u64, value: &T) -> Result<Vec<u8>, FormatError> {
    let mut bytes = postcard::to_extend(value, vec![FORMAT])?;
    let checksum = checksum(place, &bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// The value that [`seal`] wrote at `place`.
///
/// # Errors
/// [`FormatError`]: whoever reads must stop, not go on without it.
pub fn unseal<T: for<'a> Deserialize<'a>>(place: u64, bytes: &[u8]) -> Result<T, FormatError> {
    let (body, trailer) = bytes.split_last_chunk::<4>().ok_or(FormatError::Empty)?;
    if checksum(place, body) != u32::from_le_bytes(*trailer) {
        return Err(FormatError::Checksum);
    }
    match body.split_first() {
        Some((&FORMAT, rest)) => Ok(postcard::from_bytes(rest)?),
        Some((&other, _)) => Err(FormatError::Version(other)),
        None => Err(FormatError::Empty),
    }
}

fn checksum(place: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use crosscheck_core::Command;
    use crosscheck_model::Timestamp;

    use super::*;

    #[test]
    fn a_proposal_comes_back_and_another_format_is_refused() {
        let stamped = Stamped { at: Timestamp::from_millis(5), command: Command::Tick };
        let proposal = Proposal::encode(&stamped).expect("encodes");
        let bytes = postcard::to_stdvec(&proposal).expect("encodes");
        let back: Proposal = postcard::from_bytes(&bytes).expect("decodes");
        assert_eq!(back.decode().expect("decodes"), stamped);
        assert!(matches!(Proposal::nonsense().decode(), Err(FormatError::Version(9))));
    }

    #[test]
    fn a_changed_or_moved_record_is_noticed() {
        let sealed = seal(7, &"some text").expect("encodes");
        assert_eq!(unseal::<String>(7, &sealed).expect("whole"), "some text");
        assert!(matches!(unseal::<String>(8, &sealed), Err(FormatError::Checksum)));
        for i in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[i] ^= 1;
            assert!(unseal::<String>(7, &damaged).is_err(), "byte {i}");
        }
    }
}
