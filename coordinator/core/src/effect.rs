//! Every output of the state machine, for the shell of each replica to carry out.

use crosscheck_model::{CheckId, IncidentId, Observation, ProbeId, SiteId, Status, Timestamp};

use crate::audit::Entry;

/// Something to carry out. All replicas get the same; none of it may decide anything.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Keep a measurement in the history.
    Record {
        /// Who saw it.
        probe: ProbeId,
        /// From where.
        site: SiteId,
        /// What.
        observation: Box<Observation>,
    },
    /// From `from` on, and until the next such effect for the check, this is its verdict: what
    /// availability is computed from. A later effect may begin earlier than the one before it
    /// (an outage is back-dated to its first failing run) and then replaces what it overlaps.
    Span {
        /// The check.
        check: CheckId,
        /// When it began.
        from: Timestamp,
        /// What is the case; `None`: no evidence was gathered, draw no data.
        status: Option<Status>,
        /// A maintenance is under way, so it does not count for availability.
        maintenance: bool,
    },
    /// A probe has reported on checks that it was never given: nothing of it was kept.
    Unasked {
        /// Who.
        probe: ProbeId,
        /// How many observations.
        observations: u64,
    },
    /// Ask these probes to run the check now.
    Confirm {
        /// The check.
        check: CheckId,
        /// Whom to ask.
        probes: Vec<ProbeId>,
        /// Differs for each order.
        nonce: u64,
    },
    /// What these probes are to run has changed; see [`crate::State::assignment`].
    Reassigned(Vec<ProbeId>),
    /// A notification was tried: `delivered`, `partly`, `retry`, `refused`, `ambiguous`, or `bounced` later.
    Attempted {
        /// By which channel.
        channel: String,
        /// What came of it.
        outcome: &'static str,
    },
    /// Something is owed; see [`crate::State::due`].
    Owed,
    /// An incident opened, changed or closed.
    Incident(IncidentId),
    /// Keep what an operator did, for ever.
    Audited(Box<Entry>),
}
