//! I5, bounded detection: while coordinators have a quorum and all probes are well, an outage is an
//! open incident within an interval, the attempts of a run and a change of leader.

use std::time::Duration;

use crosscheck_model::{CheckId, CheckSpec};

use super::super::truth::Truth;
use super::super::world::EdgeSeen;
use super::Finding;

/// A new leader takes over, and probes find it.
const FAILOVER: Duration = Duration::from_secs(10);

/// Compares the edges of a run with the truth; how many outages were long enough to be noticed.
pub(in super::super) fn notices(
    truth: &Truth,
    checks: &[CheckSpec],
    edges: &[EdgeSeen],
) -> Result<u64, String> {
    let mut noticed = 0;
    for (number, spec) in checks.iter().enumerate() {
        let limit = limit(spec);
        for (from, to) in truth.outages(number).iter().filter(|(from, to)| *to - *from > limit) {
            is_opened(&spec.id, edges, *from, *from + limit)
                .map_err(|what| format!("{} is down from {from:?} to {to:?}: {what}", spec.id))?;
            noticed += 1;
        }
    }
    Ok(noticed)
}

/// One round is enough here.
fn limit(spec: &CheckSpec) -> Duration {
    let times = &spec.schedule;
    let attempts = times.attempts.max(1);
    let run = times.timeout * attempts + times.attempt_gap * (attempts - 1);
    times.interval + run + FAILOVER
}

fn is_opened(check: &CheckId, edges: &[EdgeSeen], from: Duration, until: Duration) -> Finding {
    let first = edges.iter().find(|edge| edge.check == *check && edge.at >= from);
    match first {
        Some(edge) if edge.is_open && edge.at <= until => Ok(()),
        Some(edge) => Err(format!("the next edge is {edge:?}, and an alarm was due by {until:?}")),
        None => Err("nobody is told".to_owned()),
    }
}
