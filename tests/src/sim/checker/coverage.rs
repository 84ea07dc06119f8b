//! Which rows of the decision table an entry has led to.

use crosscheck_core::State;
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
