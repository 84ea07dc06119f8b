//! Blots secrets out of what others say, in the forms too in which servers repeat what they were
//! sent: encoded for a URL, JSON or HTML, in base64 or hexadecimal digits, backwards.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Secrets shorter than this are not blotted out: they would tear holes into unrelated text.
const BLOT_FROM_BYTES: usize = 4;

/// Forms of shorter secrets are not looked for: they are too like other words.
const FORMS_FROM_BYTES: usize = 6;

/// Nor those of longer ones, which are texts rather than secrets.
const FORMS_TO_BYTES: usize = 1024;

/// The most of a secret's beginning that is looked for at the end of a text.
const HALF_LIMIT_BYTES: usize = 4096;

/// What is put in the place of a secret.
const BLOT: &str = "<redacted>";

/// RFC 3986's unreserved characters stand for themselves.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What browsers' `encodeURIComponent` leaves as it is.
const COMPONENT: &AsciiSet =
    &UNRESERVED.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');

/// The secrets that are known, and what gives them away.
#[derive(Default)]
pub(super) struct Blotter {
    values: BTreeSet<String>,
    /// All forms of all values, the longest first.
    needles: Vec<String>,
}

impl Blotter {
    /// One more secret.
    pub(super) fn add(&mut self, value: &str) {
        if value.len() < BLOT_FROM_BYTES || !self.values.insert(value.to_owned()) {
            return;
        }
        self.needles.push(value.to_owned());
        if (FORMS_FROM_BYTES..=FORMS_TO_BYTES).contains(&value.len()) {
            self.needles.extend(forms(value));
        }
        self.needles.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        self.needles.dedup();
    }

    /// The text without secrets. The longest go first, so that nothing of one is left where
    /// another is its beginning.
    pub(super) fn blot(&self, text: &str) -> String {
        let mut text = Cow::Borrowed(text);
        for needle in &self.needles {
            if text.contains(needle.as_str()) {
                text = Cow::Owned(text.replace(needle.as_str(), BLOT));
            }
        }
        text.into_owned()
    }

    /// The text without the beginning of a secret at its end: what was kept of a longer text may
    /// end anywhere.
    pub(super) fn blot_end(&self, text: &str) -> String {
        let text = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        match self.begun_at_the_end_of(text) {
            Some(half) => format!("{}{BLOT}", &text[..text.len() - half]),
            None => text.to_owned(),
        }
    }

    /// How many bytes of the text's end are the beginning of a secret.
    fn begun_at_the_end_of(&self, text: &str) -> Option<usize> {
        let begun = |needle: &String| {
            let longest = needle.len().min(text.len()).min(HALF_LIMIT_BYTES);
            let fits = |count: &usize| {
                let end = text.len() - count;
                text.is_char_boundary(end) && text.as_bytes()[end..] == needle.as_bytes()[..*count]
            };
            (BLOT_FROM_BYTES..=longest).rev().find(fits)
        };
        self.needles.iter().filter_map(begun).max()
    }
}

/// The value as servers may repeat it.
fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.chars().rev().collect(), hex(value)];
    forms.push(hex(value).to_uppercase());
    for set in [NON_ALPHANUMERIC, UNRESERVED, COMPONENT] {
        let escaped = utf8_percent_encode(value, set).to_string();
        forms.extend([in_lower_case(&escaped), escaped.replace("%20", "+"), escaped]);
    }
    let json = serde_json::Value::from(value).to_string();
    let json = json.trim_matches('"');
    forms.extend([json.replace('/', "\\/"), in_ascii(json), json.to_owned()]);
    let html = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    for (double, single) in [("&quot;", "&#39;"), ("&#34;", "&#x27;"), ("\"", "'")] {
        forms.push(html.replace('"', double).replace('\'', single));
    }
    forms.push(STANDARD.encode(value));
    for shift in 0..3 {
        forms.extend(within_base64(value, shift));
    }
    forms
}

