//! The chunked transfer coding (RFC 9112 section 7.1), taken from a buffer as far as it has come.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Broken, take};

/// The most that all extensions of a body may have, and the longest line of a size with them.
/// Nobody uses them, but some attacks.
const EXTENSIONS_LIMIT_BYTES: usize = 16 << 10;

/// The most that the trailers may have.
const TRAILERS_LIMIT_BYTES: usize = 16 << 10;

/// More fields than servers send.
const TRAILERS_LIMIT: usize = 100;

/// Digits of a size of 64 bits.
const SIZE_DIGITS: usize = 16;

/// Where in the coding what comes next is.
#[derive(Default)]
enum Place {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Done,
}

/// A body in this coding.
#[derive(Default)]
pub(super) struct Chunks {
    place: Place,
    extensions: usize,
    /// Few bodies have any.
    trailers: Option<Box<HeaderMap>>,
}

impl Chunks {
    /// Whether all has been taken.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.place, Place::Done)
    }

    /// The fields at the end, when that has been reached; once.
    pub(super) fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take().map(|trailers| *trailers)
    }

    /// The next piece of the body; `None`: more must come, or all has been taken.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Broken> {
        loop {
            match &mut self.place {
                Place::Size => match self.size(buffer)? {
                    None => return Ok(None),
                    Some(0) => self.place = Place::Trailers,
                    Some(size) => self.place = Place::Data(size),
                },
                Place::Data(left) => {
                    let taken = take(buffer, *left);
                    *left -= taken.as_ref().map_or(0, Bytes::len) as u64;
                    if *left == 0 {
                        self.place = Place::DataEnd;
                    }
                    return Ok(taken);
                }
                Place::DataEnd => match buffer[..] {
                    [b'\r', b'\n', ..] => {
                        buffer.advance(2);
                        self.place = Place::Size;
                    }
                    [] | [b'\r'] => return Ok(None),
                    _ => return Err(Broken::malformed("a chunk is longer than it says")),
                },
                Place::Trailers => {
                    self.trailers = trailers(buffer)?.map(Box::new);
                    if self.trailers.is_some() {
                        self.place = Place::Done;
                    }
                    return Ok(None);
                }
                Place::Done => return Ok(None),
            }
        }
    }

    /// The size of the next chunk: hexadecimal digits, then perhaps extensions, which say nothing
    /// to this end.
    fn size(&mut self, buffer: &mut BytesMut) -> Result<Option<u64>, Broken> {
        let Some(end) = buffer.iter().position(|byte| *byte == b'\n') else {
            let excess = buffer.len() > EXTENSIONS_LIMIT_BYTES;
            let why = "the line of a chunk's size has no end";
            return if excess { Err(Broken::malformed(why)) } else { Ok(None) };
        };
        let line = buffer.split_to(end + 1);
        let broken = || Broken::malformed("a chunk's size is no size");
        let line = line.strip_suffix(b"\r\n").ok_or_else(broken)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, rest) = line.split_at(digits);
        self.extensions += rest.len();
        if self.extensions > EXTENSIONS_LIMIT_BYTES {
            return Err(Broken::malformed("the extensions of chunks have no end"));
        }
        let is_followed_well = matches!(rest.trim_ascii_start(), [] | [b';', ..]);
        if digits == 0 || digits > SIZE_DIGITS || !is_followed_well {
            return Err(broken());
        }
        let size = str::from_utf8(size).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
        size.map(Some).ok_or_else(broken)
    }
}

/// The fields after the last chunk, up to an empty line; `None`: more must come.
fn trailers(buffer: &mut BytesMut) -> Result<Option<HeaderMap>, Broken> {
    let mut room = [httparse::EMPTY_HEADER; TRAILERS_LIMIT];
    let broken = |why: String| Broken::Malformed(format!("the trailers: {why}"));
    let (length, fields) = match httparse::parse_headers(buffer, &mut room) {
        Ok(httparse::Status::Complete(parsed)) => parsed,
        Ok(httparse::Status::Partial) if buffer.len() <= TRAILERS_LIMIT_BYTES => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(broken("they have no end".to_owned())),
        Err(error) => return Err(broken(error.to_string())),
    };
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|error| broken(error.to_string()))?;
        let value = HeaderValue::from_bytes(field.value);
        trailers.append(name, value.map_err(|error| broken(error.to_string()))?);
    }
    buffer.advance(length);
    Ok(Some(trailers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole body, with what comes cut into pieces of this size, and its trailers.
    fn decoded(coded: &[u8], piece: usize) -> Result<(Vec<u8>, Option<HeaderMap>), Broken> {
        let (mut chunks, mut buffer) = (Chunks::default(), BytesMut::new());
        let mut body = Vec::new();
        for piece in coded.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some(taken) = chunks.take(&mut buffer)? {
                body.extend_from_slice(&taken);
            }
        }
        Ok((body, chunks.trailers()))
    }

    #[test]
    fn chunks_are_joined_however_they_come() {
        let coded = b"5\r\nhello\r\n1;name=\"v\"\r\n,\r\n0006 \r\n world\r\n0\r\nX-Sum: 3\r\n\r\n";
        for piece in [1, 2, 3, 7, coded.len()] {
            let (body, trailers) = decoded(coded, piece).expect("well-formed");
            assert_eq!(body, b"hello, world", "{piece}");
            let trailers = trailers.expect("it has ended");
            assert_eq!(trailers.get("x-sum").map(HeaderValue::as_bytes), Some(&b"3"[..]));
        }
        let (body, trailers) = decoded(b"0\r\n\r\n", 1).expect("well-formed");
        assert!(body.is_empty() && trailers.is_some_and(|trailers| trailers.is_empty()));
        let (_, trailers) = decoded(b"1\r\nx\r\n0\r\n", 2).expect("so far");
        assert!(trailers.is_none(), "the end is not reached");
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let endless = [b"1;".as_slice(), &[b'a'; EXTENSIONS_LIMIT_BYTES]].concat();
        let many = b"1;aaaaaaaaaaaaaaa\r\nx\r\n".repeat(EXTENSIONS_LIMIT_BYTES / 16 + 1);
        let trailers = [b"0\r\n".as_slice(), &b"X: y\r\n".repeat(101)].concat();
        for coded in [
            &b"\r\n"[..],
            b"+5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"5\nhello\r\n",
            b"5 5\r\nhello\r\n",
            b"5\r\nhelloo\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"00000000000000005\r\nhello\r\n",
            b"0\r\nno field\r\n\r\n",
            &endless,
            &many,
            &trailers,
        ] {
            for piece in [1, 4096] {
                assert!(decoded(coded, piece).is_err(), "{}", String::from_utf8_lossy(coded));
            }
        }
    }
}
