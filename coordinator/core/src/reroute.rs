//! An alarm that does not get through: it goes on by the contact's next channel, and to the
//! operators, with the reason. Somebody must know of the outage.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_model::{Config, ContactId, IncidentId};

use crate::effect::Effect;
use crate::incident::EventKind;
use crate::notify::Recipient;
use crate::outbox::{Edge, Key, Owed, Progress, SendResult};
use crate::state::State;

/// How long an alarm is tried by one channel alone.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

impl State {
    /// Why nothing can be sent to this contact by this channel any more.
    pub(crate) fn is_gone(&self, contact: &ContactId, channel: &str) -> Option<String> {
        if !self.config.channels.contains_key(channel) {
            return Some(format!("channel `{channel}` was taken out of the configuration"));
        }
        let known = self.config.contacts.contains_key(contact);
        (!known).then(|| "the contact was taken out of the configuration".to_owned())
    }

    /// What came of an attempt, when nothing can be tried again: a word of the server's "not now"
    /// is its last one.
    pub(crate) fn final_if_gone(&self, key: Key, result: SendResult) -> SendResult {
        let gone =
            self.outbox.get(&key).and_then(|owed| self.is_gone(&owed.contact, &owed.channel));
        match (result, gone) {
            (SendResult::Retry(met), Some(gone)) => SendResult::Refused(format!("{gone}; {met}")),
            (SendResult::Ambiguous(met), Some(gone)) => {
                SendResult::Refused(format!("{gone}, and nobody knows whether it got it: {met}"))
            }
            (SendResult::Partly { why, .. }, Some(gone)) => {
                SendResult::Refused(format!("{gone}; some addresses have it, others met {why}"))
            }
            (result, _) => result,
        }
    }

    /// After an edit: what is owed by a channel or to a contact that is no more is not tried in
    /// silence for days, but told to others at once. What is being sent just now is settled first.
    pub(crate) fn forsake_removed(&mut self, effects: &mut Vec<Effect>) {
        let waits =
            |owed: &&Owed| matches!(owed.progress, Progress::Queued | Progress::Retry { .. });
        let gone: Vec<(Key, String)> = self
            .outbox
            .values()
            .filter(waits)
            .filter_map(|owed| Some((owed.key, self.is_gone(&owed.contact, &owed.channel)?)))
            .collect();
        for (key, why) in gone {
            self.refuse(key, why, effects);
        }
    }

    /// After an edit: what waits because of settings that are others now is tried at once. Whoever
    /// has just mended a channel must not wait half an hour for the alarm.
    pub(crate) fn retry_mended(&mut self, before: &Config, effects: &mut Vec<Effect>) {
        let (now, present) = (self.now, &self.config);
        let mended = |owed: &Owed| {
            before.channels.get(&owed.channel) != present.channels.get(&owed.channel)
                || before.contacts.get(&owed.contact) != present.contacts.get(&owed.contact)
        };
        let mut any = false;
        for owed in self.outbox.values_mut() {
            if matches!(owed.progress, Progress::Retry { at } if at > now) && mended(owed) {
                owed.progress = Progress::Retry { at: now };
                any = true;
            }
        }
        if any {
            effects.push(Effect::Owed);
        }
    }

    /// A notification will never be sent.
    fn refuse(&mut self, key: Key, why: String, effects: &mut Vec<Effect>) {
        let now = self.now;
        let Some(owed) = self.outbox.get_mut(&key) else { return };
        owed.progress = Progress::Refused { at: now };
        owed.last_error = Some(why);
        let (incident, event) = (owed.notice.incident, owed.event());
        if let (Some(incident), Some((kind, text))) = (self.incidents.get_mut(&incident), event) {
            incident.note(now, kind, text, Vec::new());
        }
        self.mark_lost_alarms(key);
        self.reroute_lost(key, effects);
        effects.push(Effect::Owed);
    }

    /// An alarm that will never reach its contact this way.
    pub(crate) fn reroute_lost(&mut self, key: Key, effects: &mut Vec<Effect>) {
        let is_lost = self.outbox.get(&key).is_some_and(|owed| {
            matches!(owed.progress, Progress::Refused { .. } | Progress::GivenUp { .. })
        });
        if is_lost {
            self.reroute(key, true, effects);
        }
    }

