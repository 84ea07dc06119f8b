//! What was read, of whatever syntax, as one kind of tree in which everything knows its line.

use crosscheck_checks::document::{self, tree as yaml};

/// A file.
pub(super) struct Input {
    /// As people named it.
    pub(super) name: String,
    /// What is in it.
    pub(super) text: String,
}

/// A value and its line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// The line, from 1.
    pub(super) line: usize,
    /// The value.
    pub(super) value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Keys and values in the order written; in some syntaxes a key may stand several times.
    Map(Vec<(String, Node)>),
    /// Values in order.
    List(Vec<Node>),
    /// Text, numbers, words.
    Scalar(String),
    /// Nothing.
    Null,
}

impl Node {
    /// The value of a key; a value that is nothing is not there.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.all(key).next()
    }

    /// The values of a key that may stand several times.
    pub(super) fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a Self> {
        let of_key = move |(name, node): &'a (String, Self)| {
            (name == key && node.value != Value::Null).then_some(node)
        };
        let found: Vec<_> = self.entries().iter().filter_map(of_key).collect();
        found.into_iter()
    }

    /// Keys and values; none of what is no map.
    pub(super) fn entries(&self) -> &[(String, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; what is no list is its only item.
    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// The text; `None` of maps, lists and nothing.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a key.
    pub(super) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// The texts of a key's list.
    pub(super) fn texts_of(&self, key: &str) -> Vec<&str> {
        let items = self.get(key).into_iter().flat_map(Self::items);
        items.filter_map(Self::text).collect()
    }

    /// Whether a key says yes.
    pub(super) fn is(&self, key: &str) -> bool {
        matches!(self.text_of(key), Some("true" | "yes" | "on" | "1"))
    }

    /// Whether a key says no.
    pub(super) fn is_not(&self, key: &str) -> bool {
        matches!(self.text_of(key), Some("false" | "no" | "off" | "0"))
    }
}

/// Reads YAML.
///
/// # Errors
/// The first thing that is wrong with it, with its place.
pub(super) fn yaml(input: &Input) -> Result<Node, String> {
    let source = document::Source { name: input.name.clone(), text: input.text.clone() };
    let found = yaml::read(&source).map_err(|wrong| match wrong.first() {
        Some(first) => format!("{}: {}", first.place, first.message),
        None => format!("{}: there is nothing in it", input.name),
    })?;
    let starts: Vec<usize> = input.text.match_indices('\n').map(|(at, _)| at + 1).collect();
    Ok(placed(&found, &starts))
}

fn placed(node: &yaml::Node, starts: &[usize]) -> Node {
    let line = starts.partition_point(|start| *start <= node.span.start) + 1;
    let value = match &node.value {
        yaml::Value::Map(entries) => {
            let entry =
                |entry: &yaml::Entry| (entry.key.name.clone(), placed(&entry.value, starts));
            Value::Map(entries.iter().map(entry).collect())
        }
        yaml::Value::List(items) => {
            Value::List(items.iter().map(|item| placed(item, starts)).collect())
        }
        yaml::Value::Scalar(scalar) if scalar.is_null() => Value::Null,
        yaml::Value::Scalar(scalar) => Value::Scalar(scalar.text.clone()),
    };
    Node { line, value }
}
