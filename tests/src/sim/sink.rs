//! Where notifications go: channels that take messages, refuse them, hang, or take them and lose
//! the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_coordinator::dispatch::{Event, SEND_DEADLINE};
use crosscheck_core::Command;
use crosscheck_core::outbox::{Edge, Key, Owed, Progress, SendResult};
use crosscheck_model::{ContactId, IncidentId};

use super::fault::Fault;
use super::log::Origin;
use super::plan::addresses;
use super::trace::fnv;
use super::world::World;

/// What is counted of messages that tell several notifications.
pub(super) const OF_SEVERAL: &str = "message of several";
/// .. and of those that may have arrived and are sent again whole.
pub(super) const OF_SEVERAL_AGAIN: &str = "message of several, again";

/// A notification in a message that a channel has taken.
#[derive(Clone, Debug)]
pub(super) struct Mail {
    pub(super) key: Key,
    /// Stands for the message's id and its text.
    pub(super) body: u64,
    pub(super) incident: IncidentId,
    pub(super) edge: Edge,
    pub(super) contact: ContactId,
    pub(super) channel: String,
    /// The contact's addresses that it went to.
    pub(super) to: Vec<String>,
}

/// An attempt to send.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) node: usize,
    pub(super) owed: Owed,
    /// What the message tells, that notification first.
    pub(super) told: Vec<Owed>,
}

#[derive(Debug, Default)]
pub(super) struct Sink {
    /// What is wrong with each channel at present.
    pub(super) troubles: BTreeMap<String, Fault>,
    pub(super) mails: Vec<Mail>,
    /// Refused for good, by key.
    pub(super) refused: BTreeMap<Key, u32>,
    /// The addresses from which each came back.
    pub(super) back: BTreeMap<Key, BTreeSet<String>>,
}

impl Sink {
    /// The channel has said that nobody has it, and nobody will.
    pub(super) fn has_nobody(&self, owed: &Owed) -> bool {
        let back = self.back.get(&owed.key);
        let from = |address: &String| back.is_some_and(|back| back.contains(address));
        self.refused.contains_key(&owed.key) || addresses(owed.contact.as_str()).iter().all(from)
    }
}

impl World {
    /// The node hands a notification to its channel.
    pub(super) fn send(&mut self, node: usize, key: Key) {
        let Some(owed) = self.state().outbox.get(&key).cloned() else { return };
        let told: Vec<Owed> = self.state().told_by(&owed).into_iter().cloned().collect();
        if told.len() > 1 {
            let again = owed.ambiguous > 0 || !owed.reached.is_empty();
            self.coverage.hit(if again { OF_SEVERAL_AGAIN } else { OF_SEVERAL });
        }
        let attempt = Attempt { node, owed: owed.clone(), told: told.clone() };
        self.check(|checker, view| checker.send(view, &attempt));
        let life = self.nodes[node].life;
        self.perhaps_kill(node, life);
        let trouble = self.sink.troubles.get(&owed.channel).copied();
        if let Some(fault) = trouble {
            self.coverage.fault(fault);
        }
        let quick = self.random.millis(50, 900);
        let coin = self.random.chance(500);
        let mut to = addresses(owed.contact.as_str()).to_vec();
        to.retain(|address| !owed.reached.contains(address));
        let (taken, ends, result) = match trouble {
            Some(Fault::MailPartly) if to.len() > 1 => {
                to.truncate(1);
                let why = "450 for the other".to_owned();
                (true, quick, SendResult::Partly { reached: to.clone(), why })
            }
            Some(Fault::MailSlow) => (true, self.random.secs(5, 55), SendResult::Delivered),
            Some(Fault::MailRetry) => (false, quick, SendResult::Retry("450".to_owned())),
            Some(Fault::MailRefused) => (false, quick, SendResult::Refused("550".to_owned())),
            Some(Fault::MailAmbiguous) => (true, quick, ambiguous()),
            Some(Fault::MailBroken) => (false, quick, ambiguous()),
            Some(Fault::MailHang) => (coin, SEND_DEADLINE, ambiguous()),
            _ => (true, quick, SendResult::Delivered),
        };
        if taken && trouble.is_none() && owed.channel == "mail" {
            self.perhaps_bounce(key, &to);
        }
        let takes = quick.min(ends) / 2;
        let keys: Vec<Key> = told.iter().map(|owed| owed.key).collect();
        if taken {
            self.after(takes, "take", move |world| {
                // A connection dies with its process.
                if world.nodes[node].life == life {
                    world.take(&told, &to);
                    world.perhaps_kill(node, life);
                }
            });
        }
        self.after(ends, "sent", move |world| {
            if matches!(result, SendResult::Refused(_)) && world.nodes[node].life == life {
                for key in keys {
                    *world.sink.refused.entry(key).or_default() += 1;
                }
            }
            world.dispatch_if_alive(node, life, Event::Sent(key, result));
        });
    }

    /// Some mails come back: from one of the addresses, or from all.
    fn perhaps_bounce(&mut self, key: Key, to: &[String]) {
        let armed = self.plan.has(Fault::MailBounce) && !self.healing;
        if !armed || !self.random.chance(150) {
            return;
        }
        self.coverage.fault(Fault::MailBounce);
        let all = self.random.chance(700);
        for recipient in to.iter().take(if all { to.len() } else { 1 }) {
            let after = self.random.secs(2, 400);
            self.come_back(after, key, recipient.clone());
        }
    }

    /// Whoever gets what comes back tells it to the leader, until it is known.
    fn come_back(&mut self, after: Duration, key: Key, recipient: String) {
        self.after(after, "bounce", move |world| {
            let Some(owed) = world.state().outbox.get(&key) else { return };
            if owed.bounced.contains(&recipient) || owed.progress.is_lost() {
                return;
            }
            if world.log.is_led() && !matches!(owed.progress, Progress::Claimed { .. }) {
                let told: Vec<Key> =
                    world.state().told_by(owed).into_iter().map(|owed| owed.key).collect();
                for key in told {
                    world.sink.back.entry(key).or_default().insert(recipient.clone());
                }
                let (recipient, why) = (recipient.clone(), "550 no such user".to_owned());
                world.propose(Command::Bounce { key, recipient, why }, Origin::Nobody);
            }
            world.come_back(Duration::from_secs(10), key, recipient);
        });
    }

    fn take(&mut self, told: &[Owed], to: &[String]) {
        let said: Vec<_> = told.iter().map(|owed| (owed.key, &owed.notice)).collect();
        let body = fnv(0, &postcard::to_stdvec(&said).expect("notices have bytes"));
        self.counts.mails += 1;
        for owed in told {
            self.take_one(owed, body, to.to_vec());
        }
    }

    fn take_one(&mut self, owed: &Owed, body: u64, to: Vec<String>) {
        let mail = Mail {
            key: owed.key,
            body,
            incident: owed.notice.incident,
            edge: owed.notice.edge,
            contact: owed.contact.clone(),
            channel: owed.channel.clone(),
            to,
        };
        self.counts.alarms += u64::from(matches!(mail.edge, Edge::Alarm(_)));
        let text = format!(
            "mail {:?} of incident {} to {} by {}",
            mail.edge, mail.incident, mail.contact, mail.channel
        );
        self.tell(text);
        self.check(|checker, view| checker.mail(view, &mail));
        self.sink.mails.push(mail);
    }
}

fn ambiguous() -> SendResult {
    SendResult::Ambiguous("the answer was lost".to_owned())
}
