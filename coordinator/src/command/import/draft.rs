//! A configuration that comes into being, and the list of what is not in it.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;

use crosscheck_checks::document::{Catalogue, Document, Level, Source};

use super::time;
use super::written::{self, Out};

/// The longest name that a check may have, in characters.
const NAME_LIMIT: usize = 120;

/// The bounds of an interval.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));

/// Whether a header field says who asks: its content is not copied.
pub(super) fn is_secret_header(name: &str) -> bool {
    const SECRET: [&str; 6] = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-api-key",
        "x-auth-token",
        "private-token",
    ];
    SECRET.iter().any(|secret| secret.eq_ignore_ascii_case(name))
}

/// Why something is not carried over that several programs have.
pub(super) mod why {
    /// A proxy: its password stands in its URL as a rule.
    pub(in super::super) const PROXY: &str =
        "not copied; write `proxy: { url: .. }`, its password as `${env:..}`";
    /// Access tokens that are fetched.
    pub(in super::super) const TOKENS: &str = "not copied; write `oauth2: { token_url: .., \
         client_id: .., client_secret: .. }`, the secret as `${env:..}`";
    /// What the settings of kind `http` have no word for.
    pub(in super::super) const EXPRESSION: &str = "write it as an expression (`expect`)";
    /// A certificate that is not verified.
    pub(in super::super) const UNTRUSTED: &str =
        "a certificate that is not trusted is never taken; name its `ca`";
}

/// What was left out, or has another meaning now.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lost {
    file: String,
    line: usize,
    what: String,
    why: String,
}

/// A check that comes into being.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Check {
    file: String,
    line: usize,
    name: String,
    kind: &'static str,
    settings: Vec<(String, Out)>,
    terms: Vec<(String, Out)>,
    alarm: Vec<(String, Out)>,
}

/// A configuration that comes into being.
#[derive(Default)]
pub(super) struct Draft {
    checks: Vec<Check>,
    names: BTreeSet<String>,
    contacts: Vec<(String, Out)>,
    channels: Vec<(String, Out)>,
    routes: Vec<Out>,
    maintenance: Vec<Out>,
    lost: Vec<Lost>,
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

    /// Whether it has a setting.
    pub(super) fn has(&self, key: &str) -> bool {
        self.settings.iter().any(|(known, _)| known == key)
    }

    /// One of the kind's settings; given again, it replaces the first.
    pub(super) fn set(&mut self, key: &str, value: Out) {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value));
    }

    /// An entry of a setting that is a map.
    pub(super) fn put(&mut self, key: &str, inner: &str, value: Out) {
        let known = self.settings.iter_mut().find(|(known, _)| known == key);
        match known {
            Some((_, Out::Map(entries))) => entries.push((inner.to_owned(), value)),
            _ => self.set(key, Out::Map(vec![(inner.to_owned(), value)])),
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
            self.term("timeout", time::ours(timeout.min(most).max(Duration::from_millis(1))));
        }
    }

    /// Its settings alone, for a step of a journey.
    pub(super) fn settings(self) -> Out {
        Out::Map(self.settings)
    }

    fn out(&self) -> Out {
        let mut entries = vec![("name".to_owned(), Out::text(&self.name))];
        entries.push((self.kind.to_owned(), Out::Map(self.settings.clone())));
        entries.extend(self.terms.iter().cloned());
        if !self.alarm.is_empty() {
            entries.push(("alarm".to_owned(), Out::Map(self.alarm.clone())));
        }
        Out::Map(entries)
    }
}

impl Draft {
    /// Takes note of what is left out.
    pub(super) fn lose(&mut self, file: &str, line: usize, what: &str, why: &str) {
        let plain = |text: &str| text.replace(char::is_control, " ");
        let (what, why) = (plain(what), plain(why));
        let lost = Lost { file: file.to_owned(), line, what, why };
        if !self.lost.contains(&lost) {
            self.lost.push(lost);
        }
    }

    /// A check; its name becomes one that we allow and that no other has. That name.
    pub(super) fn check(&mut self, mut check: Check) -> String {
        let clean: String =
            check.name.chars().map(|c| if c.is_control() || c == '*' { ' ' } else { c }).collect();
        let clean = clean.split_whitespace().collect::<Vec<_>>().join(" ");
        let clean = if clean.is_empty() { format!("{} check", check.kind) } else { clean };
        let mut name: String = clean.chars().take(NAME_LIMIT).collect();
        for number in 2.. {
            if self.names.insert(name.trim().to_owned()) {
                break;
            }
            let short: String = clean.chars().take(NAME_LIMIT - 8).collect();
            name = format!("{} ({number})", short.trim());
        }
        check.name = name.trim().to_owned();
        let name = check.name.clone();
        self.checks.push(check);
        name
    }

