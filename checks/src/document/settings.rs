//! The settings of a kind: unknown keys by its JSON Schema, everything else by the kind itself.

use std::collections::HashMap;

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value as Json};

use super::fields;
use super::finding::Findings;
use super::hint;
use super::scalar;
use super::tree::{Entry, Node, Span, Value};
use crate::kind::SettingsError;

/// How many times settings are parsed again without what was wrong, to find what else is.
const ROUNDS: usize = 8;

/// The schemas of kinds, made once each.
#[derive(Default)]
pub(crate) struct Schemas(HashMap<&'static str, (Json, Map<String, Json>)>);

impl Schemas {
    /// The entry's value without the keys that the kind does not know; these are reported.
    pub(crate) fn known(
        &mut self,
        name: &'static str,
        make: impl FnOnce(&mut SchemaGenerator) -> Schema,
        node: &Node,
        findings: &mut Findings,
    ) -> Node {
        let (schema, definitions) = self.0.entry(name).or_insert_with(|| {
            let mut generator = SchemaGenerator::default();
            let schema = make(&mut generator).to_value();
            (schema, generator.take_definitions(true))
        });
        prune(node, &[&*schema], definitions, findings)
    }
}

/// Parses until nothing new is wrong; everything that is wrong is reported.
pub(crate) fn parse<T>(
    entry: &Entry,
    node: &Node,
    parse: impl Fn(&Json) -> Result<T, Vec<SettingsError>>,
    findings: &mut Findings,
) -> Option<(T, Json)> {
    let mut settings = scalar::to_json(node);
    let mut gone = Gone::default();
    for round in 0..ROUNDS {
        let errors = match parse(&settings) {
            Ok(made) if round == 0 => return Some((made, settings)),
            Ok(_) => return None,
            Err(errors) => errors,
        };
        let mut paths: Vec<Vec<String>> = Vec::new();
        for mut error in errors {
            error.path = gone.original(error.path);
            // What was taken out before must not be missed now.
            if !error.message.starts_with("missing field") && !gone.is_within(&error.path)
                || round == 0
            {
                show(entry, node, &error, findings);
            }
            paths.push(error.path);
        }
        // From the end of lists, so that what is still to be taken out stays where it is.
        paths.sort();
        let mut removed = false;
        for path in paths.into_iter().rev() {
            if remove(&mut settings, &gone.present(&path)) {
                gone.0.push(path);
                removed = true;
            }
        }
        if !removed {
            break;
        }
    }
    None
}

/// What was taken out of settings, by its path before anything was.
#[derive(Default)]
struct Gone(Vec<Vec<String>>);

impl Gone {
    /// Whether something was taken out of what the path leads to.
    fn is_within(&self, path: &[String]) -> bool {
        self.0.iter().any(|gone| gone.starts_with(path))
    }

    /// The items that were taken out of a list, in order.
    fn items(&self, list: &[String]) -> Vec<usize> {
        let of_list = self
            .0
            .iter()
            .filter(|gone| gone.split_last().is_some_and(|(_, before)| before == list));
        let mut items: Vec<usize> = of_list.filter_map(|gone| gone.last()?.parse().ok()).collect();
        items.sort_unstable();
        items
    }

    /// The path as it was before anything was taken out.
    fn original(&self, path: Vec<String>) -> Vec<String> {
        let mut original: Vec<String> = Vec::with_capacity(path.len());
        for step in path {
            let step = match step.parse::<usize>() {
                Ok(mut index) => {
                    for item in self.items(&original) {
                        index += usize::from(item <= index);
                    }
                    index.to_string()
                }
                Err(_) => step,
            };
            original.push(step);
        }
        original
    }

    /// Where a path leads now.
    fn present(&self, path: &[String]) -> Vec<String> {
        let now = |(at, step): (usize, &String)| match step.parse::<usize>() {
            Ok(index) => {
                let before = self.items(&path[..at]);
                (index - before.iter().filter(|item| **item < index).count()).to_string()
            }
            Err(_) => step.clone(),
        };
        path.iter().enumerate().map(now).collect()
    }
}

fn show(entry: &Entry, node: &Node, error: &SettingsError, findings: &mut Findings) {
    let span = locate(entry, node, &error.path);
    let hint = error.hint.clone().or_else(|| variant_hint(&error.message));
    let secret = error.message.contains("secret in clear text");
    let finding = findings.error(span, plain(&error.message)).hint(hint);
    if secret {
        finding.blot();
    }
}

/// serde's words for what is expected, in words of people who do not write Rust.
fn plain(message: &str) -> String {
    const WHOLE: [&str; 8] = ["u8", "u16", "u32", "u64", "usize", "i32", "i64", "i8"];
    let Some((before, expected)) = message.split_once(", expected ") else {
        return message.to_owned();
    };
    let expected = match expected {
        word if word.starts_with("struct ") => "a map of settings",
        word if WHOLE.contains(&word) => "a whole number",
        "f64" | "f32" => "a number",
        "a sequence" => "a list",
        word => word,
    };
    format!("{before}, expected {expected}")
}

/// The place of what a path leads to; as far as it leads.
fn locate(entry: &Entry, node: &Node, path: &[String]) -> Span {
    let mut node = node;
    let mut place = entry.key.span;
    for step in path {
        match &node.value {
            Value::Map(_) => match node.get(step) {
                Some(next) => (node, place) = (&next.value, fields::place(next)),
                None => break,
            },
            Value::List(items) => match step.parse().ok().and_then(|at: usize| items.get(at)) {
                Some(next) => (node, place) = (next, next.span),
                None => break,
            },
            Value::Scalar(_) => break,
        }
    }
    place
}

/// Takes the value at the path out; false when there is none.
fn remove(settings: &mut Json, path: &[String]) -> bool {
    let Some((last, before)) = path.split_last() else { return false };
    let mut value = settings;
    for step in before {
        let next = match value {
            Json::Object(map) => map.get_mut(step),
            Json::Array(items) => step.parse().ok().and_then(|at: usize| items.get_mut(at)),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => return false,
        }
    }
    match value {
        Json::Object(map) => map.remove(last).is_some(),
        Json::Array(items) => match last.parse() {
            Ok(at) if at < items.len() => {
                items.remove(at);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// For serde's ``unknown variant `GTE`, expected one of `GET`, ..``: the nearest.
fn variant_hint(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown variant ")?;
    let quoted: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    let (wrong, known) = quoted.split_first()?;
    hint::nearest(wrong, known.iter().copied()).filter(|hint| hint.starts_with("did"))
}

/// The node without unknown keys, at any depth.
fn prune(
    node: &Node,
    schemas: &[&Json],
    definitions: &Map<String, Json>,
    findings: &mut Findings,
) -> Node {
    let shapes = flatten(schemas, definitions);
    let value = match &node.value {
        Value::Map(entries) => {
            let known = known_keys(&shapes);
            let mut kept = Vec::new();
            for entry in entries {
                let inner = property(&shapes, &entry.key.name);
                if inner.is_empty() && known.is_some() {
                    let names = known.iter().flatten().copied();
                    fields::unknown(entry, names, findings);
                    continue;
                }
                let value = prune(&entry.value, &inner, definitions, findings);
                kept.push(Entry { key: entry.key.clone(), value });
            }
            Value::Map(kept)
        }
        Value::List(items) => {
            let inner: Vec<&Json> = shapes.iter().filter_map(|shape| shape.get("items")).collect();
            let prune = |item| prune(item, &inner, definitions, findings);
            Value::List(items.iter().map(prune).collect())
        }
        Value::Scalar(scalar) => Value::Scalar(scalar.clone()),
    };
    Node { span: node.span, value }
}

/// The schemas with their references followed and their alternatives side by side.
fn flatten<'a>(schemas: &[&'a Json], definitions: &'a Map<String, Json>) -> Vec<&'a Json> {
    let mut open: Vec<&Json> = schemas.to_vec();
    let mut flat: Vec<&Json> = Vec::new();
    while let Some(schema) = open.pop() {
        if flat.iter().any(|seen| std::ptr::eq(*seen, schema)) {
            continue;
        }
        flat.push(schema);
        if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
            let name = reference.rsplit('/').next().unwrap_or(reference);
            open.extend(definitions.get(name));
        }
        for word in ["anyOf", "oneOf", "allOf"] {
            open.extend(schema.get(word).and_then(Json::as_array).into_iter().flatten());
        }
    }
    flat
}

/// The keys that a map may have; `None` when it may have any.
fn known_keys<'a>(shapes: &[&'a Json]) -> Option<Vec<&'a str>> {
    let open = shapes.iter().any(|shape| match shape.get("additionalProperties") {
        Some(Json::Bool(open)) => *open,
        Some(_) => true,
        None => shape.get("patternProperties").is_some(),
    });
    let mut tables =
        shapes.iter().filter_map(|shape| shape.get("properties")?.as_object()).peekable();
    if open || tables.peek().is_none() {
        return None;
    }
    Some(tables.flat_map(|table| table.keys().map(String::as_str)).collect())
}

/// The schemas of one key's value.
fn property<'a>(shapes: &[&'a Json], name: &str) -> Vec<&'a Json> {
    let named: Vec<&Json> =
        shapes.iter().filter_map(|shape| shape.get("properties")?.get(name)).collect();
    if !named.is_empty() {
        return named;
    }
    let additional = shapes.iter().filter_map(|shape| shape.get("additionalProperties"));
    additional.filter(|schema| schema.is_object()).collect()
}
