//! `crosscheck validate`: every error of a configuration at once, or what it means.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use crosscheck_checks::document::{self, Catalogue, Diagnostic, Disk, Document, Layout};
use crosscheck_checks::env::Secrets;
use crosscheck_model::config::{Config, Route};
use crosscheck_model::{CheckSpec, pattern};

use super::{BAD_INPUT, FINE, json, terminal};

/// Checks a configuration and says what it means. Exit status 2 when it cannot be used.
#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    /// Files, or directories of `*.yaml` and `*.yml`, that make up one configuration.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Print the errors and warnings as one JSON array.
    #[arg(long)]
    pub json: bool,
}

/// Writes what is wrong, or a summary; the exit status.
///
/// # Errors
/// What the writer says.
pub fn validate(
    args: &ValidateArgs,
    catalogue: &Catalogue<'_>,
    secrets: &Secrets,
    out: &mut dyn Write,
    colour: bool,
) -> io::Result<u8> {
    let document = Document::load(&args.paths, &Disk, catalogue);
    let mut found: Vec<Diagnostic> = document.diagnostics().to_vec();
    found.extend(document.unreadable_secrets(secrets));
    let status = if document.config().is_some() { FINE } else { BAD_INPUT };
    if args.json {
        json::pretty(out, &found)?;
        return Ok(status);
    }
    document::report(out, &found, colour)?;
    if let Some(config) = document.config() {
        if !found.is_empty() {
            writeln!(out)?;
        }
        summary(out, config)?;
    }
    Ok(status)
}

/// What the configuration means, one subject per line.
fn summary(out: &mut dyn Write, config: &Config) -> io::Result<()> {
    let sites = config.sites.len();
    writeln!(out, "valid: {}, {}", counted(config.checks.len(), "check"), counted(sites, "site"))?;
    section(out, "checks", &kinds(config))?;
    section(out, "sites", &places(config))?;
    section(out, "quorum", &quorums(config))?;
    section(out, "told", &told(config))?;
    let pages = config.pages.iter();
    let pages: Vec<String> = pages
        .map(|(name, page)| format!("{name}: {}", counted(page.checks.len(), "check")))
        .collect();
    section(out, "pages", &pages)
}

fn section(out: &mut dyn Write, title: &str, lines: &[String]) -> io::Result<()> {
    for (at, line) in lines.iter().enumerate() {
        let line = terminal::line(line);
        writeln!(out, "  {:<7} {line}", if at == 0 { title } else { "" })?;
    }
    Ok(())
}

/// `1 check`, `2 checks`.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `3 http, 1 tcp`.
fn kinds(config: &Config) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for check in &config.checks {
        *counts.entry(&check.kind).or_default() += 1;
    }
    let words: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if words.is_empty() { Vec::new() } else { vec![words.join(", ")] }
}

/// `bj-ct (cn-north, china-telecom)`, at most [`SHOWN_SITES`].
fn places(config: &Config) -> Vec<String> {
    /// More sites than this scroll what matters away.
    const SHOWN_SITES: usize = 20;
    let mut lines: Vec<String> = config
        .sites
        .iter()
        .take(SHOWN_SITES)
        .map(|(id, site)| format!("{id} ({}, {})", site.region, site.carrier))
        .collect();
    if config.sites.len() > SHOWN_SITES {
        lines.push(format!("and {} more", config.sites.len() - SHOWN_SITES));
    }
    lines
}

/// Each layout with what must agree there, and how many checks it holds for.
fn quorums(config: &Config) -> Vec<String> {
    let mut layouts: BTreeMap<(Layout, String), (usize, &CheckSpec)> = BTreeMap::new();
    let (pushed, run): (Vec<_>, Vec<_>) =
        config.checks.iter().partition(|check| check.source.is_push());
    for check in run {
        let layout = Layout::of(&check.sites, &config.sites);
        let entry = layouts.entry((layout, check.quorum.to_string())).or_insert((0, check));
        entry.0 += 1;
    }
    let line = |((layout, quorum), (count, check)): (&(Layout, String), &(usize, &CheckSpec))| {
        let explained = layout.explain(check.quorum);
        format!("{quorum}, {}: {explained}", counted(*count, "check"))
    };
    let mut lines: Vec<String> = layouts.iter().map(line).collect();
    if !pushed.is_empty() {
        lines.push(format!("push, {}: the job's own word", counted(pushed.len(), "check")));
    }
    lines
}

