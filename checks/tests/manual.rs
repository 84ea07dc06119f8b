//! The manual of the kinds, `docs/manual/kinds.md`, is made from the kinds themselves: their words,
//! settings, causes and examples. `WRITE_MANUAL=1 cargo test -p crosscheck-checks --test manual`
//! writes it; otherwise this compares what is kept with what the code says.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crosscheck_checks::document::{Catalogue, Disk, Document};
use crosscheck_checks::kind::{self, Defaults, Kind};
use crosscheck_model::Cause;
use schemars::SchemaGenerator;
use serde_json::{Map, Value as Json};

/// What stands before the kinds.
const HEAD: &str = include_str!("manual/head.md");

/// What stands behind them: checks that are no kind of their own.
const PLUGINS: &str = include_str!("manual/plugins.md");

/// Settings within settings are told to this depth; JSON values have no end.
const DEPTH: usize = 3;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn the_kept_manual_is_the_generated_one() {
    let written = manual();
    let kept = root("docs/manual/kinds.md");
    if std::env::var_os("WRITE_MANUAL").is_some() {
        std::fs::write(&kept, &written).expect("written");
    }
    let hint = "write it: `WRITE_MANUAL=1 cargo test -p crosscheck-checks --test manual`";
    let kept = std::fs::read_to_string(&kept).unwrap_or_default();
    assert!(kept == written, "docs/manual/kinds.md is not what the code says; {hint}");
}

#[test]
fn every_setting_has_a_meaning_and_every_kind_its_causes() {
    for kind in kind::KINDS {
        assert!(kind.causes().iter().any(|group| !group.is_empty()), "{}", kind.name());
        for row in rows(*kind) {
            assert!(!row.meaning.is_empty(), "{}: `{}` has no description", kind.name(), row.name);
        }
    }
}

#[test]
fn every_cause_is_told_of_a_kind_or_of_all() {
    let of_all = [Cause::Average, Cause::ProbeUnfit, Cause::ProbeLate, Cause::Answers];
    let told: BTreeSet<Cause> = kind::KINDS
        .iter()
        .flat_map(|kind| kind.causes())
        .flat_map(|group| group.iter().copied())
        .collect();
    let untold: Vec<&Cause> = Cause::ALL
        .iter()
        .filter(|cause| !told.contains(cause) && !of_all.contains(cause))
        .collect();
    assert!(untold.is_empty(), "no kind has {untold:?}");
}

fn manual() -> String {
    let mut out = HEAD.to_owned();
    out.push_str("\n| kind | what it does |\n|---|---|\n");
    for kind in kind::KINDS {
        line(&mut out, format_args!("| [`{0}`](#{0}) | {1} |", kind.name(), kind.about()));
    }
    for kind in kind::KINDS {
        section(&mut out, *kind);
    }
    out.push('\n');
    out.push_str(PLUGINS);
    out.push_str("\n## causes\n\n| cause | meaning |\n|---|---|\n");
    for cause in Cause::ALL {
        line(&mut out, format_args!("| `{cause}` | {} |", cause.explain()));
    }
    out
}

fn section(out: &mut String, kind: &dyn Kind) {
    let name = kind.name();
    let example = root(&format!("checks/examples/{name}.yaml"));
    line(out, format_args!("\n## {name}\n\n{}\n", kind.about()));
    line(out, format_args!("{}\n", terms(kind.defaults(), is_run(&example))));
    line(out, format_args!("| setting | type | default | meaning |\n|---|---|---|---|"));
    for row in rows(kind) {
        line(
            out,
            format_args!("| `{}` | {} | {} | {} |", row.name, row.kind, row.default, row.meaning),
        );
    }
    let causes: Vec<String> = kind
        .causes()
        .iter()
        .flat_map(|group| group.iter())
        .map(|cause| format!("`{cause}`"))
        .collect();
    line(out, format_args!("\nCauses: {}.\n", causes.join(", ")));
    let example = std::fs::read_to_string(&example).expect("every kind has an example");
    line(out, format_args!("```yaml\n{}\n```", example.trim_end()));
}

/// Whether probes run such checks: jobs that report by themselves nobody does.
fn is_run(example: &Path) -> bool {
    let catalogue = Catalogue { kinds: kind::KINDS, channels: &[] };
    let document = Document::load(&[example.to_owned()], &Disk, &catalogue);
    let config = document.config().expect("every kind has an example that is right");
    !config.checks.iter().all(|check| check.source.is_push())
}

/// What holds for a check that does not say otherwise.
fn terms(defaults: Defaults, is_run: bool) -> String {
    let opens = |what: &str| match defaults.after {
        1 => format!("the first {what} opens an incident"),
        after => format!("the {after}. {what} in a row opens an incident"),
    };
    if !is_run {
        return format!(
            "Nobody runs it, so `interval`, `timeout`, `attempts`, `attempt_gap`, `sites` and \
             `site_quorum` are errors beside it. Unless the check says otherwise {}.",
            opens("report that is missing or bad")
        );
    }
    format!(
        "Unless the check says otherwise it runs every {}, every {} while it fails, takes at most \
         {}, and {}.",
        span(defaults.interval),
        span(defaults.retry_interval),
        span(defaults.timeout),
        opens("failing round")
    )
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("memory takes it");
}

