//! The decision table: what the votes of a check's probes mean, and how long it must be so.

use std::time::Duration;

use crosscheck_model::config::Site;
use crosscheck_model::mutant::{self, Mutant};
use crosscheck_model::spec::Rule;
use crosscheck_model::{ProbeId, SiteId, Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::push;
use crate::quorum::{Active, Domain, Place, Question, Voter, common_domain, suffices};
use crate::state::{CheckState, SiteView, State, Vote};

/// Why the verdict is what it is: the row of the decision table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// No vote has come yet since the check exists.
    New,
    /// Row 1: the few remaining voters all fail, and nobody can confirm.
    Suspect,
    /// Row 2: too few live voters for any answer.
    Blind,
    /// Row 3: the site quorum says it fails.
    Failing,
    /// Row 3, but not yet for as many rounds as the rule wants: no alarm, and no green either.
    Unconfirmed,
    /// Row 4: the site quorum says it works.
    Working,
    /// The same on the second level: it works, but the site quorum finds it slow or flawed.
    Slow,
    /// Row 5: it fails from within one domain only.
    Partial(Domain),
    /// Row 6: the sites disagree across domains.
    Mixed,
}

/// What is the case with a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The status.
    pub status: Status,
    /// Why.
    pub reason: Reason,
}

impl Verdict {
    /// Before the first vote.
    pub const NEW: Self = Self { status: Status::Unknown, reason: Reason::New };

    /// The verdict of a row.
    pub fn of(reason: Reason) -> Self {
        let status = match reason {
            Reason::Blind if mutant::is(Mutant::UnknownIsUp) => Status::Up,
            Reason::New | Reason::Suspect | Reason::Blind => Status::Unknown,
            Reason::Failing => Status::Down,
            Reason::Working => Status::Up,
            Reason::Slow | Reason::Unconfirmed | Reason::Partial(_) | Reason::Mixed => {
                Status::Degraded
            }
        };
        Self { status, reason }
    }
}

/// Progress towards a verdict that needs more than one round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The row that the votes fit at present, among those that a capable electorate gives.
    pub row: Reason,
    /// Since when, without a break.
    pub since: Timestamp,
    /// Rounds in which it was so: every live voter has voted afresh in each.
    pub rounds: u32,
    /// When the present round began: votes on earlier runs do not complete it.
    pub round_from: Timestamp,
    /// How many live voters do not fail.
    pub fine: u32,
    /// Rounds without a break in which the sites failed across domains, whether they sufficed to
    /// call it failing (row 3) or not (row 6): one site that comes and goes must not begin the
    /// count anew for ever.
    pub split_rounds: u32,
    /// When the present one of those rounds began.
    pub split_from: Timestamp,
    /// Since when, without a break, a quorum has not called it fine (rows 3, 5 and 6).
    pub unwell_since: Option<Timestamp>,
    /// The live voters have not sufficed for any answer since then: rows 1 and 2.
    pub lame: Option<Lame>,
}

/// An electorate that cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lame {
    /// Since when.
    pub since: Timestamp,
    /// Those who are left all fail (row 1), since then.
    pub failing_since: Option<Timestamp>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            row: Reason::New,
            since: Timestamp::ZERO,
            rounds: 0,
            round_from: Timestamp::ZERO,
            fine: 0,
            split_rounds: 0,
            split_from: Timestamp::ZERO,
            unwell_since: None,
            lame: None,
        }
    }
}

/// Rounds until a verdict turns to Up after it was anything worse.
pub const RECOVERY_ROUNDS: u32 = 2;
/// Rounds until a failure within one domain only ends an incident that went further.
pub const PARTIAL_RECOVERY_ROUNDS: u32 = 3;
/// Rounds until a split of the sites is worth a notification.
pub const MIXED_ROUNDS: u32 = 2;
/// How long an electorate must be unable to answer until the verdict says so: a session that
/// moves from one coordinator to another is not blindness.
pub const LAME_LIMIT: Duration = Duration::from_secs(15);
/// After a change of leader, nothing is concluded from silence for this long.
pub const LEADER_GRACE: Duration = Duration::from_secs(30);

