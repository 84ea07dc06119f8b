//! What a target sent, made fit for a mail and a page: without secrets and control characters,
//! and short. Fields that carry credentials (`Set-Cookie`) are shown without their values.

mod credentials;

use crosscheck_model::observation::EXCERPT_LIMIT_BYTES;

use crate::env::Secrets;

/// How much of what came back to keep for an excerpt: more than the excerpt itself, so that a
/// secret is recognised whole before its end is cut off.
pub const KEEP_BYTES: usize = 8 * EXCERPT_LIMIT_BYTES;

/// The beginning of what came back, of at most [`EXCERPT_LIMIT_BYTES`].
pub fn of(bytes: &[u8], secrets: &Secrets) -> String {
    of_first(KEEP_BYTES, bytes, secrets)
}

/// The same, where secrets may be so long that they are only whole in so many first bytes.
pub fn of_first(count: usize, bytes: &[u8], secrets: &Secrets) -> String {
    let kept = &bytes[..bytes.len().min(count)];
    let text = String::from_utf8_lossy(kept);
    let text = harmless(&credentials::without_values(&text), secrets);
    let text = if bytes.len() < count { text } else { secrets.redact_end(&text) };
    shorten(&text, EXCERPT_LIMIT_BYTES)
}

/// A value that came back, short enough for a sentence.
pub fn value(text: &str, secrets: &Secrets) -> String {
    shorten(&harmless(text, secrets), VALUE_LIMIT_BYTES)
}

/// The text in one line, without harmful characters and secrets; also without one that was taken
/// apart by characters that nobody sees.
pub fn harmless(text: &str, secrets: &Secrets) -> String {
    secrets.redact(&plain(&secrets.redact(text)))
}

/// The longest value in a sentence.
const VALUE_LIMIT_BYTES: usize = 200;

/// Whether a character makes a terminal, a mail or a page show something else than what was sent:
/// controls; what turns the direction of others (UAX 9: marks, embeddings, overrides, isolates);
/// what is invisible (zero-width, tags of the supplementary planes, line and paragraph ends).
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

/// The text in one line, without [harmful](is_harmful) characters.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' if out.ends_with(' ') => {}
            '\n' | '\r' | '\t' => out.push(' '),
            c if is_harmful(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// At most `limit` bytes of the text, cut between characters.
pub fn shorten(text: &str, limit: usize) -> String {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crosscheck_model::Text;

    use super::*;

    #[test]
    fn what_hides_moves_or_turns_text_is_taken_out() {
        for harmful in [
            '\u{0}',
            '\u{7}',
            '\u{1b}',
            '\u{7f}',
            '\u{9b}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{200f}',
            '\u{2028}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{fff9}',
            '\u{e0041}',
        ] {
            assert_eq!(plain(&format!("a{harmful}b")), "ab", "{}", harmful.escape_unicode());
        }
        assert_eq!(
            plain("\u{4e2d}\u{6587} caf\u{e9} \u{5d0}"),
            "\u{4e2d}\u{6587} caf\u{e9} \u{5d0}"
        );
    }

    #[test]
    fn control_characters_go_and_lines_become_one() {
        let text = of(b"a\r\n\tb\x1b[31m\x00c \xe2\x80\xaed", &Secrets::default());
        assert_eq!(text, "a b[31mc d");
    }

    #[test]
    fn it_is_cut_between_characters() {
        let text = of("\u{20ac}".repeat(1000).as_bytes(), &Secrets::default());
        assert_eq!(text.len(), 1023);
        assert!(text.chars().all(|c| c == '\u{20ac}'));
    }

    #[test]
    fn a_secret_taken_apart_or_cut_off_is_none_for_readers() {
        let secrets = Secrets::default();
        secrets.remember("hunter2!");
        assert_eq!(of("so hun\u{200b}ter2!.".as_bytes(), &secrets), "so <redacted>.");
        assert_eq!(value("so hun\0ter2!.", &secrets), "so <redacted>.");
        // Nothing of the filling is left, and what is kept ends in the midst of the secret.
        let body = format!("{}hunter2!", "\0".repeat(KEEP_BYTES - 5));
        assert_eq!(of(body.as_bytes(), &secrets), "<redacted>");
    }

    #[test]
    fn a_secret_at_the_cut_is_not_shown_in_part() {
        let secrets = Secrets::fixed(BTreeMap::from([("PW".to_owned(), "hunter2!".to_owned())]));
        let read = secrets.resolve(&Text::new("${env:PW}").expect("a reference"));
        assert_eq!(read.expect("it is there"), "hunter2!");
        let body = format!("{}hunter2!", "x".repeat(EXCERPT_LIMIT_BYTES - 4));
        let text = of(body.as_bytes(), &secrets);
        assert!(text.ends_with("x<red"), "{text}");
    }
}
