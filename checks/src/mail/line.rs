//! Somebody else's words, fit for a header field and for one line of a mail.

/// The text in one line: line breaks, control and direction characters become blanks, so that
/// neither a header field nor what a line seems to say can be forged.
pub fn one_line(text: &str) -> String {
    let blanked: String =
        text.chars().map(|char| if is_harmful(char) { ' ' } else { char }).collect();
    blanked.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Control characters, line separators, and those that turn the direction of writing.
pub fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most `limit` characters, with an ellipsis where something was cut off.
pub fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}
