//! The status page: one sentence for all of it, then checks, incidents, planned work and sites.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_core::State;
use crosscheck_core::state::CheckState;
use crosscheck_core::verdict::Reason;
use crosscheck_model::wire::Fitness;
use crosscheck_model::{CheckId, SiteId, Timestamp};

use super::component::Component;
use super::reader::Freshness;
use super::scope::Scope;
use super::story::Story;
use super::text::{self, Moment};
use super::tone::Tone;
use super::works::Work;
use crate::history::Day;

/// How far back resolved incidents are listed.
const PAST: Duration = Duration::from_secs(15 * 24 * 60 * 60);
/// How many resolved incidents are listed: about two phone screens.
const PAST_LIMIT: usize = 20;
/// Up to this many checks have room for a row of their own with every site's vote.
const ROOMY: usize = 60;

/// A status page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Overview {
    /// All of it in one sentence.
    pub(crate) overall: Overall,
    /// Planned work.
    pub(crate) works: Vec<Work>,
    /// Open incidents, the worst first.
    pub(crate) open: Vec<Story>,
    /// Checks, by customer where there are several.
    pub(crate) groups: Vec<Group>,
    /// Resolved incidents, the newest first.
    pub(crate) past: Vec<Story>,
    /// Where it is looked from.
    pub(crate) sites: Vec<SitePresence>,
    /// There are too many checks to show every site's vote beside each.
    pub(crate) dense: bool,
}

/// The overall state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Overall {
    /// Its look.
    pub(crate) tone: Tone,
    /// In one sentence.
    pub(crate) sentence: String,
    /// How many checks are how: look, number and word.
    pub(crate) counts: Vec<(Tone, usize)>,
}

/// The checks of one customer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    /// The customer, where there are several groups.
    pub(crate) name: Option<String>,
    /// Its checks.
    pub(crate) components: Vec<Component>,
}

/// Whether a site's probes are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SitePresence {
    /// The site.
    pub(crate) site: String,
    /// Where on earth.
    pub(crate) region: String,
    /// Whose network.
    pub(crate) carrier: String,
    /// Its look: Up when a fit probe is there.
    pub(crate) tone: Tone,
    /// In words.
    pub(crate) word: &'static str,
}

impl Overview {
    /// The view of a page. `days` need not hold every check.
    pub(crate) fn new(
        state: &State,
        days: &BTreeMap<CheckId, Vec<Day>>,
        scope: &Scope,
        freshness: Freshness,
    ) -> Self {
        let now = freshness.as_of;
        let checks = scope.checks(state);
        let view = |&(id, check): &(&CheckId, &CheckState)| {
            let known = days.get(id).map_or(&[][..], Vec::as_slice);
            Component::new(state, (id, check), known, scope, now)
        };
        let components = checks.iter().map(view).collect();
        let (open, past) = stories(state, scope, now);
        Self {
            overall: Overall::new(state, scope, freshness.minority),
            works: Work::of(state, scope, now),
            open,
            groups: groups(components, scope.page.is_none()),
            past,
            sites: sites(state, scope),
            dense: checks.len() > ROOMY,
        }
    }
}

/// The checks by customer. On the staff's page trouble comes first; a customer's page keeps the
/// order it was given.
fn groups(components: Vec<Component>, by_trouble: bool) -> Vec<Group> {
    let mut named: BTreeMap<Option<String>, Vec<Component>> = BTreeMap::new();
    for component in components {
        named.entry(component.customer.clone()).or_default().push(component);
    }
    let several = named.len() > 1;
    let mut groups: Vec<Group> = named
        .into_iter()
        .map(|(name, components)| Group { name: name.filter(|_| several), components })
        .collect();
    if by_trouble {
        for group in &mut groups {
            group.components.sort_by_key(|component| Reverse(component.tone));
        }
        let worst = |group: &Group| group.components.first().map(|component| component.tone);
        groups.sort_by_key(|group| Reverse(worst(group)));
    }
    groups
}

