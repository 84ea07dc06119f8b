//! A mail from its words: header fields, a text and an HTML part (RFC 5322, 2045, 2046).
//!
//! The same words compose to the same bytes every time, on every node: nothing here is random and
//! no clock is read. Bodies are always quoted-printable, so that no relay breaks a line and no
//! text can look like the end of the mail.

use crosscheck_model::Timestamp;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Field;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::date::Date;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::mime::{BodyPart, MimePart};

use super::address::{Address, Mailbox};
use super::line::{cut, one_line};

/// The longest subject, in characters: what a telephone shows of it is shorter still.
const SUBJECT_LIMIT_CHARS: usize = 120;

/// The words of a mail.
#[derive(Debug)]
pub struct Message<'a> {
    /// Tells it from all others, and is the same in each copy: letters and digits. The sender's
    /// domain is added to it.
    pub id: String,
    /// The id of the mail that it belongs under.
    pub thread: Option<String>,
    /// The sender.
    pub from: &'a Mailbox,
    /// Whom the header names.
    pub to: &'a [Address],
    /// The subject.
    pub subject: String,
    /// When it was decided to write it.
    pub at: Timestamp,
    /// Further header fields.
    pub fields: Vec<(&'static str, FieldText)>,
    /// The text.
    pub text: String,
    /// The same for programs that show HTML.
    pub html: Option<String>,
}

/// The content of a header field.
#[derive(Debug)]
pub enum FieldText {
    /// ASCII of our own.
    Plain(String),
    /// Somebody's words; encoded where they are not ASCII (RFC 2047).
    Words(String),
}

impl Message<'_> {
    /// The mail; its lines end with CRLF.
    pub fn compose(&self) -> Vec<u8> {
        let id = |key: &str| format!("{key}@{}", self.from.address.domain());
        let to = self.to.iter().map(|to| Field::new_address(None::<&str>, to.as_str()));
        let seconds = i64::try_from(self.at.as_millis() / 1000).unwrap_or(i64::MAX);
        let mut message = MessageBuilder::new()
            .from(Field::new_address(self.from.name.as_deref(), self.from.address.as_str()))
            .to(Field::new_list(to.collect()))
            .subject(cut(&one_line(&self.subject), SUBJECT_LIMIT_CHARS))
            .date(Date::new(seconds))
            .message_id(id(&self.id))
            .header("Auto-Submitted", Raw::new("auto-generated"));
        for (name, text) in &self.fields {
            message = match text {
                FieldText::Plain(text) => message.header(*name, Raw::new(one_line(text))),
                FieldText::Words(text) => message.header(*name, Text::new(one_line(text))),
            };
        }
        if let Some(first) = &self.thread {
            message = message.in_reply_to(id(first)).references(id(first));
        }
        let mut parts = vec![part("text/plain", &self.text)];
        parts.extend(self.html.as_deref().map(|html| part("text/html", html)));
        // Quoted-printable never contains `=_`, so the boundary cannot occur in a part
        // (RFC 2045, 6.7).
        let boundary = format!("=_{}", self.id);
        let kind = ContentType::new("multipart/alternative").attribute("boundary", boundary);
        let mut bytes = Vec::new();
        message.body(MimePart::new(kind, BodyPart::Multipart(parts))).serialize(&mut bytes);
        bytes
    }
}

fn part(kind: &'static str, text: &str) -> MimePart<'static> {
    let kind = ContentType::new(kind).attribute("charset", "utf-8");
    MimePart::new(kind, BodyPart::Text(quoted_printable(text).into()))
        .transfer_encoding("quoted-printable")
}

/// RFC 2045, 6.7: an encoded line has at most 76 characters, a soft line break included.
const QP_LINE_CHARS: usize = 76;

/// Encodes text, its lines ended by CRLF.
fn quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 5 / 4);
    for line in text.lines() {
        let mut width = 0;
        let bytes = line.as_bytes();
        for (at, &byte) in bytes.iter().enumerate() {
            let is_last = at + 1 == bytes.len();
            // A dot or a `From ` that begins a line is not left to the care of relays (RFC 2049, 3).
            let is_delicate = width == 0 && matches!(byte, b'.' | b'F');
            let as_is = match byte {
                b' ' => !is_last,
                b'=' => false,
                _ => byte.is_ascii_graphic() && !is_delicate,
            };
            let piece = if as_is { char::from(byte).to_string() } else { format!("={byte:02X}") };
            if width + piece.len() >= QP_LINE_CHARS {
                out.push_str("=\r\n");
                width = 0;
            }
            width += piece.len();
            out.push_str(&piece);
        }
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_printable_follows_the_rfc() {
        for (text, want) in [
            ("a=b", "a=3Db\r\n"),
            ("é", "=C3=A9\r\n"),
            ("ends with a blank \nnext\n", "ends with a blank=20\r\nnext\r\n"),
            ("tab\tand\0nul", "tab=09and=00nul\r\n"),
            ("lone\rreturn", "lone=0Dreturn\r\n"),
            (".\nFrom here.", "=2E\r\n=46rom here.\r\n"),
            ("", ""),
        ] {
            assert_eq!(quoted_printable(text), want);
        }
        let long = quoted_printable(&"äx".repeat(200));
        assert!(long.lines().all(|line| line.len() <= QP_LINE_CHARS), "{long}");
        assert_eq!(long.replace("=\r\n", ""), format!("{}\r\n", "=C3=A4x".repeat(200)));
    }
}
