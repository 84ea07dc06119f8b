//! How a coordinator learns that it was removed: nobody sends it anything any more, so it asks.

use std::sync::Arc;
use std::time::Duration;

use super::change::removed;
use crate::raft::Answer;
use crate::replica::{Ending, Inner};

/// Between two looks whether the cluster goes on as seen from here.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A short question.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

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
