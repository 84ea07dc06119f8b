//! What a mail says that tells of several checks at once, in words: they are of one kind, one
//! severity and one cause.

use askama::Template;
use crosscheck_checks::mail::line::{cut, one_line};
use crosscheck_core::grouping::leading_cause;
use crosscheck_core::outbox::{Edge, Notice};
use crosscheck_model::Cause;

use super::letter::{Pointer, asides, looks_like, name, second, sentence, span, word};

/// The longest runbook shown with each check, in characters: two lines of a telephone. All of it
/// is on the incident's page.
const RUNBOOK_LIMIT_CHARS: usize = 120;

/// The words of such a mail.
#[derive(Debug)]
pub(super) struct Digest {
    /// What is the case: `DOWN`, `RECOVERED` ..
    word: &'static str,
    color: &'static str,
    /// The first of them, as the subject has it.
    first: String,
    count: usize,
    /// Why all of them failed.
    cause: Option<&'static str>,
    /// What the fault looks like, where it looks the same for all.
    finding: Option<String>,
    severity: String,
    items: Vec<Item>,
}

/// One of the checks.
#[derive(Debug)]
struct Item {
    name: String,
    target: String,
    summary: String,
    /// What the fault looks like, where that differs.
    finding: Option<String>,
    asides: Vec<String>,
    /// Since when, or from when to when.
    when: String,
    runbook: Option<Pointer>,
    link: Option<Pointer>,
    incident: String,
}

#[derive(Template)]
#[template(path = "digest.txt")]
struct Plain<'a> {
    digest: &'a Digest,
}

#[derive(Template)]
#[template(path = "digest.html")]
struct Html<'a> {
    digest: &'a Digest,
}

impl Digest {
    /// The words for these, at least one, of which the first gives the message its id.
    pub(super) fn of(notices: &[&Notice]) -> Self {
        let first = notices[0];
        let (word, color) = word(first.edge);
        let is_alarm = matches!(first.edge, Edge::Alarm(_));
        let look = looks_like(first);
        let in_common = notices.iter().all(|other| looks_like(other) == look);
        let item = |notice: &&Notice| {
            let finding = looks_like(notice).filter(|_| !in_common);
            Item { finding, ..Item::of(notice) }
        };
        Self {
            word,
            color,
            first: name(first),
            count: notices.len(),
            cause: leading_cause(first).filter(|_| is_alarm).map(Cause::explain),
            finding: look.filter(|_| in_common),
            severity: first.severity.to_string(),
            items: notices.iter().map(item).collect(),
        }
    }

    /// The subject: `[DOWN] shop home and 41 more`.
    pub(super) fn subject(&self) -> String {
        format!("[{}] {} and {} more", self.word, self.first, self.count - 1)
    }

    /// The text part.
    pub(super) fn text(&self) -> Result<String, askama::Error> {
        Plain { digest: self }.render()
    }

    /// The HTML part.
    pub(super) fn html(&self) -> Result<String, askama::Error> {
        Html { digest: self }.render()
    }
}

impl Item {
    fn of(notice: &Notice) -> Self {
        let (name, target) = (name(notice), one_line(&notice.target));
        let ended = notice.ended.unwrap_or(notice.decided);
        let when = match notice.edge {
            Edge::Alarm(_) => format!("since {}", second(notice.since)),
            Edge::Recovery | Edge::Removed => {
                let lasted = span(ended.since(notice.since));
                format!("{lasted}, from {} to {}", second(notice.since), second(ended))
            }
        };
        let runbook = notice.runbook.as_deref().map(one_line);
        Self {
            target: if target == name { String::new() } else { target },
            name,
            summary: sentence(&one_line(&notice.summary)),
            finding: None,
            asides: asides(notice),
            when,
            runbook: runbook.map(|text| Pointer::of(&cut(&text, RUNBOOK_LIMIT_CHARS))),
            link: notice.link.as_deref().map(Pointer::of),
            incident: notice.incident.to_string(),
        }
    }
}
