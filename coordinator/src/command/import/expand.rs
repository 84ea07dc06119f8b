//! Names behind a dollar, as Go's `os.Expand` and `regexp.Expand` have them: `$NAME` and `${NAME}`;
//! `$$` is a dollar.

/// The text with each name as it is to be written; what is no name stays as it is.
pub(super) fn expand(text: &str, written: impl Fn(&str) -> String) -> String {
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
        out.push_str(&written(name));
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_anew_and_two_dollars_are_one() {
        for (theirs, ours) in [
            ("Bearer $TOKEN", "Bearer ${env:TOKEN}"),
            ("${A}-$B_2.c", "${env:A}-${env:B_2}.c"),
            ("costs 5$$, $.path", "costs 5$, $.path"),
            ("$$HOME", "$HOME"),
            ("${", "${"),
            ("${A:-b}", "${A:-b}"),
            ("100$", "100$"),
        ] {
            assert_eq!(expand(theirs, |name| format!("${{env:{name}}}")), ours);
        }
    }
}
