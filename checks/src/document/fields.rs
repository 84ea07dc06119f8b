//! Reading a map whose keys are known: each getter reports what does not fit and gives `None`.

use std::time::Duration;

use super::finding::Findings;
use super::hint;
use super::tree::{Entry, Node, Span, Value};
use super::words::Table;

/// A map, its unknown keys reported.
pub(crate) struct Fields<'a> {
    node: &'a Node,
    /// Where messages about the whole map point: the key or name that it stands under.
    at: Span,
    table: &'static Table,
}

impl<'a> Fields<'a> {
    /// The node as such a map; reports keys that the table does not know.
    pub(crate) fn of(
        node: &'a Node,
        at: Span,
        table: &'static Table,
        findings: &mut Findings,
    ) -> Option<Self> {
        Self::beside(&[], node, at, table, findings)
    }

    /// The same for a map that may have these keys too, which somebody else reads.
    pub(crate) fn beside(
        others: &[&'static str],
        node: &'a Node,
        at: Span,
        table: &'static Table,
        findings: &mut Findings,
    ) -> Option<Self> {
        let fields = Self { node, at, table };
        for entry in fields.entries(findings)? {
            let name = entry.key.name.as_str();
            if !table.has(name) && !others.contains(&name) {
                unknown(entry, table.names().chain(others.iter().copied()), findings);
            }
        }
        Some(fields)
    }

    fn entries(&self, findings: &mut Findings) -> Option<&'a [Entry]> {
        match &self.node.value {
            Value::Map(entries) => Some(entries),
            _ => {
                let message =
                    format!("{} is a map, but this is {}", self.table.what, self.node.describe());
                let keys: Vec<&str> = self.table.names().collect();
                let span = if self.node.span.end > self.node.span.start {
                    self.node.span
                } else {
                    self.at
                };
                findings.error(span, message).hint(format!("its keys: {}", hint::list(&keys)));
                None
            }
        }
    }

    /// Where messages about the whole map point.
    pub(crate) const fn at(&self) -> Span {
        self.at
    }

    /// The entry of a key.
    pub(crate) fn entry(&self, name: &str) -> Option<&'a Entry> {
        debug_assert!(self.table.has(name), "`{name}` is no key of {}", self.table.what);
        self.node.get(name)
    }

    /// The entry of a key that must be there.
    pub(crate) fn required(&self, name: &str, findings: &mut Findings) -> Option<&'a Entry> {
        let entry = self.entry(name);
        if entry.is_none() {
            let field = self.table.fields.iter().find(|field| field.name == name);
            let about = field.map(|field| format!("`{name}`: {}", field.about));
            findings.error(self.at, format!("{} without `{name}`", self.table.what)).hint(about);
        }
        entry
    }

    /// Text.
    pub(crate) fn text(&self, name: &str, findings: &mut Findings) -> Option<String> {
        text(self.entry(name)?, findings)
    }

    /// Yes or no.
    pub(crate) fn flag(&self, name: &str, findings: &mut Findings) -> Option<bool> {
        let entry = self.entry(name)?;
        let flag = match &entry.value.value {
            Value::Scalar(scalar) => scalar.boolean(),
            _ => None,
        };
        if flag.is_none() {
            let found = entry.value.describe();
            findings.error(place(entry), format!("`{name}` is true or false, but this is {found}"));
        }
        flag
    }

    /// A duration.
    pub(crate) fn duration(&self, name: &str, findings: &mut Findings) -> Option<Duration> {
        duration(self.entry(name)?, findings)
    }

    /// A whole number from `least`.
    pub(crate) fn count(&self, name: &str, least: u32, findings: &mut Findings) -> Option<u32> {
        let entry = self.entry(name)?;
        let number = match &entry.value.value {
            Value::Scalar(scalar) => scalar.integer().and_then(|n| u32::try_from(n).ok()),
            _ => None,
        };
        let number = number.filter(|number| *number >= least);
        if number.is_none() {
            let found = entry.value.describe();
            let message = format!("`{name}` is a whole number from {least}, but this is {found}");
            findings.error(place(entry), message);
        }
        number
    }

    /// Texts: a list, or one text for a list of one.
    pub(crate) fn texts(&self, name: &str, findings: &mut Findings) -> Option<Vec<(String, Span)>> {
        texts(self.entry(name)?, findings)
    }
}

