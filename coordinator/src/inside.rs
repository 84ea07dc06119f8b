//! A probe in the coordinator's own process: the same machine, another way to talk.

use std::sync::Arc;

use crosscheck_model::ProbeId;
use crosscheck_model::wire::{Hello, Receipt, Refusal, Report, Welcome};
use crosscheck_probe::link::{Link, Orders};
use crosscheck_probe::uplink::Failure;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;

use crate::ingest::ProbeGate;

/// Whether the probe reaches the coordinator of this place in the list, now.
pub type Reach = Arc<dyn Fn(usize) -> bool + Send + Sync>;

/// Talks to coordinators of this process.
pub struct InsideLink {
    gates: Vec<ProbeGate>,
    reach: Reach,
}

impl InsideLink {
    /// Always reaches them.
    pub fn new(gates: Vec<ProbeGate>) -> Self {
        Self { gates, reach: Arc::new(|_| true) }
    }

    /// Reaches those that `reach` says.
    pub fn with_reach(gates: Vec<ProbeGate>, reach: Reach) -> Self {
        Self { gates, reach }
    }

    fn gate(&self, coordinator: usize) -> Option<ProbeGate> {
        self.gates.get(coordinator).filter(|_| (self.reach)(coordinator)).cloned()
    }
}

fn unreachable() -> Failure {
    Failure::Unreachable("cut off".to_owned())
}

fn refused(refusal: Refusal) -> Failure {
    Failure::Refused(refusal)
}

impl Link for InsideLink {
    fn coordinators(&self) -> usize {
        self.gates.len()
    }

    fn open(
        &self,
        coordinator: usize,
        hello: Hello,
    ) -> BoxFuture<'static, Result<Welcome, Failure>> {
        let gate = self.gate(coordinator);
        Box::pin(async move { gate.ok_or_else(unreachable)?.open(hello).await.map_err(refused) })
    }

    fn report(
        &self,
        coordinator: usize,
        report: Arc<Report>,
    ) -> BoxFuture<'static, Result<Receipt, Failure>> {
        let gate = self.gate(coordinator);
        Box::pin(async move {
            let report = Arc::unwrap_or_clone(report);
            gate.ok_or_else(unreachable)?.report(report).await.map_err(refused)
        })
    }

    fn orders(
        &self,
        coordinator: usize,
        probe: ProbeId,
        epoch: u64,
    ) -> BoxFuture<'static, Result<Orders, Failure>> {
        let (gate, reach) = (self.gate(coordinator), self.reach.clone());
        Box::pin(async move {
            let orders = gate.ok_or_else(unreachable)?.orders(probe, epoch);
            let heard = orders.take_while(move |_| std::future::ready(reach(coordinator)));
            Ok(heard.map(Ok).boxed())
        })
    }
}
