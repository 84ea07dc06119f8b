//! Documents as people write them: every rule has a bad file in `bad/` whose exact messages are
//! kept in `snapshots/`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crosscheck_checks::channel_kind::ChannelKind;
use crosscheck_checks::document::{Catalogue, Disk, Document, Source, report};
use crosscheck_checks::env::Env;
use crosscheck_checks::kind::{self, Check, Kind, SettingsError};
use crosscheck_model::{Family, Outcome, Secret, Status};
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

    fn needs_mail(&self) -> bool {
        true
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

proptest! {
    /// No text makes the reader panic, and what it does not take has a message.
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}|[-:{}\\[\\]&*!|>'\"%@`#?, \nab0.<~\t\r]{0,200}") {
        let document = parse(&text);
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
        let document = parse(&text.into_iter().collect::<String>());
        prop_assert!(document.config().is_some() || !document.diagnostics().is_empty());
        shown(&document);
    }
}

const COMPLETE: &str = include_str!("../examples/complete.yaml");
