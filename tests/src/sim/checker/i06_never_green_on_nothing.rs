//! I6, never green on nothing: a check is Up only while a quorum of fresh votes says so, or for a
//! short grace after it last did.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_core::Command;
use crosscheck_core::verdict::LEADER_GRACE;
use crosscheck_model::{CheckId, ProbeId, Status, Timestamp};

use super::super::evidence::Row;
use super::{Checker, Entry, Finding, View};

/// Ticks are a second apart; a longer silence of the log is time in which nobody could look.
const TICK: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct NeverGreenOnNothing {
    /// When each check was last borne by evidence; moved on while nobody could look.
    borne: BTreeMap<CheckId, Timestamp>,
    /// Since when the votes left say nothing; moved on likewise.
    blind: BTreeMap<CheckId, Timestamp>,
    /// When a change last took a check's evidence away.
    changed: BTreeMap<CheckId, Timestamp>,
    /// Its revision and voters.
    shapes: BTreeMap<CheckId, (u64, BTreeSet<ProbeId>)>,
    last: Timestamp,
    /// Checks without evidence that are not Up.
    tested: u64,
}

impl Checker for NeverGreenOnNothing {
    fn name(&self) -> &'static str {
        "I6 never green on nothing"
    }

    fn tested(&self) -> u64 {
        self.tested
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        let state = view.state();
        if entry.stamped.command != Command::Tick {
            self.between_ticks(view, &entry.stamped.command);
            return Ok(());
        }
        let silence = state.now.since(self.last);
        self.last = state.now;
        for (id, check) in &state.checks {
            let known = self.shapes.get(id);
            if known.is_none_or(|known| (known.0, &known.1) != (check.rev, &check.assigned)) {
                self.shapes.insert(id.clone(), (check.rev, check.assigned.clone()));
                self.changed.insert(id.clone(), state.now);
            }
            let ballot = view.world.evidence.ballots[id];
            let row = view.world.evidence.row(&ballot);
            if !self.borne.contains_key(id) {
                self.borne.insert(id.clone(), state.now);
                self.blind.insert(id.clone(), state.now);
            }
            let (Some(borne), Some(blind)) = (self.borne.get_mut(id), self.blind.get_mut(id))
            else {
                continue;
            };
            if row == Row::Fine {
                *borne = state.now;
            } else if silence > TICK {
                *borne = borne.plus(silence);
            }
            if !matches!(row, Row::Blind | Row::Suspect) {
                *blind = state.now;
            } else if silence > TICK {
                *blind = blind.plus(silence);
            }
            let settling = state.now.since(self.changed[id]) <= check.spec.validity() + TICK;
            let in_the_dark = !settling && state.now.since(*blind) > LEADER_GRACE + TICK;
            // While the votes say anything at all, a rule may want several rounds of it.
            let old = state.now.since(*borne) > check.spec.validity() + LEADER_GRACE + TICK;
            let bare = in_the_dark || old;
            self.tested += u64::from(bare);
            let up = check.verdict.status == Status::Up && !check.maintenance;
            if up && bare {
                let since = state.now.since(*borne);
                return Err(format!(
                    "{id} is Up without evidence for {since:?}: {ballot:?}, {:?}, {:?}, {:?}",
                    check.spec.quorum, check.spec.rule, check.tally
                ));
            }
        }
        Ok(())
    }

    fn end(&mut self, view: &View<'_>) -> Finding {
        for (id, check) in &view.state().checks {
            if check.verdict.status != Status::Up {
                return Err(format!("{id} works and is not Up: {:?}", check.verdict));
            }
        }
        Ok(())
    }
}

impl NeverGreenOnNothing {
    /// A quorum may have spoken for less than a second.
    fn between_ticks(&mut self, view: &View<'_>, command: &Command) {
        let Command::Batch(reports) = command else { return };
        let evidence = &view.world.evidence;
        for observation in reports.iter().flat_map(|report| &report.observations) {
            let Some(borne) = self.borne.get_mut(&observation.check) else { continue };
            if evidence.row(&evidence.ballot(&observation.check, view.state())) == Row::Fine {
                *borne = view.state().now;
                if let Some(blind) = self.blind.get_mut(&observation.check) {
                    *blind = view.state().now;
                }
            }
        }
    }
}
