//! Self-health: whether this probe reaches the world, from reference targets that are nobody's
//! checks. A probe that is not fit withholds its votes and says why. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_model::config::References;
use crosscheck_model::wire::{Fitness, Health};
use crosscheck_model::{Cause, Family, Outcome};

use crate::Mono;
use crate::judge::withheld;

/// How often references are asked when the configuration does not say.
pub const EVERY: Duration = Duration::from_secs(15);

/// References are not asked more often than this, whatever configuration and failures ask for:
/// they belong to others.
pub const APART: Duration = Duration::from_secs(1);

/// An unfit probe asks this often, to notice soon that it is fit again.
pub const EVERY_UNFIT: Duration = Duration::from_secs(5);

/// A reference that takes longer does not answer; shorter than the usual gap between two
/// attempts, so that the verdict about a failure need not wait.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// What has no answer this long after its round began counts as unanswered.
const ROUND_LIMIT: Duration = Duration::from_millis(2500);

/// Something to ask in order to know oneself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// Connect to `address:port`.
    Connect {
        /// The family.
        family: Family,
        /// `address:port`.
        address: String,
    },
    /// Connect to an `address:port` that must not answer.
    MustFail {
        /// The family.
        family: Family,
        /// `address:port`.
        address: String,
    },
    /// Resolve a name.
    Name {
        /// The name.
        name: String,
        /// `address:port` of the resolver; `None`: the system's.
        resolver: Option<String>,
    },
}

/// What came of asking a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It answers.
    Yes,
    /// It does not.
    No,
    /// It was not asked: this probe must not speak to it, so it tells neither this nor that.
    Untested,
}

impl From<bool> for Answer {
    fn from(answered: bool) -> Self {
        if answered { Self::Yes } else { Self::No }
    }
}

/// References to ask, all at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Unique in the life of the process.
    pub id: u64,
    /// What to ask; answers name the place in this list.
    pub references: Vec<Reference>,
}

#[derive(Debug)]
struct Asked {
    id: u64,
    began: Mono,
    answers: Vec<Option<Answer>>,
}

/// What a probe knows of itself.
#[derive(Debug)]
pub struct SelfHealth {
    references: Vec<Reference>,
    every: Duration,
    health: Health,
    asked: Option<Asked>,
    /// When the newest complete round began.
    known: Option<Mono>,
    next: Option<Mono>,
    rounds: u64,
}

/// How much is known of the references.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    no_references: bool,
    round: Option<Mono>,
}

impl Default for SelfHealth {
    fn default() -> Self {
        Self {
            references: Vec::new(),
            every: EVERY,
            health: Health::UNTESTED,
            asked: None,
            known: None,
            next: None,
            rounds: 0,
        }
    }
}

impl SelfHealth {
    /// These references count from now on; new ones are asked at once.
    pub fn configure(&mut self, now: Mono, references: &References) {
        self.every = if references.every.is_zero() { EVERY } else { references.every.max(APART) };
        let list = list(references);
        if list != self.references {
            self.references = list;
            (self.asked, self.known, self.health) = (None, None, Health::UNTESTED);
            self.next = (!self.references.is_empty()).then_some(now);
        }
    }

    /// Time has come to [`Self::wake`]: perhaps a round is over, perhaps one begins.
    pub fn time(&mut self, now: Mono) -> Option<Round> {
        if self.asked.as_ref().is_some_and(|asked| now >= asked.began + ROUND_LIMIT) {
            self.conclude(now);
        }
        if self.asked.is_some() || self.next.is_none_or(|next| now < next) {
            return None;
        }
        self.rounds += 1;
        let answers = vec![None; self.references.len()];
        self.asked = Some(Asked { id: self.rounds, began: now, answers });
        self.next = Some(now + self.every);
        Some(Round { id: self.rounds, references: self.references.clone() })
    }

    /// A check fails: the references are to be asked at once, since they could be failing too.
    pub fn doubt(&mut self, now: Mono) {
        if let Some(next) = self.next {
            let began = self.asked.as_ref().map(|asked| asked.began).or(self.known);
            let soonest = began.map_or(now, |began| now.max(began + APART));
            self.next = Some(next.min(soonest));
        }
    }

    /// The answer to one question of a round.
    pub fn answer(&mut self, now: Mono, round: u64, place: usize, answer: Answer) {
        let Some(asked) = self.asked.as_mut().filter(|asked| asked.id == round) else { return };
        if let Some(known) = asked.answers.get_mut(place) {
            *known = Some(answer);
        }
        if asked.answers.iter().all(Option::is_some) {
            self.conclude(now);
        }
    }

    /// Whether the references have been asked since `moment`, or need not be.
    pub fn known_since(&self, moment: Mono) -> bool {
        self.references.is_empty() || self.known.is_some_and(|known| known >= moment)
    }

