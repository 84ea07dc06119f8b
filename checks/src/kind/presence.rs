//! Whether what a check describes is there: what a check that is turned round (`negate`) goes by.

use crosscheck_model::{Cause, Outcome, Status};

/// Whether what a check describes is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is, be it with a flaw.
    There,
    /// It is not: nobody is there, or somebody who does not do what is described.
    NotThere,
    /// Nobody knows: whoever failed, or kept silent, says nothing about it.
    Unclear,
}

/// What one run found, and what that says of presence.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// What it found.
    pub outcome: Outcome,
    /// Whether what the check describes is there.
    pub presence: Presence,
}

impl Sighting {
    /// Of a kind that speaks to its target itself: the cause tells.
    pub fn by_cause(outcome: Outcome) -> Self {
        let lost = outcome.values.get("loss_percent").copied();
        let status = outcome.values.get("status").copied();
        let down = match outcome.cause {
            // Some replies came: it is there, and the path is bad.
            Some(Cause::Loss) if lost.is_some_and(|percent| percent < 100.0) => Presence::There,
            Some(cause) => Presence::of_answer(cause, status),
            None => Presence::There,
        };
        Self::told(outcome, down)
    }

    /// Of a kind that knows better: `down` is what holds when the outcome is Down.
    pub fn told(outcome: Outcome, down: Presence) -> Self {
        let presence = match outcome.status {
            Status::Up | Status::Degraded => Presence::There,
            Status::Unknown => Presence::Unclear,
            Status::Down => down,
        };
        Self { outcome, presence }
    }
}

impl Presence {
    /// What a Down of this cause says, where an answer of HTTP came with this status. A server that
    /// is broken, busy or cut off from what is behind it has not said that it does not serve: it may
    /// again in a minute.
    pub fn of_answer(cause: Cause, status: Option<f64>) -> Self {
        // 501 and 505 say that it does not do such a thing.
        let is_broken =
            |status: f64| (500.0..600.0).contains(&status) && ![501.0, 505.0].contains(&status);
        match cause {
            Cause::Status | Cause::Header | Cause::Body | Cause::Json | Cause::Expect
                if status.is_some_and(is_broken) =>
            {
                Self::Unclear
            }
            _ => Self::of(cause),
        }
    }

    /// What a Down of this cause says where the target itself is spoken to.
    pub fn of(cause: Cause) -> Self {
        match cause {
            // Nobody is there; a firewall that drops packets is as good as a closed port.
            Cause::Refused | Cause::Unreachable | Cause::ConnectTimeout | Cause::Reset
            | Cause::DnsNxdomain | Cause::DnsNoAddress | Cause::Loss
            // Somebody is, and does not do what is described.
            | Cause::Status | Cause::Header | Cause::Body | Cause::Json | Cause::Answer
            | Cause::Expect | Cause::Protocol | Cause::Login | Cause::NotOffered | Cause::HostKey
            | Cause::ClockOffset | Cause::ClockQuality | Cause::Unsynchronised | Cause::KissOfDeath
            | Cause::NotServing | Cause::ServiceUnknown => Self::NotThere,
            // The page is there, and parts of it are not.
            Cause::Elements => Self::There,
            _ => Self::Unclear,
        }
    }
}
