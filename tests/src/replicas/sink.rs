//! The mail server: what it takes, and how it fails.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_coordinator::courier::{Carrier, Errand};
use crosscheck_coordinator::dispatch::SEND_DEADLINE;
use crosscheck_core::outbox::{Key, Owed, Progress, SendResult};
use tokio::time::sleep;

use super::fault::{Fault, Step};
use super::ground::{Life, Shared};
use crate::sim::trace::fnv;

/// A notification in a message that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mail {
    pub(super) key: Key,
    /// Stands for the message's id and what it says.
    pub(super) body: u64,
}

/// A node has begun to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) seat: usize,
    pub(super) key: Key,
    pub(super) number: u32,
    /// The term of the claim, as the node sees it.
    pub(super) term: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Sink {
    /// What is wrong with it at present.
    pub(super) trouble: Option<Fault>,
    pub(super) mails: Vec<Mail>,
    pub(super) attempts: Vec<Attempt>,
    /// Refused for good.
    pub(super) refused: BTreeMap<Key, u32>,
}

/// The way from a process to the mail server.
pub(super) fn carrier(ground: &Shared, me: Life) -> Carrier {
    let ground = ground.clone();
    std::sync::Arc::new(move |errand: Errand| {
        let ground = ground.clone();
        Box::pin(async move { carry(&ground, me, &errand).await })
    })
}

async fn carry(shared: &Shared, me: Life, errand: &Errand) -> SendResult {
    let owed = &errand.owed;
    let key = owed.key;
    let (trouble, quick, coin) = {
        let mut ground = shared.lock();
        let (seat, number) = (me.seat, owed.attempts);
        let term = match owed.progress {
            Progress::Claimed { term, .. } => Some(term),
            _ => None,
        };
        ground.sink.attempts.push(Attempt { seat, key, number, term });
        ground.tell(format!("seat {seat} begins to send {key}, attempt {number}"));
        let trouble = ground.sink.trouble;
        if let Some(trouble) = trouble {
            ground.coverage.fault(trouble);
        }
        ground.perhaps_kill(me, Step::SendBegun);
        (trouble, ground.random.millis(50, 900), ground.random.chance(500))
    };
    sleep(quick).await;
    let (taken, ends, result) = match trouble {
        Some(Fault::MailRetry) => (false, quick, SendResult::Retry("450".to_owned())),
        Some(Fault::MailRefused) => (false, quick, SendResult::Refused("550".to_owned())),
        Some(Fault::MailAmbiguous) => (true, quick, ambiguous()),
        Some(Fault::MailBroken) => (false, quick, ambiguous()),
        Some(Fault::MailHang) => (coin, SEND_DEADLINE - quick, ambiguous()),
        _ => (true, Duration::from_millis(20), SendResult::Delivered),
    };
    if taken && take(shared, me, errand) {
        // The process is as good as dead.
        std::future::pending::<()>().await;
    }
    sleep(ends).await;
    if knows(shared, me, errand, &result) {
        std::future::pending::<()>().await;
    }
    result
}

/// The process knows what came of it; whether it dies before it tells anybody.
fn knows(shared: &Shared, me: Life, errand: &Errand, result: &SendResult) -> bool {
    let mut ground = shared.lock();
    if matches!(result, SendResult::Refused(_)) {
        for owed in told(errand) {
            *ground.sink.refused.entry(owed.key).or_default() += 1;
        }
    }
    ground.perhaps_kill(me, Step::ResultKnown)
}

/// The server takes the message; whether the process that sends it dies of it.
fn take(shared: &Shared, me: Life, errand: &Errand) -> bool {
    let said: Vec<_> = told(errand).map(|owed| (owed.key, &owed.notice)).collect();
    let body = fnv(0, &postcard::to_stdvec(&said).expect("notices have bytes"));
    let mut ground = shared.lock();
    for (key, notice) in said {
        ground.sink.mails.push(Mail { key, body });
        ground.tell(format!("mail {key}: {:?} of incident {}", notice.edge, notice.incident));
    }
    ground.perhaps_kill(me, Step::ContentTaken)
}

/// What a message tells.
fn told(errand: &Errand) -> impl Iterator<Item = &Owed> {
    std::iter::once(&errand.owed).chain(&errand.others)
}

fn ambiguous() -> SendResult {
    SendResult::Ambiguous("the answer was lost".to_owned())
}
