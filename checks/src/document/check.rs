//! A check: its name, its kind with settings, and the terms that it runs under.

use std::collections::BTreeMap;

use crosscheck_model::spec::{SiteChoice, Source};
use crosscheck_model::{CheckId, CheckSpec, SiteQuorum};

use super::alarm::Terms;
use super::fields::{self, Fields};
use super::tree::{Entry, Node, Span, Value};
use super::{Reading, hint, settings, words};
use crate::excerpt::is_harmful;
use crate::kind::{Check, Kind};

/// The longest name, in characters: it must fit into a mail's subject.
const NAME_LIMIT: usize = 120;

/// The terms that only a check that is run has.
const TERMS_OF_RUNS: [&str; 6] =
    ["interval", "timeout", "attempts", "attempt_gap", "sites", "site_quorum"];

/// Whether two jobs' reports could not be told apart.
fn same_token(one: &CheckSpec, other: &CheckSpec) -> bool {
    match (&one.source, &other.source) {
        (Source::Push(one), Source::Push(other)) => one.token == other.token,
        _ => false,
    }
}

/// A check and its settings as JSON.
type Made = (Box<dyn Check>, serde_json::Value);

impl<'a> Reading<'a> {
    /// Reads `checks`.
    pub(super) fn checks(
        &mut self,
        entry: Option<&Entry>,
        defaults: &Terms,
        document: &Fields<'_>,
    ) {
        let Some(entry) = entry else {
            self.findings.warning(document.at(), "no `checks`: nothing is tested").hint(
                "add one: `checks: [{ name: home, http: { url: \"https://..\" } }]`".to_owned(),
            );
            return;
        };
        let mut first: BTreeMap<CheckId, Span> = BTreeMap::new();
        let mut dependencies = BTreeMap::new();
        for node in fields::items(entry, &mut self.findings) {
            let Some((spec, span)) = self.check(node, defaults, document) else { continue };
            if let Some(other) = first.get(&spec.id) {
                let place = self.lines.place(*other);
                self.findings
                    .error(span, format!("a second check named `{}`", spec.name))
                    .hint(format!("the first one stands in {place}; give each its own name"));
                continue;
            }
            let mut known = self.config.checks.iter();
            if spec.source.is_push()
                && let Some(other) = known.find(|known| same_token(known, &spec))
            {
                let message = format!("`{}` has the token of `{}`", spec.name, other.name);
                let hint = "make each job its own: `crosscheck push token`".to_owned();
                self.findings.error(span, message).hint(hint);
                continue;
            }
            first.insert(spec.id.clone(), span);
            if let Some(entry) = node.get("depends_on") {
                let names = fields::texts(entry, &mut self.findings);
                dependencies.insert(self.config.checks.len(), names.unwrap_or_default());
            }
            self.config.checks.push(spec);
        }
        self.dependencies(&dependencies);
    }

    /// One check and where its name stands.
    fn check(
        &mut self,
        node: &Node,
        defaults: &Terms,
        document: &Fields<'_>,
    ) -> Option<(CheckSpec, Span)> {
        let name = node.get("name").map(|entry| entry.value.span);
        let at = name.filter(|span| span.end > span.start).unwrap_or(node.span);
        let kinds: Vec<&'static str> =
            self.catalogue.kinds.iter().map(|kind| kind.name()).collect();
        let found = &mut self.findings;
        let fields = Fields::beside(&kinds, node, at, &words::CHECK, found)?;
        let name = fields.required("name", found).and_then(|entry| fields::text(entry, found));
        let name = name.filter(|name| self.check_name(name, at));
        let customer = self.owner_of(node.span, fields.entry("customer"));
        let terms = self.check_terms(&fields);
        let runbook = fields.text("runbook", &mut self.findings);
        let (kind, made) = self.kind_of(node, at)?;
        let source = made.as_ref().map(|(check, _)| check.source()).unwrap_or_default();
        let schedule = terms.schedule(defaults, &kind.defaults(), &mut self.findings);
        let (sites, quorum) = if source.is_push() {
            self.refuse_terms_of_runs(&fields, kind);
            (SiteChoice::List(Vec::new()), SiteQuorum::Single)
        } else {
            self.layout(&terms, defaults, at, document)
        };
        let (check, settings) = made?;
        let name = name?;
        let spec = CheckSpec {
            id: CheckId::of(customer.as_ref(), &name),
            customer,
            kind: kind.name().to_owned(),
            settings: settings.to_string(),
            target: check.target(),
            family: check.family(),
            source,
            schedule,
            rule: terms.rule(defaults, &kind.defaults()),
            severity: terms.severity(defaults, &kind.defaults()),
            recovery_hold: terms.recovery_hold(defaults),
            sites,
            quorum,
            runbook,
            depends_on: Vec::new(),
            name,
        };
        Some((spec, at))
    }

