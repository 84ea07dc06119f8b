//! After a snapshot of the state was installed: the measurements of those entries, fetched from
//! other members page by page.

use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use crate::history::{HistoryError, Page, Want};
use crate::raft::Answer;

/// Between two rounds over all members while none has what is lacking.
const PAUSE: Duration = Duration::from_secs(1);
/// A page is at most some MiB.
const PAGE_LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn run(inner: Arc<Inner>) {
    loop {
        while let Some(want) = inner.shared.history.wanted() {
            match round(&inner, want).await {
                Ok(true) => tracing::info!("the history is complete again"),
                Ok(false) => inner.pause(PAUSE).await,
                // The writer has stopped the node.
                Err(_) => return,
            }
        }
        inner.shared.installed.notified().await;
    }
}

/// Asks each member, the leader first; whether one had everything.
async fn round(inner: &Inner, want: Want) -> Result<bool, HistoryError> {
    let leader = inner.leadership.borrow().leader;
    let mut members: Vec<_> = inner.acquaintances().into_iter().collect();
    members.sort_by_key(|(id, _)| Some(*id) != leader);
    if members.is_empty() {
        let (after, to) = (want.after, want.to);
        tracing::warn!(after, to, "measurements of these log entries are lost: no other member");
        inner.shared.history.do_without(&want).await?;
        return Ok(true);
    }
    for (id, base) in members {
        if fetch(inner, (id, &base), want.clone()).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn fetch(inner: &Inner, member: (u64, &str), mut want: Want) -> Result<bool, HistoryError> {
    let mut first = None;
    loop {
        let page = inner.peers.call(member, "history", &want, PAGE_LIMIT).await;
        let page: Page = match page {
            Ok(Answer(Some(page))) => page,
            Ok(Answer(None)) => return Ok(false),
            Err(error) => {
                tracing::debug!(%error, "cannot fetch the history");
                return Ok(false);
            }
        };
        let next = page.next.clone();
        if !inner.shared.history.fill(&want, page, &mut first).await? {
            return Ok(false);
        }
        match next {
            Some(cursor) => want.cursor = cursor,
            None => return Ok(true),
        }
    }
}