/// A voter in the electorate.
#[derive(Clone, Debug)]
pub struct Elector<'a> {
    /// The probe.
    pub probe: &'a ProbeId,
    /// Where it stands.
    pub place: Place<'a>,
    /// Its vote.
    pub vote: &'a Vote,
    /// The probe is live, and not only excused for the time of a new leader's grace.
    pub heard: bool,
}

/// The electorate of a check at a moment: who may vote, and how they do.
pub struct Electorate<'a> {
    /// The live voters (L), and for the time of a new leader's grace those who were.
    pub live: Vec<Elector<'a>>,
    assigned: usize,
    active: Active,
    check: &'a CheckState,
}

/// The place of a configured site.
pub fn place<'a>(site: &'a SiteId, at: &'a Site) -> Place<'a> {
    Place { site: site.as_str(), carrier: &at.carrier, region: &at.region }
}

impl<'a> Electorate<'a> {
    /// The electorate of `check` now.
    pub fn of(state: &'a State, check: &'a CheckState) -> Self {
        if let Some(view) = state.push_view(check) {
            return Self::of_reporter(check, view);
        }
        let mut live = Vec::with_capacity(check.assigned.len());
        let (mut first, mut active, mut assigned) = (None, Active::default(), 0);
        for id in &check.assigned {
            let Some(probe) = state.probes.get(id) else { continue };
            let Some(at) = state.config.sites.get(&probe.site) else { continue };
            let place = place(&probe.site, at);
            assigned += 1;
            active.compare(first.get_or_insert_with(|| place.clone()), &place);
            if let Ok(vote) = state.vote_that_counts(check, id, probe) {
                live.push(Elector { probe: id, place, vote, heard: state.is_live(probe) });
            }
        }
        Self { live, assigned, active, check }
    }

    /// A job that reports by itself is its check's one voter.
    fn of_reporter(check: &'a CheckState, view: SiteView<'a>) -> Self {
        let elector = |vote| Elector { probe: view.probe, place: push::place(), vote, heard: true };
        let active = Active::of([push::place()].into_iter());
        Self { live: view.vote.map(elector).into_iter().collect(), assigned: 1, active, check }
    }

    /// Those of them who are heard: what nobody says at present proves nothing new.
    #[must_use]
    pub fn heard(mut self) -> Self {
        self.live.retain(|elector| elector.heard);
        self
    }

    fn holds(&self, question: Question, member: impl Fn(Status) -> bool) -> bool {
        self.hold(self.live.iter(), question, member)
    }

