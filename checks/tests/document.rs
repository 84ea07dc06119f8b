//! Documents as people write them: every rule has a bad file in `bad/` whose exact messages are
//! kept in `snapshots/`.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crosscheck_checks::channel_kind::ChannelKind;
use crosscheck_checks::document::{
    Catalogue, Disk, Document, Files, LOCAL_SITE, Level, Source, report,
};
use crosscheck_checks::env::{Env, Secrets};
use crosscheck_checks::kind::{self, Check, Kind, SettingsError};
use crosscheck_model::config::Contact;
use crosscheck_model::spec::{Rule, Schedule};
use crosscheck_model::{
    CheckId, Config, CustomerId, Family, Outcome, Secret, Severity, SiteId, SiteQuorum, Status,
};
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

/// How many rules there must be a bad file for.
const RULES: usize = 25;

/// A kind made for these tests, so that messages about documents do not change when a real kind
/// learns a new word.
struct Web;

#[derive(Clone, Copy, Deserialize, JsonSchema)]
enum Method {
    #[serde(rename = "GET")]
    Get,
    #[serde(rename = "HEAD")]
    Head,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    contains: Option<String>,
    lacks: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WebSettings {
    url: String,
    method: Option<Method>,
    #[serde(default)]
    status: Vec<u16>,
    body: Option<Body>,
    bearer: Option<Secret>,
}

impl Kind for Web {
    fn name(&self) -> &'static str {
        "http"
    }

    fn about(&self) -> &'static str {
        "a page"
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<WebSettings>()
    }

    fn parse(&self, settings: &Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let settings: WebSettings = kind::read(settings)?;
        let _ = (settings.method, settings.status.len(), settings.bearer);
        let body = settings.body.map(|body| (body.contains, body.lacks));
        if matches!(body, Some((None, None))) {
            return Err(vec![SettingsError {
                path: vec!["body".to_owned()],
                message: "nothing is wanted of the body".to_owned(),
                hint: Some("add `contains` or `lacks`".to_owned()),
            }]);
        }
        Ok(Box::new(Target(settings.url)))
    }
}

/// A second one.
struct Port;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PortSettings {
    address: String,
}

impl Kind for Port {
    fn name(&self) -> &'static str {
        "tcp"
    }

    fn about(&self) -> &'static str {
        "a port"
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<PortSettings>()
    }

    fn parse(&self, settings: &Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let settings: PortSettings = kind::read(settings)?;
        Ok(Box::new(Target(settings.address)))
    }
}

struct Target(String);

impl Check for Target {
    fn target(&self) -> String {
        self.0.clone()
    }

    fn family(&self) -> Family {
        Family::V4
    }

    fn run<'a>(&'a self, _: &'a Env, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(std::future::ready(Outcome::new(Status::Up, None, "")))
    }
}

/// The channel of these tests.
struct Mail;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MailSettings {
    smtp: String,
    tls: Option<String>,
    from: String,
    user: Option<String>,
    password: Option<Secret>,
}

impl ChannelKind for Mail {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<MailSettings>()
    }

    fn parse(&self, settings: &Value) -> Result<(), Vec<SettingsError>> {
        let settings: MailSettings = kind::read(settings)?;
        let _ = (settings.smtp, settings.tls, settings.from, settings.user, settings.password);
        Ok(())
    }

    fn lacks(&self, contact: &Contact) -> Option<&'static str> {
        contact.mail.is_empty().then_some("mail address")
    }
}

const CATALOGUE: Catalogue<'static> = Catalogue { kinds: &[&Web, &Port], channels: &[&Mail] };

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn shown(document: &Document) -> String {
    let mut out = Vec::new();
    report(&mut out, document.diagnostics(), false).expect("memory takes it");
    String::from_utf8(out).expect("text")
}

fn parse(text: &str) -> Document {
    let source = Source { name: "a.yaml".to_owned(), text: text.to_owned() };
    Document::parse(&[source], &CATALOGUE)
}

fn bad_files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(here("tests/bad")).expect("the directory is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn each_bad_file_has_its_messages() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for file in bad_files() {
            let document = Document::load(std::slice::from_ref(&file), &Disk, &CATALOGUE);
            let root = format!("{}/", here("tests/bad").display());
            let out = shown(&document).replace(&root, "");
            insta::assert_snapshot!(stem(&file), out);
        }
    });
}

#[test]
fn every_rule_has_a_bad_file_and_every_bad_file_a_snapshot() {
    let files: BTreeSet<String> = bad_files().iter().map(|file| stem(file)).collect();
    assert!(files.len() >= RULES, "{} bad files", files.len());
    let entries = std::fs::read_dir(here("tests/snapshots")).expect("the directory is there");
    let snapshots: BTreeSet<String> =
        entries.map(|entry| stem(&entry.expect("an entry").path())).collect();
    assert_eq!(files, snapshots);
}

fn good(text: &str) -> Config {
    let document = parse(text);
    document.config().unwrap_or_else(|| panic!("{}", shown(&document))).clone()
}

