//! YAML as a tree in which every key and value knows where it was written.

use super::diagnostic::Diagnostic;
use super::finding::{Findings, Lines, Source};
use super::yaml;

/// Where something stands: bytes of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The source's index.
    pub source: usize,
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Keys and values in the order written; no key stands twice.
    Map(Vec<Entry>),
    /// Values in order.
    List(Vec<Node>),
    /// Anything else.
    Scalar(Scalar),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// Its value.
    pub value: Node,
}

/// A key and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

/// Text, and whether it was written without quotes, so that it may mean a number or `true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text after unescaping.
    pub text: String,
    /// Written without quotes, block indicator and `!!str`.
    pub plain: bool,
}

/// Reads any YAML, be it a configuration of ours or not.
///
/// # Errors
/// What is wrong with it; nothing when there is nothing in it.
pub fn read(source: &Source) -> Result<Node, Vec<Diagnostic>> {
    let mut findings = Findings::default();
    let node = yaml::parse(0, &source.text, &mut findings);
    let is_broken = findings.has_errors();
    let diagnostics = findings.diagnostics(&Lines::of(std::slice::from_ref(source)));
    node.filter(|_| !is_broken).ok_or(diagnostics)
}

impl Node {
    /// The value of a key, when this is a map that has it.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key.name == name),
            _ => None,
        }
    }

    /// How many nodes there are, itself included.
    pub fn size(&self) -> usize {
        1 + match &self.value {
            Value::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Scalar(_) => 0,
        }
    }

    /// How many levels there are, its own included.
    pub fn depth(&self) -> usize {
        1 + match &self.value {
            Value::Map(entries) => entries.iter().map(|e| e.value.depth()).max().unwrap_or(0),
            Value::List(items) => items.iter().map(Self::depth).max().unwrap_or(0),
            Value::Scalar(_) => 0,
        }
    }

    /// What it is, in words for messages.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Map(_) => "a map".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Scalar(scalar) if scalar.is_null() => "nothing".to_owned(),
            Value::Scalar(scalar) => format!("`{}`", scalar.text),
        }
    }
}
