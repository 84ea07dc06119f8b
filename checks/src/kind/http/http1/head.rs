//! The head of a request, as it is written, and of an answer, as it is read.

use std::io::Write;
use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Version, header, response};
use httparse::{ParserConfig, Status};

use super::{Broken, HEAD_LIMIT_BYTES};

/// More fields than servers send.
const FIELDS_LIMIT: usize = 100;

/// The request as it goes over the wire. Its length is told where it has a body.
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
    if !body.is_empty() && !parts.headers.contains_key(header::CONTENT_LENGTH) {
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
