//! Reports of mail servers that they could not deliver a mail after all: from the bytes of the
//! report to the notification that it is about. Pure.
//!
//! A report is a `multipart/report` (RFC 6522) of a `message/delivery-status` (RFC 3464) with a
//! block of fields for each recipient, and the mail that it is about, or its header. Ours are known
//! by their Message-ID, `<KEY@DOMAIN>`.

use crosscheck_core::outbox::Key;
use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders, PartType};

/// What a mail server reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounce {
    /// The notification, by its mail's Message-ID.
    pub key: Key,
    /// The recipients that will not get it.
    pub failures: Vec<Failure>,
}

/// A recipient that will not get a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The address.
    pub recipient: String,
    /// In the server's words.
    pub why: String,
}

/// Why a mail is no such report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoBounce {
    /// An answer by a person or a machine, perhaps.
    #[error("it is no report of a failed delivery (RFC 3464)")]
    NoReport,
    /// The server tries on, or tells of a success.
    #[error("it reports no failure: the server tries on, or has delivered the mail")]
    NoFailure,
    /// It is about a mail of somebody else's, or says not of which.
    #[error("it is not about a mail of crosscheck's, or does not say about which")]
    NotOurs,
}

/// Reads a report.
///
/// # Errors
/// It is none, or of no concern.
pub fn read(bytes: &[u8]) -> Result<Bounce, NoBounce> {
    let report = MessageParser::default().parse(bytes).ok_or(NoBounce::NoReport)?;
    let status = report.parts.iter().find(|part| is(part, "message", "delivery-status"));
    let status = status.ok_or(NoBounce::NoReport)?;
    let text = String::from_utf8_lossy(status.contents()).replace("\r\n", "\n");
    // The first block is about the report itself.
    let failures: Vec<Failure> = text.split("\n\n").skip(1).filter_map(failure).collect();
    if failures.is_empty() {
        return Err(NoBounce::NoFailure);
    }
    let key = report.parts.iter().find_map(key_in).ok_or(NoBounce::NotOurs)?;
    Ok(Bounce { key, failures })
}

fn is(part: &MessagePart<'_>, kind: &str, sort: &str) -> bool {
    part.content_type().is_some_and(|found| {
        let found_sort = found.subtype().unwrap_or_default();
        found.ctype().eq_ignore_ascii_case(kind) && found_sort.eq_ignore_ascii_case(sort)
    })
}

/// A block of fields, where it tells of a failure.
fn failure(block: &str) -> Option<Failure> {
    let lines = unfolded(block);
    let field = |wanted: &str| {
        let mut fields = lines.iter().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
        Some(found.1.trim().to_owned())
    };
    // `rfc822; li@example.com`, `smtp; 550 5.1.1 no such user`
    let value = |field: String| match field.split_once(';') {
        Some((_, value)) => value.trim().to_owned(),
        None => field,
    };
    if !field("Action")?.eq_ignore_ascii_case("failed") {
        return None;
    }
    let recipient = field("Original-Recipient").or_else(|| field("Final-Recipient")).map(value)?;
    let why = field("Diagnostic-Code").map(value).or_else(|| field("Status"));
    Some(Failure { recipient, why: why.unwrap_or_default() })
}

