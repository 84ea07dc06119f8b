//! Where probes stand, which sites run a check, and how many of them must agree.

use crosscheck_model::SiteId;
use crosscheck_model::config::Site;
use crosscheck_model::pattern;
use crosscheck_model::spec::{SiteChoice, SiteQuorum};

use super::fields::{self, Fields};
use super::hint;
use super::layout::Layout;
use super::tree::{Entry, Span, Value};
use super::{LOCAL_SITE, Reading, words};

impl Reading<'_> {
    /// Reads `sites`; without any there is the local one.
    pub(super) fn sites(&mut self, entry: Option<&Entry>) {
        let entries = entry.map(|entry| fields::named(entry, &mut self.findings));
        for site in entries.into_iter().flatten() {
            self.name("site", &site.key.name, site.key.span);
            let found = &mut self.findings;
            let Some(fields) = Fields::of(&site.value, site.key.span, &words::SITE, found) else {
                continue;
            };
            let mut text = |name: &str| fields::text(fields.required(name, found)?, found);
            let (region, carrier) = (text("region"), text("carrier"));
            let place =
                Site { region: region.unwrap_or_default(), carrier: carrier.unwrap_or_default() };
            self.config.sites.insert(SiteId::new(site.key.name.as_str()), place);
        }
        if self.config.sites.is_empty() {
            let local = || LOCAL_SITE.to_owned();
            let place = Site { region: local(), carrier: local() };
            self.config.sites.insert(SiteId::new(LOCAL_SITE), place);
        }
    }

    /// Says that nothing is cross-checked, when one site is all there is.
    pub(super) fn lonely(&mut self, sites: Option<&Entry>) {
        if self.config.sites.len() > 1 || self.findings.has_errors() {
            return;
        }
        let message = "one site only: nothing is cross-checked, and its own trouble looks like \
                       the target's";
        self.findings
            .warning(sites.map(|entry| entry.key.span), message)
            .hint("name five sites of three carriers under `sites`".to_owned());
    }

    /// Reports a name that would not fit into an address, a mail or a line.
    pub(super) fn name(&mut self, what: &str, name: &str, span: Span) {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(plain) {
            self.findings
                .error(span, format!("`{name}` is no name for a {what}"))
                .hint("letters, digits, `-`, `_` and `.`".to_owned());
        }
    }

    /// Reads which sites run a check.
    pub(super) fn choice(&mut self, entry: &Entry) -> Option<SiteChoice> {
        match &entry.value.value {
            Value::Scalar(scalar) if scalar.text == "all" => Some(SiteChoice::All),
            Value::Map(_) => self.pick(entry),
            _ => {
                let names = fields::texts(entry, &mut self.findings)?;
                if names.is_empty() {
                    self.findings.error(entry.key.span, "no site is to run it");
                    return None;
                }
                let count = names.len();
                let known: Vec<SiteId> =
                    names.iter().filter_map(|(name, span)| self.known_site(name, *span)).collect();
                (known.len() == count).then_some(SiteChoice::List(known))
            }
        }
    }

    fn pick(&mut self, entry: &Entry) -> Option<SiteChoice> {
        let found = &mut self.findings;
        let fields = Fields::of(&entry.value, entry.key.span, &words::PICK, found)?;
        let wanted = fields.required("count", found)?;
        let count = fields.count("count", 1, found)?;
        let region = fields.text("region", found);
        let fits = |site: &&Site| {
            region.as_ref().is_none_or(|region| pattern::matches(region, &site.region))
        };
        let sites = self.config.sites.values().filter(fits).count();
        if (count as usize) > sites {
            let of = region.as_ref().map(|region| format!(" in regions like `{region}`"));
            let message = format!(
                "{count} sites are wanted, but there are {sites}{}",
                of.unwrap_or_default()
            );
            let regions = self.config.sites.values().map(|site| site.region.clone());
            let mut regions: Vec<String> = regions.collect();
            regions.sort();
            regions.dedup();
            let hint = format!("the regions of the sites: {}", hint::list(&regions));
            self.findings.error(fields::place(wanted), message).hint(hint);
            return None;
        }
        Some(SiteChoice::Pick { count, region })
    }

    /// Reads how many sites must agree.
    pub(super) fn quorum(&mut self, entry: &Entry) -> Option<SiteQuorum> {
        if let Value::Scalar(scalar) = &entry.value.value {
            match scalar.integer().map(u32::try_from) {
                Some(Ok(count)) if count > 0 => return Some(SiteQuorum::Count(count)),
                Some(_) => {
                    let message = format!("{} sites can never agree", scalar.text);
                    self.findings.error(entry.value.span, message);
                    return None;
                }
                None => {}
            }
        }
        let text = fields::text(entry, &mut self.findings)?;
        let all = [
            SiteQuorum::Diverse,
            SiteQuorum::Majority,
            SiteQuorum::All,
            SiteQuorum::Any,
            SiteQuorum::Single,
        ];
        let quorums: Vec<_> = words::QUORUMS.iter().copied().zip(all).collect();
        fields::word(&text, entry.value.span, "site quorum", &quorums, &mut self.findings)
    }

    /// The quorum that holds on these sites; what can never be reached is reported at `at`.
    pub(super) fn effective(
        &mut self,
        choice: &SiteChoice,
        quorum: SiteQuorum,
        at: Option<Span>,
    ) -> SiteQuorum {
        use SiteQuorum::{Any, Diverse, Majority, Single};
        if self.config.sites.len() == 1 && matches!(quorum, Diverse | Majority | Any) {
            return Single;
        }
        let layout = Layout::of(choice, &self.config.sites);
        if let Err(unreachable) = layout.check(quorum) {
            self.findings.error(at, unreachable.message).hint(unreachable.hint);
        } else if let (Diverse, Some(region)) = (quorum, layout.only_region()) {
            let message = format!(
                "all {} sites stand in region `{region}`, whose failure would look like the target's",
                layout.len()
            );
            self.findings.warning(at, message).hint("add a site in another region".to_owned());
        }
        quorum
    }
}
