//! What stands in the log and travels between coordinators: openraft's types and our bytes.

use std::fmt;

use bytes::Bytes;
use crosscheck_core::Reply;
use crosscheck_core::command::Stamped;
use crosscheck_core::level::{self, Level, Newer};
use openraft::impls::{BasicNode, leader_id_std};
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
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

/// The level of what this program writes beside commands and the state: see
/// [`crosscheck_core::level`]. A stored format.
const FORMAT: Level = level::FIRST;

/// A stamped command as bytes, behind the level that a reader must know: encoded once by the
/// leader, decoded once by each replica.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal(Blob);

/// Bytes that this program does not understand.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A newer version of crosscheck has written it.
    #[error(transparent)]
    Newer(#[from] Newer),
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
        let level = stamped.command.level();
        Ok(Self(Blob(postcard::to_extend(stamped, vec![level])?.into())))
    }

    /// Bytes of a format that does not exist.
    #[cfg(test)]
    pub(crate) fn nonsense() -> Self {
        Self(Blob(Bytes::from_static(&[9, 0])))
    }

    /// The command, for a program that knows the levels up to `known`.
    pub fn decode(&self, known: Level) -> Result<Stamped, FormatError> {
        let (&found, rest) = self.0.0.split_first().ok_or(FormatError::Empty)?;
        level::admit(found, known)?;
        Ok(postcard::from_bytes(rest)?)
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

/// A value on the disk: level, postcard, CRC-32 over both and over the place it belongs to, so
/// that a record that was moved is as bad as one that was changed.
///
/// # Errors
/// The value has no binary form.
pub fn seal<T: Serialize>(place: u64, value: &T) -> Result<Vec<u8>, FormatError> {
    seal_at(FORMAT, place, value)
}

/// The same, of a value that has the form of a level.
pub(crate) fn seal_at<T: Serialize>(
    level: Level,
    place: u64,
    value: &T,
) -> Result<Vec<u8>, FormatError> {
    let mut bytes = postcard::to_extend(value, vec![level])?;
    let checksum = checksum(place, &bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// The value that [`seal`] wrote at `place`.
///
/// # Errors
/// [`FormatError`]: whoever reads must stop, not go on without it.
pub fn unseal<T: for<'a> Deserialize<'a>>(place: u64, bytes: &[u8]) -> Result<T, FormatError> {
    unseal_up_to(FORMAT, place, bytes)
}

/// The value that [`seal_at`] wrote at `place`, for a program that knows the levels up to `known`.
pub(crate) fn unseal_up_to<T: for<'a> Deserialize<'a>>(
    known: Level,
    place: u64,
    bytes: &[u8],
) -> Result<T, FormatError> {
    let (body, trailer) = bytes.split_last_chunk::<4>().ok_or(FormatError::Empty)?;
    if checksum(place, body) != u32::from_le_bytes(*trailer) {
        return Err(FormatError::Checksum);
    }
    let (&found, rest) = body.split_first().ok_or(FormatError::Empty)?;
    level::admit(found, known)?;
    Ok(postcard::from_bytes(rest)?)
}

/// A message to another coordinator: the level that it must know, and postcard.
pub(super) fn pack<T: Serialize>(level: Level, value: &T) -> Result<Vec<u8>, FormatError> {
    Ok(postcard::to_extend(value, vec![level])?)
}

/// What a message says, for a program that knows the levels up to `known`.
///
/// # Errors
/// [`FormatError`]: it is of a newer level, or damaged.
pub fn unpack<T: DeserializeOwned>(known: Level, bytes: &[u8]) -> Result<T, FormatError> {
    let (&found, rest) = bytes.split_first().ok_or(FormatError::Empty)?;
    level::admit(found, known)?;
    Ok(postcard::from_bytes(rest)?)
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
        assert_eq!(back.decode(level::NEWEST).expect("decodes"), stamped);
        let refused = Proposal::nonsense().decode(level::NEWEST).expect_err("no such level");
        assert!(matches!(refused, FormatError::Newer(Newer { found: 9, .. })), "{refused}");
    }

    #[test]
    fn a_command_is_written_at_its_own_level_and_read_from_there_on() {
        let key = crosscheck_core::outbox::Key([7; 16]);
        let command = Command::Release { key, attempt: 3 };
        let stamped = Stamped { at: Timestamp::from_millis(5), command };
        let proposal = Proposal::encode(&stamped).expect("encodes");
        assert_eq!(proposal.decode(2).expect("decodes"), stamped);
        let refused = proposal.decode(1).expect_err("an earlier program");
        assert!(refused.to_string().contains("update crosscheck"), "{refused}");
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
