//! Which rows of the decision table an entry has led to, and which kinds of incident have ended.

use crosscheck_core::State;
use crosscheck_core::incident::{Incident, Subject};
use crosscheck_core::verdict::Reason;

use crate::coverage::Coverage;

/// Counts the rows that the checks are in.
pub(in crate::sim) fn count_rows(state: &State, coverage: &mut Coverage) {
    for check in state.checks.values() {
        if check.maintenance {
            coverage.hit("row Maintenance");
        }
        coverage.hit(match check.verdict.reason {
            Reason::New => "row New",
            Reason::Suspect => "row Suspect",
            Reason::Blind => "row Blind",
            Reason::Failing => "row Failing",
            Reason::Unconfirmed => "row Unconfirmed",
            Reason::Working => "row Working",
            Reason::Slow => "row Slow",
            Reason::Partial(_) => "row Partial",
            Reason::Mixed => "row Mixed",
        });
    }
}

/// Counts the ends of incidents by what they were about.
pub(in crate::sim) fn count_episode(incident: &Incident, coverage: &mut Coverage) {
    if incident.resolved_at.is_none() {
        return;
    }
    coverage.hit(match incident.subject {
        Subject::Check(_) => "over Check",
        Subject::Domain(_) => "over Domain",
        Subject::Probe(_) => "over Probe",
        Subject::Blind => "over Blind",
        Subject::Member(_) => "over Member",
        Subject::Absent => "over Absent",
        Subject::Idle => "over Idle",
        Subject::Unstable => "over Unstable",
        Subject::Awaited => "over Awaited",
        Subject::Channel(_) => "over Channel",
        Subject::Heartbeat(_) => "over Heartbeat",
        Subject::Clock(_) => "over Clock",
        Subject::Follower(_) => "over Follower",
        Subject::Drill(_) => "over Drill",
    });
}
