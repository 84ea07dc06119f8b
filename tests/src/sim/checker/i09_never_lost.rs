//! I9, never lost: each notification ends delivered, or refused with the escalation delivered, or
//! said by another; once all has healed, within a quarter of an hour. What counts as delivered was
//! taken by a channel, and what counts as refused was refused by one.

use std::collections::{BTreeMap, BTreeSet};

use crosscheck_core::Effect;
use crosscheck_core::outbox::{Edge, Key, Owed, Progress};
use crosscheck_model::Timestamp;

use super::super::world::LIVENESS;
use super::{Checker, Entry, Finding, View};

#[derive(Default)]
pub(super) struct NeverLost {
    /// What is not settled, and until when it must be; counted from the healing.
    open: BTreeMap<Key, Option<Timestamp>>,
    settled: BTreeSet<Key>,
    tested: u64,
}

impl Checker for NeverLost {
    fn name(&self) -> &'static str {
        "I9 never lost"
    }

    fn tested(&self) -> u64 {
        self.tested
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        if entry.applied.effects.contains(&Effect::Owed) {
            self.read(view)?;
        }
        if view.world.healing { self.in_time(view) } else { Ok(()) }
    }

    fn end(&mut self, view: &View<'_>) -> Finding {
        self.read(view)?;
        if let Some(key) = self.open.keys().next() {
            let progress = view.state().outbox.get(key).map(|owed| &owed.progress);
            return Err(format!("{key} is still {progress:?}"));
        }
        view.state().outbox.values().try_for_each(|owed| reached(view, owed))
    }
}

impl NeverLost {
    /// Takes what is new and what is settled since; what was owed does not vanish before.
    fn read(&mut self, view: &View<'_>) -> Finding {
        let outbox = &view.state().outbox;
        if let Some(key) = self.open.keys().find(|key| !outbox.contains_key(key)) {
            return Err(format!("{key} is gone and was never settled"));
        }
        for (key, owed) in outbox {
            if !owed.progress.is_settled() {
                self.open.entry(*key).or_insert(None);
            } else if self.settled.insert(*key) {
                self.open.remove(key);
                self.tested += 1;
                settled_by_a_channel(view, owed)?;
            }
        }
        Ok(())
    }

    /// What waits for its next attempt is counted from that moment, and what waits for another
    /// from that one's.
    fn in_time(&mut self, view: &View<'_>) -> Finding {
        let state = view.state();
        for (key, limit) in &mut self.open {
            // What was under way when all healed may still fail, and then waits for its next turn.
            let under_way = |key: &Key| {
                state.outbox.get(key).is_some_and(|owed| {
                    matches!(owed.progress, Progress::Claimed { until, .. } if state.now < until)
                })
            };
            let waits_for = state.outbox.get(key).map(|owed| &owed.after[..]).unwrap_or_default();
            if limit.is_none() && (under_way(key) || waits_for.iter().any(under_way)) {
                continue;
            }
            let limit = limit.get_or_insert_with(|| due(view, key, state.now).plus(LIVENESS));
            if state.now > *limit {
                let progress = |key: &Key| state.outbox.get(key).map(|owed| &owed.progress);
                let owed = state.outbox.get(key).map(|owed| {
                    let first: Vec<_> = owed.after.iter().map(progress).collect();
                    let (edge, incident) = (&owed.notice.edge, owed.notice.incident);
                    let way = (&owed.contact, &owed.channel);
                    (edge, incident, way, &owed.progress, &owed.last_error, owed.attempts, first)
                });
                return Err(format!("{key} is still {owed:?} long after all has healed"));
            }
        }
        Ok(())
    }
}

fn due(view: &View<'_>, key: &Key, now: Timestamp) -> Timestamp {
    let Some(owed) = view.state().outbox.get(key) else { return now };
    let own = match owed.progress {
        Progress::Retry { at } => at.max(now),
        _ => now,
    };
    owed.after.iter().map(|first| due(view, first, now)).fold(own, Timestamp::max)
}

fn settled_by_a_channel(view: &View<'_>, owed: &Owed) -> Finding {
    let sink = &view.world.sink;
    let well = match owed.progress {
        Progress::Delivered { .. } => sink.mails.iter().any(|mail| mail.key == owed.key),
        Progress::Refused { .. } => sink.has_nobody(owed),
        _ => true,
    };
    let (key, edge, progress) = (owed.key, owed.notice.edge, &owed.progress);
    if well {
        Ok(())
    } else {
        Err(format!("{key} ({edge:?}) is {progress:?}, and no channel says so"))
    }
}

/// Whether an alarm was owed in the place of what was merged then.
fn says_it(alarm: &Owed, merged: &Owed, at: Timestamp) -> bool {
    matches!(alarm.notice.edge, Edge::Alarm(_))
        && alarm.created == at
        && (&alarm.contact, &alarm.channel) == (&merged.contact, &merged.channel)
}

/// A refused alarm reached the operators by whatever way was left to them, and what was merged is
/// said by another notification to the same contact.
fn reached(view: &View<'_>, owed: &Owed) -> Finding {
    let outbox = &view.state().outbox;
    let (key, progress) = (owed.key, &owed.progress);
    match owed.progress {
        Progress::Merged { at } => {
            let said = outbox.values().any(|other| says_it(other, owed, at));
            if said { Ok(()) } else { Err(format!("{key} is merged into nothing")) }
        }
        Progress::Refused { .. } | Progress::GivenUp { .. }
            if matches!(owed.notice.edge, Edge::Alarm(_)) =>
        {
            let operators = &view.state().config.operators;
            let escalations = outbox.values().filter(|other| {
                other.key != owed.key
                    && other.notice.incident == owed.notice.incident
                    && matches!(other.notice.edge, Edge::Alarm(_))
                    && operators.contains(&other.contact)
            });
            let (mut count, mut lost) = (0, 0);
            for other in escalations {
                // What was merged is said by another: one of these, or an alarm of the next
                // incident, for which the same must hold.
                if let Progress::Merged { at } = other.progress {
                    let next = |said: &Owed| said.notice.incident != other.notice.incident;
                    if outbox.values().any(|said| says_it(said, other, at) && next(said)) {
                        return Ok(());
                    }
                    continue;
                }
                count += 1;
                lost += usize::from(view.world.sink.has_nobody(other));
                if matches!(other.progress, Progress::Delivered { .. }) {
                    return Ok(());
                }
            }
            // Every way was tried, and each was closed for good.
            if count > 0 && lost == count {
                return Ok(());
            }
            let all: Vec<String> = outbox
                .values()
                .filter(|other| other.notice.incident == owed.notice.incident)
                .map(|other| {
                    let edge = other.notice.edge;
                    format!("{edge:?} {} {} {:?}", other.contact, other.channel, other.progress)
                })
                .collect();
            let all = all.join("; ");
            Err(format!("{key} is {progress:?}, and no operator was reached: {all}"))
        }
        _ => Ok(()),
    }
}