fn span(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// A setting.
struct Row {
    name: String,
    kind: String,
    default: String,
    meaning: String,
}

fn rows(kind: &dyn Kind) -> Vec<Row> {
    let mut generator = SchemaGenerator::default();
    let schema = kind.schema(&mut generator).to_value();
    let definitions = generator.take_definitions(true);
    let mut rows = Vec::new();
    gather("", &schema, &definitions, 0, &mut rows);
    rows
}

/// The settings of an object, required ones first, each followed by those within it.
fn gather(
    prefix: &str,
    schema: &Json,
    definitions: &Map<String, Json>,
    depth: usize,
    rows: &mut Vec<Row>,
) {
    for shape in flat(schema, definitions) {
        let Some(properties) = shape.get("properties").and_then(Json::as_object) else { continue };
        let needed: Vec<&str> = shape
            .get("required")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .collect();
        let (first, then): (Vec<_>, Vec<_>) =
            properties.iter().partition(|(name, _)| needed.contains(&name.as_str()));
        for (name, property) in first.into_iter().chain(then) {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            rows.push(Row {
                kind: type_of(property, definitions),
                default: default_of(property, needed.contains(&name.as_str())),
                meaning: cell(&meaning(property, definitions)),
                name: path.clone(),
            });
            if depth < DEPTH {
                gather(&path, property, definitions, depth + 1, rows);
            }
        }
    }
}

/// A schema with its references followed and its alternatives side by side; lists as their items.
fn flat<'a>(schema: &'a Json, definitions: &'a Map<String, Json>) -> Vec<&'a Json> {
    let (mut open, mut seen) = (vec![schema], Vec::<&Json>::new());
    while let Some(schema) = open.pop() {
        if seen.iter().any(|known| std::ptr::eq(*known, schema)) {
            continue;
        }
        seen.push(schema);
        let reference = schema.get("$ref").and_then(Json::as_str);
        let named = reference.and_then(|path| definitions.get(path.rsplit('/').next()?));
        let parts =
            ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|word| schema.get(word)?.as_array());
        open.extend(parts.flatten());
        open.extend(named);
        open.extend(schema.get("items"));
        open.extend(schema.get("additionalProperties").filter(|inner| inner.is_object()));
    }
    seen
}

fn meaning(property: &Json, definitions: &Map<String, Json>) -> String {
    let own = property.get("description").and_then(Json::as_str);
    let shapes = flat(property, definitions);
    let mut words =
        own.or_else(|| shapes.iter().find_map(|shape| shape.get("description")?.as_str()));
    words = words.filter(|words| !words.is_empty());
    words.unwrap_or_default().to_owned()
}

fn type_of(property: &Json, definitions: &Map<String, Json>) -> String {
    let mut names = BTreeSet::new();
    names_of(property, definitions, 0, &mut names);
    names.remove("null");
    let names: Vec<String> = names.into_iter().collect();
    cell(&if names.is_empty() { "any value".to_owned() } else { names.join(" or ") })
}

fn names_of(
    schema: &Json,
    definitions: &Map<String, Json>,
    depth: usize,
    names: &mut BTreeSet<String>,
) {
    if depth > 6 {
        return;
    }
    if let Some(name) =
        schema.get("$ref").and_then(Json::as_str).and_then(|path| path.rsplit('/').next())
    {
        if let Some(named) = definitions.get(name) {
            names_of(named, definitions, depth + 1, names);
        }
        return;
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        for part in schema.get(word).and_then(Json::as_array).into_iter().flatten() {
            names_of(part, definitions, depth + 1, names);
        }
    }
    if let Some(word) = schema.get("const").and_then(Json::as_str) {
        names.insert(format!("`{word}`"));
        return;
    }
    if let Some(words) = schema.get("enum").and_then(Json::as_array) {
        names.extend(words.iter().filter_map(Json::as_str).map(|word| format!("`{word}`")));
        return;
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Json::String(name)) => vec![name],
        Some(Json::Array(list)) => list.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    for name in types {
        let name = match name {
            "string" => "text".to_owned(),
            "integer" => "whole number".to_owned(),
            "boolean" => "`true` or `false`".to_owned(),
            "object" => "map".to_owned(),
            "array" => "list".to_owned(),
            other => other.to_owned(),
        };
        names.insert(name);
    }
}

fn default_of(property: &Json, needed: bool) -> String {
    match property.get("default") {
        _ if needed => "needed".to_owned(),
        None | Some(Json::Null) => String::new(),
        Some(Json::Array(list)) if list.is_empty() => String::new(),
        Some(Json::Object(map)) if map.is_empty() => String::new(),
        Some(Json::String(text)) if text.is_empty() => String::new(),
        Some(Json::String(text)) => cell(&format!("`{text}`")),
        Some(Json::Object(_)) => String::new(),
        Some(other) => cell(&format!("`{other}`")),
    }
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}
