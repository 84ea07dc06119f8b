//! Where a check's probes stand, and whether its site quorum can ever be reached there: the rule
//! of leaving one domain out (LODO), on one probe per site.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crosscheck_model::SiteId;
use crosscheck_model::config::Site;
use crosscheck_model::pattern;
use crosscheck_model::spec::{SiteChoice, SiteQuorum};

/// The sites that run a check, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Layout(Vec<(SiteId, Site)>);

/// Why a site quorum cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreachable {
    /// What is lacking.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: String,
}

/// Layouts up to this many sites are counted out exactly: 4096 sets take a few milliseconds.
const COUNTED_SITES: usize = 12;

impl Layout {
    /// The sites that a choice leads to. Of `Pick`, the most diverse ones as they are configured;
    /// a cluster may choose others that are as diverse.
    pub fn of(choice: &SiteChoice, sites: &BTreeMap<SiteId, Site>) -> Self {
        let named = |id: &SiteId| sites.get(id).map(|site| (id.clone(), site.clone()));
        let all = || sites.iter().map(|(id, site)| (id.clone(), site.clone()));
        match choice {
            SiteChoice::All => Self(all().collect()),
            SiteChoice::List(ids) => {
                let ids: BTreeSet<&SiteId> = ids.iter().collect();
                Self(ids.into_iter().filter_map(named).collect())
            }
            SiteChoice::Pick { count, region } => {
                let fits = |site: &Site| {
                    region.as_ref().is_none_or(|fit| pattern::matches(fit, &site.region))
                };
                Self(most_diverse(all().filter(|(_, site)| fits(site)).collect(), *count))
            }
        }
    }

    /// How many sites.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sets of sites that share a site, a carrier or a region, of the dimensions with two
    /// values or more.
    fn domains(&self) -> Vec<BTreeSet<usize>> {
        let mut domains: Vec<BTreeSet<usize>> = Vec::new();
        let values = |(id, site): &(SiteId, Site)| {
            [id.to_string(), site.carrier.clone(), site.region.clone()]
        };
        let places: Vec<[String; 3]> = self.0.iter().map(values).collect();
        for dimension in 0..3 {
            let mut values: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
            for (at, place) in places.iter().enumerate() {
                values.entry(&place[dimension]).or_default().insert(at);
            }
            if values.len() >= 2 {
                domains.extend(values.into_values());
            }
        }
        domains
    }

    /// Whether these voters decide when all sites are live: LODO(S) with L = all.
    fn decides(&self, voters: &BTreeSet<usize>, domains: &[BTreeSet<usize>]) -> bool {
        let live = self.len();
        let majority = |voters: usize, live: usize| live > 0 && 2 * voters > live;
        voters.len() >= 2
            && majority(voters.len(), live)
            && domains
                .iter()
                .all(|domain| majority(voters.difference(domain).count(), live - domain.len()))
    }

    /// Whether `quorum` can be reached.
    ///
    /// # Errors
    /// What is lacking, and what to do.
    pub(crate) fn check(&self, quorum: SiteQuorum) -> Result<(), Unreachable> {
        let sites = self.len();
        let too_few = |wanted: usize| Unreachable {
            message: format!("site quorum `{quorum}` needs {wanted} sites, but {}", are(sites)),
            hint: "give the check more sites, or write `site_quorum: single` with one".to_owned(),
        };
        match quorum {
            SiteQuorum::Majority | SiteQuorum::Any if sites == 0 => Err(too_few(1)),
            SiteQuorum::Majority | SiteQuorum::Any => Ok(()),
            SiteQuorum::All if sites < 2 => Err(too_few(2)),
            SiteQuorum::All => Ok(()),
            SiteQuorum::Count(wanted) if wanted as usize > sites => Err(too_few(wanted as usize)),
            SiteQuorum::Count(_) => Ok(()),
            SiteQuorum::Single if sites == 1 => Ok(()),
            SiteQuorum::Single => Err(Unreachable {
                message: format!("site quorum `single` means one site, but {}", are(sites)),
                hint: "name one site in `sites`, or write `site_quorum: any`".to_owned(),
            }),
            SiteQuorum::Diverse if sites < 2 => Err(too_few(2)),
            SiteQuorum::Diverse => self.check_diverse(),
        }
    }

