//! What only a leader does: stamp the time, tick, expand maintenance windows, begin drills, look
//! after clocks and followers.
//!
//! Nothing here remembers a decision: a new leader begins from the applied state, and every loop
//! ends with the leadership.

mod clocks;
mod followers;
mod time;

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_core::command::Stamped;
use crosscheck_core::{Command, Reply};
use crosscheck_model::Timestamp;
use futures_util::future::join3;
use tokio::time::MissedTickBehavior;

use self::clocks::Clocks;
pub(crate) use self::time::Gate;
pub use self::time::{Clock, LogTime, SystemClock, agreed};
use crate::drills;
use crate::raft::Standing;
use crate::random;
use crate::replica::{Inner, Leadership};
use crate::windows;

/// Deadlines in the state machine fire on these.
const TICK: Duration = Duration::from_secs(1);
/// Between two tries to take over.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How far ahead maintenance windows are known; they are computed anew every day.
const WINDOWS_AHEAD: Duration = Duration::from_secs(8 * 24 * 60 * 60);
const WINDOWS_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Follows who leads, and leads while it is this node.
pub(crate) async fn follow(inner: Arc<Inner>) {
    let mut news = inner.node.watch();
    let mut standing = inner.node.standing();
    loop {
        publish(&inner, standing, false);
        let next = {
            // In one task with the news, so that the gate never opens after the leadership's end.
            let leading = async {
                if standing.is_leader { lead(&inner, standing).await } else { pending().await }
            };
            let another = async {
                loop {
                    match inner.node.next_standing(&mut news).await {
                        Some(next) if next == standing => {}
                        next => break next,
                    }
                }
            };
            tokio::select! {
                biased;
                next = another => next,
                never = leading => match never {},
            }
        };
        inner.gate.close();
        match next {
            Some(next) => standing = next,
            None => break,
        }
    }
    inner.leadership.send_replace(Leadership::default());
    // At a shutdown this loop ends first. So a storage error or a panic has ended Raft, and what
    // this node would go on showing is nobody's state any more.
    inner.fatal.stop("Raft has ended by itself");
}

fn publish(inner: &Inner, standing: Standing, is_leader: bool) {
    let Standing { leader, term, .. } = standing;
    inner.leadership.send_replace(Leadership { leader, term, is_leader });
}

async fn lead(inner: &Inner, standing: Standing) -> Infallible {
    // Everything that earlier leaders committed is applied after this, so the log time that
    // this one starts from is the newest.
    while !inner.node.confirm_leadership().await {
        inner.pause(RETRY_PAUSE).await;
    }
    let (_, previous) = *inner.shared.progress.borrow();
    let wall = Clocks::of_majority(inner).await.agreed(previous);
    let mut time = inner.gate.begin(previous, wall);
    // Counts in the first term of all only; nobody can guess it or use it twice.
    let cluster = format!("{:016x}{:016x}", random::number(), random::number());
    let command = Command::Lead { node: inner.id, term: standing.term, cluster };
    loop {
        let stamped = Stamped { at: time.stamp(inner.gate.clock()), command: command.clone() };
        match inner.node.propose(&stamped).await {
            Ok(_) => break,
            Err(error) => tracing::debug!(%error, "cannot take over yet"),
        }
        inner.pause(RETRY_PAUSE).await;
    }
    tracing::info!(term = standing.term, "this node leads");
    // All that this node found in its log is applied by now.
    let (_, reached) = *inner.shared.progress.borrow();
    time.reach(reached, inner.gate.clock());
    inner.gate.open(time);
    publish(inner, standing, true);
    join3(tick(inner), clocks::keep(inner), followers::keep(inner)).await.0
}

async fn tick(inner: &Inner) -> Infallible {
    let mut ticks = tokio::time::interval(TICK);
    // Time that was missed has passed all the same: one tick tells it.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut expanded = None;
    loop {
        ticks.tick().await;
        // First, so that nothing is told of a check whose maintenance began while nobody led.
        if let Some(command) = expand(inner, &mut expanded)
            && !propose(inner, command).await
        {
            expanded = None;
        }
        for drill in inner.shared.read(drills::due) {
            propose(inner, drill).await;
        }
        propose(inner, Command::Tick).await;
    }
}

/// Whether the command was carried out; if not, the next tick or the next leader comes again.
async fn propose(inner: &Inner, command: Command) -> bool {
    let Some(at) = inner.gate.stamp() else { return false };
    let done = inner.node.propose(&Stamped { at, command }).await;
    if let Err(error) = &done {
        tracing::debug!(%error, "a leader's command was not taken");
    }
    matches!(done, Ok(Reply::Done))
}

/// The windows of the next days, when they may differ from those in the state.
fn expand(inner: &Inner, expanded: &mut Option<(u64, Timestamp)>) -> Option<Command> {
    let fresh = inner.shared.read(|state| {
        let due = expanded.is_none_or(|(revision, at)| {
            revision != state.revision || state.now.since(at) >= WINDOWS_EVERY
        });
        due.then(|| {
            *expanded = Some((state.revision, state.now));
            let windows = windows::expand(&state.config.maintenance, state.now, WINDOWS_AHEAD);
            let revision = state.revision;
            (windows != state.windows).then_some(Command::Windows { revision, windows })
        })
    });
    fresh.flatten()
}
