//! Whether the other coordinators follow the log. The cluster decides without a few of them, so
//! that one is lost must be told while the rest can still do so.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use crosscheck_core::Command;
use crosscheck_core::follower::Following;
use crosscheck_core::watch::PATIENCE;
use crosscheck_model::Timestamp;
use tokio::time::MissedTickBehavior;

use super::propose;
use crate::replica::Inner;

/// Between two looks; a tick makes an entry each second, so whoever follows gets on in between.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What is known of one: the last entry that it had, and since when it has had no later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trail {
    matched: Option<u64>,
    since: Timestamp,
}

/// What is known of all of them, since this node leads: a new leader is patient anew.
#[derive(Debug, Default)]
struct Trails(BTreeMap<u64, Trail>);

impl Trails {
    /// Looks at the last entry that each is known to have, and at who has nearly all, where `told`
    /// are those of whom the log says that they are behind; what it is to say now.
    fn look(
        &mut self,
        now: Timestamp,
        followed: &BTreeMap<u64, Option<u64>>,
        is_caught_up: impl Fn(u64) -> bool,
        told: &BTreeSet<u64>,
    ) -> Vec<(u64, Following)> {
        self.0.retain(|node, _| followed.contains_key(node));
        let mut news = Vec::new();
        for (node, matched) in followed {
            let trail = self.0.entry(*node).or_insert(Trail { matched: *matched, since: now });
            if *matched > trail.matched {
                *trail = Trail { matched: *matched, since: now };
            }
            match told.contains(node) {
                true if is_caught_up(*node) => news.push((*node, Following::Caught)),
                false if now.since(trail.since) >= PATIENCE => {
                    news.push((*node, Following::Behind { since: trail.since }));
                }
                _ => {}
            }
        }
        let gone = told.iter().filter(|node| !followed.contains_key(node));
        news.extend(gone.map(|node| (*node, Following::Gone)));
        news
    }
}

/// Says in the log who does not follow, and who does again.
pub(super) async fn keep(inner: &Inner) -> Infallible {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut trails = Trails::default();
    loop {
        looks.tick().await;
        let Some(now) = inner.gate.stamp() else { continue };
        let mut followed = inner.node.followed();
        // A leader has all there is.
        followed.insert(inner.id, Some(inner.shared.progress.borrow().0));
        let is_caught_up = |node| node == inner.id || inner.node.is_caught_up(node);
        let told = inner.shared.read(|state| state.watch.behind.keys().copied().collect());
        for (node, following) in trails.look(now, &followed, is_caught_up, &told) {
            tracing::warn!(node, ?following, "a coordinator and the log: told in the log");
            propose(inner, Command::Follower { node, following }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1_000)
    }

    /// Looks every ten seconds from one second to another, at a log that grows by one a second.
    fn looks(
        trails: &mut Trails,
        (from, to): (u64, u64),
        told: &[u64],
        matched: impl Fn(u64) -> Option<u64>,
    ) -> Vec<(u64, u64, Following)> {
        let told = told.iter().copied().collect();
        let at_once = |second: u64, news: Vec<(u64, Following)>| {
            news.into_iter().map(move |(node, word)| (second, node, word)).collect::<Vec<_>>()
        };
        let mut heard = Vec::new();
        for second in (from..=to).step_by(10) {
            let followed = BTreeMap::from([(1, Some(second)), (2, matched(second))]);
            let is_near = |node| followed[&node].is_some_and(|matched| matched + 100 >= second);
            let news = trails.look(at(second), &followed, is_near, &told);
            heard.extend(at_once(second, news));
        }
        heard
    }

    #[test]
    fn who_takes_no_entry_for_three_minutes_is_told_of() {
        let mut trails = Trails::default();
        assert_eq!(looks(&mut trails, (0, 1000), &[], |second| Some(second - second % 20)), []);
        let stopped = looks(&mut trails, (1010, 1180), &[], |_| Some(1000));
        let behind = Following::Behind { since: at(1000) };
        assert_eq!(stopped, [(1180, 2, behind)]);
        assert_eq!(looks(&mut trails, (1190, 1500), &[2], |_| Some(1000)), [], "it is known");
    }

    #[test]
    fn who_never_took_any_is_told_of_by_the_time_it_was_first_looked_for() {
        let mut trails = Trails::default();
        let never = looks(&mut trails, (500, 680), &[], |_| None);
        assert_eq!(never, [(680, 2, Following::Behind { since: at(500) })]);
    }

    #[test]
    fn who_catches_up_is_well_when_it_has_nearly_all() {
        let mut trails = Trails::default();
        let slowly = |second: u64| Some(second - 300 + (second - 1000));
        let caught = looks(&mut trails, (1000, 1200), &[2], slowly);
        assert_eq!(caught, [(1200, 2, Following::Caught)]);
        assert_eq!(looks(&mut trails, (1210, 1500), &[], slowly), []);
    }

    #[test]
    fn who_leads_or_left_the_group_is_not_behind() {
        let mut trails = Trails::default();
        let told = BTreeSet::from([1, 3]);
        let followed = BTreeMap::from([(1, None), (2, Some(9))]);
        let news = trails.look(at(0), &followed, |_| true, &told);
        assert_eq!(news, [(1, Following::Caught), (3, Following::Gone)]);
    }
}
