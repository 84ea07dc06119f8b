//! The cluster's format level, raised when every coordinator runs a program that reads more.

use std::sync::Arc;
use std::time::Duration;

use crosscheck_core::level::Level;
use crosscheck_core::{Command, Reply, State};
use futures_util::future::join_all;

use crate::replica::{Inner, Replica};

/// Between two looks whether the upgrade is done.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Raises the level while this node leads and its program knows more than the cluster writes.
pub(crate) async fn run(inner: Arc<Inner>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let level = inner.shared.read(State::level);
        if level < inner.program.level && inner.leadership.borrow().is_leader {
            raise(&inner, level).await;
        }
    }
}

async fn raise(inner: &Arc<Inner>, present: Level) {
    // Meanwhile nobody is let in who reads only what the cluster writes now.
    let _turn = inner.changes.lock().await;
    let Some(level) = read_by_all(inner).await.filter(|level| *level > present) else { return };
    match inner.submit(Command::Raise { level }).await {
        Ok(Reply::Done) => {
            tracing::info!(level, "every coordinator reads this format level: it is written now");
        }
        Ok(reply) => tracing::debug!(?reply, "the format level was not raised"),
        Err(error) => tracing::debug!(%error, "the format level was not raised"),
    }
}

/// The newest level that every coordinator reads; `None` while one does not answer, for it may
/// come back as what it was.
async fn read_by_all(inner: &Arc<Inner>) -> Option<Level> {
    let replica = Replica(inner.clone());
    let group = inner.node.group();
    let asked = group.iter().map(|(id, known)| replica.ask_own(*id, &known.url));
    let told = join_all(asked).await;
    told.into_iter().map(|own| own.map(|own| own.level)).min().flatten()
}
