//! Places in a text that saved values take: `{{name}}`. Secrets are `${..}`, so neither can be
//! taken for the other.

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kind) enum Piece<'a> {
    /// As written.
    Plain(&'a str),
    /// The place of the value of this name.
    Saved(&'a str),
}

/// The parts in order.
///
/// # Errors
/// What is wrong with a place, as a lowercase fragment.
pub(in crate::kind) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        if start > 0 {
            pieces.push(Piece::Plain(&rest[..start]));
        }
        let inside = &rest[start + 2..];
        let end = inside.find("}}").ok_or("`{{` without its `}}`")?;
        let name = inside[..end].trim();
        if !is_name(name) {
            return Err(format!("`{{{{{}}}}}` names no saved value", &inside[..end]));
        }
        pieces.push(Piece::Saved(name));
        rest = &inside[end + 2..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Plain(rest));
    }
    Ok(pieces)
}

/// The names in order; none of a malformed text.
pub(in crate::kind) fn names(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).unwrap_or_default().into_iter().filter_map(|piece| match piece {
        Piece::Saved(name) => Some(name),
        Piece::Plain(_) => None,
    })
}

/// Letters, digits and `_`, a letter first.
pub(in crate::kind) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_between_plain_text() {
        assert_eq!(
            pieces("a {{b}}{{ c_1 }}, {d}").expect("well-formed"),
            [Piece::Plain("a "), Piece::Saved("b"), Piece::Saved("c_1"), Piece::Plain(", {d}")]
        );
        assert_eq!(names("{{a}} {{b}}").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(pieces(r#"{"a":{"b":1}}"#).expect("no place").len(), 1);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["{{a", "{{}}", "{{1a}}", "{{a.b}}", "{{ }}", "{{a b}}", "{{{a}}}"] {
            assert!(pieces(text).is_err(), "{text}");
        }
    }
}
