//! One probe's stream of orders, fed from what this replica applies.

use std::cmp::Ordering;
use std::time::Duration;

use crosscheck_core::{Effect, State};
use crosscheck_model::ProbeId;
use crosscheck_model::wire::{HEARTBEAT_SECONDS, Order};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, timeout};

use crate::replica::Replica;

/// How long this replica may be behind the leader that opened the session.
const LEARN_LIMIT: Duration = Duration::from_secs(10);

/// What the applied state knows of the session that a probe names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    /// It is the probe's present one.
    Current,
    /// This replica has not heard of it yet: epochs grow.
    NotYet,
    /// The probe has a newer one: this belongs to an earlier life, or to a second machine.
    Replaced,
}

fn session(state: &State, probe: &ProbeId, epoch: u64) -> Session {
    match state.probes.get(probe).map(|known| known.epoch.cmp(&epoch)) {
        Some(Ordering::Equal) => Session::Current,
        Some(Ordering::Greater) => Session::Replaced,
        Some(Ordering::Less) | None => Session::NotYet,
    }
}

/// Sends orders until the session ends, the receiver goes, or it is too slow.
pub(super) async fn feed(
    replica: Replica,
    probe: ProbeId,
    epoch: u64,
    orders: mpsc::Sender<Order>,
) {
    // Before anything is looked at, so that no change falls in between.
    let mut effects = replica.subscribe();
    let stream = Stream { replica, probe, epoch, orders };
    let known = timeout(LEARN_LIMIT, stream.learn()).await;
    if known.ok() != Some(Session::Current) {
        return stream.renew();
    }
    if stream.begin().is_none() {
        return;
    }
    let every = Duration::from_secs(HEARTBEAT_SECONDS);
    let mut beats = interval_at(Instant::now() + every, every);
    loop {
        let sent = tokio::select! {
            // In a simulation, what comes first must not be left to chance.
            biased;
            () = stream.orders.closed() => return,
            _ = beats.tick() => stream.beat(),
            applied = effects.recv() => match applied {
                Ok(applied) => applied.iter().try_for_each(|effect| stream.pass_on(effect)),
                // Too much was missed: the probe begins anew.
                Err(_) => None,
            },
        };
        if sent.is_none() {
            return;
        }
    }
}

struct Stream {
    replica: Replica,
    probe: ProbeId,
    epoch: u64,
    orders: mpsc::Sender<Order>,
}

/// Each step gives `None` when the stream is to end.
impl Stream {
    async fn learn(&self) -> Session {
        let mut progress = self.replica.0.shared.progress.subscribe();
        loop {
            let session = self.session();
            if session != Session::NotYet || progress.changed().await.is_err() {
                return session;
            }
        }
    }

    fn session(&self) -> Session {
        self.replica.read(|state| session(state, &self.probe, self.epoch))
    }

    fn begin(&self) -> Option<()> {
        self.heartbeat()?;
        self.assign()
    }

    fn beat(&self) -> Option<()> {
        if self.session() == Session::Current {
            return self.heartbeat();
        }
        self.renew();
        None
    }

    /// A replica that is cut off says nothing: the probe must look for another one, and its
    /// session must not stay alive on an old time.
    fn heartbeat(&self) -> Option<()> {
        if !self.replica.has_quorum() {
            return Some(());
        }
        self.send(Order::Heartbeat { now: self.replica.applied().1 })
    }

    fn assign(&self) -> Option<()> {
        let assignment = self.replica.read(|state| state.assignment(&self.probe));
        self.send(Order::Assignment(Box::new(assignment)))
    }

    fn pass_on(&self, effect: &Effect) -> Option<()> {
        match effect {
            Effect::Reassigned(probes) if probes.contains(&self.probe) => self.assign(),
            Effect::Confirm { check, probes, nonce } if probes.contains(&self.probe) => {
                self.send(Order::Confirm { check: check.clone(), nonce: *nonce })
            }
            _ => Some(()),
        }
    }

    fn renew(&self) {
        // Should it be lost, the end of the stream leads to the same.
        let _ = self.send(Order::Renew);
    }

    fn send(&self, order: Order) -> Option<()> {
        self.orders.try_send(order).ok()
    }
}
