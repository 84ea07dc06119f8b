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

/// A message that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mail {
    pub(super) key: Key,
    /// Stands for what it says.
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
        Box::pin(async move { carry(&ground, me, &errand.owed).await })
    })
}

async fn carry(shared: &Shared, me: Life, owed: &Owed) -> SendResult {
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
    if taken && take(shared, me, owed) {
        // The process is as good as dead.
        std::future::pending::<()>().await;
    }
    sleep(ends).await;
    if knows(shared, me, key, &result) {
        std::future::pending::<()>().await;
    }
    result
}

/// The process knows what came of it; whether it dies before it tells anybody.
fn knows(shared: &Shared, me: Life, key: Key, result: &SendResult) -> bool {
    let mut ground = shared.lock();
    if matches!(result, SendResult::Refused(_)) {
        *ground.sink.refused.entry(key).or_default() += 1;
    }
    ground.perhaps_kill(me, Step::ResultKnown)
}

/// The server takes the message; whether the process that sends it dies of it.
fn take(shared: &Shared, me: Life, owed: &Owed) -> bool {
    let body = postcard::to_stdvec(&owed.notice).expect("a notice has bytes");
    let mut ground = shared.lock();
    let key = owed.key;
    ground.sink.mails.push(Mail { key, body: fnv(0, &body) });
    let (edge, incident) = (owed.notice.edge, owed.notice.incident);
    ground.tell(format!("mail {key}: {edge:?} of incident {incident}"));
    ground.perhaps_kill(me, Step::ContentTaken)
}

fn ambiguous() -> SendResult {
    SendResult::Ambiguous("the answer was lost".to_owned())
}
