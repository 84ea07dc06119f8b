//! The list of what could not be carried over, or means something else now.

use std::collections::BTreeSet;
use std::io::{self, Write};

/// What was left out, or has another meaning now.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Note {
    file: String,
    line: usize,
    what: String,
    why: String,
    /// All lines in which the same stands.
    lines: BTreeSet<usize>,
}

/// Notes in the order in which they came up.
#[derive(Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    /// A note on one place; `again` counts what is the same elsewhere to the first of them.
    pub(super) fn add(&mut self, file: &str, line: usize, what: &str, why: &str, again: bool) {
        let plain = |text: &str| text.replace(char::is_control, " ");
        let (what, why) = (plain(what), plain(why));
        let is_it = |note: &&mut Note| {
            note.file == file
                && note.what == what
                && note.why == why
                && (again || note.line == line)
        };
        match self.0.iter_mut().find(is_it) {
            Some(note) => {
                note.lines.insert(line);
            }
            None => {
                let (file, lines) = (file.to_owned(), BTreeSet::from([line]));
                self.0.push(Note { file, line, what, why, lines });
            }
        }
    }

    /// Tells all, a line each, and the sum.
    pub(super) fn tell(&self, checks: &str, out: &mut dyn Write) -> io::Result<()> {
        for Note { file, line, what, why, lines } in &self.0 {
            match line {
                0 if file.is_empty() => {}
                0 => write!(out, "{file}: ")?,
                line => write!(out, "{file}:{line}: ")?,
            }
            match lines.len() {
                1 => writeln!(out, "{what}: {why}")?,
                count => writeln!(out, "{what} (in {count} lines): {why}")?,
            }
        }
        match self.0.len() {
            0 => writeln!(out, "{checks}, nothing was left out"),
            1 => writeln!(out, "{checks}, 1 note on what was left out or changed"),
            count => writeln!(out, "{checks}, {count} notes on what was left out or changed"),
        }
    }
}
