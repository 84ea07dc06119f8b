//! The members' wall clocks: the log time follows what they say on the whole, and one that differs
//! from the others is told to the operators.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use crosscheck_core::Command;
use crosscheck_core::clock::is_news;
use crosscheck_model::Timestamp;
use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior};

use super::{agreed, propose};
use crate::replica::Inner;

/// How long a member may take to tell its clock; one that does not is not counted.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);
/// Between two tries of a new leader.
const AGAIN: Duration = Duration::from_millis(100);
/// Between two looks: the log time is turned by 50 ms at most in between.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Of two clocks that differ nobody knows which one is wrong.
const ENOUGH_TO_BLAME: usize = 3;

/// What the members' wall clocks were at one moment.
pub(super) struct Clocks {
    /// This node's own at the moment.
    own: Timestamp,
    /// How far each is ahead of this node's own, in milliseconds; its own is among them.
    ahead_ms: BTreeMap<u64, i64>,
    /// How many members there are.
    members: usize,
}

impl Clocks {
    /// Asks all members that can be reached.
    pub(super) async fn ask(inner: &Inner) -> Self {
        let others = inner.acquaintances();
        let members = others.len() + 1;
        let asked = others.into_iter().map(|(id, base)| async move {
            let began = Instant::now();
            let call = inner.peers.call::<Timestamp>((id, &base), "clock", &(), ANSWER_LIMIT).await;
            let (took, own) = (began.elapsed(), inner.gate.clock().wall());
            match call {
                // An answer that was long on its way, or that this node came late to, says nothing.
                Ok(told) if took <= ANSWER_LIMIT => Some((id, ahead_ms(told.plus(took / 2), own))),
                Ok(_) => None,
                Err(error) => {
                    tracing::debug!(%error, "a member did not tell its clock");
                    None
                }
            }
        });
        let told = join_all(asked).await.into_iter().flatten();
        let ahead_ms = told.chain([(inner.id, 0)]).collect();
        Self { own: inner.gate.clock().wall(), ahead_ms, members }
    }

    /// Asks until more than half have told: a leader reaches as many, and alone it must not set
    /// the time.
    pub(super) async fn of_majority(inner: &Inner) -> Self {
        loop {
            let clocks = Self::ask(inner).await;
            if clocks.is_majority() {
                return clocks;
            }
            inner.pause(AGAIN).await;
        }
    }

    /// What the clocks say on the whole, where the log has come to `log`.
    pub(super) fn agreed(&self, log: Timestamp) -> Timestamp {
        let clock = |ahead: &i64| {
            Timestamp::from_millis(self.own.as_millis().saturating_add_signed(*ahead))
        };
        let clocks = self.ahead_ms.values().map(clock).collect();
        agreed(clocks, self.members, log).unwrap_or(self.own)
    }

    /// Whether those that told are more than half: fewer are followed by nobody.
    fn is_majority(&self) -> bool {
        self.ahead_ms.len() > self.members / 2
    }

    /// How far each clock is ahead of what they agree on, in milliseconds; nothing of too few
    /// clocks.
    fn off_ms(&self, log: Timestamp) -> BTreeMap<u64, i64> {
        if self.ahead_ms.len() < ENOUGH_TO_BLAME {
            return BTreeMap::new();
        }
        let middle = ahead_ms(self.agreed(log), self.own);
        self.ahead_ms.iter().map(|(id, ahead)| (*id, ahead - middle)).collect()
    }
}

/// How far `clock` is ahead of `other`, in milliseconds.
fn ahead_ms(clock: Timestamp, other: Timestamp) -> i64 {
    clock.as_millis().cast_signed().saturating_sub(other.as_millis().cast_signed())
}

/// Has the log time follow the clocks, and says in the log which of them differ.
pub(super) async fn keep(inner: &Inner) -> Infallible {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let clocks = Clocks::ask(inner).await;
        let Some(log) = inner.gate.stamp() else { continue };
        if clocks.is_majority() {
            inner.gate.follow(clocks.agreed(log));
        }
        for (node, off_ms) in clocks.off_ms(log) {
            let is_open = inner.shared.read(|state| state.watch.clocks.contains_key(&node));
            // What the log says already needs no entry.
            if is_news(is_open, off_ms) {
                tracing::warn!(
                    node,
                    off_ms,
                    "a coordinator's clock and the others': told in the log"
                );
                propose(inner, Command::Clock { node, off_ms }).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks(members: usize, ahead: &[(u64, i64)]) -> Clocks {
        let own = Timestamp::from_millis(1_000_000_000);
        Clocks { own, ahead_ms: ahead.iter().copied().collect(), members }
    }

    #[test]
    fn this_nodes_own_clock_is_measured_by_the_others_too() {
        let wrong = clocks(3, &[(1, 0), (2, 60_000), (3, 60_100)]);
        let log = Timestamp::from_millis(1_000_060_000);
        assert_eq!(wrong.agreed(log), log);
        assert_eq!(wrong.off_ms(log), BTreeMap::from([(1, -60_000), (2, 0), (3, 100)]));
    }

    #[test]
    fn few_clocks_are_not_followed_and_blame_nobody() {
        let two = clocks(3, &[(1, 0), (2, 60_000)]);
        assert!(two.is_majority());
        assert_eq!(two.off_ms(Timestamp::ZERO), BTreeMap::new());
        assert!(!clocks(3, &[(1, 0)]).is_majority());
        assert!(clocks(1, &[(1, 0)]).is_majority());
    }
}
