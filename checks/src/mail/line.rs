//! Somebody else's words, fit for a header field and for one line of a mail.

use crate::excerpt::is_harmful;

/// The text in one line: line breaks, control and direction characters become blanks, so that
/// neither a header field nor what a line seems to say can be forged.
pub fn one_line(text: &str) -> String {
    let blanked: String =
        text.chars().map(|char| if is_harmful(char) { ' ' } else { char }).collect();
    blanked.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most `limit` characters, with an ellipsis where something was cut off.
pub fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}
