//! The row of the decision table that holds, said so that a visitor can count along.

use crosscheck_core::State;
use crosscheck_core::quorum::{Active, Voter, leave_one_domain_out};
use crosscheck_core::state::CheckState;
use crosscheck_core::verdict::{Electorate, Reason, place};
use crosscheck_model::Status;

use super::scene::SITES;

/// The votes that count, and how many it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// Those that fail.
    pub(super) failing: usize,
    /// All that count.
    pub(super) live: usize,
    /// All probes that run the check.
    pub(super) assigned: usize,
    /// The fewest votes that can carry an answer; `None` when even all cannot.
    pub(super) needed: Option<usize>,
}

impl Count {
    /// The votes on a check.
    pub(super) fn of(state: &State, check: &CheckState) -> Self {
        let electorate = Electorate::of(state, check);
        let places = check.assigned.iter().filter_map(|id| {
            let site = &state.probes.get(id)?.site;
            Some(place(site, state.config.sites.get(site)?))
        });
        let active = Active::of(places);
        let live = electorate.live.len();
        // At most five voters: 32 sets.
        let carries = |members: u32| {
            let voters = electorate.live.iter().enumerate().map(|(index, elector)| Voter {
                place: elector.place.clone(),
                member: members & (1 << index) != 0,
            });
            leave_one_domain_out(&voters.collect::<Vec<_>>(), active)
        };
        let sets = (0..1u32 << live).filter(|set| carries(*set));
        Self {
            failing: electorate.failing().count(),
            live,
            assigned: check.assigned.len(),
            needed: sets.map(u32::count_ones).min().map(|needed| needed as usize),
        }
    }

    /// `4 of 5 must agree`.
    pub(super) fn threshold(&self) -> String {
        match self.needed {
            Some(needed) => format!("{needed} of {} must agree", self.live),
            None => format!("{} cannot agree on anything: too few", votes(self.live)),
        }
    }

    /// What the votes and the rule come to.
    pub(super) fn sentence(&self, reason: &Reason) -> String {
        let Self { failing, live, assigned, .. } = *self;
        let agree = self.threshold();
        match reason {
            Reason::New => format!("{live} of {} votes have come.", SITES.len()),
            Reason::Suspect => format!(
                "{live} of {assigned} probes are heard and all fail, but no second carrier can confirm it."
            ),
            Reason::Blind => format!(
                "{live} of {assigned} probes can judge. That is no evidence, so it is not called up."
            ),
            // The votes have changed since; the verdict waits for its rounds.
            Reason::Unconfirmed => {
                format!("{failing} of {live} fail, but not for as many rounds as the alarm wants.")
            }
            Reason::Failing if self.needed.is_none_or(|needed| failing < needed) => {
                format!("A site quorum called it down; {failing} of {live} sites still fail.")
            }
            Reason::Failing => format!(
                "{failing} of {live} sites fail; {agree}. Leave out any one site, carrier or region, and a majority still fails."
            ),
            Reason::Working if self.needed.is_none() => {
                format!("{live} of {assigned} votes are in: too few to say anything else.")
            }
            Reason::Working if failing == 0 => {
                format!("All {live} votes say it works; {agree} before it is called down.")
            }
            Reason::Working => format!("{failing} of {live} sites fail; {agree}."),
            Reason::Slow => "It answers everywhere, but too slowly.".to_owned(),
            Reason::Partial(domain) => format!(
                "{failing} of {live} sites fail, and all of them stand in {domain}; {agree} before anyone is woken."
            ),
            Reason::Mixed => format!(
                "{failing} of {live} sites fail, in more than one carrier and region; {agree} to call it down."
            ),
        }
    }
}

fn votes(number: usize) -> String {
    if number == 1 { "1 vote".to_owned() } else { format!("{number} votes") }
}

/// The row's number in the decision table; `None` before the first verdict.
pub(super) const fn row(reason: &Reason) -> Option<u8> {
    Some(match reason {
        Reason::New => return None,
        Reason::Suspect => 1,
        Reason::Blind => 2,
        Reason::Failing | Reason::Unconfirmed => 3,
        Reason::Working | Reason::Slow => 4,
        Reason::Partial(_) => 5,
        Reason::Mixed => 6,
    })
}

/// What the votes say already that the verdict does not say yet.
pub(super) fn pending(check: &CheckState, now: &Count) -> Option<String> {
    let (verdict, row) = (&check.verdict.reason, &check.tally.row);
    if check.tally.lame.is_some() && check.verdict.status != Status::Unknown {
        return Some(format!(
            "Only {} of {} probes are heard; after 15 s the verdict says so.",
            now.live, now.assigned
        ));
    }
    let soon = match row {
        Reason::Working if verdict != row && *verdict != Reason::New => {
            "The votes say it works; two rounds of fresh votes over 10 s confirm it."
        }
        Reason::Partial(_) if verdict != row => {
            "What still fails is inside one domain; three rounds of fresh votes confirm it."
        }
        Reason::Mixed if verdict != row => {
            "The sites disagree now; that does not end what a quorum has said."
        }
        _ => return None,
    };
    Some(soon.to_owned())
}

#[cfg(test)]
mod tests {
    use crosscheck_core::quorum::Domain;

    use super::*;

    #[test]
    fn every_row_is_said_with_its_numbers() {
        let five = |failing| Count { failing, live: 5, assigned: 5, needed: Some(4) };
        let carrier = Reason::Partial(Domain::Carrier("china-telecom".to_owned()));
        let few = Count { failing: 1, live: 1, assigned: 5, needed: None };
        for (count, reason, number, words) in [
            (five(0), Reason::New, None, "5 of 5 votes"),
            (few, Reason::Suspect, Some(1), "1 of 5 probes are heard and all fail"),
            (few, Reason::Blind, Some(2), "no evidence"),
            (five(4), Reason::Failing, Some(3), "4 of 5 sites fail; 4 of 5 must agree"),
            (five(1), Reason::Failing, Some(3), "1 of 5 sites still fail"),
            (five(0), Reason::Working, Some(4), "All 5 votes"),
            (Count { failing: 0, ..few }, Reason::Working, Some(4), "1 of 5 votes are in: too few"),
            (five(1), Reason::Working, Some(4), "1 of 5 sites fail; 4 of 5 must agree"),
            (five(2), carrier, Some(5), "all of them stand in carrier china-telecom"),
            (five(3), Reason::Mixed, Some(6), "more than one carrier"),
        ] {
            assert!(count.sentence(&reason).contains(words), "{}", count.sentence(&reason));
            assert_eq!(row(&reason), number);
        }
        assert_eq!(few.threshold(), "1 vote cannot agree on anything: too few");
    }
}
