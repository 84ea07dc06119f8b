//! A coordinator that sees nothing committed mails the operators by its own settings. It is not
//! the outbox: nothing is claimed, since there is nobody left to ask.

use std::time::Duration;

use crosscheck_checks::env::Secrets;
use crosscheck_checks::mail::direct::{DirectMail, Seer, Watched, keep_watch};
use crosscheck_checks::mail::last_resort::{Look, Patience};
use crosscheck_model::Timestamp;

use crate::replica::Replica;

/// How long nothing may be committed until the first member tells; each further one waits a third
/// of that longer, so that usually one mail is enough to call somebody.
const SILENCE: Duration = Duration::from_secs(180);
/// A quorum that comes and goes is told of at most so often.
const APART: Duration = Duration::from_secs(10 * 60);

/// Watches the commits until it is dropped. `rank` is how many members come before this one.
pub(crate) async fn run(
    replica: Replica,
    name: String,
    rank: u32,
    mail: DirectMail,
    secrets: Secrets,
) {
    let patience = patience(mail.after, rank);
    let commits = Commits { replica, seen: None };
    keep_watch(Seer::Coordinator { name }, mail, patience, secrets, commits).await;
}

/// What is committed, as far as this member sees.
struct Commits {
    replica: Replica,
    seen: Option<(u64, Timestamp)>,
}

impl Watched for Commits {
    async fn look(&mut self) -> Look {
        let applied = self.replica.applied();
        Look { heard: self.seen.replace(applied) != Some(applied), fit: true }
    }
}

fn patience(after: Option<Duration>, rank: u32) -> Patience {
    let first = after.unwrap_or(SILENCE);
    Patience { silence: first + first / 3 * rank, apart: APART.max(first) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_speak_one_after_the_other() {
        let after = |after, rank| patience(after, rank).silence.as_secs();
        assert_eq!([0, 1, 2].map(|rank| after(None, rank)), [180, 240, 300]);
        assert_eq!(after(Some(Duration::from_secs(6)), 2), 10);
    }
}
