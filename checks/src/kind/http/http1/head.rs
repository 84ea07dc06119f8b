//! The head of a request, as it is written, and of an answer, as it is read.

use std::io::Write;
use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header, response,
};
use httparse::{ParserConfig, Status};

use super::{Broken, HEAD_LIMIT_BYTES};

/// More fields than servers send.
const FIELDS_LIMIT: usize = 100;

/// The request as it goes over the wire. The body's length is told where there may be one.
pub(super) fn written(request: Request<Bytes>) -> impl Buf {
    /// Room for most heads.
    const USUAL_BYTES: usize = 512;
    let (parts, body) = request.into_parts();
    let mut out = Vec::with_capacity(USUAL_BYTES);
    // Writing into memory cannot fail.
    let _ = write!(out, "{} {} HTTP/1.1\r\n", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    // Of a method that means something by content, its lack is told as well (RFC 9110 section 8.6).
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method);
    let tells_length = expects_body || !body.is_empty();
    if tells_length && !parts.headers.contains_key(header::CONTENT_LENGTH) {
        let _ = write!(out, "content-length: {}\r\n", body.len());
    }
    out.extend_from_slice(b"\r\n");
    if body.len() <= USUAL_BYTES {
        // In one segment with its head.
        out.extend_from_slice(&body);
        return Bytes::from(out).chain(Bytes::new());
    }
    Bytes::from(out).chain(body)
}

/// Finds the head in what comes. A head that trickles in is not read anew at each byte: only when
/// it has an end, or has doubled.
#[derive(Default)]
pub(super) struct Reader {
    /// So much has been searched for the end.
    searched: usize,
    /// So much had come when it was read last.
    read: usize,
}

impl Reader {
    /// The head, taken from the buffer; `None`: more must come.
    ///
    /// # Errors
    /// It is none, or is too large.
    pub(super) fn read(
        &mut self,
        buffer: &mut BytesMut,
    ) -> Result<Option<response::Parts>, Broken> {
        loop {
            let may_be_whole = self.has_end(buffer) || buffer.len() >= 2 * self.read;
            if !may_be_whole || buffer.is_empty() {
                break;
            }
            self.read = buffer.len();
            let Some((parts, length)) = parse(buffer)? else { break };
            if length > HEAD_LIMIT_BYTES {
                return Err(Broken::HeadTooLarge);
            }
            *self = Self::default();
            let head = buffer.split_to(length).freeze();
            let parts = parts.owned(&head)?;
            if !parts.status.is_informational() || parts.status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(Some(parts));
            }
        }
        if buffer.len() > HEAD_LIMIT_BYTES { Err(Broken::HeadTooLarge) } else { Ok(None) }
    }

    /// What it means that the connection ended here.
    pub(super) fn ended(&self, buffer: &BytesMut) -> Broken {
        parse(buffer).err().unwrap_or(Broken::Closed)
    }

    /// Whether an empty line has come since the last look; CR may be missing (RFC 9112 section 2.2).
    fn has_end(&mut self, buffer: &BytesMut) -> bool {
        let from = self.searched.saturating_sub(2);
        self.searched = buffer.len();
        let new = &buffer[from.min(buffer.len())..];
        let mut ends = new.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        ends.any(|(at, _)| matches!(new[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
    }
}

/// A head whose words are places in the buffer.
struct Places {
    status: StatusCode,
    version: Version,
    fields: Vec<(HeaderName, std::ops::Range<usize>)>,
}

/// The head and its length; `None`: more must come.
fn parse(buffer: &[u8]) -> Result<Option<(Places, usize)>, Broken> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_LIMIT];
    let mut head = httparse::Response::new(&mut []);
    let parsed =
        ParserConfig::default().parse_response_with_uninit_headers(&mut head, buffer, &mut room);
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Broken::HeadTooLarge),
        Err(error) => return Err(Broken::malformed(format!("the answer's head: {error}"))),
    };
    let status = StatusCode::from_u16(head.code.unwrap_or_default());
    let status =
        status.map_err(|error| Broken::malformed(format!("the answer's head: {error}")))?;
    let version = if head.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut fields = Vec::with_capacity(head.headers.len());
    for field in head.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|error| Broken::malformed(format!("the answer's head: {error}")))?;
        let start = field.value.as_ptr().addr() - buffer.as_ptr().addr();
        fields.push((name, start..start + field.value.len()));
    }
    Ok(Some((Places { status, version, fields }, length)))
}

