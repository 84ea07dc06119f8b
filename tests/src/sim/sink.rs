//! Where notifications go: channels that take messages, refuse them, hang, or take them and lose
//! the answer.

use std::collections::BTreeMap;

use crosscheck_coordinator::dispatch::{Event, SEND_DEADLINE};
use crosscheck_core::outbox::{Edge, Key, Owed, SendResult};
use crosscheck_model::{ContactId, IncidentId};

use super::fault::Fault;
use super::plan::addresses;
use super::trace::fnv;
use super::world::World;

/// A message that a channel has taken.
#[derive(Clone, Debug)]
pub(super) struct Mail {
    /// What its Message-ID is made of.
    pub(super) key: Key,
    /// Stands for its text.
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
}

#[derive(Debug, Default)]
pub(super) struct Sink {
    /// What is wrong with each channel at present.
    pub(super) troubles: BTreeMap<String, Fault>,
    pub(super) mails: Vec<Mail>,
    /// Refused for good, by key.
    pub(super) refused: BTreeMap<Key, u32>,
}

impl World {
    /// The node hands a notification to its channel.
    pub(super) fn send(&mut self, node: usize, key: Key) {
        let Some(owed) = self.state().outbox.get(&key).cloned() else { return };
        let attempt = Attempt { node, owed: owed.clone() };
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
        let takes = quick.min(ends) / 2;
        if taken {
            self.after(takes, "take", move |world| {
                // A connection dies with its process.
                if world.nodes[node].life == life {
                    world.take(owed, to);
                    world.perhaps_kill(node, life);
                }
            });
        }
        self.after(ends, "sent", move |world| {
            if matches!(result, SendResult::Refused(_)) && world.nodes[node].life == life {
                *world.sink.refused.entry(key).or_default() += 1;
            }
            world.dispatch_if_alive(node, life, Event::Sent(key, result));
        });
    }

    fn take(&mut self, owed: Owed, to: Vec<String>) {
        let body = postcard::to_stdvec(&owed.notice).expect("a notice has bytes");
        let mail = Mail {
            key: owed.key,
            body: fnv(0, &body),
            incident: owed.notice.incident,
            edge: owed.notice.edge,
            contact: owed.contact,
            channel: owed.channel,
            to,
        };
        self.counts.mails += 1;
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