/// The lines of a block, each with those that continue it (RFC 5322, 2.2.3).
fn unfolded(block: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in block.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => {
                last.push(' ');
                last.push_str(line.trim_start());
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// The notification that a part is the mail of, or the mail's header.
fn key_in(part: &MessagePart<'_>) -> Option<Key> {
    match &part.body {
        PartType::Message(mail) => key_of(mail),
        _ if is(part, "text", "rfc822-headers") => {
            key_of(&MessageParser::default().parse(part.contents())?)
        }
        _ => None,
    }
}

fn key_of(mail: &Message<'_>) -> Option<Key> {
    let (key, _) = mail.message_id()?.split_once('@')?;
    key.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7";

    /// A report as servers write them, of a mail with this Message-ID.
    fn report(status: &str, third: &str, id: &str) -> String {
        format!(
            "From: MAILER-DAEMON@mail.example.com\n\
             To: crosscheck@example.com\n\
             Subject: Undelivered Mail Returned to Sender\n\
             Auto-Submitted: auto-replied\n\
             MIME-Version: 1.0\n\
             Content-Type: multipart/report; report-type=delivery-status;\n\
             \tboundary=\"B\"\n\
             \n\
             --B\n\
             Content-Type: text/plain\n\
             \n\
             I'm sorry. Message-ID: <00000000000000000000000000000000@evil.example>\n\
             \n\
             --B\n\
             Content-Description: Delivery report\n\
             Content-Type: message/delivery-status\n\
             \n\
             Reporting-MTA: dns; mail.example.com\n\
             Arrival-Date: Mon, 30 Nov 2026 10:00:00 +0000 (UTC)\n\
             \n\
             {status}\n\
             \n\
             --B\n\
             Content-Type: {third}\n\
             \n\
             From: crosscheck@example.com\n\
             Message-ID: <{id}>\n\
             Subject: [DOWN] shop\n\
             \n\
             --B--\n"
        )
    }

    const FAILED: &str = "Final-Recipient: rfc822; li@elsewhere.example\n\
                          Original-Recipient: rfc822;li@example.com\n\
                          Action: failed\n\
                          Status: 5.1.1\n\
                          Diagnostic-Code: smtp; 550 5.1.1 <li@elsewhere.example>:\n    \
                          no such user";

    #[test]
    fn a_failure_is_told_of_the_mail_that_came_back() {
        let id = format!("{KEY}@crosscheck.example.com");
        let wanted = Bounce {
            key: KEY.parse().expect("a key"),
            failures: vec![Failure {
                recipient: "li@example.com".to_owned(),
                why: "550 5.1.1 <li@elsewhere.example>: no such user".to_owned(),
            }],
        };
        for third in ["message/rfc822", "text/rfc822-headers", "TEXT/RFC822-Headers"] {
            let text = report(FAILED, third, &id);
            assert_eq!(read(text.as_bytes()), Ok(wanted.clone()), "{third}");
            let lines = text.replace('\n', "\r\n");
            assert_eq!(read(lines.as_bytes()), Ok(wanted.clone()), "{third}, CRLF");
        }
    }

    #[test]
    fn each_recipient_that_failed_is_told() {
        let two = "Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1\n\n\
                   Final-Recipient: rfc822; b@example.com\nAction: delivered\nStatus: 2.0.0\n\n\
                   Final-Recipient: rfc822; c@example.com\nAction: FAILED\nStatus: 5.2.2\n";
        let id = format!("{KEY}@example.com");
        let bounce = read(report(two, "message/rfc822", &id).as_bytes()).expect("a bounce");
        let told: Vec<_> =
            bounce.failures.iter().map(|f| (f.recipient.as_str(), f.why.as_str())).collect();
        assert_eq!(told, [("a@example.com", "5.1.1"), ("c@example.com", "5.2.2")]);
    }

    #[test]
    fn what_is_no_failure_of_ours_is_told_apart() {
        let id = format!("{KEY}@example.com");
        let delayed = FAILED.replace("failed", "delayed");
        let plain = "From: a@example.com\nSubject: out of office\n\nI am away.\n";
        for (text, wanted) in [
            (report(&delayed, "message/rfc822", &id), NoBounce::NoFailure),
            (report(FAILED, "message/rfc822", "1234@example.com"), NoBounce::NotOurs),
            (report(FAILED, "text/plain", &id), NoBounce::NotOurs),
            (plain.to_owned(), NoBounce::NoReport),
            (String::new(), NoBounce::NoReport),
        ] {
            assert_eq!(read(text.as_bytes()), Err(wanted), "{text}");
        }
    }
}
