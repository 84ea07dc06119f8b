//! Whose page it is: the checks that one page may show, and nothing else.

use std::collections::BTreeSet;

use crosscheck_core::State;
use crosscheck_core::incident::{Incident, Subject};
use crosscheck_core::state::CheckState;
use crosscheck_model::CheckId;

use super::text;
use crate::operator::Sight;

/// What stands on top of the page of the whole installation.
const OWN_TITLE: &str = "Status";

/// The checks of one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// The page's name; `None` for the page of the whole installation.
    pub(crate) page: Option<String>,
    /// What stands on top.
    pub(crate) title: String,
    /// It shows everything that there is: it is the whole installation's, for who sees all of it.
    /// Whose checks happen to be all that there are is still shown no more than their own.
    pub(crate) whole: bool,
    /// Who looks.
    sight: Sight,
    /// In the order of the page.
    checks: Vec<CheckId>,
    /// The same, to look up.
    known: BTreeSet<CheckId>,
}

impl Scope {
    /// The scope of a page for somebody; `None` when there is no such page for them.
    pub(crate) fn of(state: &State, sight: &Sight, page: Option<&str>) -> Option<Self> {
        let (title, checks) = match page {
            None => (OWN_TITLE.to_owned(), sight.home_checks(state)),
            Some(name) => {
                let page = state.config.pages.get(name)?;
                sight.sees_page(state, &page.checks).then_some(())?;
                (text::quote(&page.title), page.checks.clone())
            }
        };
        let known: BTreeSet<CheckId> =
            checks.iter().filter(|id| state.checks.contains_key(id)).cloned().collect();
        let whole = page.is_none() && *sight == Sight::Everything;
        let (page, sight) = (page.map(str::to_owned), sight.clone());
        Some(Self { page, title, whole, sight, checks, known })
    }

    /// The page's checks, in its order.
    pub(crate) fn checks<'a>(&self, state: &'a State) -> Vec<(&'a CheckId, &'a CheckState)> {
        self.checks.iter().filter_map(|id| state.checks.get_key_value(id)).collect()
    }

    /// Whether the page shows the check.
    pub(crate) fn has(&self, check: &CheckId) -> bool {
        self.known.contains(check)
    }

    /// Whether the page shows the incident: where all is shown all, elsewhere those that concern
    /// the page's checks.
    pub(crate) fn shows(&self, incident: &Incident) -> bool {
        self.whole || self.concerns(incident)
    }

    /// The same page, of one check.
    pub(crate) fn only(&self, check: &CheckId) -> Self {
        let (checks, known) = (vec![check.clone()], BTreeSet::from([check.clone()]));
        Self {
            page: self.page.clone(),
            title: self.title.clone(),
            whole: self.whole,
            sight: self.sight.clone(),
            checks,
            known,
        }
    }

    /// Whether the incident is about one of the page's checks, and one that its visitor may see.
    pub(crate) fn concerns(&self, incident: &Incident) -> bool {
        match &incident.subject {
            // A check may have been another customer's when it failed.
            Subject::Check(check) => self.has(check) && self.is_open_to(incident),
            // A page of its own tells whoever visits it what its checks suffer from.
            _ if self.page.is_none() && !self.is_open_to(incident) => false,
            _ => incident.checks.iter().any(|c| self.has(c)),
        }
    }

    /// Whether an operator's token lets them see the incident; strangers have none, and see what
    /// the page shows.
    fn is_open_to(&self, incident: &Incident) -> bool {
        self.sight == Sight::Public || self.sight.sees_incident(incident)
    }

    /// The beginning of the paths of the page's own pages.
    pub(crate) fn base(&self) -> String {
        self.page
            .as_deref()
            .map_or_else(String::new, |page| format!("/pages/{}", text::segment(page)))
    }

    /// Where the page itself is.
    pub(crate) fn home(&self) -> String {
        let base = self.base();
        if base.is_empty() { "/".to_owned() } else { base }
    }

    /// Where a check's page is.
    pub(crate) fn check_path(&self, check: &CheckId) -> String {
        format!("{}/checks/{}", self.base(), text::segment(check.as_str()))
    }

    /// Where an incident's page is.
    pub(crate) fn incident_path(&self, incident: &Incident) -> String {
        format!("{}/incidents/{}", self.base(), incident.id)
    }
}