#[test]
fn what_a_check_does_not_say_comes_from_the_defaults_and_then_from_its_kind() {
    let config = good(
        "
defaults: { interval: 90s, attempts: 3, severity: average, after: 4 }
checks:
  - { name: a, tcp: { address: x } }
  - { name: b, tcp: { address: x }, interval: 5s, alarm: { severity: disaster, after: 1 } }
  - name: c
    tcp: { address: x }
    alarm: { retry_interval: 20s, average: { value: loss, over: 5m, above: 0.5 } }
",
    );
    let seconds = Duration::from_secs;
    let [a, b, c] = &config.checks[..] else { panic!("three checks") };
    let wanted = Schedule {
        interval: seconds(90),
        retry_interval: seconds(60),
        timeout: seconds(10),
        attempts: 3,
        attempt_gap: seconds(3),
    };
    assert_eq!(a.schedule, wanted);
    assert_eq!((a.severity, &a.rule), (Severity::Average, &Rule::Consecutive(4)));
    // A short interval shortens what nobody asked for.
    assert_eq!(b.schedule.timeout, seconds(5));
    assert_eq!(b.schedule.retry_interval, seconds(5));
    assert_eq!((b.severity, &b.rule), (Severity::Disaster, &Rule::Consecutive(1)));
    assert_eq!(c.schedule.retry_interval, seconds(20));
    let average = Rule::Average { value: "loss".to_owned(), over: seconds(300), above_milli: 500 };
    assert_eq!(c.rule, average);
}

#[test]
fn a_customer_owns_what_stands_in_the_same_file() {
    let source = |name: &str, text: &str| Source { name: name.to_owned(), text: text.to_owned() };
    let acme = "
customer: acme
checks: [{ name: shop, tcp: { address: x } }]
maintenance: [{ checks: [shop], every: daily 01:00-02:00, zone: UTC }]
drills: [{ check: shop, every: Mon-Fri 09:00, zone: UTC }]
pages: { acme: { title: Acme } }
";
    let ours = "
checks: [{ name: shop, tcp: { address: y } }]
drills: [{ check: acme/shop, every: daily 24:00, zone: UTC }]
pages: { all: { title: All, checks: [shop, acme/shop] } }
";
    let document = Document::parse(&[source("a.yaml", acme), source("b.yaml", ours)], &CATALOGUE);
    let config = document.config().unwrap_or_else(|| panic!("{}", shown(&document)));
    let ids: Vec<&str> = config.checks.iter().map(|check| check.id.as_str()).collect();
    assert_eq!(ids, ["acme/shop", "shop"]);
    assert_eq!(config.maintenance[0].customer, Some(CustomerId::from("acme")));
    let of_acme = Some(CheckId::from("acme/shop"));
    assert_eq!(config.drills.iter().map(|drill| &drill.check).collect::<Vec<_>>(), [&of_acme; 2]);
    assert_eq!((&config.drills[0].days[..], config.drills[0].minute), (&[1, 2, 3, 4, 5][..], 540));
    assert_eq!(config.pages["acme"].checks, [CheckId::from("acme/shop")]);
    assert_eq!(config.pages["all"].checks, [CheckId::from("shop"), CheckId::from("acme/shop")]);
}

#[test]
fn a_check_depends_on_its_customers_own_or_the_installations() {
    let config = good(
        "checks:\n\
         \x20 - { name: line, tcp: { address: a } }\n\
         \x20 - { name: router, tcp: { address: b }, depends_on: line }\n\
         \x20 - { name: router, customer: acme, tcp: { address: c }, depends_on: [line] }\n\
         \x20 - { name: shop, customer: acme, tcp: { address: d }, depends_on: [router, line, line] }\n",
    );
    let parents = |index: usize| -> Vec<&str> {
        config.checks[index].depends_on.iter().map(CheckId::as_str).collect()
    };
    assert_eq!(parents(0), [""; 0]);
    assert_eq!((parents(1), parents(2)), (vec!["line"], vec!["line"]));
    assert_eq!(parents(3), ["acme/router", "line"], "each once");
}

#[test]
fn with_one_site_the_site_quorum_is_single_and_a_warning_says_so() {
    let document = parse("checks: [{ name: a, tcp: { address: x } }]");
    let config = document.config().expect("no error");
    assert_eq!(config.checks[0].quorum, SiteQuorum::Single);
    assert!(config.sites.contains_key(&SiteId::from(LOCAL_SITE)));
    let [warning] = document.diagnostics() else { panic!("{}", shown(&document)) };
    assert_eq!(warning.level, Level::Warning);
    assert!(warning.message.contains("nothing is cross-checked"), "{}", warning.message);
}

#[test]
fn aliases_and_merge_keys_are_copies() {
    let config = good(
        "
checks:
  - &a { name: a, tcp: { address: x }, interval: 30s, alarm: { after: 2 } }
  - { <<: *a, name: b, interval: 40s }
",
    );
    let [a, b] = &config.checks[..] else { panic!("two checks") };
    assert_eq!((a.name.as_str(), b.name.as_str()), ("a", "b"));
    assert_eq!(b.schedule.interval, Duration::from_secs(40));
    assert_eq!(b.rule, Rule::Consecutive(2));
}

