//! JSON for terminals and pipes: it means the same, and no character in it changes a terminal or
//! the order in which it shows what was said.

use std::io::{self, Write};

use crosscheck_checks::excerpt::is_harmful;
use serde::Serialize;

/// Writes a value in several lines.
///
/// # Errors
/// It has no JSON, or what the writer says.
pub(super) fn pretty(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    writeln!(out, "{}", escaped(&serde_json::to_string_pretty(value)?))
}

/// Writes a value in one line.
///
/// # Errors
/// As of [`pretty`].
pub(super) fn line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    writeln!(out, "{}", escaped(&serde_json::to_string(value)?))
}

/// JSON with its harmful characters, which stand in texts only, as escapes (RFC 8259, 7).
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for char in json.chars() {
        if char == '\n' || !is_harmful(char) {
            out.push(char);
            continue;
        }
        let mut units = [0; 2];
        for unit in char.encode_utf16(&mut units) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmful_characters_are_escaped_and_mean_the_same() {
        let said = "a\u{1b}[31m\u{7f}\u{9b}2J\u{202e}\u{200b}\u{e0041}\r\n\"déjà\"";
        let mut out = Vec::new();
        pretty(&mut out, &said).expect("memory takes it");
        line(&mut out, &said).expect("memory takes it");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.lines().count(), 2);
        for line in text.lines() {
            assert_eq!(line.find(is_harmful), None, "{line}");
            assert_eq!(serde_json::from_str::<String>(line).expect("JSON"), said);
        }
    }
}