    fn check_diverse(&self) -> Result<(), Unreachable> {
        let sites = self.len();
        let everyone = (0..sites).collect();
        if let [carrier] = self.values(|site| &site.carrier)[..] {
            return Err(Unreachable {
                message: format!(
                    "site quorum `diverse` needs a second carrier: all {sites} sites are of \
                     `{carrier}`, whose failure would look like the target's"
                ),
                hint: "add a site of another carrier, or write `site_quorum: majority`".to_owned(),
            });
        }
        if self.decides(&everyone, &self.domains()) {
            return Ok(());
        }
        Err(Unreachable {
            message: format!("site quorum `diverse` cannot be reached by these {sites} sites"),
            hint: "spread them over more carriers and regions".to_owned(),
        })
    }

    /// The region that all sites share, when there are several sites.
    pub(crate) fn only_region(&self) -> Option<&str> {
        match self.values(|site| &site.region)[..] {
            [region] if self.len() >= 2 => Some(region),
            _ => None,
        }
    }

    /// The distinct values of a dimension.
    fn values<'a>(&'a self, of: impl Fn(&'a Site) -> &'a String) -> Vec<&'a str> {
        let values: BTreeSet<&str> = self.0.iter().map(|(_, site)| of(site).as_str()).collect();
        values.into_iter().collect()
    }

    /// What must agree, in one line: `5 sites, carriers A A B B C: 4 of 5 must agree; one lying
    /// site cannot hide an outage`.
    pub fn explain(&self, quorum: SiteQuorum) -> String {
        let sites = self.len();
        let mut line = format!("{sites} {}", if sites == 1 { "site" } else { "sites" });
        if sites > 1 {
            let mut carriers: Vec<&str> = self.0.iter().map(|(_, s)| s.carrier.as_str()).collect();
            carriers.sort_unstable();
            let _ = write!(line, ", carriers {}", carriers.join(" "));
        }
        let need = match quorum {
            SiteQuorum::Diverse => self.explain_diverse(),
            SiteQuorum::Majority => format!("{} of {sites} must agree", sites / 2 + 1),
            SiteQuorum::All => format!("all {sites} must agree"),
            SiteQuorum::Any => "one is enough; one lying site makes a false alarm".to_owned(),
            SiteQuorum::Count(count) => format!("{count} of {sites} must agree"),
            SiteQuorum::Single => "nothing is cross-checked".to_owned(),
        };
        format!("{line}: {need}")
    }

    fn explain_diverse(&self) -> String {
        let sites = self.len();
        let domains = self.domains();
        let everyone: BTreeSet<usize> = (0..sites).collect();
        let without =
            |liar: usize| everyone.iter().copied().filter(move |at| *at != liar).collect();
        let hidden = (0..sites).any(|liar| !self.decides(&without(liar), &domains));
        let lie = if hidden { "can" } else { "cannot" };
        let need = match self.needed(&domains) {
            Some((least, most)) if least == most => format!("{least} of {sites} must agree"),
            Some((least, most)) => format!("{least} to {most} of {sites} must agree"),
            None => "a majority must agree, whichever carrier or region is left out".to_owned(),
        };
        format!("{need}; one lying site {lie} hide an outage")
    }

    /// The fewest voters that can decide, and the number of which any set decides.
    fn needed(&self, domains: &[BTreeSet<usize>]) -> Option<(usize, usize)> {
        let sites = self.len();
        if sites > COUNTED_SITES {
            return None;
        }
        let mut least = sites;
        let mut most = 0;
        for set in 0_u32..1 << sites {
            let voters: BTreeSet<usize> = (0..sites).filter(|at| set & (1 << at) != 0).collect();
            match self.decides(&voters, domains) {
                true => least = least.min(voters.len()),
                false => most = most.max(voters.len() + 1),
            }
        }
        Some((least, most))
    }
}

fn are(sites: usize) -> String {
    match sites {
        0 => "there is none".to_owned(),
        1 => "there is one".to_owned(),
        sites => format!("there are {sites}"),
    }
}

