//! I5, bounded detection: a target that is dead for everyone is called down in time, while a
//! leader leads and the probes that are well would suffice against those that lie. Probes that
//! are cut off from the coordinators must not hold it up.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_core::Command;
use crosscheck_core::state::CheckState;
use crosscheck_core::verdict::{Reason, rounds_wanted};
use crosscheck_model::CheckId;

use super::super::host::Trouble;
use super::{Checker, Entry, Finding, View};

/// Messages both ways, the references' answer to a doubt, and the batch.
const TRANSIT: Duration = Duration::from_secs(5);
/// Allowed for a change of leader, though none is let happen here.
const FAILOVER: Duration = Duration::from_secs(10);
/// A probe whose state changed later than this before an outage is neither well nor away.
const STEADY: Duration = Duration::from_secs(160);
/// A leader that took over this long before an outage has no grace left.
const IN_OFFICE: Duration = Duration::from_secs(45);
/// A probe that was cut off this long ago is not counted any more.
const AWAY: Duration = Duration::from_secs(25);

#[derive(Default)]
pub(super) struct BoundedDetection {
    /// Outages under watch, by check; `None` when something else happened meanwhile.
    watched: BTreeMap<CheckId, (Duration, bool)>,
    /// What each check was like, and since when: its revision, interval and number of probes.
    shapes: BTreeMap<CheckId, ((u64, Duration, usize), Duration)>,
    /// Outages that nothing disturbed until their bound.
    tested: u64,
}

impl Checker for BoundedDetection {
    fn name(&self) -> &'static str {
        "I5 bounded detection"
    }

    fn tested(&self) -> u64 {
        self.tested
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        let now = view.world.now;
        if entry.stamped.command != Command::Tick {
            return Ok(());
        }
        for (id, check) in &view.state().checks {
            let Some(index) = view.world.check_index(id) else { continue };
            let Some(since) = view.world.dead_since(index) else {
                self.watched.remove(id);
                continue;
            };
            let fresh = self.watched.get(id).is_none_or(|(known, _)| *known != since);
            if fresh {
                let well = check.verdict.reason == Reason::Working
                    && check.tally.row == Reason::Working
                    && now < since + Duration::from_secs(2);
                self.watched.insert(id.clone(), (since, well));
            }
            let shape = (check.rev, check.spec.schedule.interval, check.assigned.len());
            let known = self.shapes.entry(id.clone()).or_insert((shape, now));
            if known.0 != shape {
                *known = (shape, now);
            }
            let steady = is_steady(view, check, since) && known.1 + STEADY < since;
            let Some((_, eligible)) = self.watched.get_mut(id) else { continue };
            *eligible &= steady;
            let late = now > since + bound(check);
            if *eligible && late && check.verdict.reason != Reason::Failing {
                let (took, verdict) = (now - since, &check.verdict);
                return Err(format!(
                    "{id} is dead for {took:?} and {verdict:?}: {:?}",
                    check.tally
                ));
            }
            self.tested += u64::from(*eligible && late);
            *eligible &= !late;
        }
        Ok(())
    }
}

fn bound(check: &CheckState) -> Duration {
    let times = &check.spec.schedule;
    times.interval
        + times.retry_interval * (rounds_wanted(&check.spec.rule) - 1)
        + times.timeout * times.attempts
        + times.attempt_gap * (times.attempts - 1)
        + TRANSIT
        + FAILOVER
}

/// Nothing disturbs the detection of an outage since `since`.
fn is_steady(view: &View<'_>, check: &CheckState, since: Duration) -> bool {
    let world = view.world;
    if !world.log.is_led() || world.log.led_since + IN_OFFICE > since || check.maintenance {
        return false;
    }
    let (mut assigned, mut well, mut against) = (0, 0, 0);
    for id in &check.assigned {
        let Some(index) = world.evidence.index(id) else { return false };
        let (host, bit) = (&world.hosts[index], 1 << index);
        assigned |= bit;
        let suspect = view.state().probes.get(id).is_none_or(|probe| probe.suspect.is_some());
        let lies = host.trouble.lie.is_some();
        let cut = Trouble { cut_out: false, cut_back: false, ..host.trouble };
        let away = host.trouble != Trouble::default() && cut == Trouble::default();
        if !host.process.runs() || suspect && !lies {
            return false;
        } else if host.is_well() && host.changed + STEADY <= since {
            well |= bit;
        } else if lies && (Trouble { lie: None, ..host.trouble }) == Trouble::default() {
            against |= bit;
        } else if !(away && host.changed + AWAY <= since) {
            return false;
        }
    }
    world.evidence.suffices(assigned, well | against, well)
        && world.evidence.suffices(assigned, well, well)
}