    /// What is about runs says nothing where nobody runs the check.
    fn refuse_terms_of_runs(&mut self, fields: &Fields<'_>, kind: &dyn Kind) {
        for name in TERMS_OF_RUNS {
            if let Some(entry) = fields.entry(name) {
                let message = format!("`{name}` beside `{}`, which no site runs", kind.name());
                let hint = format!("remove it; when reports are due stands in `{}`", kind.name());
                self.findings.error(entry.key.span, message).hint(hint);
            }
        }
    }

    fn check_name(&mut self, name: &str, at: Span) -> bool {
        let reason = match name {
            "" => "a check's name is empty".to_owned(),
            name if name.chars().any(is_harmful) => {
                "a check's name has a line break or another control character".to_owned()
            }
            name if name.trim() != name => "a check's name begins or ends with a blank".to_owned(),
            name if name.contains('*') => "a check's name has a `*`, which patterns use".to_owned(),
            name if name.chars().count() > NAME_LIMIT => {
                format!("a check's name is longer than {NAME_LIMIT} characters")
            }
            _ => return true,
        };
        self.findings.error(at, reason);
        false
    }

    /// The check's kind, and the check with its settings when they are right.
    fn kind_of(&mut self, node: &Node, at: Span) -> Option<(&'a dyn Kind, Option<Made>)> {
        let Value::Map(entries) = &node.value else { return None };
        let kinds = self.catalogue.kinds;
        let of = |entry: &Entry| kinds.iter().copied().find(|kind| kind.name() == entry.key.name);
        let mut named = entries.iter().filter_map(|entry| Some((entry, of(entry)?)));
        let Some((entry, kind)) = named.next() else {
            let unknown = |entry: &&Entry| !words::CHECK.has(&entry.key.name);
            if !entries.iter().any(|entry| unknown(&entry)) {
                let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
                self.findings
                    .error(at, "a check without a kind: nothing says what to test")
                    .hint(format!("add one of {}", hint::list(&names)));
            }
            return None;
        };
        for (other, _) in named {
            let message = format!("`{}` beside `{}`", other.key.name, entry.key.name);
            self.findings
                .error(other.key.span, message)
                .hint("a check has one kind; make two checks of it".to_owned());
        }
        let value = match &entry.value.value {
            Value::Scalar(scalar) if scalar.is_null() => {
                &Node { span: entry.value.span, value: Value::Map(Vec::new()) }
            }
            _ => &entry.value,
        };
        let make = |generator: &mut _| kind.schema(generator);
        let known = self.schemas.known(kind.name(), make, value, &mut self.findings);
        self.note_secrets(&known);
        let parse = |settings: &_| kind.parse(settings);
        Some((kind, settings::parse(entry, &known, parse, &mut self.findings)))
    }

    /// Which sites run the check and how many must agree.
    fn layout(
        &mut self,
        terms: &Terms,
        defaults: &Terms,
        at: Span,
        document: &Fields<'_>,
    ) -> (SiteChoice, SiteQuorum) {
        let place = |terms: &Terms| {
            let quorum = terms.quorum.map(|(_, span)| span);
            quorum.or(terms.sites.as_ref().map(|(_, span)| *span))
        };
        let sites = document.entry("sites").map(|entry| entry.key.span);
        let place = place(terms).or(place(defaults)).or(sites).unwrap_or(at);
        let choice = terms.sites.clone().or_else(|| defaults.sites.clone());
        let choice = choice.map_or(SiteChoice::All, |(choice, _)| choice);
        let quorum = terms.quorum.or(defaults.quorum).map_or_else(SiteQuorum::default, |(q, _)| q);
        let quorum = self.effective(&choice, quorum, Some(place));
        (choice, quorum)
    }
}
