//! One check judged: votes to tally, tally to verdict, verdict to what the history draws.

use crosscheck_model::{CheckId, Status};

use crate::effect::Effect;
use crate::state::State;
use crate::verdict::{Electorate, Reason, Verdict};

impl State {
    /// Judges a check by its votes as they are now.
    pub(crate) fn judge(&mut self, id: &CheckId, effects: &mut Vec<Effect>) {
        let maintenance = self.in_maintenance(id);
        let Some(check) = self.checks.get(id).filter(|check| !check.awaits_first_report()) else {
            return;
        };
        let electorate = Electorate::of(self, check);
        let row = electorate.row();
        let mut tally = check.tally.clone();
        tally.count(&electorate, &row, self.now);
        let first_failed = electorate.first_failed();
        let capable = !matches!(row, Reason::Suspect | Reason::Blind);

        let now = self.now;
        let Some(check) = self.checks.get_mut(id) else { return };
        check.tally = tally;
        check.maintenance = maintenance;
        check.gap &= !capable;
        // The first failing run of this failure stays the first, however the votes move on.
        if row == Reason::Failing && check.verdict.reason != Reason::Failing {
            check.failed_from = match check.failed_from {
                Some(known) => Some(known.min(first_failed.unwrap_or(now))),
                None => first_failed,
            };
        } else if capable && row != Reason::Failing && check.verdict.reason != Reason::Failing {
            check.failed_from = None;
        }
        let Some(check) = self.checks.get(id) else { return };
        let verdict = self.verdict_from(check);
        self.take_verdict(id, verdict, effects);
        self.reconcile_incident(id, effects);
    }

    fn take_verdict(&mut self, id: &CheckId, verdict: Verdict, effects: &mut Vec<Effect>) {
        let now = self.now;
        let Some(check) = self.checks.get_mut(id) else { return };
        if check.verdict != verdict {
            let from = match verdict.reason {
                Reason::Failing => check.failed_from.unwrap_or(now),
                // It is well since the quorum first said so, not since it had said so for long.
                Reason::Working | Reason::Slow => check.tally.since,
                _ => now,
            };
            // Looking back must not reach over the change before this one.
            check.since = if verdict.status == Status::Down { from } else { from.max(check.since) };
            if verdict.status == Status::Unknown {
                // What is found failing after a time without evidence begins anew.
                check.failed_from = None;
            }
            check.verdict = verdict;
        }
        let known = check.verdict.reason != Reason::New && !check.gap;
        let drawn = (known.then_some(check.verdict.status), check.maintenance);
        if check.drawn == Some(drawn) || (check.drawn.is_none() && !known) {
            return;
        }
        let status_changed = check.drawn.is_none_or(|(status, _)| status != drawn.0);
        let back_dated = status_changed && check.drawn.is_some_and(|(status, _)| status.is_some());
        let from = if back_dated && known { check.since } else { now };
        check.drawn = Some(drawn);
        effects.push(Effect::Span {
            check: id.clone(),
            from: from.min(now),
            status: drawn.0,
            maintenance: drawn.1,
        });
    }
}
