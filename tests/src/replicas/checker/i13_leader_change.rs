//! I13, leader-change transparency: the same outages bring the same edges, whether leaders die or
//! not; later at most by what a change of leader takes, and none besides.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_model::CheckId;

use super::super::world::EdgeSeen;
use super::Finding;

/// A new leader leads within 6.5 s; a probe turns to another coordinator after 4 s without an
/// answer; an order to confirm that was lost is given again with the next failure; the news
/// of a commit travels with a heartbeat.
const LATEST: Duration = Duration::from_secs(20);

/// Compares the edges of a run without any trouble with those of a run in which leaders died.
pub(in super::super) fn compare(calm: &[EdgeSeen], killed: &[EdgeSeen]) -> Finding {
    let (calm, killed) = (by_check(calm), by_check(killed));
    for check in calm.keys().chain(killed.keys()) {
        let none = Vec::new();
        let (wanted, found) =
            (calm.get(check).unwrap_or(&none), killed.get(check).unwrap_or(&none));
        if wanted.len() != found.len() {
            return Err(format!("{check}: {wanted:?} became {found:?}"));
        }
        for (wanted, found) in wanted.iter().zip(found) {
            let late = found.1.saturating_sub(wanted.1).max(wanted.1.saturating_sub(found.1));
            if wanted.0 != found.0 || late > LATEST {
                return Err(format!("{check}: {wanted:?} became {found:?}"));
            }
        }
    }
    Ok(())
}

fn by_check(edges: &[EdgeSeen]) -> BTreeMap<&CheckId, Vec<(bool, Duration)>> {
    let mut all: BTreeMap<&CheckId, Vec<_>> = BTreeMap::new();
    for edge in edges {
        all.entry(&edge.check).or_default().push((edge.is_open, edge.at));
    }
    all
}
