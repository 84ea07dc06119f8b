//! What is wrong with a document, and where: as text with the line and a caret, or as JSON.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;
use unicode_width::UnicodeWidthChar;

use crate::excerpt::is_harmful;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The document cannot be used.
    Error,
    /// It can, but probably does not do what its author wants.
    Warning,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Something in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file as it was named.
    pub file: String,
    /// The line, from 1; 0 stands for the file as a whole.
    pub line: usize,
    /// The character in the line, from 1; 0 stands for the file as a whole.
    pub column: usize,
    /// How many characters of the line are meant.
    pub length: usize,
    /// The line; secrets in it are blotted out.
    pub text: String,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    #[serde(rename = "severity")]
    pub level: Level,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to write instead, where one can tell.
    pub hint: Option<String>,
}

impl Place {
    /// A file as a whole.
    pub fn file(name: impl Into<String>) -> Self {
        Self { file: name.into(), line: 0, column: 0, length: 0, text: String::new() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

/// Bold, red, yellow, blue and back, or nothing.
struct Ink {
    error: &'static str,
    warning: &'static str,
    gutter: &'static str,
    bold: &'static str,
    off: &'static str,
}

const COLOUR: Ink = Ink {
    error: "\x1b[1;31m",
    warning: "\x1b[1;33m",
    gutter: "\x1b[1;34m",
    bold: "\x1b[1m",
    off: "\x1b[0m",
};

const PLAIN: Ink = Ink { error: "", warning: "", gutter: "", bold: "", off: "" };

/// The most columns of a line that are shown; longer ones are cut around what is meant.
const SHOWN_COLUMNS: usize = 120;

/// How many of them stand before what is meant.
const SHOWN_BEFORE: usize = 40;

/// Writes all of them and the line that counts them.
///
/// # Errors
/// What the writer says.
pub fn report(out: &mut dyn Write, found: &[Diagnostic], colour: bool) -> io::Result<()> {
    let ink = if colour { COLOUR } else { PLAIN };
    for diagnostic in found {
        one(out, diagnostic, &ink)?;
    }
    if found.is_empty() {
        return Ok(());
    }
    let errors = found.iter().filter(|d| d.level == Level::Error).count();
    writeln!(out, "{}", tally(errors, found.len() - errors))
}

/// `3 errors, 1 warning`.
fn tally(errors: usize, warnings: usize) -> String {
    let words = [(errors, "error"), (warnings, "warning")];
    let counted: Vec<String> = words
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    counted.join(", ")
}

fn one(out: &mut dyn Write, diagnostic: &Diagnostic, ink: &Ink) -> io::Result<()> {
    let Diagnostic { level, place, message, hint } = diagnostic;
    let mark = match level {
        Level::Error => ink.error,
        Level::Warning => ink.warning,
    };
    let (bold, gutter, off) = (ink.bold, ink.gutter, ink.off);
    let shown = clean(&place.to_string());
    writeln!(out, "{bold}{shown}:{off} {mark}{level}:{off} {bold}{}{off}", clean(message))?;
    if place.line > 0 {
        let (text, before, under) = window(place);
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(out, "{margin} {gutter}|{off}")?;
        writeln!(out, "{gutter}{number} |{off} {text}")?;
        let carets = "^".repeat(under);
        writeln!(out, "{margin} {gutter}|{off} {}{mark}{carets}{off}", " ".repeat(before))?;
    }
    if let Some(hint) = hint {
        writeln!(out, "  {bold}hint:{off} {}", clean(hint))?;
    }
    writeln!(out)
}

/// The part of the line to show, the columns before what is meant, and the columns to underline.
fn window(place: &Place) -> (String, usize, usize) {
    let shown: Vec<char> = place.text.chars().map(visible).collect();
    let start = place.column.saturating_sub(1).min(shown.len());
    let end = (start + place.length).min(shown.len());
    let mut first = start;
    let mut before = 0;
    let fits = columns(&shown) <= SHOWN_COLUMNS;
    while first > 0 && (fits || before < SHOWN_BEFORE) {
        first -= 1;
        before += columns(&shown[first..=first]);
    }
    let mut text = String::new();
    let mut used = 0;
    let mut last = first;
    while last < shown.len() && used < SHOWN_COLUMNS {
        text.push(shown[last]);
        used += columns(&shown[last..=last]);
        last += 1;
    }
    let under = columns(&shown[start..end.min(last).max(start)]).max(1);
    (text.trim_end().to_owned(), before, under)
}

/// The terminal columns that characters take.
fn columns(text: &[char]) -> usize {
    text.iter().map(|c| c.width().unwrap_or(0)).sum()
}

/// A character that cannot move the cursor or change the terminal.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if is_harmful(c) => '\u{fffd}',
        c => c,
    }
}

/// Text without characters that could change the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { ' ' } else { visible(c) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, column: usize, length: usize) -> String {
        let place =
            Place { file: "a.yaml".to_owned(), line: 7, column, length, text: text.to_owned() };
        let message = "wrong".to_owned();
        let diagnostic = Diagnostic { level: Level::Error, place, message, hint: None };
        let mut out = Vec::new();
        report(&mut out, &[diagnostic], false).expect("memory takes it");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn the_caret_stands_under_wide_characters() {
        let wanted = "a.yaml:7:4: error: wrong\n  |\n7 | 名: 中文 x\n  |     ^^^^\n\n1 error\n";
        assert_eq!(shown("名: 中文 x", 4, 2), wanted);
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let out = shown(&text, 501, 4);
        let wanted = format!("7 | {}HERE{}\n", "a".repeat(40), "b".repeat(76));
        assert!(out.contains(&wanted), "{out}");
        assert!(out.contains(&format!("  | {}^^^^\n", " ".repeat(40))), "{out}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        // Nor what shows a line in another order than it is read in.
        let out = shown("a: \u{1b}[31mred \u{9b}2J \u{202e}drowssap", 1, 1);
        assert!(!out.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{out}");
    }

    #[test]
    fn errors_and_warnings_are_counted() {
        assert_eq!(tally(3, 1), "3 errors, 1 warning");
        assert_eq!(tally(1, 0), "1 error");
        assert_eq!(tally(0, 2), "2 warnings");
    }
}
