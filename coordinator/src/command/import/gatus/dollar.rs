//! Variables: Gatus replaces `${NAME}` and `$NAME` in all of its file before it reads it; `$$` is a
//! dollar. Here they become references (`${env:NAME}`), which some settings take.

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
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let braced = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, after) = match braced {
            Some((name, after)) => (name, after),
            None => rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len())),
        };
        if name.is_empty() || !name.chars().all(is_name) {
            out.push('$');
            continue;
        }
        out.push_str(&format!("${{env:{name}}}"));
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_references_and_two_dollars_one() {
        for (theirs, ours) in [
            ("Bearer $TOKEN", "Bearer ${env:TOKEN}"),
            ("${A}-$B_2.c", "${env:A}-${env:B_2}.c"),
            ("costs 5$$, $.path", "costs 5$, $.path"),
            ("$$HOME", "$HOME"),
            ("${", "${"),
            ("${A:-b}", "${A:-b}"),
            ("100$", "100$"),
        ] {
            assert_eq!(references(theirs), ours);
        }
    }
}
