//! I3, fresh evidence: each failure in a deciding set is its probe's newest word, young enough, on
//! the present settings, and begun after the incident before was closed.

use std::collections::BTreeSet;

use crosscheck_core::state::CheckState;
use crosscheck_core::verdict::Reason;
use crosscheck_model::{CheckId, Status};

use super::super::evidence::Row;
use super::{Checker, Entry, Finding, View};

#[derive(Default)]
pub(super) struct FreshEvidence {
    failing: BTreeSet<CheckId>,
    tested: u64,
}

impl Checker for FreshEvidence {
    fn name(&self) -> &'static str {
        "I3 fresh evidence"
    }

    fn tested(&self) -> u64 {
        self.tested
    }

    fn entry(&mut self, view: &View<'_>, _: &Entry<'_>) -> Finding {
        for (id, check) in &view.state().checks {
            let fails = check.verdict.reason == Reason::Failing;
            if !fails {
                if !self.failing.is_empty() {
                    self.failing.remove(id);
                }
            } else if !self.failing.contains(id) {
                self.failing.insert(id.clone());
                self.tested += 1;
                decided(view, id, check)?;
            }
        }
        Ok(())
    }
}

fn decided(view: &View<'_>, id: &CheckId, check: &CheckState) -> Finding {
    let (state, evidence) = (view.state(), &view.world.evidence);
    for site in state.site_views(check) {
        let Some(vote) = site.vote.filter(|vote| vote.status == Status::Down) else { continue };
        let probe = site.probe;
        let Some(newest) = evidence.index(probe).and_then(|index| evidence.newest(id, index))
        else {
            return Err(format!("{id} is down by a vote of {probe} that is not in the log"));
        };
        let is_newest = (newest.boot, newest.seq) == (vote.boot, vote.seq);
        let fresh = state.now.since(newest.at) <= check.spec.validity();
        let current = newest.rev == check.rev && newest.started > check.closed_at;
        if !(is_newest && fresh && current) {
            return Err(format!("{id} is down by an old vote of {probe}: {vote:?}"));
        }
    }
    let ballot = evidence.ballot(id, state);
    if evidence.row(&ballot) != Row::Failing {
        return Err(format!("{id} is called down, and the log does not bear it: {ballot:?}"));
    }
    Ok(())
}
