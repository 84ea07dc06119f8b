//! YAML as a tree in which every key and value knows where it was written.

/// Where something stands: bytes of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// The source's index.
    pub(crate) source: usize,
    /// The first byte.
    pub(crate) start: usize,
    /// One past the last byte.
    pub(crate) end: usize,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Where it stands.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Keys and values in the order written; no key stands twice.
    Map(Vec<Entry>),
    /// Values in order.
    List(Vec<Node>),
    /// Anything else.
    Scalar(Scalar),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: Key,
    /// Its value.
    pub(crate) value: Node,
}

/// A key and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The name.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) span: Span,
}

/// Text, and whether it was written without quotes, so that it may mean a number or `true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// The text after unescaping.
    pub(crate) text: String,
    /// Written without quotes, block indicator and `!!str`.
    pub(crate) plain: bool,
}

impl Node {
    /// The value of a key, when this is a map that has it.
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key.name == name),
            _ => None,
        }
    }

    /// How many nodes there are, itself included.
    pub(crate) fn size(&self) -> usize {
        1 + match &self.value {
            Value::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Scalar(_) => 0,
        }
    }

    /// How many levels there are, its own included.
    pub(crate) fn depth(&self) -> usize {
        1 + match &self.value {
            Value::Map(entries) => entries.iter().map(|e| e.value.depth()).max().unwrap_or(0),
            Value::List(items) => items.iter().map(Self::depth).max().unwrap_or(0),
            Value::Scalar(_) => 0,
        }
    }

    /// What it is, in words for messages.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Map(_) => "a map".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Scalar(scalar) if scalar.is_null() => "nothing".to_owned(),
            Value::Scalar(scalar) => format!("`{}`", scalar.text),
        }
    }
}
