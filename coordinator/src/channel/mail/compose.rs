//! A mail about a notice, under the key by which every copy of it is known.

use crosscheck_checks::mail::address::{Address, Mailbox};
use crosscheck_checks::mail::message::{FieldText, Message};
use crosscheck_core::outbox::{Edge, Owed};

use super::letter::Letter;

/// Composes the mail; its lines end with CRLF.
///
/// # Errors
/// A template does not render, which its tests should have found.
pub(super) fn compose(owed: &Owed, from: &Mailbox, to: &[Address]) -> Result<Vec<u8>, String> {
    let notice = &owed.notice;
    let letter = Letter::of(notice);
    let broken = |error: askama::Error| format!("cannot write the mail: {error}");
    let mut fields = vec![
        ("X-Crosscheck-Incident", FieldText::Plain(notice.incident.to_string())),
        ("X-Crosscheck-Event", FieldText::Plain(event(notice.edge).to_owned())),
    ];
    if let Some(check) = &notice.check {
        fields.push(("X-Crosscheck-Check", FieldText::Words(check.to_string())));
    }
    let message = Message {
        id: owed.key.to_string(),
        thread: notice.thread.filter(|first| *first != owed.key).map(|first| first.to_string()),
        from,
        to,
        subject: letter.subject(),
        at: notice.decided,
        fields,
        text: letter.text().map_err(broken)?,
        html: Some(letter.html().map_err(broken)?),
    };
    Ok(message.compose())
}

const fn event(edge: Edge) -> &'static str {
    match edge {
        Edge::Alarm(_) => "alarm",
        Edge::Recovery => "recovery",
        Edge::Removed => "removal",
    }
}
