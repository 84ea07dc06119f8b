//! Character references of HTML, as far as they stand in attributes that carry tokens and URLs.

/// The longest reference looked at: `&#x10FFFF;`.
const REFERENCE_AT_MOST_BYTES: usize = 10;

/// The text with its references replaced: numbers, and the five names that HTML shares with XML
/// (HTML Standard 13.5 has 2,231; servers escape with these). What is none stays as it is.
pub(super) fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.bytes().take(REFERENCE_AT_MOST_BYTES).position(|byte| byte == b';');
        let decoded = end.and_then(|end| Some((character(&rest[1..end])?, end + 1)));
        let (character, length) = decoded.unwrap_or(('&', 1));
        out.push(character);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

fn character(reference: &str) -> Option<char> {
    if let Some(number) = reference.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        return code.ok().and_then(char::from_u32);
    }
    Some(match reference {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::decode;

    #[test]
    fn references_are_replaced_and_the_rest_stays() {
        for (text, wanted) in [
            ("a&amp;b&lt;&gt;&quot;&apos;", "a&b<>\"'"),
            ("&#43;&#x2b;&#X2B;", "+++"),
            ("&amp;amp;", "&amp;"),
            (
                "&nope; & &; &#; &#x; &#xD800; &#99999999999;",
                "&nope; & &; &#; &#x; &#xD800; &#99999999999;",
            ),
            ("\u{4e2d}&\u{6587};", "\u{4e2d}&\u{6587};"),
            ("end &amp", "end &amp"),
        ] {
            assert_eq!(decode(text), wanted);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[&#x;a-f0-9\\PC]{0,60}") {
            prop_assert!(decode(&text).len() <= text.len());
        }
    }
}
