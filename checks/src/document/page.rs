//! Status pages and their checks.

use crosscheck_model::config::Page;
use crosscheck_model::{CheckId, CustomerId, pattern};

use super::fields::{self, Fields};
use super::tree::{Entry, Span};
use super::{Reading, hint, words};

impl Reading<'_> {
    /// Reads `pages`; the checks must have been read.
    pub(super) fn pages(&mut self, entry: Option<&Entry>) {
        let Some(entry) = entry else { return };
        for page in fields::named(entry, &mut self.findings) {
            self.name("page", &page.key.name, page.key.span);
            if let Some(made) = self.page(page) {
                self.config.pages.insert(page.key.name.clone(), made);
            }
        }
    }

    fn page(&mut self, entry: &Entry) -> Option<Page> {
        let found = &mut self.findings;
        let fields = Fields::of(&entry.value, entry.key.span, &words::PAGE, found)?;
        let title = fields.required("title", found).and_then(|entry| fields::text(entry, found));
        if let Some(access) = fields.entry("access")
            && let Some(text) = fields::text(access, found)
            && text != "public"
        {
            found
                .error(fields::place(access), format!("`{text}` is no access to a page"))
                .hint("pages are `public`; leave out what not everybody may see".to_owned());
        }
        // A page in a customer's file shows that customer's checks and no others.
        let customer = self.owners.get(entry.key.span.source).cloned().flatten();
        let checks = match fields.texts("checks", &mut self.findings) {
            Some(names) => {
                let named = names
                    .iter()
                    .map(|(name, span)| self.checks_named(name, *span, customer.as_ref()));
                let named: Vec<CheckId> = named.collect::<Vec<_>>().into_iter().flatten().collect();
                once(named)
            }
            None => self.candidates(customer.as_ref()).map(|(id, _)| id.clone()).collect(),
        };
        Some(Page { title: title?, checks })
    }

    /// The checks that a page of this customer may show, and the names they go by there.
    fn candidates(&self, customer: Option<&CustomerId>) -> impl Iterator<Item = (&CheckId, &str)> {
        let mine = move |check: &&crosscheck_model::CheckSpec| {
            customer.is_none() || check.customer.as_ref() == customer
        };
        let name = move |check: &'_ crosscheck_model::CheckSpec| {
            customer.is_some() || check.customer.is_none()
        };
        self.config.checks.iter().filter(mine).map(move |check| {
            (&check.id, if name(check) { check.name.as_str() } else { check.id.as_str() })
        })
    }

    fn checks_named(
        &mut self,
        wanted: &str,
        span: Span,
        customer: Option<&CustomerId>,
    ) -> Vec<CheckId> {
        let fits = |(_, name): &(&CheckId, &str)| pattern::matches(wanted, name);
        let found: Vec<CheckId> =
            self.candidates(customer).filter(fits).map(|(id, _)| id.clone()).collect();
        if found.is_empty() {
            let hint = hint::nearest(wanted, self.candidates(customer).map(|(_, name)| name));
            self.findings.error(span, format!("unknown check `{wanted}`")).hint(hint);
        }
        found
    }
}

/// The ids in order, each once.
fn once(ids: Vec<CheckId>) -> Vec<CheckId> {
    let mut seen = std::collections::BTreeSet::new();
    ids.into_iter().filter(|id| seen.insert(id.clone())).collect()
}
