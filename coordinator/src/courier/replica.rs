//! The courier on this node's replica.

use std::sync::Arc;

use crosscheck_core::{Command, Effect, Reply, State};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Carrier, Courier, Log, News};
use crate::replica::Replica;

/// News that wait for the courier: more of "something is owed" would tell it nothing new.
const NEWS_LIMIT: usize = 16;

impl Log for Replica {
    async fn submit(&self, command: Command) -> Result<Reply, String> {
        Self::submit(self, command).await.map_err(|error| error.to_string())
    }

    async fn still_leads(&self, term: u64) -> bool {
        self.confirm_leadership().await && leads(self) == Some(term)
    }

    fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        Self::read(self, look)
    }
}

/// Drains the outbox whenever this replica leads, until `stop`; then until what has begun is
/// settled or its lease over.
pub async fn run(replica: Replica, carry: Carrier, stop: CancellationToken) {
    let (tell, news) = mpsc::channel(NEWS_LIMIT);
    let node = replica.0.id;
    let courier = Courier::new(Arc::new(replica.clone()), node, carry);
    tokio::select! {
        () = courier.run(news, stop) => {}
        // Ends with the replica only, and the courier then has no log left to tell.
        () = follow(&replica, tell) => {}
    }
}

fn leads(replica: &Replica) -> Option<u64> {
    let leadership = *replica.leadership().borrow();
    leadership.is_leader.then_some(leadership.term)
}

/// Tells who leads, first of all, and when something becomes owed.
async fn follow(replica: &Replica, tell: mpsc::Sender<News>) {
    let mut leadership = replica.leadership();
    let mut effects = replica.subscribe();
    let mut told = None;
    loop {
        leadership.mark_unchanged();
        let lead = leads(replica);
        if lead != told {
            told = lead;
            // The courier hears no more once it is stopped; it is still waited for.
            let _ = tell.send(News::Lead(lead)).await;
        }
        tokio::select! {
            changed = leadership.changed() => if changed.is_err() { break },
            applied = effects.recv() => {
                let is_owed = match applied {
                    Ok(effects) => effects.contains(&Effect::Owed),
                    Err(RecvError::Lagged(_)) => true,
                    Err(RecvError::Closed) => break,
                };
                if is_owed {
                    let _ = tell.try_send(News::Owed);
                }
            }
        }
    }
}