impl Overall {
    /// What a page's checks come to.
    pub(crate) fn new(state: &State, scope: &Scope, stale: bool) -> Self {
        let checks = scope.checks(state);
        let mut counts: BTreeMap<Tone, usize> = BTreeMap::new();
        for (_, check) in &checks {
            *counts.entry(Tone::of_check(check)).or_default() += 1;
        }
        let waiting = checks.iter().all(|(_, check)| check.verdict.reason == Reason::New);
        let all = checks.len();
        let (tone, sentence) = match counts.last_key_value() {
            None => (Tone::Unknown, "No checks are configured yet".to_owned()),
            Some(_) if waiting => (Tone::Unknown, "Waiting for the first results".to_owned()),
            Some((Tone::Up, _)) => (Tone::Up, "All systems operational".to_owned()),
            Some((Tone::Maintenance, n)) => (Tone::Maintenance, planned(*n, all)),
            Some((Tone::Unknown, n)) => (Tone::Unknown, some(*n, all, "cannot be judged")),
            Some((Tone::Degraded, n)) => (
                Tone::Degraded,
                some(*n, all, if *n == 1 { "is degraded" } else { "are degraded" }),
            ),
            Some((Tone::Down, n)) => {
                (Tone::Down, some(*n, all, if *n == 1 { "is down" } else { "are down" }))
            }
        };
        let counts = counts.into_iter().rev().collect();
        if stale {
            return Self {
                tone: Tone::Unknown,
                sentence: format!("Last known: {sentence}"),
                counts,
            };
        }
        Self { tone, sentence, counts }
    }
}

/// `1 of 12 checks is down`.
fn some(number: usize, all: usize, predicate: &str) -> String {
    format!("{number} of {} {predicate}", text::count(all, "check"))
}

/// Nothing is wrong, and some of it is being worked on.
fn planned(number: usize, all: usize) -> String {
    if number == all {
        return "Planned work is under way".to_owned();
    }
    format!("All other systems operational, planned work on {number} of {all} checks")
}

/// A page's incidents: the open ones, worst first, and the resolved ones, newest first.
fn stories(state: &State, scope: &Scope, now: Timestamp) -> (Vec<Story>, Vec<Story>) {
    let shown = || state.incidents.values().filter(|incident| scope.shows(incident));
    let mut open: Vec<_> = shown().filter(|incident| incident.resolved_at.is_none()).collect();
    open.sort_by_key(|incident| {
        (Reverse(incident.severity), incident.first_failed_at, incident.id)
    });
    let recent = |at: &Timestamp| now.since(*at) <= PAST;
    let mut past: Vec<_> =
        shown().filter(|incident| incident.resolved_at.as_ref().is_some_and(recent)).collect();
    past.sort_by_key(|incident| Reverse((incident.resolved_at, incident.id)));
    let view = |incident| Story::new(state, incident, scope, now);
    (open.into_iter().map(view).collect(), past.into_iter().take(PAST_LIMIT).map(view).collect())
}

/// The configured sites: one without a fit probe is said, not left out. On a page that does not
/// show everything, those from which its checks are run: others' sites are their own.
fn sites(state: &State, scope: &Scope) -> Vec<SitePresence> {
    let checks = scope.checks(state);
    let running = checks.iter().flat_map(|(_, check)| &check.assigned);
    let used: BTreeSet<&SiteId> =
        running.filter_map(|probe| Some(&state.probes.get(probe)?.site)).collect();
    let presence = |(id, site): (&SiteId, &crosscheck_model::config::Site)| {
        let here = || state.probes.values().filter(|probe| &probe.site == id);
        let live = || here().filter(|probe| state.counts_as_heard(probe));
        let fit = |probe: &&crosscheck_core::state::ProbeState| {
            probe.suspect.is_none() && !matches!(probe.health.v4, Fitness::Unfit(_))
        };
        let (tone, word) = match (here().count(), live().count(), live().filter(fit).count()) {
            (0, _, _) => (Tone::Unknown, "no probe yet"),
            (_, 0, _) => (Tone::Unknown, "silent"),
            (_, _, 0) => (Tone::Unknown, "cannot judge"),
            _ => (Tone::Up, "watching"),
        };
        SitePresence {
            site: text::quote(id.as_str()),
            region: text::quote(&site.region),
            carrier: text::quote(&site.carrier),
            tone,
            word,
        }
    };
    let shown = state.config.sites.iter().filter(|(id, _)| scope.whole || used.contains(id));
    shown.map(presence).collect()
}

/// A line above everything else when what follows cannot be trusted.
pub(crate) fn stale_line(freshness: Freshness) -> Option<String> {
    let at = || Moment::second(freshness.as_of).text;
    freshness.minority.then(|| format!("Stale: this coordinator has no quorum, as of {}", at()))
}
