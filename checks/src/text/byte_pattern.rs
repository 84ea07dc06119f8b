//! Regular expressions over bytes, which need not be text.

use std::fmt;
use std::str::FromStr;

use regex::bytes::{Captures, Regex};

use super::{Pattern, Refused, typed_text};

/// A regular expression that finds a match anywhere in bytes. `.` stands for a character of
/// UTF-8; for any byte write `(?s-u:.)`.
#[derive(Clone)]
pub struct BytePattern(Regex);

impl BytePattern {
    /// The first match with its groups.
    pub fn captures<'h>(&self, bytes: &'h [u8]) -> Option<Captures<'h>> {
        self.0.captures(bytes)
    }

    /// The groups: numbers from 1, and names.
    pub fn groups(&self) -> impl Iterator<Item = (usize, Option<&str>)> {
        self.0.capture_names().enumerate().skip(1)
    }
}

impl FromStr for BytePattern {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let limit = Pattern::COMPILED_LIMIT_BYTES;
        let built = regex::bytes::RegexBuilder::new(text).size_limit(limit).build();
        built.map(Self).map_err(|error| Refused::new(Pattern::explain(text, &error)))
    }
}

impl fmt::Debug for BytePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BytePattern({:?})", self.0.as_str())
    }
}

impl fmt::Display for BytePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

typed_text!(BytePattern, "a regular expression", {
    "type": "string",
    "format": "regex",
    "description": "a regular expression that must match somewhere in what is heard"
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_matches_bytes_that_are_no_text_and_tells_its_groups() {
        let pattern: BytePattern = "v(?<version>[0-9.]+)(?s-u:.)(x)".parse().expect("well-formed");
        let found = pattern.captures(b"\xff\xfev5.7\xfex").expect("it is in there");
        assert_eq!(found.name("version").map(|group| group.as_bytes()), Some(&b"5.7"[..]));
        let groups: Vec<_> = pattern.groups().collect();
        assert_eq!(groups, [(1, Some("version")), (2, None)]);
        let refused = "a(b".parse::<BytePattern>().expect_err("unclosed").to_string();
        assert!(refused.contains("`a(b` is no regular expression: unclosed group"), "{refused}");
    }
}
