//! A mail that came, taken apart: header fields, the text part, the HTML part (RFC 5322, 2045 to
//! 2047; as much of them as this program's own mails use).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Its subject.
    pub(super) subject: String,
    /// The other header fields that are worth a look, in their order.
    pub(super) fields: Vec<(String, String)>,
    /// Its text part.
    pub(super) text: String,
    /// Its HTML part.
    pub(super) html: String,
}

/// The header fields that the page shows.
const SHOWN: [&str; 6] = [
    "to",
    "message-id",
    "x-crosscheck-incident",
    "x-crosscheck-event",
    "x-crosscheck-check",
    "in-reply-to",
];

impl Message {
    /// Takes a mail apart; its lines end with CRLF.
    pub(super) fn parse(mail: &str) -> Self {
        let part = Part::of(mail);
        let mut message = Self {
            subject: words(part.field("subject").unwrap_or_default()),
            fields: part
                .fields
                .iter()
                .filter(|(name, _)| SHOWN.contains(&&*name.to_ascii_lowercase()))
                .map(|(name, value)| (name.clone(), words(value)))
                .collect(),
            ..Self::default()
        };
        let kind = part.field("content-type").unwrap_or_default();
        match attribute(kind, "boundary") {
            Some(boundary) => {
                for piece in pieces(part.body, boundary) {
                    message.take(&Part::of(piece));
                }
            }
            None => message.take(&part),
        }
        message
    }

    /// A header field's value.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        find(&self.fields, name)
    }

    fn take(&mut self, part: &Part<'_>) {
        let kind = part.field("content-type").unwrap_or("text/plain").to_ascii_lowercase();
        if kind.starts_with("text/html") {
            self.html = part.decoded();
        } else if kind.starts_with("text/plain") {
            self.text = part.decoded();
        }
    }
}

/// A mail or a part of one.
struct Part<'a> {
    fields: Vec<(String, String)>,
    body: &'a str,
}

impl<'a> Part<'a> {
    fn of(text: &'a str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let pair = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        };
        Self { fields: unfolded.split("\r\n").filter_map(pair).collect(), body }
    }

    fn field(&self, name: &str) -> Option<&str> {
        find(&self.fields, name)
    }

    fn decoded(&self) -> String {
        let encoding = self.field("content-transfer-encoding").unwrap_or("7bit");
        let bytes = match encoding.to_ascii_lowercase().as_str() {
            "quoted-printable" => unquoted(self.body),
            "base64" => {
                let packed: String = self.body.split_whitespace().collect();
                STANDARD.decode(packed).unwrap_or_default()
            }
            _ => self.body.as_bytes().to_vec(),
        };
        String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
    }
}

fn find<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
}

/// `boundary` of `multipart/alternative; boundary="x"`.
fn attribute<'a>(kind: &'a str, name: &str) -> Option<&'a str> {
    kind.split(';').find_map(|piece| {
        let (key, value) = piece.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim_matches('"'))
    })
}

/// The parts between the boundary's lines.
fn pieces<'a>(body: &'a str, boundary: &str) -> Vec<&'a str> {
    let line = format!("--{boundary}");
    let pieces = body.split(&*line).skip(1).take_while(|piece| !piece.starts_with("--"));
    pieces.map(|piece| piece.trim_start_matches("\r\n")).collect()
}

/// Quoted-printable (RFC 2045, 6.7).
fn unquoted(text: &str) -> Vec<u8> {
    let joined = text.replace("=\r\n", "");
    let mut bytes = Vec::with_capacity(joined.len());
    let mut rest = joined.as_bytes();
    while let [first, tail @ ..] = rest {
        match hex(first, tail) {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

/// `=C3`, and what follows it.
fn hex<'a>(first: &u8, tail: &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (b'=', [high, low, after @ ..]) = (first, tail) else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|it| u8::try_from(it).ok());
    Some((digit(high)? << 4 | digit(low)?, after))
}

/// Encoded words (RFC 2047) into text.
fn words(value: &str) -> String {
    let mut text = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("=?") {
        let Some((word, after)) = encoded_word(after) else {
            text.push_str(before);
            text.push_str("=?");
            rest = after;
            continue;
        };
        // White space between two encoded words is no part of the text.
        if !before.trim().is_empty() || text.is_empty() {
            text.push_str(before);
        }
        text.push_str(&word);
        rest = after;
    }
    text + rest
}

/// `utf-8?B?...?=`, decoded, and what follows it.
fn encoded_word(text: &str) -> Option<(String, &str)> {
    let (_, text) = text.split_once('?')?;
    let (encoding, text) = text.split_once('?')?;
    let (content, rest) = text.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => STANDARD.decode(content).ok()?,
        "Q" | "q" => unquoted(&content.replace('_', " ")),
        _ => return None,
    };
    Some((String::from_utf8_lossy(&bytes).into_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: <a@example.com>\r\nTo: <ops@example.com>\r\n\
        Subject: =?utf-8?B?W0RPV05dIA==?=\r\n =?utf-8?Q?caf=C3=A9_=E2=9C=94?=\r\n\
        X-Crosscheck-Incident: 17\r\n\
        Content-Type: multipart/alternative; \r\n\tboundary=\"=_x\"\r\n\r\n\
        --=_x\r\nContent-Type: text/plain; charset=\"utf-8\"\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\nsince =\r\n10:02 =E2=80=A6\r\nend\r\n\
        --=_x\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+\r\neDwvYj4=\r\n\
        --=_x--\r\n";

    #[test]
    fn a_mail_of_two_parts_is_taken_apart() {
        let mail = Message::parse(MAIL);
        assert_eq!(mail.subject, "[DOWN] café ✔");
        assert_eq!(mail.field("x-crosscheck-incident"), Some("17"));
        assert_eq!(mail.field("from"), None, "not worth a look");
        assert_eq!(mail.text.trim_end(), "since 10:02 …\nend");
        assert_eq!(mail.html, "<b>x</b>");
    }

    #[test]
    fn what_is_no_encoding_stays() {
        for (value, text) in [("a =? b", "a =? b"), ("=?utf-8?X?y?=", "=?utf-8?X?y?="), ("", "")] {
            assert_eq!(words(value), text);
        }
        assert_eq!(unquoted("1=2 =ZZ="), b"1=2 =ZZ=");
        assert_eq!(Message::parse(""), Message::default());
    }
}
