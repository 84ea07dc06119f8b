//! What a later notification says too, to the same contact by the same channel, is not sent any
//! more: nobody is to read the old behind the new.

use crate::notify::key_of;
use crate::outbox::{Edge, Key, Owed, Progress};
use crate::state::State;

impl State {
    /// Another notification says what these, as far as they are unsent, would have said. Those that
    /// it was so for.
    pub(crate) fn merge_unsent(&mut self, keys: &[Key]) -> Vec<Key> {
        let now = self.now;
        let mut merged = Vec::new();
        for key in keys {
            let Some(owed) = self.outbox.get_mut(key) else { continue };
            if owed.is_unsent() {
                owed.progress = Progress::Merged { at: now };
                merged.push(*key);
            }
        }
        merged
    }

    /// A recovery that has not gone out when its check's next alarm is owed would come after it,
    /// and say that all is well; an alarm of that incident that has not gone out would say that it
    /// fails when it is well once more. The next alarm says it instead: what it is to say.
    pub(crate) fn merge_earlier(&mut self, alarm: &Owed) -> Option<String> {
        let notice = &alarm.notice;
        if !matches!(notice.edge, Edge::Alarm(_)) || notice.check.is_none() {
            return None;
        }
        let earlier = |owed: &&Owed| {
            owed.notice.edge == Edge::Recovery
                && owed.notice.check == notice.check
                && owed.notice.incident != notice.incident
                && (&owed.contact, &owed.channel) == (&alarm.contact, &alarm.channel)
        };
        let unsent: Vec<Key> = self.outbox.values().filter(earlier).map(|owed| owed.key).collect();
        let ends = self.merge_unsent(&unsent);
        let before = |end: &Key| self.outbox.get(end).map(|end| end.after.clone());
        let alarms: Vec<Key> = ends.iter().filter_map(before).flatten().collect();
        for alarm in alarms {
            self.merge_superseded(alarm);
        }
        let said = ends.iter().filter_map(|key| self.outbox.get(key)).map(|owed| &owed.notice);
        let (since, ended) = said.filter_map(|said| Some((said.since, said.ended?))).max()?;
        Some(format!("it failed before, too, from {since} to {ended}"))
    }

    /// An alarm that is not on its way, and whose end is said by the next alarm, is said by that
    /// one, too; whether it was so.
    pub(crate) fn merge_superseded(&mut self, key: Key) -> bool {
        let Some(owed) = self.outbox.get(&key) else { return false };
        let waits = match owed.progress {
            Progress::Queued | Progress::Retry { .. } => true,
            Progress::Claimed { until, .. } => self.now >= until,
            _ => false,
        };
        // A message that tells others, too, is sent again whole.
        if !waits || owed.is_bound() || !matches!(owed.notice.edge, Edge::Alarm(_)) {
            return false;
        }
        let incident = owed.notice.incident;
        let end = key_of(&self.cluster, incident, Edge::Recovery, &owed.contact, &owed.channel);
        let merged = self.outbox.get(&end).map(|end| end.progress);
        let Some(progress @ Progress::Merged { .. }) = merged else { return false };
        if let Some(owed) = self.outbox.get_mut(&key) {
            owed.progress = progress;
        }
        true
    }
}
