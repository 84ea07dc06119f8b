//! YAML to a [`Config`], every error at once with file, line, column and a hint.
//!
//! ```text
//! files -> sources -> yaml -> tree (spans) -> merge -> check, people, page, .. -> Config
//!                        \______________ findings ______________/ -> diagnostics
//! ```
//!
//! What is wrong never stops the reading of the rest. Secrets stay references: nothing here
//! reads one, except to say that it is not there.

mod alarm;
mod check;
mod dependency;
mod diagnostic;
mod drill;
mod fields;
mod finding;
pub(crate) mod hint;
mod layout;
mod maintenance;
mod merge;
mod page;
mod people;
mod scalar;
mod schema;
mod settings;
mod sites;
mod sources;
pub mod tree;
mod upkeep;
mod words;
mod yaml;

use std::path::PathBuf;

use crosscheck_model::{Config, CustomerId, SiteId, Text};

pub use diagnostic::{Diagnostic, Level, Place, report};
pub use finding::Source;
pub use hint::nearest;
pub use layout::Layout;
pub use schema::schema;
pub use sources::{Disk, Files, read};

use crate::channel_kind::ChannelKind;
use crate::env::Secrets;
use crate::kind::Kind;
use fields::Fields;
use finding::{Findings, Lines};
use settings::Schemas;
use tree::{Entry, Node, Span, Value};

/// The one site of a document that names none: where `standalone` and `run` stand.
pub const LOCAL_SITE: &str = "local";

/// What a document may be made of.
#[derive(Clone, Copy)]
pub struct Catalogue<'a> {
    /// The kinds of check.
    pub kinds: &'a [&'a dyn Kind],
    /// The kinds of channel.
    pub channels: &'a [&'a dyn ChannelKind],
}

/// A document that has been read.
#[derive(Debug, PartialEq, Eq)]
pub struct Document {
    config: Config,
    diagnostics: Vec<Diagnostic>,
    secrets: Vec<(Text, Place)>,
}

impl Document {
    /// Reads the files at these paths as one document.
    pub fn load(paths: &[PathBuf], files: &dyn Files, catalogue: &Catalogue<'_>) -> Self {
        let mut unreadable = Vec::new();
        let sources = read(paths, files, &mut unreadable);
        if sources.is_empty() && unreadable.is_empty() {
            unreadable.push(Diagnostic {
                level: Level::Error,
                place: Place::file("configuration"),
                message: "no file is named".to_owned(),
                hint: None,
            });
        }
        let mut document = match sources.is_empty() {
            true => Self { config: Config::default(), diagnostics: vec![], secrets: vec![] },
            false => Self::parse(&sources, catalogue),
        };
        document.diagnostics.splice(0..0, unreadable);
        document
    }

    /// Reads these sources as one document.
    pub fn parse(sources: &[Source], catalogue: &Catalogue<'_>) -> Self {
        let lines = Lines::of(sources);
        let mut reading = Reading {
            catalogue: *catalogue,
            lines: &lines,
            schemas: Schemas::default(),
            owners: vec![None; sources.len()],
            findings: Findings::default(),
            secrets: Vec::new(),
            config: Config::default(),
        };
        let mut nodes = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            let node = yaml::parse(at, &source.text, &mut reading.findings);
            nodes.extend(node.and_then(|node| reading.owner(node)));
        }
        if let Some(root) = merge::all(nodes, &lines, &mut reading.findings) {
            reading.document(&root);
        } else if !reading.findings.has_errors() {
            reading.findings.error(None, "there is nothing in it");
        }
        let place = |(text, span)| (text, lines.place(span));
        Self {
            config: reading.config,
            diagnostics: reading.findings.diagnostics(&lines),
            secrets: reading.secrets.into_iter().map(place).collect(),
        }
    }

    /// The configuration; `None` when something is wrong with it.
    pub fn config(&self) -> Option<&Config> {
        let wrong = self.diagnostics.iter().any(|found| found.level == Level::Error);
        (!wrong).then_some(&self.config)
    }

    /// What is wrong, and what people should know, in the order of the files.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Warnings for secrets that cannot be read on this host; nothing is kept of the others.
    pub fn unreadable_secrets(&self, secrets: &Secrets) -> Vec<Diagnostic> {
        let warning = |(text, place): &(Text, Place)| {
            let error = secrets.resolve(text).err()?;
            Some(Diagnostic {
                level: Level::Warning,
                place: place.clone(),
                message: error.to_string(),
                hint: Some("it is read where it is used, which may be another host".to_owned()),
            })
        };
        self.secrets.iter().filter_map(warning).collect()
    }
}