/// Reports a key that is not known.
pub(crate) fn unknown<'n>(
    entry: &Entry,
    known: impl IntoIterator<Item = &'n str>,
    findings: &mut Findings,
) {
    let name = &entry.key.name;
    findings
        .error(entry.key.span, format!("unknown key `{name}`"))
        .hint(hint::nearest(name, known));
}

/// Where a message about an entry's value points: the value, or its key when it covers no text
/// or several lines.
pub(crate) fn place(entry: &Entry) -> Span {
    let span = entry.value.span;
    let block = !matches!(entry.value.value, Value::Scalar(_));
    if span.end <= span.start || block { entry.key.span } else { span }
}

/// The value as text.
pub(crate) fn text(entry: &Entry, findings: &mut Findings) -> Option<String> {
    match &entry.value.value {
        Value::Scalar(scalar) if !scalar.is_null() => Some(scalar.text.clone()),
        _ => {
            let (name, found) = (&entry.key.name, entry.value.describe());
            findings.error(place(entry), format!("`{name}` is text, but this is {found}"));
            None
        }
    }
}

/// The value as a duration.
pub(crate) fn duration(entry: &Entry, findings: &mut Findings) -> Option<Duration> {
    let text = text(entry, findings)?;
    let parsed = humantime::parse_duration(&text);
    if parsed.is_err() {
        let bare = text.bytes().all(|byte| byte.is_ascii_digit());
        let hint = match bare {
            true => format!("with its unit: `{text}s`, `{text}m`, `{text}h`"),
            false => "write `30s`, `5m`, `1h 30m`, `14d`".to_owned(),
        };
        findings.error(place(entry), format!("`{text}` is no duration")).hint(hint);
    }
    parsed.ok()
}

/// The value as texts with their places.
pub(crate) fn texts(entry: &Entry, findings: &mut Findings) -> Option<Vec<(String, Span)>> {
    match &entry.value.value {
        Value::List(items) => {
            Some(items.iter().filter_map(|item| item_text(item, findings)).collect())
        }
        Value::Scalar(scalar) if !scalar.is_null() => {
            Some(vec![(scalar.text.clone(), entry.value.span)])
        }
        _ => {
            let (name, found) = (&entry.key.name, entry.value.describe());
            findings
                .error(place(entry), format!("`{name}` is a list of texts, but this is {found}"));
            None
        }
    }
}

fn item_text(item: &Node, findings: &mut Findings) -> Option<(String, Span)> {
    match &item.value {
        Value::Scalar(scalar) if !scalar.is_null() => Some((scalar.text.clone(), item.span)),
        _ => {
            findings
                .error(item.span, format!("a text belongs here, but this is {}", item.describe()));
            None
        }
    }
}

/// The value as one of these words.
pub(crate) fn word<T: Copy>(
    text: &str,
    span: Span,
    what: &str,
    words: &[(&'static str, T)],
    findings: &mut Findings,
) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    if found.is_none() {
        let known = words.iter().map(|(word, _)| *word);
        findings.error(span, format!("`{text}` is no {what}")).hint(hint::nearest(text, known));
    }
    found
}

/// The value as entries of a map of named things.
pub(crate) fn named<'a>(entry: &'a Entry, findings: &mut Findings) -> &'a [Entry] {
    match &entry.value.value {
        Value::Map(entries) => entries,
        _ => {
            let (name, found) = (&entry.key.name, entry.value.describe());
            findings
                .error(place(entry), format!("`{name}` is a map of names, but this is {found}"));
            &[]
        }
    }
}

/// The value as items of a list.
pub(crate) fn items<'a>(entry: &'a Entry, findings: &mut Findings) -> &'a [Node] {
    match &entry.value.value {
        Value::List(items) => items,
        _ => {
            let (name, found) = (&entry.key.name, entry.value.describe());
            findings
                .error(place(entry), format!("`{name}` is a list, but this is {found}"))
                .hint("begin each of its items with `- `".to_owned());
            &[]
        }
    }
}
