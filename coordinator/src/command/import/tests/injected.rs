//! A key that nobody knows, put into every place of the whole configurations, one at a time: it is
//! told, or stands in the YAML where names are free.

use super::*;

/// Tries every place; how many were understood at all.
fn tried(source: &str, name: &str, targets: Option<&str>, key: &str) -> usize {
    let text = fixture(name);
    let (mut understood, mut dropped) = (0, Vec::new());
    // What is told as a whole is told without its parts.
    let told_as_a_whole = [
        "enabled: false",
        "url: http://old.example.com",
        "web:",
        "slack:",
        "    ssh:",
        "external-endpoints:",
        "connectivity:",
        "    context:",
        "${PARTNER_HOST}",
        "unused:",
        "job_name: prometheus",
        "\"name\": \"old\"",
        "telegram",
        "\"type\": \"group\"",
        "notificationIDList",
        "\"tags\"",
        "\"type\": \"push\"",
        "paused with its group",
        "\"conditions\"",
        "\"type\": \"docker\"",
        "grpc-keyword",
        "by cron",
        "surfacer",
        "EXTERNAL",
        "gce_targets",
        "json_validator",
        "slack {",
        "additional_label",
        "labels {",
    ];
    let is_told = |line: &str| told_as_a_whole.iter().any(|words| line.contains(words));
    let mut places: Vec<usize> = text.match_indices('{').map(|(at, _)| at + 1).collect();
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let is_key = line.trim_start().split_once(": ").is_some_and(|(key, _)| {
            key.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c == '_')
        });
        if is_key && !name.ends_with(".json") && !name.ends_with(".cfg") {
            places.push(line_start + indent);
        }
        line_start += line.len();
    }
    for at in places {
        let line = text[..at].rfind('\n').map_or(0, |found| found + 1);
        let whole_line = text[line..].lines().next().unwrap_or_default();
        let begins_line = text[line..at].trim().is_empty();
        let put = match begins_line {
            true => format!("{key}\n{}", " ".repeat(at - line)),
            false => format!(" {key}{} ", if name.ends_with(".cfg") { "" } else { "," }),
        };
        let changed = format!("{}{put}{}", &text[..at], &text[at..]);
        let (status, yaml, notes) = imported(source, name, changed.as_bytes(), targets);
        if status != FINE || is_told(whole_line) {
            continue;
        }
        understood += 1;
        if !yaml.contains("zz") && !notes.contains("zz") {
            dropped.push(format!("{}: {whole_line}", text[..at].lines().count()));
        }
    }
    assert!(dropped.is_empty(), "{source}: nothing tells of it in {dropped:#?}");
    understood
}

/// At least so many places are tried: fewer would be a mistake of the test.
fn holds(source: &str, name: &str, targets: Option<&str>, key: &str, least: usize) {
    let understood = tried(source, name, targets, key);
    assert!(understood >= least, "{source}: only {understood} places were understood");
}

#[test]
fn a_key_that_nobody_knows_is_never_dropped_of_gatus() {
    holds("gatus", "gatus.yaml", None, "zz: zz", 80);
}

#[test]
fn a_key_that_nobody_knows_is_never_dropped_of_blackbox_exporter() {
    let prometheus = fixture("prometheus.yml");
    holds("blackbox", "blackbox.yml", Some(&prometheus), "zz: zz", 20);
}

#[test]
fn a_key_that_nobody_knows_is_never_dropped_of_uptime_kuma() {
    holds("uptime-kuma", "uptime-kuma.json", None, "\"zz\": \"zz\"", 20);
}

#[test]
fn a_field_that_nobody_knows_is_never_dropped_of_cloudprober() {
    holds("cloudprober", "cloudprober.cfg", None, "zz: \"zz\"", 30);
}
