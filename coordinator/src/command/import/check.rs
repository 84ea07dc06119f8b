//! A check that comes into being.

use std::time::Duration;

use super::draft::{Draft, is_secret_header};
use super::time;
use super::written::Out;

/// The bounds of an interval.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));

/// What fails is tried again so soon, at the soonest, where nothing is said.
const SHORTEST_RETRY: Duration = Duration::from_secs(60);

/// Settings in which a reference (`${env:NAME}`) is replaced where the check runs. In others it
/// would stand as it is.
const TAKE_REFERENCES: [&str; 16] = [
    "headers",
    "send",
    "send_json",
    "form",
    "basic",
    "bearer",
    "digest",
    "user",
    "password",
    "login",
    "metadata",
    "client_id",
    "client_secret",
    "parameters",
    "env",
    "multipart",
];

/// A check that comes into being.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Check {
    /// The file that it is from.
    pub(super) file: String,
    /// Its line there.
    pub(super) line: usize,
    /// What people call it.
    pub(super) name: String,
    /// Its kind.
    pub(super) kind: &'static str,
    settings: Vec<(String, Out)>,
    terms: Vec<(String, Out)>,
    alarm: Vec<(String, Out)>,
}

impl Check {
    /// A check of this name, which stands in this line.
    pub(super) fn new(file: &str, line: usize, name: &str, kind: &'static str) -> Self {
        let (settings, terms, alarm) = (Vec::new(), Vec::new(), Vec::new());
        Self { file: file.to_owned(), line, name: name.to_owned(), kind, settings, terms, alarm }
    }

