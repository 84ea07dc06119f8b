//! The site quorum: leave one domain out (LODO), and the simpler quorums.
//!
//! Down only if, after discarding any one site, carrier or region, a strict majority of the
//! remaining live voters still says so. A plain majority of five is not enough: a carrier that
//! holds two of the five, plus one random failure, makes three.

use std::fmt;

use crosscheck_model::SiteQuorum;
use crosscheck_model::mutant::{self, Mutant};
use serde::{Deserialize, Serialize};

/// A failure domain: what one broken cable, carrier or city takes away at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Domain {
    /// One site.
    Site(String),
    /// All sites of a carrier.
    Carrier(String),
    /// All sites of a region.
    Region(String),
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site(name) => write!(f, "site {name}"),
            Self::Carrier(name) => write!(f, "carrier {name}"),
            Self::Region(name) => write!(f, "region {name}"),
        }
    }
}

/// Where a voter stands, in each dimension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place<'a> {
    /// Its site.
    pub site: &'a str,
    /// Its carrier.
    pub carrier: &'a str,
    /// Its region.
    pub region: &'a str,
}

/// A dimension: how to read a place's value in it, and the domain of such a value.
struct Dimension {
    value: for<'a> fn(&Place<'a>) -> &'a str,
    domain: fn(String) -> Domain,
}

/// From the narrowest to the widest, so that a failure is named as narrowly as it can be.
const DIMENSIONS: [Dimension; 3] = [
    Dimension { value: |place| place.site, domain: Domain::Site },
    Dimension { value: |place| place.carrier, domain: Domain::Carrier },
    Dimension { value: |place| place.region, domain: Domain::Region },
];

/// The dimensions in which the assigned probes differ: only there can one domain be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Active([bool; 3]);

impl Active {
    /// The active dimensions of these assigned places.
    pub fn of<'a>(mut assigned: impl Iterator<Item = Place<'a>>) -> Self {
        let mut active = Self::default();
        let Some(first) = assigned.next() else { return active };
        assigned.for_each(|place| active.compare(&first, &place));
        active
    }

    /// Another assigned place, and the first of them.
    pub(crate) fn compare(&mut self, first: &Place<'_>, other: &Place<'_>) {
        for (active, dimension) in self.0.iter_mut().zip(&DIMENSIONS) {
            *active = *active || (dimension.value)(other) != (dimension.value)(first);
        }
    }

    fn dimensions(self) -> impl Iterator<Item = &'static Dimension> {
        DIMENSIONS.iter().zip(self.0).filter(|(_, active)| *active).map(|(dimension, _)| dimension)
    }
}

/// A live voter, and whether it belongs to the set in question.
#[derive(Clone, Debug)]
pub struct Voter<'a> {
    /// Where it stands.
    pub place: Place<'a>,
    /// Whether it votes for what is asked.
    pub member: bool,
}

/// LODO(S) within L: at least two members, a strict majority, and still a strict majority of
/// what remains when any one value of any active dimension is left out.
pub fn leave_one_domain_out(live: &[Voter<'_>], active: Active) -> bool {
    let majority = |members: usize, all: usize| 2 * members > all;
    let members = live.iter().filter(|voter| voter.member).count();
    if mutant::is(Mutant::HalfBothWays) && members > 0 {
        return 2 * members >= live.len();
    }
    if mutant::is(Mutant::PlainMajority) && members > 1 {
        return majority(members, live.len());
    }
    if members < 2 || !majority(members, live.len()) {
        return false;
    }
    // Of one mind: a majority remains wherever anybody does.
    if members == live.len() {
        return active.dimensions().all(|dimension| {
            let mut values = live.iter().map(|voter| (dimension.value)(&voter.place));
            let first = values.next();
            values.any(|value| Some(value) != first)
        });
    }
    let mut shares = Vec::with_capacity(live.len());
    active.dimensions().all(|dimension| {
        count_shares(live, dimension, &mut shares);
        shares.iter().all(|out| {
            let rest = live.len() - out.voters;
            rest > 0 && majority(members - out.members, rest)
        })
    })
}

/// The voters of one value of a dimension.
struct Share<'a> {
    value: &'a str,
    voters: usize,
    members: usize,
}

/// Counts each value's voters; sites are few, so that a list is searched faster than a map.
fn count_shares<'a>(live: &[Voter<'a>], dimension: &Dimension, shares: &mut Vec<Share<'a>>) {
    shares.clear();
    for voter in live {
        let (value, member) = ((dimension.value)(&voter.place), usize::from(voter.member));
        match shares.iter_mut().find(|share| share.value == value) {
            Some(share) => {
                (share.voters, share.members) = (share.voters + 1, share.members + member)
            }
            None => shares.push(Share { value, voters: 1, members: member }),
        }
    }
}