/// One after the other, the site whose carrier and region are the rarest so far.
fn most_diverse(mut open: Vec<(SiteId, Site)>, count: u32) -> Vec<(SiteId, Site)> {
    let mut chosen: Vec<(SiteId, Site)> = Vec::new();
    while chosen.len() < count as usize {
        let rarity = |(_, site): &(SiteId, Site)| {
            let carriers = chosen.iter().filter(|(_, other)| other.carrier == site.carrier).count();
            let regions = chosen.iter().filter(|(_, other)| other.region == site.region).count();
            (carriers, regions)
        };
        let Some(at) = (0..open.len()).min_by_key(|at| rarity(&open[*at])) else { break };
        chosen.push(open.remove(at));
    }
    chosen.sort();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One site per letter pair: carrier, region.
    fn layout(places: &str) -> Layout {
        let site = |(at, place): (usize, &str)| {
            let (carrier, region) = place.split_at(1);
            let id = SiteId::new(format!("s{at}"));
            (id, Site { region: region.to_owned(), carrier: carrier.to_owned() })
        };
        Layout(places.split(' ').enumerate().map(site).collect())
    }

    #[test]
    fn diverse_needs_what_the_table_of_the_rule_says() {
        for (places, wanted) in [
            ("A1 B1", "2 of 2 must agree; one lying site can hide an outage"),
            ("A1 B1 C1", "3 of 3 must agree; one lying site can hide an outage"),
            ("A1 A1 B1", "3 of 3 must agree; one lying site can hide an outage"),
            ("A1 B1 C1 D1", "3 of 4 must agree; one lying site cannot hide an outage"),
            ("A1 A1 B1 B1", "4 of 4 must agree; one lying site can hide an outage"),
            ("A1 A1 B1 B1 C1", "4 of 5 must agree; one lying site cannot hide an outage"),
            ("A1 B1 C1 D1 E1", "4 of 5 must agree; one lying site cannot hide an outage"),
            ("A1 A1 B1 B1 C1 C1", "5 of 6 must agree; one lying site cannot hide an outage"),
            ("A1 A1 B1 B1 C1 C1 D1", "5 of 7 must agree; one lying site cannot hide an outage"),
        ] {
            let explained = layout(places).explain(SiteQuorum::Diverse);
            assert!(explained.ends_with(wanted), "{places}: {explained}");
        }
    }

    #[test]
    fn a_quorum_that_cannot_be_reached_is_refused() {
        use SiteQuorum::{All, Any, Count, Diverse, Majority, Single};
        for (places, quorum, reachable) in [
            ("A1", Diverse, false),
            ("A1 A2", Diverse, false),
            ("A1 A2 A3", Diverse, false),
            ("A1 B1", Diverse, true),
            ("A1 A2 B3", Diverse, true),
            ("A1", Majority, true),
            ("A1 A1", Majority, true),
            ("A1", All, false),
            ("A1 A2", All, true),
            ("A1", Any, true),
            ("A1 B2", Count(2), true),
            ("A1 B2", Count(3), false),
            ("A1", Single, true),
            ("A1 B2", Single, false),
        ] {
            assert_eq!(layout(places).check(quorum).is_ok(), reachable, "{places} {quorum}");
        }
    }

    #[test]
    fn a_pick_takes_the_most_diverse_sites() {
        let sites: BTreeMap<SiteId, Site> = layout("A1 A1 A1 B2 C3").0.into_iter().collect();
        let choice = SiteChoice::Pick { count: 3, region: None };
        let carriers = Layout::of(&choice, &sites).values(|site| &site.carrier).join("");
        assert_eq!(carriers, "ABC");
        let choice = SiteChoice::Pick { count: 3, region: Some("2*".to_owned()) };
        assert_eq!(Layout::of(&choice, &sites).len(), 1);
    }

    #[test]
    fn one_domain_alone_never_decides() {
        for places in ["A1 A2 B1 B2 C3", "A1 A1 B2 B2 C3 C3", "A1 B1 C1", "A1 A2 A3 B1 B2"] {
            let layout = layout(places);
            let domains = layout.domains();
            for domain in &domains {
                assert!(!layout.decides(domain, &domains), "{places} {domain:?}");
            }
        }
    }
}