    /// Whether it is of this kind.
    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }

    /// A setting.
    pub(super) fn get(&self, key: &str) -> Option<&Out> {
        self.settings.iter().find_map(|(known, value)| (known == key).then_some(value))
    }

    /// Whether it has a setting.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// One of the kind's settings; given again, it replaces the first.
    pub(super) fn set(&mut self, key: &str, value: Out) {
        self.unset(key);
        self.settings.push((key.to_owned(), value));
    }

    /// Without a setting.
    pub(super) fn unset(&mut self, key: &str) {
        self.settings.retain(|(known, _)| known != key);
    }

    /// An entry of a setting that is a map.
    pub(super) fn put(&mut self, key: &str, inner: &str, value: Out) {
        let known = self.settings.iter_mut().find(|(known, _)| known == key);
        match known {
            Some((_, Out::Map(entries))) => entries.push((inner.to_owned(), value)),
            _ => self.set(key, Out::Map(vec![(inner.to_owned(), value)])),
        }
    }

    /// Whether a setting that is a map has this entry, whatever its case.
    pub(super) fn has_entry(&self, key: &str, inner: &str) -> bool {
        match self.get(key) {
            Some(Out::Map(entries)) => {
                entries.iter().any(|(known, _)| known.eq_ignore_ascii_case(inner))
            }
            _ => false,
        }
    }

    /// A header field of a request. Of one that may hold a secret, which is not copied, `reference`
    /// gives what stands there instead; whether it was one.
    pub(super) fn header(
        &mut self,
        header: &str,
        given: &str,
        reference: impl FnOnce() -> String,
    ) -> bool {
        let is_secret = is_secret_header(header);
        match is_secret {
            true => self.put("headers", header, Out::text(reference())),
            false if header.eq_ignore_ascii_case("host") => self.set("host", Out::text(given)),
            false => self.put("headers", header, Out::text(given)),
        }
        is_secret
    }

    /// The client's certificate and its key, where both are named.
    pub(super) fn client(&mut self, certificate: Option<&str>, key: Option<&str>) {
        if let Some((certificate, key)) = certificate.zip(key) {
            let client = [("certificate", Out::text(certificate)), ("key", Out::text(key))];
            self.set("client", Out::map(client));
        }
    }

    /// A proxy by its URL, whose user is written apart. Whether it had a password as well, which is
    /// not copied: `reference` stands in its place.
    ///
    /// # Errors
    /// It is none that is known here.
    pub(super) fn proxy(&mut self, url: &str, reference: &str) -> Result<bool, String> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        if !["http", "socks5", "socks5h"].contains(&scheme) {
            return Err("not copied; a proxy here is `http://` or `socks5://`".to_owned());
        }
        let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(l, p)| (Some(l), p));
        let place = place.split(['/', '?', '#']).next().unwrap_or(place);
        let mut proxy = vec![("url".to_owned(), Out::text(format!("{scheme}://{place}")))];
        let (user, password) = login.map_or((None, None), |login| match login.split_once(':') {
            Some((user, password)) => (Some(user), Some(password)),
            None => (Some(login), None),
        });
        proxy.extend(user.map(|user| ("user".to_owned(), Out::text(user))));
        proxy.extend(password.map(|_| ("password".to_owned(), Out::text(reference))));
        self.set("proxy", Out::Map(proxy));
        Ok(password.is_some())
    }

    /// An expression that must hold.
    pub(super) fn expect(&mut self, expression: impl Into<String>) {
        let known = self.settings.iter_mut().find(|(known, _)| known == "expect");
        match known {
            Some((_, Out::List(items))) => items.push(Out::text(expression)),
            _ => self.set("expect", Out::texts([expression.into()])),
        }
    }

    /// An item of a list in a setting that is a map.
    pub(super) fn add(&mut self, key: &str, inner: &str, item: Out) {
        if !self.has(key) {
            self.set(key, Out::Map(Vec::new()));
        }
        let map = self.settings.iter_mut().find(|(known, _)| known == key);
        let Some((_, Out::Map(entries))) = map else { return };
        match entries.iter_mut().find(|(known, _)| known == inner) {
            Some((_, Out::List(items))) => items.push(item),
            _ => entries.push((inner.to_owned(), Out::List(vec![item]))),
        }
    }

    /// A term of the check (`interval`, `attempts`); given again, it replaces the first.
    pub(super) fn term(&mut self, key: &str, value: Out) {
        self.terms.retain(|(known, _)| known != key);
        self.terms.push((key.to_owned(), value));
    }

    /// A term of its alarm (`after`); given again, it replaces the first.
    pub(super) fn alarm(&mut self, key: &str, value: Out) {
        self.alarm.retain(|(known, _)| known != key);
        self.alarm.push((key.to_owned(), value));
    }

    /// How often it runs and how long a run may take, within our bounds.
    pub(super) fn times(
        &mut self,
        interval: Option<Duration>,
        timeout: Option<Duration>,
        draft: &mut Draft,
    ) {
        let every = interval.map(|every| every.clamp(INTERVALS.0, INTERVALS.1));
        if every != interval {
            draft.lose(&self.file, self.line, &self.name, "an interval is 1s to 24h");
        }
        if let Some(every) = every {
            self.term("interval", time::ours(every));
        }
        let usual = Duration::from_secs(60);
        if let Some(timeout) = timeout {
            let most = every.unwrap_or(usual);
            if timeout > most {
                let why = "a run may take no longer than the interval; its time-out was cut";
                draft.lose(&self.file, self.line, &self.name, why);
            }
            let timeout = timeout.min(most).max(Duration::from_millis(1));
            self.term("timeout", time::ours(timeout));
            // A target that fails is tried more often here, but no run may overlap the next.
            if timeout > SHORTEST_RETRY {
                self.alarm("retry_interval", time::ours(most));
            }
        }
    }

    /// A reference that stands where it would not be replaced, and where that is.
    pub(super) fn stray_reference(&self) -> Option<(String, String)> {
        if let Some(found) = reference_in(&self.name) {
            return Some(("name".to_owned(), found));
        }
        let all = self.settings.iter().chain(&self.terms);
        all.filter_map(|(key, value)| stray(key, value)).next()
    }

    /// Its settings alone, for a step of a journey.
    pub(super) fn settings(self) -> Out {
        Out::Map(self.settings)
    }

    /// All of it.
    pub(super) fn out(&self) -> Out {
        let mut entries = vec![("name".to_owned(), Out::text(&self.name))];
        entries.push((self.kind.to_owned(), Out::Map(self.settings.clone())));
        entries.extend(self.terms.iter().cloned());
        if !self.alarm.is_empty() {
            entries.push(("alarm".to_owned(), Out::Map(self.alarm.clone())));
        }
        Out::Map(entries)
    }
}

fn stray(key: &str, value: &Out) -> Option<(String, String)> {
    if TAKE_REFERENCES.contains(&key) {
        return None;
    }
    match value {
        Out::Text(text) => Some((key.to_owned(), reference_in(text)?)),
        Out::Word(_) => None,
        Out::List(items) => items.iter().find_map(|item| stray(key, item)),
        Out::Map(entries) => entries.iter().find_map(|(key, value)| stray(key, value)),
    }
}

/// The first reference in a text.
pub(super) fn reference_in(text: &str) -> Option<String> {
    let at = ["${env:", "${file:"].iter().filter_map(|begin| text.find(begin)).min()?;
    let end = text[at..].find('}')?;
    Some(text[at..=at + end].to_owned())
}