/// A document while it is read.
struct Reading<'a> {
    catalogue: Catalogue<'a>,
    lines: &'a Lines<'a>,
    schemas: Schemas,
    /// Per source: the customer named at its top.
    owners: Vec<Option<CustomerId>>,
    findings: Findings,
    secrets: Vec<(Text, Span)>,
    config: Config,
}

impl Reading<'_> {
    /// Takes `customer` out of a file's tree, for it holds for that file only.
    fn owner(&mut self, mut node: Node) -> Option<Node> {
        match &mut node.value {
            Value::Map(entries) => {
                if let Some(at) = entries.iter().position(|entry| entry.key.name == "customer") {
                    let entry = entries.remove(at);
                    self.owners[entry.key.span.source] = self.customer(&entry);
                }
                Some(node)
            }
            Value::Scalar(scalar) if scalar.is_null() => None,
            _ => {
                let message = format!("a document is a map, but this is {}", node.describe());
                self.findings.error(node.span, message).hint("begin with `checks:`".to_owned());
                None
            }
        }
    }

    fn document(&mut self, root: &Node) {
        let start = Span { end: root.span.start, ..root.span };
        let Some(fields) = Fields::of(root, start, &words::DOCUMENT, &mut self.findings) else {
            return;
        };
        self.sites(fields.entry("sites"));
        self.people(&fields);
        let terms = self.defaults(fields.entry("defaults"));
        self.checks(fields.entry("checks"), &terms, &fields);
        self.routes(fields.entry("routes"));
        self.pages(fields.entry("pages"));
        self.maintenance(fields.entry("maintenance"));
        self.drills(fields.entry("drills"));
        self.upkeep(&fields);
        self.lonely(fields.entry("sites"));
    }

    /// The name of a customer.
    fn customer(&mut self, entry: &Entry) -> Option<CustomerId> {
        let name = fields::text(entry, &mut self.findings)?;
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(plain) {
            let message = format!("`{name}` is no customer's name");
            self.findings
                .error(fields::place(entry), message)
                .hint("letters, digits, `-`, `_` and `.`".to_owned());
            return None;
        }
        Some(CustomerId::new(name))
    }

    /// Whose something is: the customer named in it, or at the top of its file.
    fn owner_of(&mut self, span: Span, entry: Option<&Entry>) -> Option<CustomerId> {
        let file = self.owners.get(span.source).cloned().flatten();
        let Some(entry) = entry else { return file };
        let own = self.customer(entry)?;
        if let Some(file) = file.filter(|file| *file != own) {
            self.findings
                .error(fields::place(entry), format!("this file is of customer `{file}`"))
                .hint("put what another customer owns into a file of its own".to_owned());
        }
        Some(own)
    }

    /// Remembers the references to secrets in a node.
    fn note_secrets(&mut self, node: &Node) {
        match &node.value {
            Value::Map(entries) => entries.iter().for_each(|e| self.note_secrets(&e.value)),
            Value::List(items) => items.iter().for_each(|item| self.note_secrets(item)),
            Value::Scalar(scalar) => {
                let text = Text::new(scalar.text.as_str()).ok();
                let secret = text.filter(|text| text.references().next().is_some());
                self.secrets.extend(secret.map(|text| (text, node.span)));
            }
        }
    }

    /// The name of a configured site, or a finding.
    fn known_site(&mut self, name: &str, span: Span) -> Option<SiteId> {
        let id = SiteId::new(name);
        if self.config.sites.contains_key(&id) {
            return Some(id);
        }
        let known = self.config.sites.keys().map(SiteId::as_str);
        let hint = hint::nearest(name, known);
        self.findings.error(span, format!("unknown site `{name}`")).hint(hint);
        None
    }
}
