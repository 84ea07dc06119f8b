//! A check as the page shows it: status, why, what each site says, and its bars.

use crosscheck_core::State;
use crosscheck_core::outbox::SiteOpinion;
use crosscheck_core::quorum::Domain;
use crosscheck_core::state::{CheckState, SiteView, Vote};
use crosscheck_core::verdict::Reason;
use crosscheck_model::{CheckId, Status, Timestamp};

use super::bars::Bars;
use super::scope::Scope;
use super::text::{self, Moment};
use super::tone::Tone;
use crate::history::Day;

/// A check on a status page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Component {
    /// Stands for it within the page.
    pub(crate) slug: String,
    /// Its name.
    pub(crate) name: String,
    /// Whose it is.
    pub(crate) customer: Option<String>,
    /// Where its own page is.
    pub(crate) path: String,
    /// What is checked, in a few words.
    pub(crate) target: String,
    /// Its look.
    pub(crate) tone: Tone,
    /// Why, in one sentence.
    pub(crate) why: String,
    /// Since when.
    pub(crate) since: Option<Moment>,
    /// For how long.
    pub(crate) lasted: String,
    /// What each site says.
    pub(crate) votes: Vec<SiteVote>,
    /// The last days.
    pub(crate) bars: Bars,
}

/// What a site says at present, or said when a decision was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SiteVote {
    /// The site.
    pub(crate) site: String,
    /// `region, carrier`.
    pub(crate) place: String,
    /// Its look.
    pub(crate) tone: Tone,
    /// The cause in one sentence, or why the site is silent.
    pub(crate) cause: String,
    /// In the probe's words, harmless.
    pub(crate) detail: String,
    /// How long the run took.
    pub(crate) took: String,
    /// When the run ended.
    pub(crate) at: Option<Moment>,
}

impl Component {
    /// The view of one check.
    pub(crate) fn new(
        state: &State,
        (id, check): (&CheckId, &CheckState),
        days: &[Day],
        scope: &Scope,
        now: Timestamp,
    ) -> Self {
        let views = state.site_views(check);
        let is_new = check.verdict.reason == Reason::New;
        Self {
            slug: format!("c-{}", text::segment(id.as_str()).replace('%', "_")),
            name: text::quote(&check.spec.name),
            customer: check.spec.customer.as_ref().map(|name| text::quote(name.as_str())),
            path: scope.check_path(id),
            target: text::quote(&check.spec.target),
            tone: Tone::of_check(check),
            why: reason(check, &views),
            since: (!is_new).then(|| Moment::near(check.since, now)),
            lasted: text::length(now.since(check.since)),
            votes: views.iter().map(|view| SiteVote::present(view, now)).collect(),
            bars: Bars::new(days, text::date(now)),
        }
    }

    /// Whether all is well with it.
    pub(crate) fn is_up(&self) -> bool {
        self.tone == Tone::Up
    }

    /// How many sites say what, in words: `4 of 5 sites up`.
    pub(crate) fn says(&self) -> String {
        let up = self.votes.iter().filter(|vote| vote.tone == Tone::Up).count();
        match self.votes.len() {
            0 => "no site runs it yet".to_owned(),
            1 => format!("{} {}", self.votes[0].site, self.votes[0].tone.word().to_lowercase()),
            all => format!("{up} of {all} sites up"),
        }
    }
}

impl SiteVote {
    /// What a site says at present.
    pub(crate) fn present(view: &SiteView<'_>, now: Timestamp) -> Self {
        let place = view.place;
        Self {
            site: text::quote(view.site.as_str()),
            place: place.map_or_else(String::new, |p| place_text(&p.region, &p.carrier)),
            tone: Tone::of(view.vote.map_or(Status::Unknown, |vote| vote.status)),
            cause: match (view.vote.and_then(|vote| vote.cause), view.silent) {
                (Some(cause), _) => cause.explain().trim_end_matches('.').to_owned(),
                (None, Some(silent)) => silent.to_owned(),
                (None, None) => String::new(),
            },
            detail: view.vote.map_or_else(String::new, |vote| text::quote(&vote.detail)),
            took: view.vote.map_or_else(String::new, took),
            at: view.vote.map(|vote| Moment::near(vote.at, now)),
        }
    }

    /// What a site said when a decision was made.
    pub(crate) fn past(opinion: &SiteOpinion, now: Timestamp) -> Self {
        let took = std::time::Duration::from_micros(opinion.duration_us);
        Self {
            site: text::quote(opinion.site.as_str()),
            place: place_text(&opinion.region, &opinion.carrier),
            tone: Tone::of(opinion.status),
            cause: opinion
                .cause
                .map_or_else(String::new, |c| c.explain().trim_end_matches('.').to_owned()),
            detail: text::quote(&opinion.detail),
            took: text::run_time(took),
            at: Some(Moment::near(opinion.at, now)),
        }
    }

    /// The vote in one line, for a tooltip: `bj-ct (cn-north, china-telecom): up in 43 ms`.
    pub(crate) fn line(&self) -> String {
        let place =
            if self.place.is_empty() { String::new() } else { format!(" ({})", self.place) };
        let word = self.tone.word().to_lowercase();
        let took = if self.took.is_empty() { String::new() } else { format!(" in {}", self.took) };
        let cause = if self.cause.is_empty() { String::new() } else { format!(", {}", self.cause) };
        format!("{}{place}: {word}{took}{cause}", self.site)
    }
}

