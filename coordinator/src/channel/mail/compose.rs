//! A mail from its words: header fields, a text and an HTML part (RFC 5322, 2045, 2046).
//!
//! The same notification composes to the same bytes every time, on every node: nothing here is
//! random and no clock is read. Bodies are always quoted-printable, so that no relay breaks a
//! line and no text can look like the end of the mail.

use crosscheck_core::outbox::{Edge, Key, Owed};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Field;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::date::Date;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::mime::{BodyPart, MimePart};

use super::address::{Address, Mailbox};
use super::letter::{Letter, cut, one_line};

/// The longest subject, in characters: what a telephone shows of it is shorter still.
const SUBJECT_LIMIT_CHARS: usize = 120;

/// Composes the mail; its lines end with CRLF.
///
/// # Errors
/// A template does not render, which its tests should have found.
pub(super) fn compose(owed: &Owed, from: &Mailbox, to: &[Address]) -> Result<Vec<u8>, String> {
    let notice = &owed.notice;
    let letter = Letter::of(notice);
    let broken = |error: askama::Error| format!("cannot write the mail: {error}");
    let id = |key: Key| format!("{key}@{}", from.address.domain());
    let recipients = to.iter().map(|address| Field::new_address(None::<&str>, address.as_str()));
    let mut message = MessageBuilder::new()
        .from(Field::new_address(from.name.as_deref(), from.address.as_str()))
        .to(Field::new_list(recipients.collect()))
        .subject(cut(&letter.subject(), SUBJECT_LIMIT_CHARS))
        .date(Date::new(seconds(notice.decided)))
        .message_id(id(owed.key))
        .header("Auto-Submitted", Raw::new("auto-generated"))
        .header("X-Crosscheck-Incident", Raw::new(notice.incident.to_string()))
        .header("X-Crosscheck-Event", Raw::new(event(notice.edge)));
    if let Some(check) = &notice.check {
        message = message.header("X-Crosscheck-Check", Text::new(one_line(check.as_str())));
    }
    if let Some(first) = notice.thread.filter(|first| *first != owed.key) {
        message = message.in_reply_to(id(first)).references(id(first));
    }
    // Quoted-printable never contains `=_`, so the boundary cannot occur in a part (RFC 2045, 6.7).
    let boundary = format!("=_{}", owed.key);
    let parts = vec![
        part("text/plain", &letter.text().map_err(broken)?),
        part("text/html", &letter.html().map_err(broken)?),
    ];
    let alternatives = ContentType::new("multipart/alternative").attribute("boundary", boundary);
    let mut bytes = Vec::new();
    message.body(MimePart::new(alternatives, BodyPart::Multipart(parts))).serialize(&mut bytes);
    Ok(bytes)
}

fn seconds(at: crosscheck_model::Timestamp) -> i64 {
    i64::try_from(at.as_millis() / 1000).unwrap_or(i64::MAX)
}

const fn event(edge: Edge) -> &'static str {
    match edge {
        Edge::Alarm(_) => "alarm",
        Edge::Recovery => "recovery",
        Edge::Removed => "removal",
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
