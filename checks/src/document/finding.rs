//! Findings while a document is read: by span, and in the end by file, line and column.

use super::diagnostic::{Diagnostic, Level, Place};
use super::tree::Span;

/// A file's content under the name that messages use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file's name, as people gave it.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// What is wrong, by span.
#[derive(Debug)]
pub(crate) struct Finding {
    level: Level,
    span: Option<Span>,
    message: String,
    hint: Option<String>,
    blot: bool,
}

impl Finding {
    /// Adds what to write instead.
    pub(crate) fn hint(&mut self, hint: impl Into<Option<String>>) -> &mut Self {
        self.hint = hint.into();
        self
    }

    /// Hides what is meant: it is a secret.
    pub(crate) fn blot(&mut self) {
        self.blot = true;
    }
}

/// All findings of a document.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// Something that makes the document unusable.
    pub(crate) fn error(
        &mut self,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.add(Level::Error, span.into(), message.into())
    }

    /// Something that people should know.
    pub(crate) fn warning(
        &mut self,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.add(Level::Warning, span.into(), message.into())
    }

    fn add(&mut self, level: Level, span: Option<Span>, message: String) -> &mut Finding {
        let at = self.0.len();
        self.0.push(Finding { level, span, message, hint: None, blot: false });
        &mut self.0[at]
    }

    /// Whether the document cannot be used.
    pub(crate) fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.level == Level::Error)
    }

    /// In the order of the files, nothing twice; what concerns no line comes first.
    pub(crate) fn diagnostics(mut self, lines: &Lines<'_>) -> Vec<Diagnostic> {
        self.0.sort_by_key(|finding| finding.span.map(|span| (span.source, span.start)));
        // What many checks take from one place is said once.
        self.0.dedup_by(|one, other| one.span == other.span && one.message == other.message);
        self.0.into_iter().map(|finding| finding.diagnostic(lines)).collect()
    }
}

impl Finding {
    fn diagnostic(self, lines: &Lines<'_>) -> Diagnostic {
        let mut place = match self.span {
            Some(span) => lines.place(span),
            None => Place::file(lines.first()),
        };
        if self.blot {
            let hidden =
                place.column.saturating_sub(1)..place.column.saturating_sub(1) + place.length;
            let blotted = |(at, c)| if hidden.contains(&at) { '*' } else { c };
            place.text = place.text.chars().enumerate().map(blotted).collect();
        }
        Diagnostic { level: self.level, place, message: self.message, hint: self.hint }
    }
}

/// Where the lines of the sources begin.
pub(crate) struct Lines<'a> {
    sources: &'a [Source],
    starts: Vec<Vec<usize>>,
}

impl<'a> Lines<'a> {
    /// Of these sources.
    pub(crate) fn of(sources: &'a [Source]) -> Self {
        let starts = sources.iter().map(|source| line_starts(&source.text)).collect();
        Self { sources, starts }
    }

    /// What stands there.
    pub(crate) fn place(&self, span: Span) -> Place {
        let Some(source) = self.sources.get(span.source) else { return Place::file("") };
        let (text, starts) = (source.text.as_str(), &self.starts[span.source]);
        let start = boundary(text, span.start);
        let line = starts.partition_point(|begin| *begin <= start).max(1);
        let begin = starts[line - 1];
        let rest = &text[begin..];
        let line_text = rest.split(['\n', '\r']).next().unwrap_or(rest);
        let stop = boundary(text, span.end.clamp(start, (begin + line_text.len()).max(start)));
        Place {
            file: source.name.clone(),
            line,
            column: text[begin..start].chars().count() + 1,
            length: text[start..stop].chars().count(),
            text: line_text.to_owned(),
        }
    }

    /// The name of the first source.
    fn first(&self) -> &str {
        self.sources.first().map_or("", |source| source.name.as_str())
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect()
}

/// The nearest character boundary at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
