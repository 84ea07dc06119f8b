//! `crosscheck validate`: every error of a configuration at once, or what it means.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use crosscheck_checks::document::{self, Catalogue, Diagnostic, Disk, Document, Layout};
use crosscheck_checks::env::Secrets;
use crosscheck_model::config::{Config, Route};
use crosscheck_model::{CheckSpec, pattern};

use super::{BAD_INPUT, FINE};

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
        let json = serde_json::to_string_pretty(&found)?;
        writeln!(out, "{json}")?;
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
        writeln!(out, "  {:<7} {line}", if at == 0 { title } else { "" })?;
    }
    Ok(())
}

fn counted(count: usize, what: &str) -> String {
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
    for check in &config.checks {
        let layout = Layout::of(&check.sites, &config.sites);
        let entry = layouts.entry((layout, check.quorum.to_string())).or_insert((0, check));
        entry.0 += 1;
    }
    let line = |((layout, quorum), (count, check)): (&(Layout, String), &(usize, &CheckSpec))| {
        let explained = layout.explain(check.quorum);
        format!("{quorum}, {}: {explained}", counted(*count, "check"))
    };
    layouts.iter().map(line).collect()
}

/// Each route, and how many checks reach nobody.
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

/// `disaster: ops, li by mail`.
fn route(route: &Route) -> String {
    let mut of: Vec<String> = route.severities.iter().map(ToString::to_string).collect();
    of.extend(route.checks.iter().map(|pattern| format!("`{pattern}`")));
    of.extend(route.customer.iter().map(|customer| format!("customer {customer}")));
    let of = if of.is_empty() { "everything else".to_owned() } else { of.join(", ") };
    let to: Vec<&str> = route.to.iter().map(|contact| contact.as_str()).collect();
    format!("{of}: {} by {}", to.join(", "), route.channels.join(", "))
}

/// Whether the route is for the check.
fn fits(route: &Route, check: &CheckSpec) -> bool {
    let named = |wanted: &String| pattern::matches(wanted, &check.name);
    (route.severities.is_empty() || route.severities.contains(&check.severity))
        && (route.checks.is_empty() || route.checks.iter().any(named))
        && (route.customer.is_none() || route.customer == check.customer)
}
