//! Where a step goes: a URL with places for saved values, or a URL that was saved itself.
//!
//! A saved value can fill a part of a path or a query, where it is escaped, or be the whole URL;
//! then it must lead to a server that the journey names. So no answer chooses a host to which the
//! probe carries what later steps send.

use crosscheck_model::Cause;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::kind::http::target::Target;
use crate::kind::http::template::{self, Piece};
use crate::kind::http::words::{self, Saved, SavedValue};
use crate::resolve::Failure;

/// All but the unreserved characters (RFC 3986 2.3): a value is one part and stays one.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What stands in a place while the settings are checked.
const SAMPLE: &str = "0";

/// Where a step goes.
#[derive(Debug)]
pub(super) enum Address {
    /// Always there.
    Fixed(Target),
    /// There, once the places are filled.
    Filled(String),
    /// Where the saved value of this name says.
    Saved(String),
}

impl Address {
    /// The address and a URL of its kind. `before` is where the step before goes.
    ///
    /// # Errors
    /// Why it is none, and what to write.
    pub(super) fn new(
        written: &str,
        base: Option<&str>,
        before: Option<&Target>,
    ) -> Result<(Self, Target), String> {
        let text = written.trim();
        let text = match base {
            Some(base) if text.starts_with('/') => {
                format!("{}{text}", base.trim().trim_end_matches('/'))
            }
            None if text.starts_with('/') => {
                return Err(format!("`{text}` continues no URL; write `base: \"https://..\"`"));
            }
            _ => text.to_owned(),
        };
        let pieces = template::pieces(&text)?;
        if let ([Piece::Saved(name)], Some(before)) = (&pieces[..], before) {
            return Ok((Self::Saved((*name).to_owned()), before.clone()));
        }
        let sample: String = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Plain(plain) => plain,
                Piece::Saved(_) => SAMPLE,
            })
            .collect();
        let is_filled = pieces.iter().any(|piece| matches!(piece, Piece::Saved(_)));
        if is_filled && !begins_with_host(&pieces) {
            let message = "a saved value in the host; it may stand in the path and the query, or \
                           be the whole URL";
            return Err(message.to_owned());
        }
        let target = Target::parse(&sample)?;
        let address = if is_filled { Self::Filled(text) } else { Self::Fixed(target.clone()) };
        Ok((address, target))
    }

    /// The URL of a run.
    ///
    /// # Errors
    /// What was saved does not lead anywhere, or astray.
    pub(super) fn target(&self, saved: &Saved, named: &[Target]) -> Result<Target, Failure> {
        match self {
            Self::Fixed(target) => Ok(target.clone()),
            Self::Filled(text) => filled(text, saved),
            Self::Saved(name) => {
                let SavedValue { text, from } = words::value(saved, name)?;
                let target = from.join(text).map_err(|why| {
                    Failure::new(Cause::Redirect, format!("the saved `{name}` is no URL: {why}"))
                })?;
                if named.iter().any(|known| known.same_origin(&target)) {
                    return Ok(target);
                }
                let host = target.authority();
                let detail = format!("the saved `{name}` leads to {host}, which no step names");
                Err(Failure::new(Cause::Redirect, detail))
            }
        }
    }
}

/// The value as it stands in a URL.
pub(super) fn escaped(value: &str) -> String {
    utf8_percent_encode(value, ESCAPED).to_string()
}

fn begins_with_host(pieces: &[Piece<'_>]) -> bool {
    let Some(Piece::Plain(first)) = pieces.first() else { return false };
    let after = first.split_once("://").map(|(_, rest)| rest);
    after.is_some_and(|rest| rest.contains(['/', '?']))
}

fn filled(text: &str, saved: &Saved) -> Result<Target, Failure> {
    let wrong = |why: String| Failure::new(Cause::Redirect, why);
    let mut url = String::new();
    for piece in template::pieces(text).map_err(wrong)? {
        match piece {
            Piece::Plain(plain) => url.push_str(plain),
            Piece::Saved(name) => {
                let value = &words::value(saved, name)?.text;
                // `..` is a way up, also when it is escaped (URL Standard 4.4).
                if value.chars().all(|c| c == '.') {
                    return Err(wrong(format!("the saved `{name}` cannot stand in a URL")));
                }
                url.push_str(&escaped(value));
            }
        }
    }
    Target::parse(&url).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(value: &str) -> Saved {
        let from = Target::parse("https://a.example/login/form?x=1").expect("a URL");
        Saved::from([("it".to_owned(), SavedValue { text: value.to_owned(), from })])
    }

    fn leads(written: &str, value: &str) -> Result<String, String> {
        let before = Target::parse("https://a.example/").expect("a URL");
        let (address, sample) = Address::new(written, Some("https://a.example/v1/"), Some(&before))
            .expect("well-formed");
        let target = address.target(&saved(value), &[sample]);
        target.map(|target| target.to_string()).map_err(|failure| failure.detail)
    }

    #[test]
    fn a_value_fills_one_part_and_stays_one() {
        for (written, value, wanted) in [
            ("/orders/{{it}}", "17", "https://a.example/v1/orders/17"),
            (
                "/orders/{{it}}/x",
                "a/../b?c#d%2e",
                "https://a.example/v1/orders/a%2F..%2Fb%3Fc%23d%252e/x",
            ),
            (
                "https://a.example/?t={{ it }}&u=1",
                "a+b&c=d",
                "https://a.example/?t=a%2Bb%26c%3Dd&u=1",
            ),
            ("https://a.example?t={{it}}", "\u{4e2d}", "https://a.example/?t=%E4%B8%AD"),
        ] {
            assert_eq!(leads(written, value).as_deref(), Ok(wanted), "{written}");
        }
        for value in ["..", ".", ""] {
            assert!(leads("/orders/{{it}}/delete", value).is_err(), "{value}");
        }
    }

    #[test]
    fn a_saved_url_leads_to_a_server_that_is_named() {
        for (value, wanted) in [
            ("https://a.example/next?s=1", Some("https://a.example/next?s=1")),
            ("/abs", Some("https://a.example/abs")),
            ("near", Some("https://a.example/login/near")),
            ("https://a.example:444/", None),
            ("https://evil.example/", None),
            ("//evil.example/", None),
            ("http://a.example/", None),
            ("file:///etc/passwd", None),
            ("https://u:p@a.example/", None),
        ] {
            assert_eq!(leads("{{it}}", value).ok().as_deref(), wanted, "{value}");
        }
    }

    #[test]
    fn a_value_never_chooses_the_host() {
        for written in [
            "https://{{it}}/",
            "https://{{it}}.example.com/",
            "https://a.example{{it}}",
            "{{it}}/x",
            "{{it}}://a.example/",
            "https://a.example:{{it}}/",
        ] {
            let before = Target::parse("https://a.example/").expect("a URL");
            assert!(Address::new(written, None, Some(&before)).is_err(), "{written}");
        }
        assert!(Address::new("{{it}}", None, None).is_err());
        assert!(Address::new("/x", None, None).expect_err("no base").contains("base"));
    }
}