/// `cn-north, china-telecom`; nothing for a job, which stands nowhere.
fn place_text(region: &str, carrier: &str) -> String {
    let known = [region, carrier].into_iter().filter(|name| !name.is_empty());
    text::quote(&known.collect::<Vec<_>>().join(", "))
}

/// How long a vote's run took.
fn took(vote: &Vote) -> String {
    text::run_time(std::time::Duration::from_micros(vote.duration_us))
}

/// The votes that count, counted.
struct Tally {
    voters: usize,
    failing: usize,
    all: usize,
}

impl Tally {
    fn of(views: &[SiteView<'_>]) -> Self {
        let says = |wanted: &[Status]| {
            let votes = views.iter().filter_map(|view| view.vote);
            votes.filter(|vote| wanted.contains(&vote.status)).count()
        };
        Self {
            voters: says(&[Status::Up, Status::Degraded, Status::Down]),
            failing: says(&[Status::Down]),
            all: views.len(),
        }
    }

    /// `4 of 5 sites`, or `the only site`.
    fn failing_of(&self) -> String {
        match (self.failing, self.all) {
            (_, 1) => "its only site".to_owned(),
            (failing, all) => format!("{failing} of {all} sites"),
        }
    }
}

/// The verdict's reason in one sentence.
pub(crate) fn reason(check: &CheckState, views: &[SiteView<'_>]) -> String {
    let why = match check.spec.source.is_push() {
        true => why_reported(&check.verdict.reason, views),
        false => why(&check.verdict.reason, &Tally::of(views)),
    };
    if check.maintenance { format!("Planned work. {why}") } else { why }
}

/// A row of the decision table in one sentence, of a check that reports by itself.
fn why_reported(reason: &Reason, views: &[SiteView<'_>]) -> String {
    let view = views.first();
    let cause = view.and_then(|view| view.vote?.cause);
    match (reason, cause, view.and_then(|view| view.silent)) {
        (Reason::New, ..) => "Waiting for the first report".to_owned(),
        (Reason::Working, None, None) => "Reports in time".to_owned(),
        (_, Some(cause), None) => cause.explain().trim_end_matches('.').to_owned(),
        (_, _, Some(silent)) => {
            let mut letters = silent.chars();
            letters.next().map_or_else(String::new, |c| c.to_uppercase().chain(letters).collect())
        }
        (_, None, None) => "Reports again; the recovery waits".to_owned(),
    }
}

/// A row of the decision table in one sentence.
fn why(reason: &Reason, tally: &Tally) -> String {
    match reason {
        Reason::New => "Waiting for the first results".to_owned(),
        Reason::Suspect => {
            let voters = text::count(tally.voters, "remaining site");
            format!("{voters} of {} fail, and none is left to confirm it", tally.all)
        }
        Reason::Blind => {
            format!("Only {} of {} can judge", tally.voters, text::count(tally.all, "site"))
        }
        Reason::Failing => format!("Fails from {}", tally.failing_of()),
        Reason::Unconfirmed => {
            format!("Fails from {}; the alarm waits for more rounds", tally.failing_of())
        }
        Reason::Working if tally.failing > 0 => {
            let verb = if tally.failing == 1 { "fails" } else { "fail" };
            format!("Works; {} of {} sites {verb}", tally.failing, tally.all)
        }
        Reason::Working if tally.all > 1 => format!("Works from {} sites", tally.voters),
        Reason::Working => "Works".to_owned(),
        Reason::Slow => "Answers, but too slowly or with a flaw".to_owned(),
        Reason::Partial(domain) => format!("Fails only from {}", domain_text(domain)),
        Reason::Mixed => format!("Sites disagree: fails from {}", tally.failing_of()),
    }
}

/// A failure domain, with harmless names.
pub(crate) fn domain_text(domain: &Domain) -> String {
    text::quote(&domain.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_decision_table_has_its_sentence() {
        let carrier = Reason::Partial(Domain::Carrier("china-telecom".to_owned()));
        for (reason, (voters, failing, all), sentence) in [
            (Reason::New, (0, 0, 5), "Waiting for the first results"),
            (
                Reason::Suspect,
                (2, 2, 5),
                "2 remaining sites of 5 fail, and none is left to confirm it",
            ),
            (Reason::Blind, (1, 0, 5), "Only 1 of 5 sites can judge"),
            (Reason::Failing, (5, 4, 5), "Fails from 4 of 5 sites"),
            (Reason::Failing, (1, 1, 1), "Fails from its only site"),
            (Reason::Working, (5, 0, 5), "Works from 5 sites"),
            (Reason::Working, (5, 1, 5), "Works; 1 of 5 sites fails"),
            (Reason::Working, (1, 0, 1), "Works"),
            (Reason::Slow, (5, 0, 5), "Answers, but too slowly or with a flaw"),
            (carrier, (5, 2, 5), "Fails only from carrier china-telecom"),
            (Reason::Mixed, (5, 2, 5), "Sites disagree: fails from 2 of 5 sites"),
        ] {
            assert_eq!(why(&reason, &Tally { voters, failing, all }), sentence);
        }
    }
}
