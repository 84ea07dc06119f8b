//! I8, grouping: what one contact is to hear by one channel of one kind, severity and cause begins
//! no two messages within ten seconds, and what shares a message is alike.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_core::outbox::{Edge, Owed};
use crosscheck_core::{Command, Reply};
use crosscheck_model::{Cause, ContactId, Severity, Status, Timestamp};

use super::{Checker, Entry, Finding, View};

const APART: Duration = Duration::from_secs(10);
/// What one message tells at most: behind a full one the next may come at once.
const FULL: usize = 500;

type Alike = (ContactId, String, Edge, Severity, Option<Cause>);

#[derive(Default)]
pub(super) struct OneMessage {
    begun: BTreeMap<Alike, (Timestamp, usize)>,
    of_several: u64,
}

impl Checker for OneMessage {
    fn name(&self) -> &'static str {
        "I8 one message for a common cause"
    }

    fn tested(&self) -> u64 {
        self.of_several
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        let (Command::Claim { key, .. }, Reply::Claimed(attempt)) =
            (&entry.stamped.command, &entry.applied.reply)
        else {
            return Ok(());
        };
        let state = view.state();
        let Some(owed) = state.outbox.get(key) else { return Ok(()) };
        let told = state.told_by(owed);
        self.of_several += u64::from(told.len() > 1);
        let like = alike(owed);
        if let Some(other) = told.iter().find(|other| alike(other) != like) {
            return Err(format!("{:?} is told in the message of {like:?}", alike(other)));
        }
        if let Some(other) = told.iter().find(|other| other.progress != owed.progress) {
            return Err(format!("{} is {:?} in another's message", other.key, other.progress));
        }
        if *attempt != 1 || owed.notice.check.is_none() {
            return Ok(());
        }
        match self.begun.insert(like.clone(), (state.now, told.len())) {
            Some((at, count)) if state.now.since(at) < APART && count < FULL => {
                Err(format!("{like:?}: a message at {at}, and another at {}", state.now))
            }
            _ => Ok(()),
        }
    }
}

fn alike(owed: &Owed) -> Alike {
    let notice = &owed.notice;
    let complaints = notice.sites.iter().filter(|site| site.status != Status::Up);
    let causes: Vec<Cause> = complaints.filter_map(|site| site.cause).collect();
    let votes = |cause: Cause| causes.iter().filter(|other| **other == cause).count();
    let most = causes.iter().map(|cause| votes(*cause)).max();
    let cause = causes.iter().copied().filter(|cause| Some(votes(*cause)) == most).min();
    (owed.contact.clone(), owed.channel.clone(), notice.edge, notice.severity, cause)
}
