//! I8, drills: one is told to exactly those whom the failure would be told to, says so in every
//! message, and ends; one that is planned is held once, at its time, whenever somebody leads then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_coordinator::drills::LATE;
use crosscheck_core::drill::{LIMIT, Occasion};
use crosscheck_core::incident::Subject;
use crosscheck_core::outbox::{Key, Owed};
use crosscheck_core::state::State;
use crosscheck_core::verdict::LEADER_GRACE;
use crosscheck_core::{Command, Effect, Reply};
use crosscheck_model::config::Drill;
use crosscheck_model::{ContactId, IncidentId, Timestamp};

use super::i08_inhibition::whom;
use super::{Checker, Entry, Finding, View};

/// Between a decision and the tick that looks at it.
const TICKS: Duration = Duration::from_secs(5);
/// How long somebody must have led for a planned drill to have been held.
const SETTLED: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Drills {
    known: BTreeSet<Key>,
    /// Those under way.
    open: BTreeMap<IncidentId, Timestamp>,
    /// Since when each of the plan's could have been held.
    due: BTreeMap<usize, Timestamp>,
    /// For how many of the plan's each was held.
    held: BTreeSet<usize>,
    /// The newest tick, and since when they came without a break.
    ticked: Timestamp,
    led_since: Timestamp,
    told: u64,
}

impl Checker for Drills {
    fn name(&self) -> &'static str {
        "I8 drills"
    }

    fn tested(&self) -> u64 {
        self.told
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        let state = view.state();
        if entry.applied.effects.contains(&Effect::Owed) {
            let mut new = state.outbox.values().filter(|owed| self.known.insert(owed.key));
            new.try_for_each(|owed| says_what_it_is(state, owed))?;
        }
        match (&entry.stamped.command, &entry.applied.reply) {
            (Command::Drill(occasion), Reply::Drill(id)) => self.begun(view, occasion, *id),
            (Command::Lead { .. }, _) => {
                self.led_since = state.now;
                Ok(())
            }
            (Command::Tick, _) => {
                if state.now.since(self.ticked) > TICKS {
                    self.led_since = state.now;
                }
                self.ticked = state.now;
                self.ends(state)?;
                self.none_missed(view)
            }
            _ => Ok(()),
        }
    }
}

impl Drills {
    fn begun(&mut self, view: &View<'_>, occasion: &Occasion, id: IncidentId) -> Finding {
        let state = view.state();
        let check = match occasion {
            Occasion::Asked { check, .. } => check.as_ref(),
            Occasion::Planned { drill, at } => {
                let planned = &view.world.plan.drills;
                let place = planned.iter().position(|plan| *plan == (drill.clone(), *at));
                let Some(place) = place else {
                    return Err(format!("a drill is held for {at} that nobody planned: {drill:?}"));
                };
                if !self.held.insert(place) {
                    return Err(format!("a drill is held twice for {at}: {drill:?}"));
                }
                if state.now < *at || state.now.since(*at) > LATE {
                    return Err(format!("a drill is held at {} for {at}", state.now));
                }
                drill.check.as_ref()
            }
        };
        let told: BTreeSet<(ContactId, String)> = state
            .outbox
            .values()
            .filter(|owed| owed.notice.incident == id)
            .map(|owed| (owed.contact.clone(), owed.channel.clone()))
            .collect();
        let meant = match check {
            Some(id) => state.checks.get(id).map(|check| whom(state, check)).unwrap_or_default(),
            None => operators(state),
        };
        if told != meant {
            return Err(format!("drill {id} is told to {told:?}, and is for {meant:?}"));
        }
        self.told += 1;
        self.open.insert(id, state.now);
        Ok(())
    }

    /// It is over as soon as everybody has been told, and in time in any case.
    fn ends(&mut self, state: &State) -> Finding {
        let is_open = |id: &IncidentId| {
            state.incidents.get(id).is_some_and(|incident| incident.resolved_at.is_none())
        };
        self.open.retain(|id, _| is_open(id));
        for (id, since) in &self.open {
            let mut owed = state.outbox.values().filter(|owed| owed.notice.incident == *id);
            let heard = state.now.since((*since).max(state.watch.hearing_since));
            if heard > LIMIT + LEADER_GRACE + TICKS || owed.all(|o| o.progress.is_settled()) {
                return Err(format!("drill {id} of {since} is still under way"));
            }
        }
        Ok(())
    }

    fn none_missed(&mut self, view: &View<'_>) -> Finding {
        let state = view.state();
        for (place, (drill, at)) in view.world.plan.drills.iter().enumerate() {
            if self.held.contains(&place) || !self.could_hold(state, drill, *at) {
                self.due.remove(&place);
                continue;
            }
            let since = *self.due.entry(place).or_insert(state.now);
            if state.now.since(since) > TICKS {
                return Err(format!("the drill of {at} is not held: {drill:?}"));
            }
        }
        Ok(())
    }

    /// It is its time, somebody has led for long enough, there is what it is of, and none of the
    /// same is under way.
    fn could_hold(&self, state: &State, drill: &Drill, at: Timestamp) -> bool {
        let has_check = drill.check.as_ref().is_none_or(|check| state.checks.contains_key(check));
        let same = |id: &IncidentId| {
            let subject = state.incidents.get(id).map(|incident| &incident.subject);
            matches!(subject, Some(Subject::Drill(of)) if *of == drill.check)
        };
        has_check
            && at > self.led_since
            && state.now >= at
            && state.now.since(at) < LATE
            && state.now.since(self.led_since) >= SETTLED
            && state.config.drills.contains(drill)
            && !self.open.keys().any(same)
    }
}

/// A drill is called one, and nothing else is.
fn says_what_it_is(state: &State, owed: &Owed) -> Finding {
    let incident = state.incidents.get(&owed.notice.incident);
    let is_drill = incident.is_some_and(|it| matches!(it.subject, Subject::Drill(_)));
    if owed.notice.drill == is_drill && !(is_drill && owed.notice.check.is_some()) {
        return Ok(());
    }
    Err(format!("{:?} says drill: {}", incident.map(|it| &it.subject), owed.notice.drill))
}

fn operators(state: &State) -> BTreeSet<(ContactId, String)> {
    let channels = state.config.channels.keys();
    let operators = &state.config.operators;
    channels.flat_map(|by| operators.iter().map(move |to| (to.clone(), by.clone()))).collect()
}
