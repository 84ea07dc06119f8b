//! The probes' side door: sessions, reports, orders. Thin: everything is decided in the state
//! machine, on the leader or not.
//!
//! A probe in the same process uses [`ProbeGate`] itself; others come through [`routes`].

mod body;
mod bounds;
mod orders;
mod pace;
mod routes;
#[cfg(test)]
pub(crate) mod tests;

use std::pin::Pin;
use std::sync::Arc;

use crosscheck_core::{Command, Reply};
use crosscheck_model::ProbeId;
use crosscheck_model::join::Fingerprint;
use crosscheck_model::wire::{Hello, Order, Receipt, Refusal, Report, Welcome};
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

pub use self::body::{Unreadable, read};
pub use self::bounds::{bound, bound_hello, fits};
use self::pace::Pace;
pub use self::routes::routes;
use crate::operator::Place;
use crate::replica::Replica;

/// Orders that may wait for a slow probe. A full queue ends the stream: the probe comes back and
/// gets everything anew, which is less than what it missed.
const ORDERS_QUEUE: usize = 64;

/// What probes ask for.
#[derive(Clone)]
pub struct ProbeGate {
    replica: Replica,
    pace: Arc<Pace>,
}

impl ProbeGate {
    /// Answers from this replica; what must be decided goes to the leader.
    pub fn new(replica: Replica) -> Self {
        Self { replica, pace: Arc::default() }
    }

    /// Opens a session.
    ///
    /// # Errors
    /// The state machine's refusal, or [`Refusal::Unavailable`] without a leader.
    pub async fn open(&self, mut hello: Hello) -> Result<Welcome, Refusal> {
        self.pace.session(&hello.probe)?;
        bound_hello(&mut hello);
        self.open_by(Command::Open(hello)).await
    }

    /// Opens a session for a probe that has proved to hold `key`.
    ///
    /// # Errors
    /// As [`Self::open`]; and whoever is not admitted is forbidden.
    pub async fn open_as(&self, mut hello: Hello, key: Fingerprint) -> Result<Welcome, Refusal> {
        // Who is not known here must not fill the log with attempts, nor who is with sessions.
        self.admit(&hello.probe, &key)?;
        self.pace.session(&hello.probe)?;
        bound_hello(&mut hello);
        self.open_by(Command::OpenAs { hello, key }).await
    }

    /// Whether a probe that has proved to hold `key` may speak under this name, as far as this
    /// replica knows.
    ///
    /// # Errors
    /// It may not; or this replica is cut off, and cannot know.
    pub fn admit(&self, probe: &ProbeId, key: &Fingerprint) -> Result<(), Refusal> {
        let known = self.replica.read(|state| {
            state.identities.contains_key(probe).then(|| state.admits(probe, key).is_some())
        });
        match known {
            Some(true) => Ok(()),
            Some(false) if self.replica.has_quorum() => Err(Refusal::Forbidden),
            // The authority has vouched for it, so this replica is behind the one that let it in.
            Some(false) | None => Err(Refusal::Unavailable),
        }
    }

    async fn open_by(&self, command: Command) -> Result<Welcome, Refusal> {
        match self.replica.submit(command).await {
            Ok(Reply::Opened(answer)) => answer,
            Ok(other) => {
                tracing::error!(?other, "a request for a session got another command's reply");
                Err(Refusal::Unavailable)
            }
            // A session that was opened all the same is replaced by the next one.
            Err(_) => Err(Refusal::Unavailable),
        }
    }

    /// Takes a report, cut to its bounds; the receipt means that it is on a majority of disks.
    ///
    /// # Errors
    /// The state machine's refusal, or [`Refusal::Unavailable`] without a leader: the probe
    /// sends it again, under the same number.
    pub async fn report(&self, mut report: Report) -> Result<Receipt, Refusal> {
        self.pace.report(&report.probe)?;
        bounds::bound(&mut report);
        let rate = || self.replica.read(|state| pace::most_of(state, &report.probe));
        let (probe, observations) = (report.probe.clone(), report.observations.len());
        self.pace.volume(&probe, observations, rate)?;
        let taken = self.replica.submit_report(report).await;
        if taken.is_err() {
            self.pace.give_back(&probe, observations);
        }
        taken
    }

    /// A place for one more stream of orders over the network.
    fn place_for(&self, probe: &ProbeId) -> Result<Place<ProbeId>, Refusal> {
        self.pace.stream(probe)
    }

    /// The orders for a probe's session: first the log time and all that it is to run, then what
    /// changes, until [`Order::Renew`] or until the probe is too slow.
    pub fn orders(
        &self,
        probe: ProbeId,
        epoch: u64,
    ) -> Pin<Box<dyn Stream<Item = Order> + Send + 'static>> {
        let (sender, receiver) = mpsc::channel(ORDERS_QUEUE);
        self.replica.0.spawn(orders::feed(self.replica.clone(), probe, epoch, sender));
        Box::pin(ReceiverStream::new(receiver))
    }
}
