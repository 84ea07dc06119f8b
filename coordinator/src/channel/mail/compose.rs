//! A mail about a notice, or several, under the key by which every copy of it is known.

use crosscheck_checks::mail::address::{Address, Mailbox};
use crosscheck_checks::mail::message::{FieldText, Message};
use crosscheck_core::outbox::{Edge, Notice, Owed};

use super::digest::Digest;
use super::letter::Letter;

/// Composes the mail; its lines end with CRLF.
///
/// # Errors
/// A template does not render, which its tests should have found.
pub(super) fn compose(
    owed: &Owed,
    others: &[Owed],
    from: &Mailbox,
    to: &[Address],
) -> Result<Vec<u8>, String> {
    let notice = &owed.notice;
    let all: Vec<&Notice> = std::iter::once(owed).chain(others).map(|it| &it.notice).collect();
    let words = words(&all).map_err(|error| format!("cannot write the mail: {error}"))?;
    let mut fields = vec![
        ("X-Crosscheck-Incident", FieldText::Plain(notice.incident.to_string())),
        ("X-Crosscheck-Event", FieldText::Plain(event(notice.edge).to_owned())),
    ];
    if notice.drill {
        fields.push(("X-Crosscheck-Drill", FieldText::Plain("yes".to_owned())));
    }
    if let Some(check) = &notice.check {
        fields.push(("X-Crosscheck-Check", FieldText::Words(check.to_string())));
    }
    if !others.is_empty() {
        let ids: Vec<String> = all.iter().map(|notice| notice.incident.to_string()).collect();
        fields.push(("X-Crosscheck-Incidents", FieldText::Words(ids.join(", "))));
    }
    let message = Message {
        id: owed.key.to_string(),
        thread: notice.thread.filter(|first| *first != owed.key).map(|first| first.to_string()),
        from,
        to,
        subject: words.subject,
        at: notice.decided,
        fields,
        text: words.text,
        html: Some(words.html),
    };
    Ok(message.compose())
}

struct Words {
    subject: String,
    text: String,
    html: String,
}

fn words(notices: &[&Notice]) -> Result<Words, askama::Error> {
    if let [notice] = notices {
        let letter = Letter::of(notice);
        return Ok(Words { subject: letter.subject(), text: letter.text()?, html: letter.html()? });
    }
    let digest = Digest::of(notices);
    Ok(Words { subject: digest.subject(), text: digest.text()?, html: digest.html()? })
}

const fn event(edge: Edge) -> &'static str {
    match edge {
        Edge::Alarm(_) => "alarm",
        Edge::Recovery => "recovery",
        Edge::Removed => "removal",
    }
}
