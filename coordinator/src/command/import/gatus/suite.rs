//! Gatus' suites: endpoints one after the other, which pass values on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::check::Check;
use super::super::draft::why;
use super::super::tree::Node;
use super::super::written::Out;
use super::{Reading, condition, status};

/// What marks a value of the suite's.
const MARK: &str = "[CONTEXT].";

/// How often a suite runs that does not say it, and for how long.
const INTERVAL: Duration = Duration::from_secs(600);
const TIMEOUT: Duration = Duration::from_secs(300);

/// Makes the suite a journey.
pub(super) fn suite(node: &Node, reading: &mut Reading<'_>) {
    let name = reading.name_of(node);
    if node.is_not("enabled") {
        return reading.lose(node, &name, "left out: it is not enabled");
    }
    let context = node.get("context").map(Node::entries).unwrap_or_default();
    let constants: BTreeMap<&str, &str> =
        context.iter().filter_map(|(key, value)| Some((key.as_str(), value.text()?))).collect();
    let mut check = Check::new(reading.file, node.line, &name, "journey");
    let mut steps = Vec::new();
    let endpoints = node.get("endpoints").map(Node::items).unwrap_or_default();
    let titles: Vec<String> = endpoints
        .iter()
        .map(|endpoint| format!("{name}, {}", endpoint.text_of("name").unwrap_or("step")))
        .collect();
    for (endpoint, title) in endpoints.iter().zip(&titles) {
        if endpoint.is_not("enabled") {
            reading.lose(endpoint, title, "left out: it is not enabled");
            continue;
        }
        steps.push(step(endpoint, title, &constants, reading));
    }
    check.set("steps", Out::List(steps));
    let interval = reading.time(node, "interval", &name, INTERVAL);
    let timeout = reading.time(node, "timeout", &name, TIMEOUT);
    check.times(Some(interval), Some(timeout.min(interval)), reading.draft);
    // Alerts stand at the steps there; the journey as a whole is told of here.
    let told: Vec<(&Node, &String)> =
        endpoints.iter().zip(&titles).filter(|(endpoint, _)| !endpoint.is_not("enabled")).collect();
    let means = reading.alerts(&told, &mut check);
    let made = reading.draft.check(check);
    let group = node.text_of("group").unwrap_or_default();
    for means in means {
        reading.alerted.entry(means).or_default().push((group.to_owned(), made.clone()));
    }
}

fn step(
    node: &Node,
    name: &str,
    constants: &BTreeMap<&str, &str>,
    reading: &mut Reading<'_>,
) -> Out {
    let filled = |text: &str| places(text, constants);
    // As an endpoint's, so that conditions mean the same.
    let mut step = Check::new(reading.file, node.line, name, "http");
    if let Some(title) = node.text_of("name") {
        step.set("name", Out::text(title));
    }
    step.set("url", Out::text(filled(node.text_of("url").unwrap_or_default())));
    let method = node.text_of("method").unwrap_or("GET");
    let is_graphql = node.is("graphql");
    if let Some(body) = node.get("body") {
        let sent = Out::text(filled(&reading.sent(node, body, name)));
        match is_graphql {
            true => step.set("send_json", Out::Map(vec![("query".to_owned(), sent)])),
            false => step.set("send", sent),
        }
        step.set("method", Out::text(if is_graphql { "POST" } else { method }));
    } else if method != "GET" {
        step.set("method", Out::text(method));
    }
    headers(node, name, constants, &mut step, reading);
    reading.client(node, name, &mut step);
    if let Some(timeout) = node.get("client").and_then(|client| client.get("timeout")) {
        let why = "a journey has one time-out, for all of its steps";
        reading.lose(timeout, &format!("{name}: client `timeout`"), why);
    }
    for wanted in node.get("conditions").map(Node::items).unwrap_or_default() {
        let Some(text) = wanted.text() else { continue };
        let applied = condition::apply(&places(text, constants), &mut step);
        let turned = step.has("negate");
        step.unset("negate");
        let applied = match turned {
            true => Err("a step is not turned round; `negate` turns the last one".to_owned()),
            false => applied,
        };
        if let Err(why) = applied {
            reading.lose(wanted, &format!("{name}: condition `{text}`"), &why);
        }
    }
    status::any(&mut step);
    saved(node, name, &mut step, reading);
    if node.is("always-run") {
        step.set("always", Out::word(true));
    }
    other_words(node, name, reading);
    step.settings()
}

fn headers(
    node: &Node,
    name: &str,
    constants: &BTreeMap<&str, &str>,
    step: &mut Check,
    reading: &mut Reading<'_>,
) {
    for (header, value) in node.get("headers").map(Node::entries).unwrap_or_default() {
        let Some(text) = value.text() else { continue };
        let text = match text.contains(MARK) {
            true => places(text, constants),
            false => reading.without_secret(value, name, header, text),
        };
        match header.eq_ignore_ascii_case("host") {
            true => step.set("host", Out::text(text)),
            false => step.put("headers", header, Out::text(text)),
        }
    }
}

/// Values that later steps use.
fn saved(node: &Node, name: &str, step: &mut Check, reading: &mut Reading<'_>) {
    for (key, value) in node.get("store").map(Node::entries).unwrap_or_default() {
        let path = value.text().and_then(|text| text.strip_prefix("[BODY]"));
        match path.filter(|path| !path.is_empty()) {
            Some(path) => {
                step.put("save", &word(key), Out::text(condition::json_path(path)));
            }
            None => reading.lose(
                value,
                &format!("{name}: store `{key}`"),
                "values are saved from JSON bodies",
            ),
        }
    }
}

/// What has no meaning in a step.
fn other_words(node: &Node, name: &str, reading: &mut Reading<'_>) {
    for (key, value) in node.entries() {
        let why = match key.as_str() {
            "ui" => {
                reading.pass(value, "endpoint `ui`", why::SHOWN);
                continue;
            }
            "extra-labels" => {
                reading.pass(value, "endpoint `extra-labels`", why::LABELS);
                continue;
            }
            "interval" => "the suite's interval holds for all steps, there and here",
            "group" => "the suite's group holds for all steps, there and here",
            "maintenance-windows" => "write `maintenance` of the journey",
            "dns" | "ssh" => "a step is a request by HTTP",
            _ => continue,
        };
        reading.lose(value, &format!("{name}: `{key}`"), why);
    }
}

/// The text with the suite's values in it: constants as they are, others as open places.
fn places(text: &str, constants: &BTreeMap<&str, &str>) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(MARK) {
        out.push_str(&rest[..at]);
        rest = &rest[at + MARK.len()..];
        let (name, after) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
        match constants.get(name) {
            Some(value) => out.push_str(value),
            None => out.push_str(&format!("{{{{{}}}}}", word(name))),
        }
        rest = after;
    }
    out + rest
}

/// Names of saved values have no hyphens here.
fn word(name: &str) -> String {
    name.replace('-', "_")
}
