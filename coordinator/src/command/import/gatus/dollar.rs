//! Variables: Gatus replaces `${NAME}` and `$NAME` in all of its file before it reads it; `$$` is a
//! dollar. Here they become references (`${env:NAME}`), which some settings take.

use super::super::expand;
use super::super::tree::{Node, Value};

/// Writes all variables in what is below this as references.
pub(super) fn expand(node: &mut Node) {
    match &mut node.value {
        Value::Scalar(text) if text.contains('$') => *text = references(text),
        Value::Scalar(_) | Value::Null => {}
        Value::List(items) => items.iter_mut().for_each(expand),
        Value::Map(entries) => {
            for (key, value) in entries {
                if key.contains('$') {
                    *key = references(key);
                }
                expand(value);
            }
        }
    }
}

fn references(text: &str) -> String {
    expand::expand(text, |name| format!("${{env:{name}}}"))
}