    fn hold<'e>(
        &self,
        live: impl Iterator<Item = &'e Elector<'a>>,
        question: Question,
        member: impl Fn(Status) -> bool,
    ) -> bool
    where
        'a: 'e,
    {
        let voters: Vec<Voter<'_>> = live
            .map(|elector| Voter {
                place: elector.place.clone(),
                member: member(elector.vote.status),
            })
            .collect();
        suffices(self.check.spec.quorum, question, &voters, self.assigned, self.active)
    }

    /// Whether those who are heard could answer at all, were they of one mind. The excused have a
    /// say in the answer, but do not make one possible: no green, and nothing new, rests on those
    /// alone whom nobody hears.
    pub fn is_capable(&self) -> bool {
        let heard = || self.live.iter().filter(|elector| elector.heard);
        heard().next().is_some() && self.hold(heard(), Question::Failing, |_| true)
    }

    /// The voters that say Down.
    pub fn failing(&self) -> impl Iterator<Item = &Elector<'a>> + Clone {
        self.live.iter().filter(|elector| elector.vote.status == Status::Down)
    }

    /// The row of the decision table that the votes fit.
    pub fn row(&self) -> Reason {
        if !self.is_capable() {
            let mut heard = self.live.iter().filter(|elector| elector.heard).peekable();
            let all_fail =
                heard.peek().is_some() && heard.all(|elector| elector.vote.status == Status::Down);
            return if all_fail { Reason::Suspect } else { Reason::Blind };
        }
        if self.holds(Question::Failing, |status| status == Status::Down) {
            Reason::Failing
        } else if self.holds(Question::Fine, |status| status != Status::Down) {
            self.second_level()
        } else {
            let places = self.failing().map(|elector| elector.place.clone());
            common_domain(places, self.active).map_or(Reason::Mixed, Reason::Partial)
        }
    }

    /// It works; whether it is slow is the same question one level lower. What is slow from within
    /// one domain only is that domain's; beyond that, the verdict stays as it is where neither
    /// answer has a quorum.
    fn second_level(&self) -> Reason {
        let slow = self.holds(Question::Failing, |status| status != Status::Up);
        let fast = self.holds(Question::Fine, |status| status == Status::Up);
        match (slow, fast) {
            (true, _) => Reason::Slow,
            (false, true) => Reason::Working,
            (false, false) if self.check.verdict.reason == Reason::Slow => {
                let unwell = self.live.iter().filter(|elector| elector.vote.status != Status::Up);
                let places = unwell.map(|elector| elector.place.clone());
                common_domain(places, self.active).map_or(Reason::Slow, |_| Reason::Working)
            }
            (false, false) => Reason::Working,
        }
    }

    /// Whether the voters but this one call it failing (`true`) or fine; `None` when they cannot
    /// tell.
    pub fn verdict_without(&self, probe: &ProbeId) -> Option<bool> {
        let others = || self.live.iter().filter(|elector| elector.probe != probe);
        if self.hold(others(), Question::Failing, |status| status == Status::Down) {
            Some(true)
        } else if self.hold(others(), Question::Fine, |status| status != Status::Down) {
            Some(false)
        } else {
            None
        }
    }

    /// The least time that a round takes: the interval while abnormal.
    fn round(&self) -> Duration {
        self.check.spec.schedule.retry_interval
    }

    /// Every live voter has voted on a run that began after `moment`.
    fn all_voted_since(&self, moment: Timestamp) -> bool {
        self.live.iter().all(|elector| elector.vote.started > moment)
    }

    /// When the outage began: the first failing run among those that belong together. All probes
    /// look once in an interval, so a failure that began more than one interval (and the time a
    /// probe takes to be sure) before the quorum was complete was something else.
    pub fn first_failed(&self) -> Option<Timestamp> {
        let schedule = &self.check.spec.schedule;
        // Where nobody fails, it is about slowness.
        let fails = |elector: &&Elector<'_>| elector.vote.status == Status::Down;
        let worst = if self.failing().next().is_some() {
            fails
        } else {
            |elector: &&Elector<'_>| elector.vote.status != Status::Up
        };
        let mut begins: Vec<Timestamp> = self
            .live
            .iter()
            .filter(worst)
            .map(|elector| elector.vote.failing_since.unwrap_or(elector.vote.started))
            .collect();
        begins.sort_unstable();
        let window = schedule.interval
            + schedule.attempts * schedule.timeout
            + schedule.attempts * schedule.attempt_gap;
        let earliest = begins.last()?.minus(window);
        begins.into_iter().find(|begin| *begin >= earliest)
    }
}

impl Tally {
    /// Counts what the electorate says at `now`.
    pub fn count(&mut self, electorate: &Electorate<'_>, row: &Reason, now: Timestamp) {
        if matches!(row, Reason::Suspect | Reason::Blind) {
            let suspect = *row == Reason::Suspect;
            let lame = self.lame.get_or_insert(Lame { since: now, failing_since: None });
            lame.failing_since = suspect.then(|| lame.failing_since.unwrap_or(now));
            return;
        }
        // Nobody looked for a while: what was counted before does not go on after it.
        let lapsed = |lame: Lame| now.since(lame.since) >= LAME_LIMIT;
        let unseen = self.lame.take().is_some_and(lapsed) || electorate.check.gap;
        let fine = electorate.live.len() - electorate.failing().count();
        self.fine = u32::try_from(fine).unwrap_or(u32::MAX);
        self.count_split(electorate, row, now, unseen);
        if self.row != *row || unseen {
            (self.row, self.since, self.rounds, self.round_from) = (row.clone(), now, 1, now);
        } else if now.since(self.round_from) >= electorate.round()
            && electorate.all_voted_since(self.round_from)
        {
            self.rounds = self.rounds.saturating_add(1);
            self.round_from = now;
        }
    }
}

