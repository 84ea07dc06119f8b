//! Regular expressions, compiled where they are read.

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};

use super::{Refused, typed_text};

/// A compiled regular expression in the syntax of the `regex` crate: matching takes time linear
/// in the text, whatever the expression. It finds a match anywhere; anchor it with `^` and `$`.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Most memory for a compiled expression: 50 times what a long alternation of words takes,
    /// and small beside a probe's thousands of checks.
    pub(super) const COMPILED_LIMIT_BYTES: usize = 1 << 20;

    /// Whether it matches anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// For captures and positions.
    pub fn regex(&self) -> &Regex {
        &self.0
    }

    /// The reason alone: the parser's message draws the expression over several lines, the reason
    /// last.
    pub(super) fn explain(text: &str, error: &regex::Error) -> String {
        let message = error.to_string();
        let reason = message.rsplit("error: ").next().unwrap_or(&message).trim();
        format!("`{text}` is no regular expression: {reason}")
    }
}

impl FromStr for Pattern {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let built = RegexBuilder::new(text).size_limit(Self::COMPILED_LIMIT_BYTES).build();
        built.map(Self).map_err(|error| Refused::new(Self::explain(text, &error)))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.as_str())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

typed_text!(Pattern, "a regular expression", {
    "type": "string",
    "format": "regex",
    "description": "a regular expression that must match somewhere in the text"
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_matches_anywhere() {
        let pattern: Pattern = "wel+come".parse().expect("well-formed");
        assert!(pattern.is_match("you are wellcome here"));
        assert!(!pattern.is_match("go away"));
        assert_eq!(pattern, "wel+come".parse().expect("well-formed"));
    }

    #[test]
    fn a_malformed_one_is_refused_on_one_line_with_the_reason() {
        for (text, reason) in [
            ("a(b", "unclosed group"),
            ("*", "repetition operator missing expression"),
            ("(?=x)", "look-around"),
            ("(a{1000}){1000}", "size limit"),
        ] {
            let refused = text.parse::<Pattern>().expect_err(text).to_string();
            assert!(refused.contains(reason), "{refused}");
            assert!(!refused.contains('\n'), "{refused}");
        }
    }
}
