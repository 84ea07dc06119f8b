//! The newcomer's side: asking to be let in, at each start, until this node votes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Change, Changed};
use crate::replica::{Ending, Inner};

/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// A change waits for commits, and possibly for an election.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How many questions go by between two lines of the log.
const TOLD_EVERY: u32 = 20;

/// Asks the leader, wherever it is, until this node votes at the URL it is reached at now.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut asked = 0_u32;
    let mut known_leader = None;
    loop {
        let changed = ask(&inner, known_leader.take()).await;
        match changed {
            Changed::Done => {
                if asked > 0 {
                    tracing::info!("this node votes from now on");
                }
                return;
            }
            Changed::Removed(reason) => {
                inner.end(Ending::Removed(reason));
                return;
            }
            Changed::Refused(reason) => {
                inner.end(Ending::Refused(reason));
                return;
            }
            Changed::Learning { behind } if asked.is_multiple_of(TOLD_EVERY) => {
                tracing::info!(behind, "catching up; this node does not vote yet");
            }
            Changed::NotLeader(Some(leader)) => known_leader = Some(leader),
            Changed::Unknown(reason) if asked.is_multiple_of(TOLD_EVERY) => {
                tracing::warn!(reason, "not let in yet; asking again");
            }
            Changed::NotLeader(None) if asked.is_multiple_of(TOLD_EVERY) => {
                tracing::info!("no leader to let this node in yet; asking again");
            }
            _ => {}
        }
        asked = asked.saturating_add(1);
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn ask(inner: &Arc<Inner>, leader: Option<(u64, String)>) -> Changed {
    let change =
        Change::Admit { node: inner.id, url: inner.url.clone(), level: inner.program.level };
    if inner.leadership.borrow().is_leader {
        return super::change::carry_out(inner, change).await;
    }
    let candidates: BTreeMap<u64, String> = match leader {
        Some(leader) => BTreeMap::from([leader]),
        None => inner.acquaintances(),
    };
    for (id, url) in candidates {
        let to = (id, url.as_str());
        match inner.peers.call(to, "change", &change, ANSWER_LIMIT).await {
            Ok(Changed::NotLeader(None)) => {}
            Ok(changed) => return changed,
            Err(error) => tracing::debug!(%error, "a coordinator was not reached"),
        }
    }
    Changed::NotLeader(None)
}
