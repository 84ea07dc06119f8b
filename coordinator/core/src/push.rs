//! Checks that nobody runs: what they are about reports by itself (a dead man's switch), and no
//! word in time is a failure.
//!
//! The reporter is the check's one voter, so everything from votes to mails is as with a single
//! site. When no word comes, the state machine casts that vote itself: what is silent cannot. It
//! does so only if coordinators could have taken a report all the while; otherwise nobody knows.

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use crosscheck_model::join::Fingerprint;
use crosscheck_model::observation::{Clock, Firmness, Observation, Trigger};
use crosscheck_model::spec::{Push, Source};
use crosscheck_model::{Cause, CheckId, Outcome, ProbeId, SiteId, Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::Reply;
use crate::effect::Effect;
use crate::quorum::Place;
use crate::state::{CheckState, SiteView, State, Vote};

/// The voter of such a check. No probe and no site can have the name.
const NAME: &str = "(job)";
static REPORTER: LazyLock<ProbeId> = LazyLock::new(|| ProbeId::new(NAME));
static PLACE: LazyLock<SiteId> = LazyLock::new(|| SiteId::new(NAME));

/// What a job says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushReport {
    /// How far it is.
    pub stage: Stage,
    /// How long it took, where it says so; else from its start, if it told of that.
    pub took: Option<Duration>,
    /// In its words, one line; bounded by whoever took it.
    pub detail: String,
    /// More of its words, the same.
    pub excerpt: String,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It begins; this is no evidence that it works.
    Started,
    /// It has ended, and how.
    Ended(Status),
}

/// What is known of a check's reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reports {
    /// The last report, or since when one is awaited.
    pub since: Timestamp,
    /// The job has started then, and not ended.
    pub started: Option<Timestamp>,
    /// No report came in time, said then.
    pub missed: Option<Timestamp>,
    /// One has come at all.
    pub any: bool,
}

impl State {
    /// The check whose reports show the token of this digest.
    pub fn check_of_push(&self, token: Fingerprint) -> Option<&CheckId> {
        let of = |check: &&CheckState| push_of(check).is_some_and(|push| push.token == token);
        self.checks.values().find(of).map(|check| &check.spec.id)
    }

    /// Takes a job's report.
    pub(crate) fn take_push(
        &mut self,
        token: Fingerprint,
        report: PushReport,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let Some(id) = self.check_of_push(token).cloned() else {
            return Reply::Rejected("no check awaits reports under this token".to_owned());
        };
        let (now, seq) = (self.now, self.number());
        let Some(check) = self.checks.get_mut(&id) else { return Reply::Done };
        let status = match report.stage {
            Stage::Started => {
                check.reports.started = Some(now);
                return Reply::Done;
            }
            Stage::Ended(status) => status,
        };
        let began = check.reports.started.map(|started| now.since(started));
        let took = report.took.or(began).unwrap_or_default();
        let vote = check.vote_of(status, report.detail, now.minus(took), now, seq);
        check.reports = Reports { since: now, started: None, missed: None, any: true };
        let mut outcome = Outcome::new(status, vote.cause, vote.detail.clone());
        outcome.duration = took;
        outcome.excerpt = report.excerpt;
        let observation = Observation {
            check: id,
            rev: check.rev,
            boot: 0,
            seq,
            started: vote.started,
            at: now,
            clock: Clock::Leader,
            trigger: Trigger::Push,
            firmness: Firmness::Hard,
            failing_since: vote.failing_since,
            outcome,
        };
        check.votes.insert(REPORTER.clone(), vote);
        effects.push(Effect::Record {
            probe: REPORTER.clone(),
            site: PLACE.clone(),
            observation: Box::new(observation),
        });
        Reply::Done
    }

    /// Says for those that are silent that they are.
    pub(crate) fn miss_pushes(&mut self) {
        let (now, heard_since) = (self.now, self.watch.hearing_since);
        let missing: Vec<(CheckId, String, Timestamp)> = self
            .checks
            .iter()
            .filter_map(|(id, check)| {
                let (why, due) = check.missed_at(now, heard_since)?;
                Some((id.clone(), why, due))
            })
            .collect();
        for (id, why, due) in missing {
            let seq = self.number();
            let Some(check) = self.checks.get_mut(&id) else { continue };
            let mut vote = check.vote_of(Status::Down, why, now, now, seq);
            vote.cause = Some(Cause::NoReport);
            vote.failing_since = vote.failing_since.map(|since| since.min(due));
            check.votes.insert(REPORTER.clone(), vote);
            check.reports.missed = Some(now);
        }
    }
}

