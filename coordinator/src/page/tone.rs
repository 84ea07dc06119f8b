//! How a status looks: a word, a shape and a colour, never the colour alone.

use crosscheck_core::state::CheckState;
use crosscheck_model::Status;

/// The look of a status; of several the largest counts, in the order of [`Status::badness`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tone {
    /// Green, a disc with a tick.
    Up,
    /// Blue, a diamond.
    Maintenance,
    /// Amber, a triangle.
    Degraded,
    /// Grey, a ring with a question mark.
    Unknown,
    /// Red, a square with a cross.
    Down,
}

impl Tone {
    /// Of a status.
    pub(crate) const fn of(status: Status) -> Self {
        match status {
            Status::Up => Self::Up,
            Status::Degraded => Self::Degraded,
            Status::Down => Self::Down,
            Status::Unknown => Self::Unknown,
        }
    }

    /// Of a check: a maintenance covers whatever is the case.
    pub(crate) const fn of_check(check: &CheckState) -> Self {
        if check.maintenance { Self::Maintenance } else { Self::of(check.verdict.status) }
    }

    /// The name of its class and of its shape.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Maintenance => "maintenance",
            Self::Unknown => "unknown",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }

    /// The word that stands beside the shape.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Up => "Up",
            Self::Maintenance => "Maintenance",
            Self::Unknown => "Unknown",
            Self::Degraded => "Degraded",
            Self::Down => "Down",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_look_is_that_of_the_worst_status() {
        let all = [Status::Up, Status::Degraded, Status::Unknown, Status::Down];
        for one in all {
            for other in all {
                let looks = Tone::of(one).cmp(&Tone::of(other));
                assert_eq!(looks, one.badness().cmp(&other.badness()), "{one} and {other}");
            }
        }
        assert!(Tone::Maintenance > Tone::Up && Tone::Maintenance < Tone::Degraded);
    }
}