    /// Someone to tell by mail.
    pub(super) fn contact(&mut self, name: &str, mail: &[String]) {
        if !self.contacts.iter().any(|(known, _)| known == name) {
            self.contacts.push((name.to_owned(), Out::map([("mail", Out::texts(mail.to_vec()))])));
        }
    }

    /// How to tell people by mail; the first is kept.
    pub(super) fn mail_channel(&mut self, settings: Vec<(String, Out)>) {
        if self.channels.is_empty() {
            self.channels.push(("mail".to_owned(), Out::Map(settings)));
        }
    }

    /// Whether there is a way to mail.
    pub(super) fn has_channel(&self) -> bool {
        !self.channels.is_empty()
    }

    /// Who is told of what.
    pub(super) fn route(&mut self, route: Out) {
        self.routes.push(route);
    }

    /// Planned work.
    pub(super) fn maintenance(&mut self, window: Out) {
        self.maintenance.push(window);
    }

    /// Leaves out what a validation refuses: each check by itself, then the rest.
    pub(super) fn settle(&mut self, catalogue: &Catalogue<'_>) {
        for check in std::mem::take(&mut self.checks) {
            let alone = [("checks", Out::List(vec![check.out()]))];
            match wrong(&alone, catalogue) {
                None => self.checks.push(check),
                Some(why) => {
                    self.lose(&check.file, check.line, &check.name, &format!("left out: {why}"));
                }
            }
        }
        let names: BTreeSet<&str> = self.checks.iter().map(|check| check.name.as_str()).collect();
        let all_gone = |entry: &Out| is_about_nothing(entry, &names);
        self.routes.retain(|route| !all_gone(route));
        self.maintenance.retain(|window| !all_gone(window));
        if let Some(why) = wrong(&self.sections(), catalogue) {
            self.lose("", 0, "contacts, routes and maintenance", &format!("left out: {why}"));
            self.contacts.clear();
            self.channels.clear();
            self.routes.clear();
            self.maintenance.clear();
        }
    }

    fn sections(&self) -> Vec<(&'static str, Out)> {
        let checks = self.checks.iter().map(Check::out).collect();
        let mut all = vec![
            ("contacts", Out::Map(self.contacts.clone())),
            ("channels", Out::Map(self.channels.clone())),
            ("routes", Out::List(self.routes.clone())),
            ("checks", Out::List(checks)),
            ("maintenance", Out::List(self.maintenance.clone())),
        ];
        all.retain(|(_, section)| !is_empty(section));
        all
    }

    /// The YAML.
    pub(super) fn text(&self, source: &str) -> String {
        let head = format!(
            "# From a configuration of {source}, by `crosscheck import`.\n\
             # Look at it, then: crosscheck validate FILE; crosscheck run FILE\n"
        );
        head + &written::document(&self.sections())
    }

    /// Tells what was left out, and the sum.
    pub(super) fn tell(&self, notes: &mut dyn Write) -> io::Result<()> {
        for Lost { file, line, what, why } in &self.lost {
            match line {
                0 if file.is_empty() => writeln!(notes, "{what}: {why}")?,
                0 => writeln!(notes, "{file}: {what}: {why}")?,
                line => writeln!(notes, "{file}:{line}: {what}: {why}")?,
            }
        }
        let checks = super::super::validate::counted(self.checks.len(), "check");
        match self.lost.len() {
            0 => writeln!(notes, "{checks}, nothing was left out"),
            count => writeln!(notes, "{checks}, {count} notes on what was left out or changed"),
        }
    }
}

/// A variable's name for a secret of something.
pub(super) fn variable(of: &str, what: &str) -> String {
    let whole = format!("{of} {what}").to_ascii_uppercase();
    let words = whole.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("_");
    // A name of a variable begins with no digit.
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn is_empty(section: &Out) -> bool {
    match section {
        Out::Map(entries) => entries.is_empty(),
        Out::List(items) => items.is_empty(),
        _ => false,
    }
}

/// Whether a route or maintenance names checks, and none of them is there any more.
fn is_about_nothing(entry: &Out, names: &BTreeSet<&str>) -> bool {
    let Out::Map(entries) = entry else { return false };
    let checks = entries.iter().find(|(key, _)| key == "checks");
    let Some((_, Out::List(checks))) = checks else { return false };
    let is_there = |check: &Out| match check {
        Out::Text(name) => name.contains('*') || names.contains(name.as_str()),
        _ => true,
    };
    !checks.iter().any(is_there)
}

/// The first error that a validation finds.
fn wrong(sections: &[(&'static str, Out)], catalogue: &Catalogue<'_>) -> Option<String> {
    if sections.is_empty() {
        return None;
    }
    let text = written::document(sections);
    let document = Document::parse(&[Source { name: "draft".to_owned(), text }], catalogue);
    let error = document.diagnostics().iter().find(|found| found.level == Level::Error)?;
    Some(error.message.clone())
}