impl CheckState {
    /// What a report, or the lack of one, says of the check.
    fn vote_of(
        &self,
        status: Status,
        detail: String,
        started: Timestamp,
        at: Timestamp,
        seq: u64,
    ) -> Vote {
        let before = self.votes.get(&*REPORTER);
        let failing = before.filter(|vote| vote.status == status && status != Status::Up);
        Vote {
            boot: 0,
            seq,
            rev: self.rev,
            status,
            cause: match status {
                Status::Down => Some(Cause::JobFailed),
                Status::Degraded => Some(Cause::JobWarning),
                Status::Up | Status::Unknown => None,
            },
            detail: if status == Status::Up { String::new() } else { detail },
            started,
            at,
            failing_since: match status {
                Status::Up => None,
                _ => Some(failing.and_then(|vote| vote.failing_since).unwrap_or(started)),
            },
            duration_us: u64::try_from(at.since(started).as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// Why it must be said now that no report came, and when one was due.
    fn missed_at(&self, now: Timestamp, heard_since: Timestamp) -> Option<(String, Timestamp)> {
        let push = push_of(self)?;
        let Reports { since, started, missed, any } = self.reports;
        // A report that was sent while nobody could take it was no failure of the job.
        let from = since.max(heard_since);
        let wait = push.every.saturating_add(push.grace);
        let late = match missed {
            None => from.plus(wait),
            Some(said) => said.plus(push.every),
        };
        let overrun = match (started, push.at_most, missed) {
            (Some(started), Some(at_most), None) => {
                let end = started.plus(at_most);
                (now > end && started >= heard_since).then_some((started, at_most, end))
            }
            _ => None,
        };
        if let Some((started, at_most, end)) = overrun {
            let at_most = spoken(at_most);
            return Some((format!("started at {started}, and not ended within {at_most}"), end));
        }
        let due = since.plus(wait);
        let (every, grace) = (spoken(push.every), spoken(push.grace));
        let last = if any { "the last one came at" } else { "none came since" };
        (now > late).then(|| {
            (format!("{last} {since}; one is due every {every}, with {grace} of grace"), due)
        })
    }

    /// The reporter's vote, if it counts now; else why not.
    ///
    /// # Errors
    /// There is none, or the next one is overdue and could not have been taken.
    fn pushed(&self, push: &Push, now: Timestamp) -> Result<&Vote, &'static str> {
        let vote = self.votes.get(&*REPORTER).ok_or("no report yet")?;
        let due = self.reports.since.plus(push.every.saturating_add(push.grace));
        if self.reports.missed.is_none() && now > due {
            return Err("a report was due while the coordinators could not take it");
        }
        Ok(vote)
    }

    /// Nothing can be said yet: the first report is still awaited.
    pub(crate) fn awaits_first_report(&self) -> bool {
        self.spec.source.is_push() && self.votes.is_empty()
    }
}

impl State {
    /// The reporter as the check's one voter; `None`: probes run the check.
    pub fn push_view<'a>(&self, check: &'a CheckState) -> Option<SiteView<'a>> {
        let pushed = check.pushed(push_of(check)?, self.now);
        Some(SiteView {
            site: &PLACE,
            place: None,
            probe: &REPORTER,
            vote: pushed.ok(),
            silent: pushed.err(),
        })
    }
}

/// Where the reporter stands: nowhere that can fail together with others.
pub(crate) const fn place() -> Place<'static> {
    Place { site: NAME, carrier: "", region: "" }
}

const fn push_of(check: &CheckState) -> Option<&Push> {
    match &check.spec.source {
        Source::Push(push) => Some(push),
        Source::Probes => None,
    }
}

/// A time in its largest units: `1 d 2 h`.
fn spoken(time: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let (mut left, mut text) = (time.as_secs(), String::new());
    for (size, unit) in UNITS {
        if left >= size {
            let blank = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{blank}{} {unit}", left / size);
            left %= size;
        }
    }
    if text.is_empty() { "0 s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spoken_in_their_largest_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (3_600, "1 h"),
            (90_060, "1 d 1 h 1 min"),
            (86_401, "1 d 1 s"),
        ] {
            assert_eq!(spoken(Duration::from_secs(seconds)), text);
        }
    }
}
