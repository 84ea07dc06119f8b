//! A configuration that comes into being, and the list of what is not in it.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crosscheck_checks::document::{Catalogue, Document, Level, Source};

use super::check::Check;
use super::notes::Notes;
use super::tree::Node;
use super::written::{self, Out};

/// The longest name that a check may have, in characters.
const NAME_LIMIT: usize = 120;

/// Whether a header field says who asks: its content is not copied.
pub(super) fn is_secret_header(name: &str) -> bool {
    const SECRET: [&str; 8] =
        ["authorization", "cookie", "token", "secret", "password", "api-key", "apikey", "auth-key"];
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|secret| name.contains(secret))
}

/// Why something is not carried over that several programs have.
pub(super) mod why {
    /// What no part of the importer knows.
    pub(in super::super) const UNKNOWN: &str = "not known, or not looked at where it stands";
    /// What only concerns how the other program shows things.
    pub(in super::super) const SHOWN: &str = "how it is shown there has no counterpart";
    /// Labels and tags.
    pub(in super::super) const LABELS: &str =
        "checks have no labels or tags; routes, pages and maintenance choose by name";
    /// Where packets come from.
    pub(in super::super) const SOURCE: &str = "the system chooses the source";
    /// What the settings of kind `http` have no word for.
    pub(in super::super) const EXPRESSION: &str = "write it as an expression (`expect`)";
    /// A certificate that is not verified.
    pub(in super::super) const UNTRUSTED: &str =
        "a certificate that is not trusted is never taken; name its `ca`";
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
    notes: Notes,
}

impl Draft {
    /// Takes note of what is left out.
    pub(super) fn lose(&mut self, file: &str, line: usize, what: &str, why: &str) {
        self.notes.add(file, line, what, why, false);
    }

    /// Takes note of what stands in many places and is of little weight: it is told once.
    pub(super) fn pass(&mut self, file: &str, line: usize, what: &str, why: &str) {
        self.notes.add(file, line, what, why, true);
    }

    /// Takes note of all that nobody has looked at, once for each key.
    pub(super) fn lose_unseen(&mut self, file: &str, root: &Node) {
        for (path, node) in root.unseen() {
            self.notes.add(file, node.line, &format!("`{path}`"), why::UNKNOWN, true);
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

    /// Whether a contact is called so.
    pub(super) fn has_contact(&self, name: &str) -> bool {
        self.contacts.iter().any(|(known, _)| known == name)
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
            if let Some((key, reference)) = check.stray_reference() {
                let why = format!(
                    "left out: `{key}` has `{reference}` in it, and is read as it stands: write \
                     the value there instead"
                );
                self.lose(&check.file, check.line, &check.name, &why);
                continue;
            }
            let alone = [("checks", Out::List(vec![check.out()]))];
            match wrong(&alone, catalogue) {
                None => self.checks.push(check),
                Some(why) => {
                    self.lose(&check.file, check.line, &check.name, &format!("left out: {why}"));
                }
            }
        }
        self.forget_what_is_gone();
        if wrong(&self.sections(), catalogue).is_none() {
            return;
        }
        self.settle_people(catalogue);
        self.settle_maintenance(catalogue);
        if let Some(why) = wrong(&self.sections(), catalogue) {
            self.lose("", 0, "contacts, routes and maintenance", &format!("left out: {why}"));
            self.contacts.clear();
            self.channels.clear();
            self.routes.clear();
            self.maintenance.clear();
        }
    }

    /// Routes and maintenance of checks and people that are not there.
    fn forget_what_is_gone(&mut self) {
        let checks: BTreeSet<&str> = self.checks.iter().map(|check| check.name.as_str()).collect();
        let people: BTreeSet<&str> = self.contacts.iter().map(|(name, _)| name.as_str()).collect();
        let has_channel = !self.channels.is_empty();
        for entry in self.routes.iter_mut().chain(&mut self.maintenance) {
            only_those_there(entry, &checks);
        }
        self.routes.retain(|route| {
            has_channel && names_some(route, "checks", &checks) && names_some(route, "to", &people)
        });
        self.maintenance.retain(|window| names_some(window, "checks", &checks));
    }

    fn settle_people(&mut self, catalogue: &Catalogue<'_>) {
        for (section, entry) in [
            ("channels", std::mem::take(&mut self.channels)),
            ("contacts", std::mem::take(&mut self.contacts)),
        ]
        .into_iter()
        .flat_map(|(section, entries)| entries.into_iter().map(move |entry| (section, entry)))
        {
            let alone = [(section, Out::Map(vec![entry.clone()]))];
            match wrong(&alone, catalogue) {
                Some(why) => {
                    let what = format!("{section}: `{}`", entry.0);
                    self.lose("", 0, &what, &format!("left out: {why}"));
                }
                None if section == "channels" => self.channels.push(entry),
                None => self.contacts.push(entry),
            }
        }
        self.forget_what_is_gone();
    }

    fn settle_maintenance(&mut self, catalogue: &Catalogue<'_>) {
        let checks: Vec<Out> = self.checks.iter().map(Check::out).collect();
        for window in std::mem::take(&mut self.maintenance) {
            let alone = [
                ("checks", Out::List(checks.clone())),
                ("maintenance", Out::List(vec![window.clone()])),
            ];
            match wrong(&alone, catalogue) {
                None => self.maintenance.push(window),
                Some(why) => self.lose("", 0, "maintenance", &format!("left out: {why}")),
            }
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
        self.notes.tell(&super::super::validate::counted(self.checks.len(), "check"), notes)
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

/// Takes checks that are not there out of a route or maintenance.
fn only_those_there(entry: &mut Out, checks: &BTreeSet<&str>) {
    let Out::Map(entries) = entry else { return };
    let named = entries.iter_mut().find(|(known, _)| known == "checks");
    let Some((_, Out::List(named))) = named else { return };
    named.retain(|name| match name {
        Out::Text(name) => name.contains('*') || checks.contains(name.as_str()),
        _ => true,
    });
}

/// Whether one of those that a route or maintenance names is there; a pattern stands for all.
fn names_some(entry: &Out, key: &str, there: &BTreeSet<&str>) -> bool {
    let Out::Map(entries) = entry else { return true };
    let named = entries.iter().find(|(known, _)| known == key);
    let Some((_, Out::List(named))) = named else { return true };
    named.iter().any(|name| match name {
        Out::Text(name) => name.contains('*') || there.contains(name.as_str()),
        _ => true,
    })
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
