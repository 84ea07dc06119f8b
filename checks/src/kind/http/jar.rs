//! The cookies of one run (RFC 6265): kept while it lasts, sent where they belong. The rules of
//! domains, paths, `Secure` and expiry are the `cookie_store` crate's.

use cookie_store::CookieStore;
use http::{HeaderMap, HeaderValue, header};

use super::target::Target;
use crate::env::Secrets;

/// The longest cookie taken, with its attributes: what RFC 6265 6.1 wants stored at least, and
/// the most that browsers store.
const COOKIE_AT_MOST_BYTES: usize = 4096;

/// The most cookies kept: as many for all hosts as browsers keep for one.
const COOKIES_AT_MOST: usize = 180;

/// The most cookies taken in a run, also when one takes another's place.
const TAKEN_AT_MOST: usize = 1000;

/// A value this long is likely to be a session's: it is blotted out where it is shown. Shorter
/// ones (`dark`, `en-GB`) are words that stand in pages anyway.
const BLOT_FROM_BYTES: usize = 8;

/// Cookies, none at first.
#[derive(Default)]
pub(in crate::kind) struct Jar {
    store: CookieStore,
    taken: usize,
}

impl Jar {
    /// Takes the cookies of an answer; malformed ones and those of foreign domains are ignored,
    /// as RFC 6265 5.3 wants it.
    pub(super) fn take(&mut self, headers: &HeaderMap, from: &Target, secrets: &Secrets) {
        for value in headers.get_all(header::SET_COOKIE) {
            let Ok(text) = value.to_str() else { continue };
            let is_full =
                self.taken >= TAKEN_AT_MOST || self.store.iter_any().count() >= COOKIES_AT_MOST;
            if is_full || text.len() > COOKIE_AT_MOST_BYTES {
                continue;
            }
            self.taken += 1;
            // What is refused may be shown just as well.
            let value = text.split(';').next().and_then(|pair| pair.split_once('='));
            if let Some((_, value)) = value
                && value.trim().len() >= BLOT_FROM_BYTES
            {
                secrets.remember(value.trim().trim_matches('"'));
            }
            let _ = self.store.parse(text, from.url());
        }
    }

    /// The `Cookie` header for this URL; `None` when no cookie belongs there.
    pub(super) fn header(&self, to: &Target) -> Option<HeaderValue> {
        let pairs: Vec<String> = self
            .store
            .get_request_values(to.url())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if pairs.is_empty() {
            return None;
        }
        let mut value = HeaderValue::from_str(&pairs.join("; ")).ok()?;
        value.set_sensitive(true); // Kept out of HTTP/2's compression table.
        Some(value)
    }

    /// The value of a cookie that would be sent there.
    pub(in crate::kind) fn value(&self, name: &str, to: &Target) -> Option<String> {
        let mut values = self.store.get_request_values(to.url());
        values.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target::new(url::Url::parse(url).expect("a URL")).expect("http")
    }

    fn answer(cookies: &[&str]) -> HeaderMap {
        let value = |text: &&str| HeaderValue::from_str(text).expect("one line");
        cookies.iter().map(|text| (header::SET_COOKIE, value(text))).collect()
    }

    fn sent(jar: &Jar, to: &str) -> Vec<String> {
        let header = jar.header(&target(to));
        let text = header.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut pairs: Vec<_> =
            text.split("; ").filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
        pairs.sort();
        pairs
    }

    #[test]
    fn cookies_go_where_they_belong_and_nowhere_else() {
        let mut jar = Jar::default();
        let cookies = [
            "host=1; Path=/",
            "wide=2; Domain=example.com; Path=/",
            "path=3; Path=/admin",
            "safe=4; Secure; Path=/",
            "gone=5; Max-Age=0",
            "alien=6; Domain=example.org",
            "nonsense",
        ];
        let secrets = Secrets::default();
        jar.take(&answer(&cookies), &target("https://shop.example.com/login"), &secrets);
        for (url, wanted) in [
            ("https://shop.example.com/", vec!["host=1", "safe=4", "wide=2"]),
            ("http://shop.example.com/", vec!["host=1", "wide=2"]),
            ("https://shop.example.com/admin/x", vec!["host=1", "path=3", "safe=4", "wide=2"]),
            ("https://other.example.com/", vec!["wide=2"]),
            ("https://example.org/", vec![]),
            ("https://notexample.com/", vec![]),
        ] {
            assert_eq!(sent(&jar, url), wanted, "{url}");
        }
        assert_eq!(jar.value("wide", &target("https://example.com/")).as_deref(), Some("2"));
        assert_eq!(jar.value("alien", &target("https://example.org/")), None);
    }

    #[test]
    fn a_later_cookie_takes_the_place_of_an_earlier_one() {
        let (mut jar, at, secrets) =
            (Jar::default(), target("http://127.0.0.1:8000/"), Secrets::default());
        jar.take(&answer(&["sid=one"]), &at, &secrets);
        jar.take(&answer(&["sid=two"]), &at, &secrets);
        assert_eq!(sent(&jar, "http://127.0.0.1:8000/"), ["sid=two"]);
        jar.take(&answer(&["sid=; Max-Age=0"]), &at, &secrets);
        assert_eq!(jar.header(&at), None);
    }

    #[test]
    fn it_is_bounded_and_long_values_are_blotted_out() {
        let (mut jar, at, secrets) =
            (Jar::default(), target("http://127.0.0.1/"), Secrets::default());
        let long = format!("long={}", "x".repeat(COOKIE_AT_MOST_BYTES));
        jar.take(&answer(&[&long]), &at, &secrets);
        assert_eq!(jar.header(&at), None);
        for number in 0..10 * COOKIES_AT_MOST {
            jar.take(&answer(&[&format!("c{number}=session-{number}")]), &at, &secrets);
        }
        assert_eq!(sent(&jar, "http://127.0.0.1/").len(), COOKIES_AT_MOST);
        assert_eq!(secrets.redact("it is session-7."), "it is <redacted>.");
    }
}
