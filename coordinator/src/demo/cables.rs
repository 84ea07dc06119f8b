//! The cables that the visitor cuts: what a probe reaches goes through one of these.

use std::sync::Arc;
use std::time::Duration;

use crosscheck_model::evidence::Found;
use crosscheck_model::wire::{Assigned, Hello, Receipt, Report, Welcome};
use crosscheck_model::{Cause, CheckId, Outcome, Place, ProbeId, Status};
use crosscheck_probe::health::{Answer, Reference};
use crosscheck_probe::link::{HttpLink, Link, Orders};
use crosscheck_probe::runner::{KindProber, Prober};
use crosscheck_probe::uplink::Failure;
use futures_util::future::{BoxFuture, ready};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;

use super::scene::SitePlan;
use super::switchboard::Switches;

/// Runs checks, unless the way to the targets is cut.
pub(super) struct CutProber {
    inner: KindProber,
    site: &'static SitePlan,
    switches: watch::Receiver<Switches>,
}

impl CutProber {
    /// The way from this site.
    pub(super) fn new(
        inner: KindProber,
        site: &'static SitePlan,
        switches: watch::Receiver<Switches>,
    ) -> Self {
        Self { inner, site, switches }
    }

    fn is_cut(&self) -> bool {
        self.switches.borrow().is_blind(self.site)
    }
}

impl Prober for CutProber {
    fn run(&self, check: &Arc<Assigned>, deadline: Duration) -> BoxFuture<'static, Outcome> {
        if self.is_cut() {
            // What a router says that has lost its route (ICMP, destination unreachable).
            let detail = format!("no route to host: {}", check.spec.target);
            return ready(Outcome::new(Status::Down, Some(Cause::Unreachable), detail)).boxed();
        }
        self.inner.run(check, deadline)
    }

    fn ask(&self, reference: &Reference) -> BoxFuture<'static, Answer> {
        if self.is_cut() { ready(Answer::No).boxed() } else { self.inner.ask(reference) }
    }

    fn gather(&self, check: &Arc<Assigned>, place: Option<&Place>) -> BoxFuture<'static, Found> {
        // Whoever is cut off learns nothing more.
        match self.is_cut() {
            true => ready(Found::default()).boxed(),
            false => self.inner.gather(check, place),
        }
    }

    fn forget(&self, check: &CheckId) {
        self.inner.forget(check);
    }
}

/// Talks to the coordinators, unless the way to them is cut.
pub(super) struct CutLink {
    inner: HttpLink,
    site: &'static SitePlan,
    switches: watch::Receiver<Switches>,
}

impl CutLink {
    /// The way from this site.
    pub(super) fn new(
        inner: HttpLink,
        site: &'static SitePlan,
        switches: watch::Receiver<Switches>,
    ) -> Self {
        Self { inner, site, switches }
    }

    /// Comes when the way is cut; what was under way is lost then.
    fn cut(&self) -> impl Future<Output = ()> + Send + 'static {
        let (mut switches, site) = (self.switches.clone(), self.site);
        async move {
            if switches.wait_for(|switches| switches.is_mute(site)).await.is_err() {
                // Nobody can cut it any more.
                std::future::pending::<()>().await;
            }
        }
    }

    fn unless_cut<T: Send + 'static>(
        &self,
        answer: BoxFuture<'static, Result<T, Failure>>,
    ) -> BoxFuture<'static, Result<T, Failure>> {
        let cut = self.cut();
        async move {
            tokio::select! {
                biased;
                () = cut => Err(Failure::Unreachable("no route to host".to_owned())),
                answer = answer => answer,
            }
        }
        .boxed()
    }
}

impl Link for CutLink {
    fn coordinators(&self) -> usize {
        self.inner.coordinators()
    }

    fn open(
        &self,
        coordinator: usize,
        hello: Hello,
    ) -> BoxFuture<'static, Result<Welcome, Failure>> {
        self.unless_cut(self.inner.open(coordinator, hello))
    }

    fn report(
        &self,
        coordinator: usize,
        report: Arc<Report>,
    ) -> BoxFuture<'static, Result<Receipt, Failure>> {
        self.unless_cut(self.inner.report(coordinator, report))
    }

    fn orders(
        &self,
        coordinator: usize,
        probe: ProbeId,
        epoch: u64,
    ) -> BoxFuture<'static, Result<Orders, Failure>> {
        let answer = self.unless_cut(self.inner.orders(coordinator, probe, epoch));
        let cut = self.cut();
        async move { Ok(answer.await?.take_until(cut).boxed()) }.boxed()
    }
}