impl Tally {
    fn count_split(
        &mut self,
        electorate: &Electorate<'_>,
        row: &Reason,
        now: Timestamp,
        unseen: bool,
    ) {
        let unwell = matches!(row, Reason::Failing | Reason::Mixed | Reason::Partial(_));
        self.unwell_since = match self.unwell_since {
            Some(since) if unwell && !unseen => Some(since),
            _ => unwell.then_some(now),
        };
        if !matches!(row, Reason::Failing | Reason::Mixed) {
            self.split_rounds = 0;
        } else if self.split_rounds == 0 || unseen {
            (self.split_rounds, self.split_from) = (1, now);
        } else if now.since(self.split_from) >= electorate.round()
            && electorate.all_voted_since(self.split_from)
        {
            self.split_rounds = self.split_rounds.saturating_add(1);
            self.split_from = now;
        }
    }
}

/// Consecutive rounds that the check's rule wants before it is called failing.
pub fn rounds_wanted(rule: &Rule) -> u32 {
    match rule {
        Rule::Consecutive(rounds) => (*rounds).max(1),
        // The window is evaluated at the probe; its voice is already an average.
        Rule::Average { .. } => 1,
    }
}

/// Rounds until it is well again. A job reports once in a round, which may be a month: its own
/// word is enough.
fn recovery_rounds(check: &CheckState) -> u32 {
    if check.spec.source.is_push() { 1 } else { RECOVERY_ROUNDS }
}

impl State {
    /// The verdict that follows from the tally; the present one where nothing follows yet.
    pub fn verdict_from(&self, check: &CheckState) -> Verdict {
        let (now, tally, present) = (self.now, &check.tally, &check.verdict);
        if let Some(lame) = &tally.lame {
            return self.verdict_of_lame(check, lame);
        }
        let next = Verdict::of(tally.row.clone());
        let held = match tally.row {
            Reason::Failing | Reason::Slow => tally.rounds >= rounds_wanted(&check.spec.rule),
            Reason::Working => {
                matches!(present.reason, Reason::New | Reason::Working)
                    || tally.rounds >= recovery_rounds(check)
                        && now.since(tally.since) >= check.spec.recovery_hold
            }
            // It takes rounds to be better than what the incident says, and none to be worse than
            // green, which it is between the failures of a check that comes and goes.
            Reason::Partial(_) => {
                check.incident.is_none()
                    || present.reason == Reason::Working
                    || tally.rounds >= PARTIAL_RECOVERY_ROUNDS && tally.fine >= 2
            }
            Reason::Mixed => true,
            // Rows of the verdict, not of the votes.
            Reason::New | Reason::Suspect | Reason::Blind | Reason::Unconfirmed => false,
        };
        let mild = matches!(
            present.reason,
            Reason::New | Reason::Working | Reason::Slow | Reason::Partial(_)
        );
        if tally.row == Reason::Failing && !held && mild {
            return Verdict::of(Reason::Unconfirmed);
        }
        if held { next } else { present.clone() }
    }

    fn verdict_of_lame(&self, check: &CheckState, lame: &Lame) -> Verdict {
        let present = &check.verdict;
        let lame_for = self.now.since(lame.since);
        // One grace, however often the leader changes: leaders that come and go must not keep a
        // check green that nobody sees.
        let in_grace = self.now.since(self.lead_since) < LEADER_GRACE && lame_for < LEADER_GRACE;
        // Votes are missing because of an edit, or of other voters, only where somebody is there to
        // cast them; and one such time is enough, too, however often that changes.
        let heard = |id| self.probes.get(id).is_some_and(|probe| self.is_live(probe));
        let settling = self.now < check.settling_until
            && lame_for < check.spec.validity()
            && check.assigned.iter().any(heard);
        let brief = lame_for < LAME_LIMIT;
        let keep = in_grace || settling || brief;
        match (keep, lame.failing_since) {
            (true, _) => present.clone(),
            (false, Some(_)) => Verdict::of(Reason::Suspect),
            (false, None) => Verdict::of(Reason::Blind),
        }
    }
}