#[test]
fn aliases_that_expand_without_end_are_refused() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in ["b", "c", "d", "e", "f", "g", "h"].iter().zip("abcdefg".chars()) {
        let line = format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 10].join(", "));
        text.push_str(&line);
    }
    let out = shown(&parse(&text));
    assert!(out.contains("aliases expand to more than"), "{out}");
}

#[test]
fn settings_keep_their_references_and_missing_secrets_are_warned_of() {
    let document =
        parse("checks: [{ name: a, http: { url: 'https://x/', bearer: '${env:GONE}' } }]");
    let config = document.config().expect("no error");
    let settings: Value = serde_json::from_str(&config.checks[0].settings).expect("JSON");
    assert_eq!(settings["bearer"], "${env:GONE}");
    let warnings = document.unreadable_secrets(&Secrets::fixed([].into()));
    assert_eq!(warnings.len(), 1);
    assert_eq!((warnings[0].place.line, warnings[0].place.column), (1, 56));
    let there = Secrets::fixed([("GONE".to_owned(), "x".to_owned())].into());
    assert!(document.unreadable_secrets(&there).is_empty());
}

#[test]
fn one_region_is_warned_of_and_one_carrier_refused() {
    let sites = |second: &str| {
        format!(
            "sites: {{ a: {{ region: r, carrier: x }}, b: {{ region: r, carrier: {second} }} }}\n\
             checks: [{{ name: a, tcp: {{ address: x }} }}, {{ name: b, tcp: {{ address: y }} }}]"
        )
    };
    let document = parse(&sites("y"));
    assert!(document.config().is_some());
    // Said once, though it concerns two checks.
    let [warning] = document.diagnostics() else { panic!("{}", shown(&document)) };
    assert_eq!(warning.level, Level::Warning);
    assert!(warning.message.contains("region `r`"), "{}", warning.message);
    assert!(parse(&sites("x")).config().is_none());
}

/// The schema of every kind names its keys: so a misspelt one is found at its place.
#[test]
fn every_kind_refuses_unknown_keys() {
    let catalogue = Catalogue { kinds: kind::KINDS, channels: &[] };
    for kind in kind::KINDS {
        let text = format!("checks: [{{ name: a, {}: {{ no_such_key: 1 }} }}]", kind.name());
        let source = Source { name: "a.yaml".to_owned(), text };
        let out = shown(&Document::parse(&[source], &catalogue));
        assert!(out.contains("error: unknown key `no_such_key`"), "{}: {out}", kind.name());
    }
}

#[test]
fn no_file_is_no_configuration() {
    assert!(Document::load(&[], &Disk, &CATALOGUE).config().is_none());
}

/// One file of these bytes.
struct Memory(Vec<u8>);

impl Files for Memory {
    fn list(&self, _: &Path) -> io::Result<Option<Vec<PathBuf>>> {
        Ok(None)
    }

    fn content(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }
}

/// Every example of a kind is read by the real kinds; `complete.yaml` with its channel.
#[test]
fn the_examples_are_right() {
    let catalogue = Catalogue { kinds: kind::KINDS, channels: &[&Mail] };
    let entries = std::fs::read_dir(here("examples")).expect("the directory is there");
    let mut seen = 0;
    for entry in entries {
        let path = entry.expect("an entry").path();
        let document = Document::load(std::slice::from_ref(&path), &Disk, &catalogue);
        assert!(document.config().is_some(), "{}", shown(&document));
        seen += 1;
    }
    assert!(seen > 1, "{seen} examples");
}

proptest! {
    /// No text makes the reader panic, and what it does not take has a message.
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}|[-:{}\\[\\]&*!|>'\"%@`#?, \nab0.<~\t\r]{0,200}") {
        let document = parse(&text);
        prop_assert!(document.config().is_some() || !document.diagnostics().is_empty());
        shown(&document);
    }

    /// No bytes do, also when they are no text.
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let document = Document::load(&[PathBuf::from("a.yaml")], &Memory(bytes), &CATALOGUE);
        prop_assert!(document.config().is_some() || !document.diagnostics().is_empty());
        shown(&document);
    }

    /// The same for a good document with a few bytes changed.
    #[test]
    fn no_damage_makes_it_panic(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[-:{}\\[\\]&*!|>'\"#?, \na0<~\u{7f}中]{0,4}"), 1..6),
    ) {
        let mut text: Vec<char> = COMPLETE.chars().collect();
        for (at, remove, insert) in cuts {
            let at = at.index(text.len().max(1)).min(text.len());
            let end = (at + remove).min(text.len());
            text.splice(at..end, insert.chars());
        }
        let source = Source { name: "a.yaml".to_owned(), text: text.into_iter().collect() };
        let catalogue = Catalogue { kinds: kind::KINDS, channels: &[&Mail] };
        let document = Document::parse(&[source], &catalogue);
        prop_assert!(document.config().is_some() || !document.diagnostics().is_empty());
        shown(&document);
    }
}

const COMPLETE: &str = include_str!("../examples/complete.yaml");
