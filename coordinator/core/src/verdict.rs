//! The decision table: what the votes of a check's probes mean.

use crosscheck_model::Status;
use serde::{Deserialize, Serialize};

use crate::quorum::Domain;

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
    /// Row 4: the site quorum says it works.
    Working,
    /// The same on the second level: it works, but the site quorum finds it slow.
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
}
