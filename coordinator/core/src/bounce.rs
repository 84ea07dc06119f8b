//! Mails that come back: a server took one, and says later that it could not be delivered
//! (RFC 3464). Then nobody has it, whatever was settled.

use std::collections::BTreeSet;

use crate::command::Reply;
use crate::effect::Effect;
use crate::incident::EventKind;
use crate::outbox::{Key, Owed, Progress};
use crate::state::State;

impl State {
    /// A mail has come back from one of its addresses, for good. Where the contact has no other,
    /// the notification is refused after all, and an alarm is told by other ways.
    pub(crate) fn bounce(
        &mut self,
        key: Key,
        recipient: &str,
        why: &str,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let Some(owed) = self.outbox.get(&key) else {
            return Reply::Rejected(format!("nothing was sent under {key}, or it is long over"));
        };
        if matches!(owed.progress, Progress::Claimed { .. }) {
            return Reply::Rejected(format!("{key} is being sent just now: say it again"));
        }
        let channel = owed.channel.clone();
        let mut is_news = false;
        for told in self.keys_told_by(key) {
            is_news |= self.bounce_one(told, recipient, why, effects);
        }
        if is_news {
            effects.push(Effect::Attempted { channel, outcome: "bounced" });
            effects.push(Effect::Owed);
        }
        Reply::Done
    }

    /// The same for one of the notifications that the mail told; whether it was not known before.
    fn bounce_one(
        &mut self,
        key: Key,
        recipient: &str,
        why: &str,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let now = self.now;
        let Some(owed) = self.outbox.get_mut(&key) else { return false };
        let contact = self.config.contacts.get(&owed.contact);
        let addresses = contact.map(|contact| &contact.mail[..]).unwrap_or_default();
        let back = address_of(addresses, recipient);
        if owed.progress.is_lost() || !owed.bounced.insert(back.clone()) {
            return false;
        }
        owed.last_error = Some(format!("it came back from {back}: {why}"));
        let text = format!("{} by {}: it came back from {back}: {why}", owed.contact, owed.channel);
        let nobody_has_it = owed.has_come_back(addresses);
        if nobody_has_it {
            owed.progress = Progress::Refused { at: now };
        }
        let id = owed.notice.incident;
        if let Some(incident) = self.incidents.get_mut(&id) {
            incident.note(now, EventKind::Undelivered, text, Vec::new());
            effects.push(Effect::Incident(id));
        }
        if nobody_has_it {
            self.mark_lost_alarms(key);
            self.reroute_lost(key, effects);
        }
        true
    }
}

impl Owed {
    /// It has come back from all addresses that its contact has.
    fn has_come_back(&self, addresses: &[String]) -> bool {
        let known: BTreeSet<String> = addresses.iter().map(|to| to.to_lowercase()).collect();
        known.iter().all(|to| self.bounced.contains(to))
    }
}

/// Which of the contact's addresses is meant: servers on the way may have written another one for
/// it, and where there is one only, it is that.
fn address_of(addresses: &[String], recipient: &str) -> String {
    match addresses {
        [only] => only.to_lowercase(),
        _ => recipient.to_lowercase(),
    }
}
