//! The truth about targets: how each of them is, from where, and since when.

use std::time::Duration;

use crosscheck_model::observation::RETRY_AFTER;
use crosscheck_model::{Cause, Outcome, Status};

use super::random::Random;

/// How a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Fine,
    Refused,
    Hang,
    Error,
    Slow,
    Throttled,
    Expiring,
    TooLarge,
    /// Fine and refused in turn, each for this long.
    Flap(Duration),
    /// It fails from this carrier only.
    Without(char),
    /// It fails from these two carriers.
    WithoutTwo(char, char),
}

impl Mode {
    /// Whether it fails from everywhere, all the time.
    pub(super) fn is_dead(self) -> bool {
        matches!(self, Self::Refused | Self::Hang | Self::Error | Self::TooLarge)
    }
}

/// A target, one for each check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) mode: Mode,
    pub(super) since: Duration,
}

/// What a run at this target finds from a carrier, and how long it takes.
pub(super) fn look(
    target: Target,
    now: Duration,
    carrier: char,
    timeout: Duration,
    random: &mut Random,
) -> (Outcome, Duration) {
    let up = (outcome(Status::Up, None), random.millis(5, 300));
    let refused = (outcome(Status::Down, Some(Cause::Refused)), random.millis(5, 100));
    match target.mode {
        Mode::Fine => up,
        Mode::Refused => refused,
        Mode::Error => (outcome(Status::Down, Some(Cause::Status)), random.millis(10, 400)),
        Mode::TooLarge => (outcome(Status::Down, Some(Cause::TooLarge)), timeout.mul_f64(0.3)),
        Mode::Throttled => {
            let mut outcome = outcome(Status::Degraded, Some(Cause::Throttled));
            // Each time another wait, or none.
            let wait = (target.since.as_secs() % 240) as f64;
            outcome.values.extend((wait > 0.0).then(|| (RETRY_AFTER.to_owned(), wait)));
            (outcome, random.millis(10, 400))
        }
        Mode::Expiring => {
            (outcome(Status::Degraded, Some(Cause::CertificateExpiring)), random.millis(10, 400))
        }
        Mode::Hang => hang(timeout),
        Mode::Slow => (outcome(Status::Degraded, Some(Cause::Slow)), timeout.mul_f64(0.5)),
        Mode::Flap(period) => {
            let turn = (now - target.since).as_millis() / period.as_millis().max(1);
            if turn.is_multiple_of(2) { refused } else { up }
        }
        Mode::Without(one) if one == carrier => hang(timeout),
        Mode::WithoutTwo(one, two) if one == carrier || two == carrier => refused,
        Mode::Without(_) | Mode::WithoutTwo(..) => up,
    }
}

/// What a run without any answer finds.
pub(super) fn hang(timeout: Duration) -> (Outcome, Duration) {
    (outcome(Status::Down, Some(Cause::ConnectTimeout)), timeout)
}

pub(super) fn outcome(status: Status, cause: Option<Cause>) -> Outcome {
    Outcome::new(status, cause, "")
}
