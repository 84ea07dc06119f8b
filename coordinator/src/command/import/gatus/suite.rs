//! Gatus' suites: endpoints one after the other, which pass values on.

use std::collections::BTreeMap;

use super::super::draft::Check;
use super::super::time;
use super::super::tree::Node;
use super::super::written::Out;
use super::{INTERVAL, REDIRECTS, Reading, condition, name_of, references};

/// What marks a value of the suite's.
const MARK: &str = "[CONTEXT].";

/// Makes the suite a journey.
pub(super) fn suite(node: &Node, reading: &mut Reading<'_>) {
    let name = name_of(node);
    if node.is_not("enabled") {
        return reading.lose(node, &name, "left out: it is not enabled");
    }
    let context = node.get("context").map(Node::entries).unwrap_or_default();
    let constants: BTreeMap<&str, &str> =
        context.iter().filter_map(|(key, value)| Some((key.as_str(), value.text()?))).collect();
    let mut check = Check::new(reading.file, node.line, &name, "journey");
    check.set("each", Out::map([("redirects", Out::word(REDIRECTS))]));
    let mut steps = Vec::new();
    for endpoint in node.get("endpoints").map(Node::items).unwrap_or_default() {
        steps.push(step(endpoint, &name, &constants, reading));
    }
    check.set("steps", Out::List(steps));
    let interval = node.text_of("interval").map_or(Some(INTERVAL), time::go);
    check.times(interval, node.text_of("timeout").and_then(time::go), reading.draft);
    let means = reading.alerts(node, &name, &mut check);
    let made = reading.draft.check(check);
    for means in means {
        reading.alerted.entry(means).or_default().push(made.clone());
    }
}

fn step(
    node: &Node,
    suite: &str,
    constants: &BTreeMap<&str, &str>,
    reading: &mut Reading<'_>,
) -> Out {
    let name = format!("{suite}, {}", node.text_of("name").unwrap_or("step"));
    let filled = |text: &str| places(&references(text), constants);
    // As an endpoint's, so that conditions mean the same.
    let mut step = Check::new(reading.file, node.line, &name, "http");
    if let Some(title) = node.text_of("name") {
        step.set("name", Out::text(title));
    }
    step.set("url", Out::text(filled(node.text_of("url").unwrap_or_default())));
    let method = node.text_of("method").unwrap_or("GET");
    if let Some(body) = node.text_of("body") {
        step.set("send", Out::text(filled(body)));
        step.set("method", Out::text(method));
    } else if method != "GET" {
        step.set("method", Out::text(method));
    }
    for (header, value) in node.get("headers").map(Node::entries).unwrap_or_default() {
        let Some(text) = value.text() else { continue };
        let text = match text.contains(MARK) {
            true => filled(text),
            false => reading.without_secret(value, &name, header, text),
        };
        step.put("headers", header, Out::text(text));
    }
    for wanted in node.get("conditions").map(Node::items).unwrap_or_default() {
        let Some(text) = wanted.text() else { continue };
        if let Err(why) = condition::apply(&places(text, constants), &mut step) {
            reading.lose(wanted, &format!("{name}: condition `{text}`"), &why);
        }
    }
    condition::any_status(&mut step);
    for (key, value) in node.get("store").map(Node::entries).unwrap_or_default() {
        let path = value.text().and_then(|text| text.strip_prefix("[BODY]"));
        match path.filter(|path| !path.is_empty()) {
            Some(path) => step.put("save", key, Out::text(condition::json_path(path))),
            None => reading.lose(
                value,
                &format!("{name}: store `{key}`"),
                "values are saved from JSON bodies",
            ),
        }
    }
    if node.is("always-run") {
        step.set("always", Out::word(true));
    }
    for (key, value) in node.entries() {
        let why = match key.as_str() {
            "name" | "url" | "method" | "headers" | "body" | "conditions" | "store" => continue,
            "always-run" | "ui" | "interval" => continue,
            "graphql" => "write its body as `send_json: { query: .. }`",
            "client" => "write it for all steps, in `each`",
            "alerts" => "the journey as a whole is told of",
            "enabled" if !node.is_not("enabled") => continue,
            "enabled" => "take the step out",
            _ => "not known",
        };
        reading.lose(value, &format!("{name}: `{key}`"), why);
    }
    step.settings()
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
            None => out.push_str(&format!("{{{{{name}}}}}")),
        }
        rest = after;
    }
    out + rest
}
