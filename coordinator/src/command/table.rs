//! Tables for terminals and pipes: columns as wide as their content, statuses in colour.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

/// Codes of colours (ECMA-48, SGR).
pub(super) const GREEN: &str = "32";
/// As above.
pub(super) const YELLOW: &str = "33";
/// As above.
pub(super) const RED: &str = "31";

/// A cell: text, and the code of its colour.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    colour: Option<&'static str>,
}

impl Cell {
    /// Text as it stands, without control characters: what targets say must not move the cursor.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        let text = text.into().chars().filter(|c| !c.is_control()).collect();
        Self { text, colour: None }
    }

    /// Text in a colour.
    pub(super) fn coloured(text: impl Into<String>, colour: &'static str) -> Self {
        Self { colour: Some(colour), ..Self::plain(text) }
    }

    /// A status word in its colour.
    pub(super) fn status(word: &str) -> Self {
        let colour = match word {
            "up" => GREEN,
            "degraded" => YELLOW,
            "down" => RED,
            _ => "35",
        };
        Self { colour: Some(colour), ..Self::plain(word) }
    }
}

/// Writes the rows below their heads; the last column is as wide as it likes.
///
/// # Errors
/// What the writer says.
pub(super) fn write(
    out: &mut dyn Write,
    heads: &[&str],
    rows: &[Vec<Cell>],
    colour: bool,
) -> io::Result<()> {
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(column, head)| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.text.width()).chain([head.width()]).max().unwrap_or(0)
        })
        .collect();
    let heads: Vec<Cell> = heads.iter().map(|head| Cell::plain(*head)).collect();
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let last = column + 1 == row.len();
            let pad = if last { 0 } else { widths[column] + 2 - cell.text.width() };
            match cell.colour.filter(|_| colour) {
                Some(code) => line.push_str(&format!("\x1b[{code}m{}\x1b[0m", cell.text)),
                None => line.push_str(&cell.text),
            }
            line.extend(std::iter::repeat_n(' ', pad));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_are_gone() {
        let rows = vec![
            vec![Cell::plain("日本"), Cell::status("up"), Cell::plain("x\x1b[2J")],
            vec![Cell::plain("a"), Cell::status("degraded"), Cell::plain("")],
        ];
        let mut out = Vec::new();
        write(&mut out, &["CHECK", "STATUS", "SITES"], &rows, false).expect("memory takes it");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "CHECK  STATUS    SITES\n日本   up        x[2J\na      degraded\n");
    }
}