    /// What [`Self::known_since`] answers by: while this is the same, so are the answers.
    pub fn known(&self) -> Known {
        Known { no_references: self.references.is_empty(), round: self.known }
    }

    /// The probe's opinion of itself.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The outcome, or no opinion when the probe is unfit for it. A success counts as little as a
    /// failure there: what answers a probe that is cut off from the world is not the target.
    pub fn judge(&self, outcome: Outcome, family: Family) -> Outcome {
        let reach = match family {
            Family::V4 => &self.health.v4,
            Family::V6 => &self.health.v6,
        };
        match (reach, &self.health.names) {
            (Fitness::Unfit(why), _) => withheld(outcome, Cause::ProbeUnfit, why),
            (_, Fitness::Unfit(why)) if outcome.cause.is_some_and(dns_stage) => {
                withheld(outcome, Cause::ProbeUnfit, why)
            }
            _ => outcome,
        }
    }

    /// When [`Self::time`] is wanted next.
    pub fn wake(&self) -> Option<Mono> {
        match &self.asked {
            Some(asked) => Some(asked.began + ROUND_LIMIT),
            None => self.next,
        }
    }

    fn conclude(&mut self, now: Mono) {
        let Some(asked) = self.asked.take() else { return };
        let answers = asked.answers.iter().map(|answer| answer.unwrap_or(Answer::No));
        let tested = |(_, answer): &(&Reference, Answer)| *answer != Answer::Untested;
        let answers: Vec<(&Reference, bool)> = self
            .references
            .iter()
            .zip(answers)
            .filter(tested)
            .map(|(reference, answer)| (reference, answer == Answer::Yes))
            .collect();
        self.health = Health {
            v4: reach(&answers, Family::V4),
            v6: reach(&answers, Family::V6),
            names: names(&answers),
        };
        self.known = Some(asked.began);
        let Health { v4, v6, names } = &self.health;
        if ![v4, v6, names].into_iter().all(Fitness::may_vote) {
            let soon = now.max(asked.began + EVERY_UNFIT.min(self.every));
            self.next = self.next.map(|next| next.min(soon));
        }
    }
}

/// Whether the cause lies in resolving the name.
pub const fn dns_stage(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::DnsNxdomain
            | Cause::DnsNoAddress
            | Cause::DnsServfail
            | Cause::DnsRefused
            | Cause::DnsTimeout
    )
}

fn list(references: &References) -> Vec<Reference> {
    let connect = |family, addresses: &[String]| {
        let address = |address: &String| Reference::Connect { family, address: address.clone() };
        addresses.iter().map(address).collect::<Vec<_>>()
    };
    let mut list = connect(Family::V4, &references.v4);
    list.extend(connect(Family::V6, &references.v6));
    list.extend(references.must_fail.iter().map(|address| {
        let family = if address.starts_with('[') { Family::V6 } else { Family::V4 };
        Reference::MustFail { family, address: address.clone() }
    }));
    let resolvers: Vec<Option<String>> = match references.resolvers.as_slice() {
        [] => vec![None],
        several => several.iter().cloned().map(Some).collect(),
    };
    for resolver in resolvers {
        list.extend(
            references
                .names
                .iter()
                .map(|name| Reference::Name { name: name.clone(), resolver: resolver.clone() }),
        );
    }
    list
}

fn reach(answers: &[(&Reference, bool)], wanted: Family) -> Fitness {
    let (mut asked, mut answered, mut tested) = (0_usize, 0_usize, false);
    for (reference, answer) in answers {
        match reference {
            Reference::MustFail { family, address } if *family == wanted => {
                tested = true;
                if *answer {
                    return Fitness::Unfit(format!(
                        "something answers for everyone: `{address}` must not answer and does"
                    ));
                }
            }
            Reference::Connect { family, .. } if *family == wanted => {
                asked += 1;
                answered += usize::from(*answer);
            }
            _ => {}
        }
    }
    match (asked, tested) {
        (0, false) => Fitness::Untested,
        (0, true) => Fitness::Fit,
        _ if 2 * answered > asked => Fitness::Fit,
        _ => Fitness::Unfit(format!("only {answered} of {asked} reference targets answer")),
    }
}

fn names(answers: &[(&Reference, bool)]) -> Fitness {
    let mut resolvers: BTreeMap<Option<&str>, bool> = BTreeMap::new();
    for (reference, answer) in answers {
        if let Reference::Name { resolver, .. } = reference {
            *resolvers.entry(resolver.as_deref()).or_default() |= answer;
        }
    }
    match resolvers.iter().find(|(_, answers)| !**answers) {
        _ if resolvers.is_empty() => Fitness::Untested,
        None => Fitness::Fit,
        Some((Some(resolver), _)) => {
            Fitness::Unfit(format!("no reference name resolves through `{resolver}`"))
        }
        Some((None, _)) => {
            Fitness::Unfit("no reference name resolves through the system's resolvers".to_owned())
        }
    }
}

#[cfg(test)]
mod tests;
