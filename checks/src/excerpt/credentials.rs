//! Credentials that nobody has told the probe of: the values of header fields that carry some, in an
//! answer that shows its head (a `tcp` check that speaks HTTP) or repeats a request's as text or JSON.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// A field's name, what stands between it and its value, and the value: a string in quotes, or the
/// rest of the line (RFC 9110 5.5, RFC 6265 4). A test sees that it compiles.
static FIELD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let names = "(?:proxy-)?authorization|(?:set-)?cookie2?|x-api-key|x-auth-token|x-csrf-token";
    let between = r#"["']?[ \t]*[:=][ \t]*\[?[ \t]*"#;
    let value = r#""(?:[^"\\]|\\.)*"?|'[^'\r\n]*'?|[^"'\r\n][^\r\n]*"#;
    Regex::new(&format!(r"(?i)\b(?P<field>(?:{names}){between})(?:{value})")).ok()
});

/// The text with `<redacted>` in the place of these values.
pub(super) fn without_values(text: &str) -> Cow<'_, str> {
    match &*FIELD {
        Some(field) => field.replace_all(text, "${field}<redacted>"),
        None => Cow::Borrowed(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_let_somebody_in_are_left_out() {
        for (text, shown) in [
            (
                "HTTP/1.0 200 OK\r\nSet-Cookie: sid=s3cr3t; Path=/\r\nServer: x\r\n",
                "HTTP/1.0 200 OK\r\nSet-Cookie: <redacted>\r\nServer: x\r\n",
            ),
            (
                r#"{"headers":{"Authorization":"Bearer a\"b","Accept":"*/*"}}"#,
                r#"{"headers":{"Authorization":<redacted>,"Accept":"*/*"}}"#,
            ),
            (r#"{"Cookie": ["a=b"]}"#, r#"{"Cookie": [<redacted>]}"#),
            ("proxy-authorization=Basic eHg=\nnext", "proxy-authorization=<redacted>\nnext"),
            ("{'X-Api-Key': 'k'}", "{'X-Api-Key': <redacted>}"),
            ("cut off: \"cookie\": \"a=", "cut off: \"cookie\": <redacted>"),
            ("we use cookies here", "we use cookies here"),
        ] {
            assert_eq!(without_values(text), shown);
        }
    }
}
