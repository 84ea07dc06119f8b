//! What was read, of whatever syntax, as one kind of tree in which everything knows its line, and
//! whether anybody has looked at it: what nobody did is told at the end.

use std::cell::Cell;
use std::rc::Rc;

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
    /// Whether it was looked at; copies share it.
    seen: Rc<Cell<bool>>,
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
    /// A value in this line, which nobody has looked at.
    pub(super) fn new(line: usize, value: Value) -> Self {
        Self { line, value, seen: Rc::default() }
    }

    /// A map of one entry, which shares it.
    pub(super) fn of_entry(key: &str, node: &Self) -> Self {
        Self::new(node.line, Value::Map(vec![(key.to_owned(), node.clone())]))
    }

    /// What is in it needs no more looking at: it was told of, or has no meaning here.
    pub(super) fn done(&self) {
        self.seen.set(true);
        self.entries().iter().for_each(|(_, node)| node.done());
        if let Value::List(items) = &self.value {
            items.iter().for_each(Self::done);
        }
    }

    /// What nobody has looked at, with its path: of a map or list all in one, if that holds for all
    /// that is in it. Keys without a value say nothing.
    pub(super) fn unseen(&self) -> Vec<(String, &Self)> {
        let mut found = Vec::new();
        self.gather("", &mut found);
        found
    }

    fn gather<'a>(&'a self, path: &str, found: &mut Vec<(String, &'a Self)>) {
        for (key, node) in self.entries() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match node.was_seen() {
                true => node.gather(&path, found),
                false => found.push((path, node)),
            }
        }
        if let Value::List(items) = &self.value {
            for item in items {
                match item.was_seen() {
                    true => item.gather(path, found),
                    false => found.push((path.to_owned(), item)),
                }
            }
        }
    }

    fn was_seen(&self) -> bool {
        self.seen.get()
            || match &self.value {
                Value::Map(entries) => entries.iter().any(|(_, node)| node.was_seen()),
                Value::List(items) => items.iter().any(Self::was_seen),
                Value::Scalar(_) => false,
                Value::Null => true,
            }
    }

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
        // Who asks for a map or list looks into it; what is in it is looked at by itself.
        let is_scalar = |node: &&&Self| matches!(node.value, Value::Scalar(_));
        found.iter().filter(|node| !is_scalar(node)).for_each(|node| node.seen.set(true));
        found.into_iter()
    }

    /// Whether it says nothing: a map or list with nothing in it, a text without letters, a no.
    pub(super) fn says_nothing(&self) -> bool {
        match &self.value {
            Value::Map(entries) => entries.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Scalar(text) => ["", "false", "0"].contains(&text.trim()),
            Value::Null => true,
        }
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
        let Value::Scalar(text) = &self.value else { return None };
        self.seen.set(true);
        Some(text)
    }

    /// The text for a comparison, which is no look at it yet; none is empty.
    pub(super) fn peek(&self) -> &str {
        match &self.value {
            Value::Scalar(text) => text,
            _ => "",
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

    /// Whether it says yes.
    pub(super) fn is_on(&self) -> bool {
        matches!(self.text(), Some("true" | "yes" | "on" | "1"))
    }

    /// Whether it says no.
    pub(super) fn is_off(&self) -> bool {
        matches!(self.text(), Some("false" | "no" | "off" | "0"))
    }

    /// Whether a key says yes.
    pub(super) fn is(&self, key: &str) -> bool {
        self.get(key).is_some_and(Self::is_on)
    }

    /// Whether a key says no.
    pub(super) fn is_not(&self, key: &str) -> bool {
        self.get(key).is_some_and(Self::is_off)
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
    Node::new(line, value)
}
