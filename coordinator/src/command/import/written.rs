//! YAML as people would write it: short things in one line, quotes where they are needed.

use std::fmt::Write;

/// What is written in one line at most.
const LINE: usize = 80;

/// A value to be written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Out {
    /// A text; it stays one, whatever it looks like.
    Text(String),
    /// A number, a truth, a duration or a word of ours, as it stands.
    Word(String),
    /// Values in order.
    List(Vec<Out>),
    /// Keys and values in this order.
    Map(Vec<(String, Out)>),
}

impl Out {
    /// A text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A number or a truth.
    pub(super) fn word(word: impl ToString) -> Self {
        Self::Word(word.to_string())
    }

    /// A list of texts.
    pub(super) fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// A map.
    pub(super) fn map<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// All in one line.
    pub(super) fn flow(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Word(word) => word.clone(),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(Self::flow).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(entries) if entries.is_empty() => "{}".to_owned(),
            Self::Map(entries) => {
                let entry =
                    |(key, value): &(String, Self)| format!("{}: {}", quoted(key), value.flow());
                let entries: Vec<_> = entries.iter().map(entry).collect();
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }

    /// Writes it behind its key or dash, indented by so many blanks.
    fn put(&self, out: &mut String, indent: usize) {
        let flow = self.flow();
        let (entries, items) = match self {
            Self::Map(entries) => (entries.as_slice(), &[][..]),
            Self::List(items) => (&[][..], items.as_slice()),
            _ => (&[][..], &[][..]),
        };
        if indent + flow.len() <= LINE || entries.is_empty() && items.is_empty() {
            let _ = writeln!(out, " {flow}");
            return;
        }
        out.push('\n');
        put_entries(entries, out, indent);
        for item in items {
            put_item(item, out, indent);
        }
    }
}

fn put_entries(entries: &[(String, Out)], out: &mut String, indent: usize) {
    for (key, value) in entries {
        let _ = write!(out, "{:indent$}{}:", "", quoted(key));
        value.put(out, indent + 2);
    }
}

fn put_item(item: &Out, out: &mut String, indent: usize) {
    let flow = item.flow();
    match item {
        Out::Map(entries) if indent + 2 + flow.len() > LINE => {
            let mut inner = String::new();
            put_entries(entries, &mut inner, indent + 2);
            let _ = write!(out, "{:indent$}- {}", "", inner.trim_start());
        }
        _ => {
            let _ = writeln!(out, "{:indent$}- {flow}", "");
        }
    }
}

/// The sections of a document, each on lines of its own.
pub(super) fn document(sections: &[(&str, Out)]) -> String {
    let mut out = String::new();
    for (key, value) in sections {
        let _ = writeln!(out, "\n{key}:");
        match value {
            Out::Map(entries) => put_entries(entries, &mut out, 2),
            Out::List(items) => items.iter().for_each(|item| put_item(item, &mut out, 2)),
            other => {
                let _ = writeln!(out, "  {}", other.flow());
            }
        }
    }
    out
}

/// The text, in quotes unless it cannot be taken for anything else in any place.
pub(super) fn quoted(text: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | ' ');
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if starts && !is_word && !text.ends_with(' ') && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        serde_json::to_string(text).expect("a text is JSON")
    }
}
