//! What is the case with a check, in one sentence, for incidents and notices.

use crosscheck_model::{Cause, CheckId, Status};

use crate::finding::plain;
use crate::state::{CheckState, SiteView, State};
use crate::verdict::{Electorate, Reason};

impl State {
    /// What is the case with a check, in one sentence.
    pub(crate) fn summary_of(&self, id: &CheckId) -> String {
        let Some(check) = self.checks.get(id) else { return String::new() };
        let summary = self.summary_of_verdict(check);
        if self.is_flapping(check) { format!("comes and goes; now: {summary}") } else { summary }
    }

    fn summary_of_verdict(&self, check: &CheckState) -> String {
        if let Some(view) = self.push_view(check) {
            return push_summary(check, &view);
        }
        let electorate = Electorate::of(self, check);
        let live = electorate.live.len();
        let failing = electorate.failing().count();
        match &check.verdict.reason {
            Reason::New => "not seen yet".to_owned(),
            Reason::Failing if check.tally.row == Reason::Failing && check.tally.lame.is_none() => {
                let place = match (failing, live) {
                    (_, 1) => "its only site".to_owned(),
                    (failing, live) => format!("{failing} of {live} sites"),
                };
                match common_cause(&electorate, Status::Down) {
                    Some(cause) => format!("{}, from {place}", plain(cause)),
                    None => format!("fails from {place}, for different causes"),
                }
            }
            Reason::Failing => "failed at last report".to_owned(),
            Reason::Unconfirmed => "fails, but not yet for as long as the alarm waits".to_owned(),
            Reason::Working => "up".to_owned(),
            Reason::Slow => common_cause(&electorate, Status::Degraded)
                .map_or_else(|| "up, with flaws".to_owned(), |c| format!("up, but {}", plain(c))),
            Reason::Partial(domain) => format!("fails only from {domain}"),
            Reason::Mixed => format!("fails from {failing} of {live} sites in different networks"),
            Reason::Suspect => {
                format!("the {live} remaining sites all fail, and none is left to confirm it")
            }
            Reason::Blind => "too few sites report to tell".to_owned(),
        }
    }
}

/// The cause that every voter of a status gives.
fn common_cause(electorate: &Electorate<'_>, status: Status) -> Option<Cause> {
    let saying = electorate.live.iter().filter(|elector| elector.vote.status == status);
    let mut causes = saying.map(|elector| elector.vote.cause);
    let first = causes.next()??;
    causes.all(|cause| cause == Some(first)).then_some(first)
}

/// The same of a check that reports by itself.
fn push_summary(check: &CheckState, view: &SiteView<'_>) -> String {
    let said = view.vote.map_or_else(String::new, |vote| {
        let why = vote.cause.map(plain).unwrap_or_default();
        if vote.detail.is_empty() { why } else { format!("{why}: {}", vote.detail) }
    });
    match (&check.verdict.reason, view.silent) {
        (Reason::Working, _) => "up".to_owned(),
        (Reason::Failing | Reason::Slow | Reason::Unconfirmed, None) if !said.is_empty() => said,
        (_, Some(silent)) => silent.to_owned(),
        (_, None) => "waits for the next report".to_owned(),
    }
}
