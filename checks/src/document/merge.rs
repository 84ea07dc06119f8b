//! Several files as one document: maps merge, lists append, a scalar given twice is an error.

use super::finding::{Findings, Lines};
use super::tree::{Entry, Node, Value};

/// The files' trees as one. An empty set of files gives nothing.
pub(crate) fn all(
    nodes: impl IntoIterator<Item = Node>,
    lines: &Lines<'_>,
    findings: &mut Findings,
) -> Option<Node> {
    nodes.into_iter().reduce(|mut whole, node| {
        pour(&mut whole, node, "the document", lines, findings);
        whole
    })
}

/// Adds `from` to `into`, which stands under the key `name`.
fn pour(into: &mut Node, from: Node, name: &str, lines: &Lines<'_>, findings: &mut Findings) {
    match (&mut into.value, from.value) {
        (Value::Map(known), Value::Map(entries)) => {
            for entry in entries {
                add(known, entry, lines, findings);
            }
        }
        (Value::List(known), Value::List(items)) => known.extend(items),
        (_, value) => {
            let first = lines.place(into.span);
            let second = Node { span: from.span, value };
            let both = matches!((&into.value, &second.value), (Value::Scalar(_), Value::Scalar(_)));
            let message = match both {
                true => format!("`{name}` is given twice; it also stands in {first}"),
                false => format!(
                    "`{name}` is {} here and {} in {first}; only maps and lists of several \
                     files are put together",
                    second.describe(),
                    into.describe()
                ),
            };
            findings.error(second.span, message).hint("remove one of them".to_owned());
        }
    }
}

fn add(known: &mut Vec<Entry>, entry: Entry, lines: &Lines<'_>, findings: &mut Findings) {
    match known.iter_mut().find(|other| other.key.name == entry.key.name) {
        Some(other) => {
            let name = entry.key.name;
            pour(&mut other.value, entry.value, &name, lines, findings);
        }
        None => known.push(entry),
    }
}
