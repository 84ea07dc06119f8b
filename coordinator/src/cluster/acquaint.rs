//! How a member whose log is behind gets to know one that joined meanwhile: by the word of those
//! whose keys it knows.

use std::sync::Arc;
use std::time::Duration;

use crosscheck_model::join::Fingerprint;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::access::Keyring;
use crate::raft::Answer;
use crate::replica::Inner;

/// A short question.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// Between two questions: whoever is not known tries again many times a second.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Asks about every number that this node cannot recognise.
pub(crate) async fn run(inner: Arc<Inner>, keyring: Arc<Keyring>) {
    loop {
        let node = keyring.stranger().await;
        match ask(&inner, node).await {
            Some(key) => {
                tracing::info!(node, "the others vouch for this coordinator");
                keyring.learn(node, key);
            }
            None => tracing::debug!(node, "nobody here vouches for this coordinator"),
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// The key of `node`, by whoever knows it first. Only members that this node recognises are asked:
/// so says the connection.
async fn ask(inner: &Inner, node: u64) -> Option<Fingerprint> {
    let others: Vec<(u64, String)> =
        inner.acquaintances().into_iter().filter(|(id, _)| *id != node).collect();
    let asked = others.iter().map(|(id, url)| {
        inner.peers.call::<Answer<Fingerprint>>((*id, url.as_str()), "key", &node, ANSWER_LIMIT)
    });
    let mut answers: FuturesUnordered<_> = asked.collect();
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(Answer(Some(key))) => return Some(key),
            Ok(Answer(None)) => {}
            Err(error) => tracing::debug!(%error, "a coordinator was not reached"),
        }
    }
    None
}
