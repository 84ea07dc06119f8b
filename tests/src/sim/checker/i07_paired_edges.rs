//! I7, paired and ordered edges: one open incident a check, opened and closed in turn; its end is
//! told to exactly those whom an alarm was meant for, not before that alarm is settled, and nobody
//! is alarmed of it after that. An alarm may be on its way when the check's next alarm comes to say
//! its end; nothing says that all is well before it has arrived.

use std::collections::{BTreeMap, BTreeSet};

use crosscheck_core::incident::Subject;
use crosscheck_core::outbox::{Edge, Owed, Progress};
use crosscheck_core::{Command, Effect, Reply};
use crosscheck_model::{ContactId, IncidentId};

use super::super::sink::Attempt;
use super::{Checker, Entry, Finding, View};

#[derive(Default)]
pub(super) struct PairedEdges {
    open: BTreeMap<Subject, IncidentId>,
    over: BTreeSet<IncidentId>,
    acknowledged: BTreeSet<IncidentId>,
}

impl Checker for PairedEdges {
    fn name(&self) -> &'static str {
        "I7 paired, ordered edges"
    }

    fn tested(&self) -> u64 {
        self.over.len() as u64
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        if let (Command::Acknowledge { incident, by, .. }, Reply::Done) =
            (&entry.stamped.command, &entry.applied.reply)
            && !self.acknowledged.insert(*incident)
        {
            return Err(format!("incident {incident} is acknowledged again, by {by}"));
        }
        if let (Command::Claim { key, .. }, Reply::Claimed(_)) =
            (&entry.stamped.command, &entry.applied.reply)
            && let Some(claimed) = view.state().outbox.get(key)
        {
            // What tells several, and may have arrived, is sent again whole: also of an end that
            // the next alarm says instead.
            let again =
                claimed.is_bound() && (claimed.ambiguous > 0 || !claimed.reached.is_empty());
            let is_over = if again { has_gone } else { is_settled };
            let told = view.state().told_by(claimed).into_iter();
            told.filter(|told| is_alarm(told))
                .try_for_each(|alarm| nothing_ended(view, alarm, is_over))?;
        }
        for effect in &entry.applied.effects {
            if let Effect::Incident(id) = effect {
                self.incident(view, *id)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, view: &View<'_>, attempt: &Attempt) -> Finding {
        attempt.told.iter().try_for_each(|owed| in_order(view, owed))
    }

    fn end(&mut self, view: &View<'_>) -> Finding {
        match view.state().incidents.values().find(|incident| incident.resolved_at.is_none()) {
            Some(open) => Err(format!("{:?} is still open: {}", open.subject, open.summary)),
            None => Ok(()),
        }
    }
}

/// An alarm goes out before its end, and an end behind its alarms.
fn in_order(view: &View<'_>, owed: &Owed) -> Finding {
    let notice = &owed.notice;
    if is_alarm(owed) {
        return nothing_ended(view, owed, has_gone);
    }
    let before = |alarm: &&Owed| {
        let is_same_check = notice.check.is_some() && alarm.notice.check == notice.check;
        is_alarm(alarm)
            && alarm.notice.incident <= notice.incident
            && (alarm.notice.incident == notice.incident || is_same_check)
            && !alarm.progress.is_settled()
    };
    match to_contact(view, owed).find(before) {
        Some(alarm) => Err(format!(
            "the end of incident {} goes out before the alarm of {} to {} by {}, which is {:?}",
            notice.incident, alarm.notice.incident, alarm.contact, alarm.channel, alarm.progress
        )),
        None => Ok(()),
    }
}

const fn is_settled(end: &Owed) -> bool {
    end.progress.is_settled()
}

fn is_alarm(owed: &Owed) -> bool {
    matches!(owed.notice.edge, Edge::Alarm(_))
}

/// It was sent, or is on its way. What the next alarm says instead goes out with that.
const fn has_gone(end: &Owed) -> bool {
    match end.progress {
        Progress::Merged { .. } => false,
        Progress::Claimed { .. } => true,
        other => other.is_settled(),
    }
}

/// No alarm is claimed where its incident's end is settled, however that came, and none goes out
/// where the end has gone.
fn nothing_ended(view: &View<'_>, alarm: &Owed, is_over: fn(&Owed) -> bool) -> Finding {
    let its_end = |owed: &&Owed| {
        owed.notice.incident == alarm.notice.incident && !is_alarm(owed) && is_over(owed)
    };
    match to_contact(view, alarm).find(its_end) {
        Some(end) => Err(format!(
            "an alarm of incident {} goes out to {} by {} behind its end, which is {:?}",
            alarm.notice.incident, end.contact, end.channel, end.progress
        )),
        None => Ok(()),
    }
}

fn to_contact<'a>(view: &'a View<'_>, of: &'a Owed) -> impl Iterator<Item = &'a Owed> {
    let same = move |owed: &&Owed| (&owed.contact, &owed.channel) == (&of.contact, &of.channel);
    view.world.state().outbox.values().filter(same)
}

impl PairedEdges {
    fn incident(&mut self, view: &View<'_>, id: IncidentId) -> Finding {
        let Some(incident) = view.state().incidents.get(&id) else {
            return Err(format!("incident {id} is told of and does not exist"));
        };
        let subject = incident.subject.clone();
        if incident.resolved_at.is_none() {
            if self.over.contains(&id) {
                return Err(format!("incident {id} is open again"));
            }
            // Checks go blind, and probes fall silent, at different times; each loss is an
            // incident of its own.
            if matches!(
                subject,
                Subject::Blind | Subject::Absent | Subject::Idle | Subject::Unstable
            ) {
                return Ok(());
            }
            return match self.open.insert(subject, id).filter(|other| *other != id) {
                Some(other) => Err(format!("incidents {other} and {id} are open at once")),
                None => Ok(()),
            };
        }
        // Its end may be told more than once, as long as it stays the end.
        if self.over.insert(id) {
            self.open.remove(&subject);
            return ends_are_paired(view, id);
        }
        Ok(())
    }
}

fn ends_are_paired(view: &View<'_>, id: IncidentId) -> Finding {
    let who = |alarm: bool| -> BTreeSet<(&ContactId, &str)> {
        view.state()
            .outbox
            .values()
            .filter(|owed| owed.notice.incident == id && is_alarm(owed) == alarm)
            .map(|owed| (&owed.contact, owed.channel.as_str()))
            .collect()
    };
    let (alarmed, relieved) = (who(true), who(false));
    if alarmed != relieved {
        return Err(format!("incident {id} alarmed {alarmed:?} and relieved {relieved:?}"));
    }
    Ok(())
}