impl Places {
    /// The head; its values share the memory that it came in.
    fn owned(self, head: &Bytes) -> Result<response::Parts, Broken> {
        let mut headers = HeaderMap::with_capacity(self.fields.len());
        for (name, place) in self.fields {
            let value = HeaderValue::from_maybe_shared(head.slice(place));
            let value =
                value.map_err(|error| Broken::malformed(format!("the answer's head: {error}")))?;
            // Fails beyond 32,768 fields.
            let _ = headers.try_append(name, value);
        }
        let (mut parts, ()) = http::Response::new(()).into_parts();
        (parts.status, parts.version, parts.headers) = (self.status, self.version, headers);
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head out of what comes in pieces of this size, and what is left.
    fn read(came: &[u8], piece: usize) -> Result<(Option<response::Parts>, Vec<u8>), Broken> {
        let (mut reader, mut buffer, mut head) = (Reader::default(), BytesMut::new(), None);
        for piece in came.chunks(piece) {
            buffer.extend_from_slice(piece);
            if head.is_none() {
                head = reader.read(&mut buffer)?;
            }
        }
        Ok((head, buffer.to_vec()))
    }

    #[test]
    fn a_head_is_found_however_it_comes() {
        for came in [
            "HTTP/1.1 200 OK\r\nX: a\r\nx: b \r\n\r\nbody",
            "HTTP/1.1 200 OK\nX: a\nX:b\n\nbody",
            "\r\n\r\nHTTP/1.1 200\r\nx: a\r\nx: b\r\n\r\nbody",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nX: no\r\n\r\nHTTP/1.0 200 OK\r\nX: a\r\nX: b\r\n\r\nbody",
        ] {
            for piece in [1, 2, 3, 19, came.len()] {
                let (head, rest) = read(came.as_bytes(), piece).expect("well-formed");
                let head = head.unwrap_or_else(|| panic!("{came:?} by {piece}"));
                assert_eq!(head.status, StatusCode::OK);
                let values: Vec<_> = head.headers.get_all("x").iter().collect();
                assert_eq!(values, ["a", "b"], "{came:?} by {piece}");
                assert_eq!(rest, b"body");
            }
        }
    }

    #[test]
    fn what_is_no_head_is_told_soon() {
        for came in ["220 mail.test ESMTP\r\n", "HTTP/3 200\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n"] {
            let broken = read(came.as_bytes(), came.len()).err();
            assert!(matches!(broken, Some(Broken::Malformed(_))), "{came:?}: {broken:?}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(HEAD_LIMIT_BYTES));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(FIELDS_LIMIT + 1));
        for came in [long, many] {
            for piece in [1000, came.len()] {
                let broken = read(came.as_bytes(), piece).err();
                assert!(matches!(broken, Some(Broken::HeadTooLarge)), "{broken:?}");
            }
        }
        let reader = Reader::default();
        assert!(matches!(reader.ended(&BytesMut::from("HTTP/1.1 2")), Broken::Closed));
        assert!(matches!(reader.ended(&BytesMut::from("hello")), Broken::Malformed(_)));
    }

    #[test]
    fn a_request_says_what_its_body_has() {
        let request = |method: &str, body: &'static [u8]| {
            let request = Request::builder().method(method).uri("/a?b").header("host", "x");
            let mut written = written(request.body(Bytes::from(body)).expect("well-formed"));
            let bytes = written.copy_to_bytes(written.remaining());
            String::from_utf8(bytes.to_vec()).expect("text")
        };
        assert_eq!(request("GET", b""), "GET /a?b HTTP/1.1\r\nhost: x\r\n\r\n");
        let wanted = "POST /a?b HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(request("POST", b""), wanted);
        let wanted = "POST /a?b HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi";
        assert_eq!(request("POST", b"hi"), wanted);
        let long = request("POST", &[b'x'; 5000]);
        assert!(long.contains("content-length: 5000\r\n\r\nxxx") && long.ends_with("xxx"));
    }
}
