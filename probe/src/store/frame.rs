//! One record in a file: length, checksum, content (postcard).

use crosscheck_model::Observation;
use serde::{Deserialize, Serialize};

use crate::spool::Record;
use crate::state::Weight;

/// Every segment begins with this; the last character is the format's version.
pub const HEADER: &[u8; 8] = b"xcspool1";

/// Length and checksum, four bytes each.
const PREFIX: usize = 8;

/// No record is longer: an observation's excerpt is 1 KiB and the rest of it smaller. A larger
/// length is a torn or foreign byte, not a reason to allocate.
const LONGEST: usize = 1 << 20;

#[derive(Serialize)]
struct Written<'a>(u64, u8, &'a Observation);

#[derive(Deserialize)]
struct Read(u64, u8, Observation);

/// Appends a record's bytes; how many.
///
/// # Errors
/// None in practice: an observation has a binary form, of less than 4 GiB.
pub fn write(record: &Record, out: &mut Vec<u8>) -> Result<usize, postcard::Error> {
    let content =
        postcard::to_stdvec(&Written(record.id, record.weight as u8, &record.observation))?;
    let length = u32::try_from(content.len()).map_err(|_| postcard::Error::SerializeBufferFull)?;
    out.extend(length.to_le_bytes());
    out.extend(crc32fast::hash(&content).to_le_bytes());
    out.extend(&content);
    Ok(PREFIX + content.len())
}

/// Where the first whole record begins.
pub fn find(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len()).find(|at| read(&bytes[*at..]).is_some())
}

/// The record at the beginning of `bytes` and its length; `None` when it is not whole.
pub fn read(bytes: &[u8]) -> Option<(Record, usize)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let checksum = u32::from_le_bytes(bytes.get(4..PREFIX)?.try_into().ok()?);
    if length > LONGEST {
        return None;
    }
    let content = bytes.get(PREFIX..PREFIX + length)?;
    if crc32fast::hash(content) != checksum {
        return None;
    }
    let Read(id, weight, observation) = postcard::from_bytes(content).ok()?;
    let weight = match weight {
        0 => Weight::Plain,
        1 => Weight::Repeat,
        2 => Weight::Transition,
        _ => return None,
    };
    Some((Record { id, weight, observation }, PREFIX + length))
}
