//! How a removal comes to its end: a leader finishes what another has begun, and a coordinator that
//! was removed learns of it by asking, since nobody sends it anything any more.

use std::sync::Arc;
use std::time::Duration;

use super::change::{finish_removals, removed};
use crate::raft::Answer;
use crate::replica::{Ending, Inner};

/// Between two looks whether the cluster goes on as seen from here.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A short question.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// While this node leads, takes out whoever is on record as removed.
pub(crate) async fn finish(inner: Arc<Inner>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        finish_removals(&inner).await;
    }
}

/// While this node hears of no progress, asks the others whether it still belongs to them.
pub(crate) async fn watch(inner: Arc<Inner>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if inner.has_quorum() {
            continue;
        }
        for (id, url) in inner.acquaintances() {
            let to = (id, url.as_str());
            let answer = inner.peers.call(to, "belongs", &inner.id, ANSWER_LIMIT).await;
            match answer {
                Ok(Answer(Some(false))) => {
                    inner.end(Ending::Removed(removed(inner.id)));
                    return;
                }
                // It belongs, or nobody there has heard of it yet, or nobody is there.
                Ok(Answer(_)) => {}
                Err(error) => tracing::debug!(%error, "a coordinator was not reached"),
            }
        }
    }
}
