//! Channels that deliver nothing: when all that was tried by one of them met errors for long, its
//! operators are told by the others.

use std::time::Duration;

use crosscheck_model::{IncidentId, Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::incident::Subject;
use crate::outbox::{Edge, Owed, SendResult};
use crate::state::State;

/// How long a channel may deliver nothing of what is owed by it.
const DEAF_LIMIT: Duration = Duration::from_secs(10 * 60);

/// What is known of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// When it last took something.
    pub delivered_at: Timestamp,
    /// The open incident about it.
    pub incident: Option<IncidentId>,
}

impl State {
    /// Takes note of what came of an attempt.
    pub(crate) fn note_attempt(&mut self, channel: &str, result: &SendResult) {
        let taken = match result {
            SendResult::Delivered => true,
            SendResult::Partly { reached, .. } => !reached.is_empty(),
            SendResult::Retry(_) | SendResult::Refused(_) | SendResult::Ambiguous(_) => false,
        };
        if taken {
            let delivery = self.watch.deliveries.entry(channel.to_owned()).or_default();
            delivery.delivered_at = self.now;
        }
    }

    /// Opens and closes the incidents about channels.
    pub(crate) fn reconcile_channels(&mut self, effects: &mut Vec<Effect>) {
        let known: Vec<String> = self.watch.deliveries.keys().cloned().collect();
        for channel in known {
            self.close_channel(&channel, effects);
        }
        let dead: Vec<(String, Timestamp)> = self
            .config
            .channels
            .keys()
            .filter_map(|channel| Some((channel.clone(), self.dead_since(channel)?)))
            .collect();
        for (channel, since) in dead {
            self.open_channel(channel, since, effects);
        }
    }

    /// Since when everything met errors, where that is too long.
    fn dead_since(&self, channel: &str) -> Option<Timestamp> {
        let known = self.watch.deliveries.get(channel);
        if known.is_some_and(|delivery| delivery.incident.is_some()) {
            return None;
        }
        let delivered_at = known.map_or(Timestamp::ZERO, |delivery| delivery.delivered_at);
        let waits = |owed: &&Owed| {
            owed.channel == channel && owed.last_error.is_some() && !owed.progress.is_settled()
        };
        let oldest = self.outbox.values().filter(waits).map(|owed| owed.created).min()?;
        let since = oldest.max(delivered_at);
        self.is_overdue(since, DEAF_LIMIT).then_some(since)
    }

    fn open_channel(&mut self, channel: String, since: Timestamp, effects: &mut Vec<Effect>) {
        let waits = |owed: &&Owed| owed.channel == channel && !owed.progress.is_settled();
        let waiting = self.outbox.values().filter(waits).count();
        let newest = self.outbox.values().filter(waits).max_by_key(|owed| owed.attempts);
        let why = newest.and_then(|owed| owed.last_error.clone()).unwrap_or_default();
        let summary =
            format!("channel {channel} delivers nothing: {waiting} waiting; the last error: {why}");
        let (subject, target) = (Subject::Channel(channel.clone()), format!("channel {channel}"));
        let id = self.open_own(subject, Status::Unknown, &target, &summary, since);
        let mut others = self.operators();
        others.retain(|(_, by)| *by != channel);
        self.notify(id, Edge::Alarm(Status::Unknown), others, effects);
        effects.push(Effect::Incident(id));
        self.watch.deliveries.entry(channel).or_default().incident = Some(id);
    }

    /// Where nothing waits any more, because all of it was refused or is said by others, nothing
    /// would ever end the incident.
    fn close_channel(&mut self, channel: &str, effects: &mut Vec<Effect>) {
        let gone = !self.config.channels.contains_key(channel);
        let is_open = |delivery: &Delivery| delivery.incident.is_some();
        let waits = |owed: &Owed| owed.channel == channel && !owed.progress.is_settled();
        let is_idle = self.watch.deliveries.get(channel).is_some_and(is_open)
            && !self.outbox.values().any(waits);
        let Some(delivery) = self.watch.deliveries.get_mut(channel) else { return };
        let opened = |id| self.incidents.get(&id).map(|incident| incident.opened_at);
        let since = delivery.incident.and_then(opened);
        let delivers = since.is_some_and(|since| delivery.delivered_at >= since);
        if let Some(open) = delivery.incident.filter(|_| gone || delivers || is_idle) {
            delivery.incident = None;
            let (edge, text) = match (gone, delivers) {
                (true, _) => (Edge::Removed, "it was taken out of the configuration"),
                (false, true) => (Edge::Recovery, "it delivers again"),
                (false, false) => (
                    Edge::Recovery,
                    "nothing waits for it any more; whether it delivers, the next message shows",
                ),
            };
            let text = format!("channel {channel}: {text}");
            self.resolve(open, self.now, text, Vec::new(), edge, effects);
        }
        if gone {
            self.watch.deliveries.remove(channel);
        }
    }
}
