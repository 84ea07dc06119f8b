//! Text for terminals: what others say must not move the cursor, colour the screen, or show a line
//! in another order than it is read in.

use crosscheck_checks::excerpt::is_harmful;

/// The text in one line.
pub(super) fn line(text: &str) -> String {
    text.chars().map(|c| if is_harmful(c) { ' ' } else { c }).collect()
}

/// The text with its lines.
pub fn lines(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && is_harmful(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_a_terminal_becomes_a_blank() {
        let said = "two\nlines\r\u{1b}[2J\u{9b}m \u{202e}x";
        assert_eq!(line(said), "two lines  [2J m  x");
        assert_eq!(lines(said), "two\nlines  [2J m  x");
    }
}