    /// Alarms that have met errors for long. Where the whole channel delivers nothing, operators
    /// have heard of that, once, and not of each of its alarms.
    pub(crate) fn reroute_delayed(&mut self, effects: &mut Vec<Effect>) {
        let now = self.now;
        let delayed: Vec<Key> = self
            .outbox
            .values()
            .filter(|owed| {
                matches!(owed.progress, Progress::Retry { .. })
                    && !owed.rerouted
                    && owed.last_error.is_some()
                    && matches!(owed.notice.edge, Edge::Alarm(_))
                    && !self.is_hushed(owed)
                    && self.is_overdue(owed.created, PATIENCE)
            })
            .map(|owed| owed.key)
            .collect();
        self.reroute_hushed(effects);
        for key in delayed {
            let Some(owed) = self.outbox.get(&key) else { continue };
            let known = self.watch.deliveries.get(&owed.channel);
            let is_told = known.is_some_and(|delivery| delivery.incident.is_some());
            let why = owed.last_error.as_deref().unwrap_or_default();
            let text = format!(
                "{} by {}: not taken for {} minutes, so it is told by other ways, too; {why}",
                owed.contact,
                owed.channel,
                PATIENCE.as_secs() / 60
            );
            if let Some(incident) = self.incidents.get_mut(&owed.notice.incident) {
                incident.note(now, EventKind::Undelivered, text, Vec::new());
            }
            self.reroute(key, !is_told, effects);
        }
    }

    /// Alarms that were lost in a maintenance of their check, in which nobody is to be told
    /// anything new: it is over, and they are told now.
    fn reroute_hushed(&mut self, effects: &mut Vec<Effect>) {
        let lost = |owed: &&Owed| {
            matches!(owed.progress, Progress::Refused { .. } | Progress::GivenUp { .. })
        };
        let over: Vec<Key> = self
            .outbox
            .values()
            .filter(lost)
            .filter(|owed| matches!(owed.notice.edge, Edge::Alarm(_)))
            .filter(|owed| !owed.rerouted && !self.is_hushed(owed))
            .map(|owed| owed.key)
            .collect();
        for key in over {
            self.reroute(key, true, effects);
        }
    }

    /// Nothing new is told of the check at present.
    fn is_hushed(&self, owed: &Owed) -> bool {
        owed.notice.check.as_ref().is_some_and(|id| self.in_maintenance(id))
    }

    /// Owes the alarm to the contact by its next channel, and to the operators where they are to
    /// hear of it; and its end, if it is over. Whoever has had the end by some way knows of the
    /// incident: an alarm behind it would stand there for good.
    fn reroute(&mut self, key: Key, operators: bool, effects: &mut Vec<Effect>) {
        let Some(owed) = self.outbox.get(&key).filter(|owed| !self.is_hushed(owed)).cloned() else {
            return;
        };
        let (incident, edge) = (owed.notice.incident, owed.notice.edge);
        if !matches!(edge, Edge::Alarm(_)) {
            return;
        }
        let mut others = if operators { self.operators() } else { BTreeSet::new() };
        let next = if owed.rerouted { None } else { self.next_channel(&owed) };
        others.extend(next.map(|channel| (owed.contact.clone(), channel)));
        others.remove(&(owed.contact.clone(), owed.channel.clone()));
        let ends = self.ends_of(incident);
        let end = ends.values().next().map(|owed| owed.notice.edge);
        let end_by = |way: &Recipient| ends.get(way).map(|owed| &owed.progress);
        // An end that is just going out: what became of it decides, a moment later.
        if others.iter().any(|way| matches!(end_by(way), Some(Progress::Claimed { .. }))) {
            return;
        }
        others.retain(|way| end_by(way).is_none_or(|progress| !progress.is_settled()));
        if let Some(owed) = self.outbox.get_mut(&key) {
            owed.rerouted = true;
        }
        let why = owed.last_error.as_deref().unwrap_or("it was never taken");
        let untold = format!("{} was not told by {}: {why}", owed.contact, owed.channel);
        let Some(about) = self.incidents.get(&incident) else { return };
        let (summary, is_over) =
            (format!("{} ({untold})", about.summary), about.resolved_at.is_some());
        let end = end.filter(|_| is_over);
        self.notify_of(incident, edge, others.clone(), Some(summary), effects);
        if let Some(end) = end {
            self.notify(incident, end, others, effects);
        }
    }

    /// The first channel by which the contact has not been told of this yet.
    fn next_channel(&self, owed: &Owed) -> Option<String> {
        if !self.config.contacts.contains_key(&owed.contact) {
            return None;
        }
        let (incident, edge) = (owed.notice.incident, owed.notice.edge);
        let same = |other: &&Owed| {
            other.notice.incident == incident
                && other.notice.edge == edge
                && other.contact == owed.contact
        };
        let tried: BTreeSet<&str> =
            self.outbox.values().filter(same).map(|other| other.channel.as_str()).collect();
        self.config.channels.keys().find(|channel| !tried.contains(channel.as_str())).cloned()
    }

    /// The last word on an incident, by each way on which it has been owed.
    fn ends_of(&self, incident: IncidentId) -> BTreeMap<Recipient, &Owed> {
        let is_end = |owed: &&Owed| {
            owed.notice.incident == incident && !matches!(owed.notice.edge, Edge::Alarm(_))
        };
        let by_way = |owed: &Owed| (owed.contact.clone(), owed.channel.clone());
        self.outbox.values().filter(is_end).map(|owed| (by_way(owed), owed)).collect()
    }
}