/// The question put to a site quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The members fail: do they suffice to call it failing?
    Failing,
    /// The members are fine: do they suffice to call it fine?
    Fine,
}

/// Whether the members among the live voters suffice. The two questions never both hold for a
/// set and its complement; that is what makes a verdict unambiguous.
pub fn suffices(
    quorum: SiteQuorum,
    question: Question,
    live: &[Voter<'_>],
    assigned: usize,
    active: Active,
) -> bool {
    let all = live.len();
    let members = live.iter().filter(|voter| voter.member).count();
    let others = all - members;
    // Where more than one probe is assigned, one alone proves nothing.
    let floor = assigned.clamp(1, 2);
    match (quorum, question) {
        (SiteQuorum::Diverse, _) => leave_one_domain_out(live, active),
        (SiteQuorum::Majority, _) => members >= floor && 2 * members > all,
        (SiteQuorum::All, Question::Failing) => members >= floor && others == 0,
        (SiteQuorum::All, Question::Fine) => all >= floor && members > 0,
        (SiteQuorum::Single, Question::Failing) => members > 0 && others == 0,
        (SiteQuorum::Single, Question::Fine) => members > 0,
        (SiteQuorum::Any, Question::Failing) => members > 0,
        (SiteQuorum::Any, Question::Fine) => members > 0 && others == 0,
        (SiteQuorum::Count(n), Question::Failing) => members >= n.max(1) as usize,
        (SiteQuorum::Count(n), Question::Fine) => {
            all >= n.max(1) as usize && others < n.max(1) as usize
        }
    }
}

/// Whether voters of one mind suffice by a quorum that asks for numbers only, whatever they say.
pub(crate) fn is_unanimous(quorum: SiteQuorum, all: usize, assigned: usize) -> bool {
    match quorum {
        // Where they stand counts, too.
        SiteQuorum::Diverse => false,
        SiteQuorum::Majority | SiteQuorum::All => all >= assigned.clamp(1, 2),
        SiteQuorum::Single | SiteQuorum::Any => all > 0,
        SiteQuorum::Count(n) => all >= n.max(1) as usize,
    }
}

/// The narrowest domain that holds all these places; `None` when no single one does.
pub fn common_domain<'a>(
    places: impl Iterator<Item = Place<'a>> + Clone,
    active: Active,
) -> Option<Domain> {
    active.dimensions().find_map(|dimension| {
        let mut values = places.clone().map(|place| (dimension.value)(&place));
        let first = values.next()?;
        values.all(|value| value == first).then(|| (dimension.domain)(first.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layout: the carrier and the region of each probe, one probe a site.
    fn layout(carriers: &str, regions: &str) -> Vec<[String; 3]> {
        carriers
            .chars()
            .zip(regions.chars().cycle())
            .enumerate()
            .map(|(index, (carrier, region))| {
                [format!("s{index}"), carrier.to_string(), region.to_string()]
            })
            .collect()
    }

    fn place(probe: &[String; 3]) -> Place<'_> {
        Place { site: &probe[0], carrier: &probe[1], region: &probe[2] }
    }

    fn lodo(layout: &[[String; 3]], live: u32, members: u32) -> bool {
        let active = Active::of(layout.iter().map(place));
        let voters: Vec<_> = layout
            .iter()
            .enumerate()
            .filter(|(index, _)| live & (1 << index) != 0)
            .map(|(index, probe)| Voter {
                place: place(probe),
                member: members & (1 << index) != 0,
            })
            .collect();
        leave_one_domain_out(&voters, active)
    }

    fn everyone(layout: &[[String; 3]]) -> u32 {
        (1 << layout.len()) - 1
    }

    /// The fewest failing votes that suffice however they lie, and the fewest that can suffice.
    fn votes_needed(layout: &[[String; 3]]) -> (u32, u32) {
        let all = everyone(layout);
        let suffices =
            |n: u32| (0..=all).filter(move |m| m.count_ones() == n).map(|m| lodo(layout, all, m));
        let count = layout.len() as u32;
        let always = (1..=count).find(|n| suffices(*n).all(|held| held)).unwrap_or(count + 1);
        let ever = (1..=count).find(|n| suffices(*n).any(|held| held)).unwrap_or(count + 1);
        (ever, always)
    }

    #[test]
    fn the_table_of_votes_needed() {
        for (carriers, ever, one_liar_hides) in [
            ("AB", 2, true),
            ("ABC", 3, true),
            ("AAB", 3, true),
            ("ABCD", 3, false),
            ("AABB", 4, true),
            ("AABBC", 4, false),
            ("ABCDE", 4, false),
            ("AABBCC", 5, false),
            ("AABBCCD", 5, false),
            ("AAABBBCCC", 6, false),
        ] {
            let layout = layout(carriers, "1");
            let (fewest, _) = votes_needed(&layout);
            assert_eq!(fewest, ever, "{carriers}");
            let all = everyone(&layout);
            let hides = (0..layout.len()).any(|liar| !lodo(&layout, all, all & !(1 << liar)));
            assert_eq!(hides, one_liar_hides, "{carriers}");
        }
    }

    /// Every way to place `size` probes in the nine cells of three carriers by three regions.
    fn layouts(size: usize, first_cell: usize) -> Vec<Vec<[String; 3]>> {
        if size == 0 {
            return vec![Vec::new()];
        }
        let with_first = |cell: usize| {
            layouts(size - 1, cell).into_iter().map(move |mut rest| {
                rest.push([format!("s{size}"), format!("c{}", cell % 3), format!("r{}", cell / 3)]);
                rest
            })
        };
        (first_cell..9).flat_map(with_first).collect()
    }

    fn assert_no_domain_is_enough(layout: &[[String; 3]]) {
        let all = everyone(layout);
        for dimension in 0..3 {
            let active = layout.iter().any(|probe| probe[dimension] != layout[0][dimension]);
            for probe in layout {
                let domain = (0..layout.len())
                    .filter(|index| layout[*index][dimension] == probe[dimension])
                    .fold(0, |set, index| set | 1 << index);
                assert!(!active || !lodo(layout, all, domain), "{layout:?} {probe:?}");
            }
        }
    }

    #[test]
    fn no_domain_alone_is_ever_enough_in_any_layout_up_to_three_by_three() {
        let all: Vec<_> = (2..=9).flat_map(|size| layouts(size, 0)).collect();
        assert_eq!(all.len(), 48_610);
        all.iter().for_each(|layout| assert_no_domain_is_enough(layout));
    }

    #[test]
    fn failing_and_fine_exclude_each_other_whoever_is_alive() {
        for layout in (2..=4).flat_map(|size| layouts(size, 0)) {
            let all = everyone(&layout);
            for live in 1..=all {
                for failing in (0..=live).filter(|set| set & !live == 0) {
                    let both = lodo(&layout, live, failing) && lodo(&layout, live, live & !failing);
                    assert!(!both, "{layout:?} {live:b} {failing:b}");
                }
            }
        }
        let grid: Vec<_> = (0..9)
            .map(|cell| [format!("s{cell}"), format!("c{}", cell % 3), format!("r{}", cell / 3)])
            .collect();
        for failing in 0..512 {
            assert!(!(lodo(&grid, 511, failing) && lodo(&grid, 511, 511 & !failing)));
        }
    }

    #[test]
    fn a_carrier_and_one_random_failure_are_not_enough() {
        let layout = layout("AABBC", "12345");
        let all = everyone(&layout);
        for extra in 2..5 {
            assert!(!lodo(&layout, all, 0b11 | 1 << extra));
        }
        assert!(lodo(&layout, all, 0b01111));
    }

    #[test]
    fn simple_quorums_never_hold_for_a_set_and_its_complement() {
        let layout = layout("AABBC", "1");
        let active = Active::of(layout.iter().map(place));
        let quorums = [
            SiteQuorum::Majority,
            SiteQuorum::All,
            SiteQuorum::Any,
            SiteQuorum::Count(2),
            SiteQuorum::Count(4),
            SiteQuorum::Single,
        ];
        for quorum in quorums {
            for failing in 0..32u32 {
                let ask = |question, set: u32| {
                    let voters: Vec<_> = layout
                        .iter()
                        .enumerate()
                        .map(|(index, probe)| Voter {
                            place: place(probe),
                            member: set & (1 << index) != 0,
                        })
                        .collect();
                    suffices(quorum, question, &voters, 5, active)
                };
                let (down, up) =
                    (ask(Question::Failing, failing), ask(Question::Fine, 31 & !failing));
                assert!(!(down && up), "{quorum} {failing:05b}");
                assert!(
                    down || up || matches!(quorum, SiteQuorum::Majority),
                    "{quorum} {failing:05b}"
                );
            }
        }
    }

    #[test]
    fn a_failure_is_named_as_narrowly_as_it_can_be() {
        let layout = layout("AABBC", "12123");
        let active = Active::of(layout.iter().map(place));
        let name = |members: &[usize]| {
            common_domain(members.iter().map(|index| place(&layout[*index])), active)
        };
        assert_eq!(name(&[0]), Some(Domain::Site("s0".into())));
        assert_eq!(name(&[0, 1]), Some(Domain::Carrier("A".into())));
        assert_eq!(name(&[0, 2]), Some(Domain::Region("1".into())));
        assert_eq!(name(&[0, 3]), None);
    }
}