/// Each route in its order, and how many checks reach nobody.
fn told(config: &Config) -> Vec<String> {
    let mut lines: Vec<String> = config.routes.iter().map(route).collect();
    let unheard = |check: &&CheckSpec| !config.routes.iter().any(|route| fits(route, check));
    match config.checks.iter().filter(unheard).count() {
        0 => {}
        count if count == config.checks.len() => lines.push("nobody: no route fits".to_owned()),
        count => lines.push(format!("nobody of {}: no route fits", counted(count, "check"))),
    }
    lines
}

/// `disaster of `shop *`: ops, li by mail`.
fn route(route: &Route) -> String {
    let severities: Vec<&str> = route.severities.iter().map(|of| of.as_str()).collect();
    let what = if severities.is_empty() { "everything".to_owned() } else { severities.join(", ") };
    let mut of: Vec<String> = route.checks.iter().map(|pattern| format!("`{pattern}`")).collect();
    of.extend(route.customer.iter().map(|customer| format!("customer {customer}")));
    let of = if of.is_empty() { String::new() } else { format!(" of {}", of.join(", ")) };
    let to: Vec<&str> = route.to.iter().map(|contact| contact.as_str()).collect();
    format!("{what}{of}: {} by {}", to.join(", "), route.channels.join(", "))
}

/// Whether the route is for the check.
fn fits(route: &Route, check: &CheckSpec) -> bool {
    let named = |wanted: &String| pattern::matches(wanted, &check.name);
    (route.severities.is_empty() || route.severities.contains(&check.severity))
        && (route.checks.is_empty() || route.checks.iter().any(named))
        && (route.customer.is_none() || route.customer == check.customer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::catalogue::catalogue;

    fn validated(document: &str, json: bool) -> (u8, String) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.yaml");
        std::fs::write(&path, document).expect("written");
        let args = ValidateArgs { paths: vec![path], json };
        let secrets = Secrets::fixed(BTreeMap::from([("HERE".to_owned(), "x".to_owned())]));
        let mut out = Vec::new();
        let status = validate(&args, &catalogue(), &secrets, &mut out, false);
        let root = format!("{}/", directory.path().display());
        let out = String::from_utf8(out).expect("text").replace(&root, "");
        (status.expect("memory takes it"), out)
    }

    #[test]
    fn a_good_configuration_is_summed_up() {
        let (status, out) = validated(
            r#"
sites:
  bj-ct: { region: cn-north, carrier: a }
  sh-ct: { region: cn-east, carrier: a }
  sh-cu: { region: cn-east, carrier: b }
  gz-cu: { region: cn-south, carrier: b }
  tyo: { region: jp-east, carrier: c }
contacts:
  ops: { mail: [ops@example.com] }
operators: [ops]
channels:
  mail: { smtp: "smtp://mail.example.com", from: "x@example.com", user: x, password: "${env:GONE}" }
routes:
  - { severity: [disaster], checks: ["db *"], to: [ops] }
checks:
  - { name: db one, tcp: { address: "db.example.com:3306" }, alarm: { severity: disaster } }
  - { name: db two, tcp: { address: "db.example.com:3307", send: "${env:HERE}" } }
  - { name: db three, tcp: { address: "db.example.com:3308" }, sites: [bj-ct, tyo], site_quorum: any }
pages:
  public: { title: Acme }
"#,
            false,
        );
        assert_eq!(status, FINE);
        insta::assert_snapshot!(out);
    }

    #[test]
    fn a_bad_configuration_is_the_users() {
        let document = "checks: [{ name: a, tcp: { adress: x } }]";
        let (status, out) = validated(document, false);
        assert_eq!(status, BAD_INPUT);
        assert!(out.ends_with("2 errors\n"), "{out}");
        let (status, json) = validated(document, true);
        assert_eq!(status, BAD_INPUT);
        let found: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let first = &found[1];
        assert_eq!(first["severity"], "error");
        assert_eq!((first["line"].as_u64(), first["column"].as_u64()), (Some(1), Some(28)));
        assert_eq!(first["message"], "unknown key `adress`");
        assert_eq!(first["hint"], "did you mean `address`?");
    }
}
