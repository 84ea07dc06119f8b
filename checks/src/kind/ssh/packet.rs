//! Packets of SSH before encryption (RFC 4253, 6) and the fields within (RFC 4251, 5).

use crosscheck_model::Cause;

use crate::dialogue::Dialogue;
use crate::resolve::Failure;

/// The longest packet that must be understood (RFC 4253, 6.1).
const LIMIT_BYTES: usize = 35_000;

/// The shortest there can be.
const LEAST_BYTES: usize = 12;

/// Packets are multiples of this.
const BLOCK_BYTES: usize = 8;

/// How many messages that mean nothing are passed over.
const IDLE_LIMIT: usize = 32;

const DISCONNECT: u8 = 1;
const IGNORE: u8 = 2;
const DEBUG: u8 = 4;

/// Sends a payload.
pub(super) async fn send(payload: &[u8], dialogue: &mut Dialogue) -> Result<(), Failure> {
    let bare = 5 + payload.len();
    let mut padding = BLOCK_BYTES - bare % BLOCK_BYTES;
    if padding < 4 {
        padding += BLOCK_BYTES;
    }
    let length = u32::try_from(1 + payload.len() + padding).unwrap_or(u32::MAX);
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).unwrap_or(u8::MAX));
    packet.extend_from_slice(payload);
    packet.resize(packet.len() + padding, 0);
    dialogue.say(&packet).await
}

/// Hears the next payload that means something.
pub(super) async fn hear(dialogue: &mut Dialogue) -> Result<Vec<u8>, Failure> {
    for _ in 0..IDLE_LIMIT {
        let length = dialogue.exactly(4).await?;
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        if !(LEAST_BYTES..=LIMIT_BYTES).contains(&length) {
            return Err(broken(format!("a packet of {length} bytes")));
        }
        let packet = dialogue.exactly(length).await?;
        let padding = packet.first().map_or(0, |padding| usize::from(*padding));
        let payload = packet.get(1..length - padding.min(length)).unwrap_or_default();
        match payload.first() {
            None => return Err(broken("a packet that is all padding")),
            Some(&(IGNORE | DEBUG)) => {}
            Some(&DISCONNECT) => {
                let mut fields = Fields(&payload[1..]);
                let text = fields.number().and_then(|_| fields.string()).unwrap_or_default();
                let detail = format!("the server disconnects: {}", String::from_utf8_lossy(text));
                return Err(Failure::new(Cause::ServerError, detail));
            }
            Some(_) => return Ok(payload.to_vec()),
        }
    }
    Err(broken(format!("{IDLE_LIMIT} messages that mean nothing")))
}

/// The failure of a server that does not speak SSH well.
pub(super) fn broken(detail: impl Into<String>) -> Failure {
    Failure::new(Cause::Protocol, detail)
}

/// The fields of a message, taken one by one; `None` when it ends early.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// So many bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A number of four bytes.
    pub(super) fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes(4)?.try_into().ok()?))
    }

    /// A string, which may be any bytes.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.bytes(usize::try_from(length).ok()?)
    }

    /// A positive number of any length, big endian, without the zero that tells it from a
    /// negative one.
    pub(super) fn unsigned(&mut self) -> Option<&'a [u8]> {
        let bytes = self.string()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(&bytes[zeros..])
    }
}

/// Writes a string.
pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Writes a positive number, big endian.
pub(super) fn put_unsigned(out: &mut Vec<u8>, bytes: &[u8]) {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut number = bytes[zeros..].to_vec();
    if number.first().is_some_and(|first| first & 0x80 != 0) {
        number.insert(0, 0);
    }
    put_string(out, &number);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_and_read_as_rfc_4251_shows() {
        for (number, written) in [
            (&[][..], &[0, 0, 0, 0][..]),
            (&[0, 0], &[0, 0, 0, 0]),
            (&[0x80], &[0, 0, 0, 2, 0, 0x80]),
            (&[0x09, 0xa3], &[0, 0, 0, 2, 0x09, 0xa3]),
            (&[0, 0x7f], &[0, 0, 0, 1, 0x7f]),
        ] {
            let mut out = Vec::new();
            put_unsigned(&mut out, number);
            assert_eq!(out, written);
            let read = Fields(&out).unsigned().expect("whole");
            assert_eq!(read, &number[number.iter().take_while(|b| **b == 0).count()..]);
        }
        assert_eq!(Fields(&[0, 0, 0, 9, 1]).string(), None);
        assert_eq!(Fields(&[255, 255, 255, 255]).string(), None);
        assert_eq!(Fields(&[0, 0]).number(), None);
    }
}