fn hex(value: &str) -> String {
    value.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Escapes of a URL with small letters.
fn in_lower_case(escaped: &str) -> String {
    let mut parts = escaped.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(part.len().min(2));
        out.push_str(&format!("%{}{rest}", digits.to_lowercase()));
    }
    out
}

/// JSON as programs write it that send ASCII only.
fn in_ascii(json: &str) -> String {
    let mut out = String::new();
    for char in json.chars() {
        if char.is_ascii() {
            out.push(char);
        } else {
            let mut units = [0; 2];
            char.encode_utf16(&mut units)
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

/// What base64 makes of the value where `shift` bytes of something else stand before it in its
/// group of three: the characters that nothing else has a part in.
fn within_base64(value: &str, shift: usize) -> Vec<String> {
    /// Shorter pieces are found in any picture.
    const SHORTEST: usize = 8;
    let bytes = [&[0_u8; 2][..shift], value.as_bytes()].concat();
    let begin = [0, 2, 3][shift];
    let whole = bytes.len() * 8 / 6;
    let pieces = [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)];
    let pieces = pieces.iter().filter_map(|text| text.get(begin..whole));
    pieces.filter(|piece| piece.len() >= SHORTEST).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "pä/ss\"w+rd &7";

    fn blotter() -> Blotter {
        let mut blotter = Blotter::default();
        blotter.add(SECRET);
        blotter
    }

    #[test]
    fn a_secret_is_found_in_the_clothes_that_servers_give_it() {
        for clothed in [
            SECRET.to_owned(),
            SECRET.chars().rev().collect(),
            "70c3a42f737322772b72642026".to_owned() + "37",
            "70C3A42F737322772B7264202637".to_owned(),
            "p%C3%A4%2Fss%22w%2Brd%20%267".to_owned(),
            "p%c3%a4%2fss%22w%2brd%20%267".to_owned(),
            "p%C3%A4%2Fss%22w%2Brd+%267".to_owned(),
            "pä/ss\\\"w+rd &7".to_owned(),
            "pä\\/ss\\\"w+rd &7".to_owned(),
            "p\\u00e4/ss\\\"w+rd &7".to_owned(),
            "pä/ss&quot;w+rd &amp;7".to_owned(),
            "pä/ss&#34;w+rd &amp;7".to_owned(),
            STANDARD.encode(SECRET),
        ] {
            let told = blotter().blot(&format!("you said {clothed}, did you"));
            assert_eq!(told, "you said <redacted>, did you", "{clothed}");
        }
        for before in ["", "u", "us", "user:"] {
            let encoded = STANDARD.encode(format!("{before}{SECRET}:and more"));
            let told = blotter().blot(&encoded);
            assert!(told.contains(BLOT) && told.len() < encoded.len(), "{before}: {told}");
        }
    }

    #[test]
    fn of_two_secrets_the_longer_one_goes_whole() {
        let mut blotter = Blotter::default();
        for secret in ["abcd", "abcdefgh", "cdefghij"] {
            blotter.add(secret);
        }
        assert_eq!(blotter.blot("x abcdefgh y abcd z"), "x <redacted> y <redacted> z");
    }

    #[test]
    fn half_a_secret_at_the_end_is_not_told() {
        assert_eq!(blotter().blot_end("it is pä/ss"), "it is <redacted>");
        assert_eq!(blotter().blot_end("it is pä/s\u{fffd}"), "it is <redacted>");
        assert_eq!(blotter().blot_end("it is pä"), "it is pä", "too little to know it by");
        assert_eq!(blotter().blot("it is pä/ss"), "it is pä/ss", "that is all of it");
    }

    #[test]
    fn what_is_short_or_no_secret_stays() {
        let mut blotter = blotter();
        blotter.add("abc");
        assert_eq!(blotter.blot("abc, cba and 616263"), "abc, cba and 616263");
        assert_eq!(Blotter::default().blot("as it is"), "as it is");
    }
}
