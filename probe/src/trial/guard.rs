//! A prober that runs nothing of what is held back, and notes what has run.

use std::sync::Arc;
use std::time::Duration;

use crosscheck_model::evidence::Found;
use crosscheck_model::wire::Assigned;
use crosscheck_model::{Cause, CheckId, Outcome, Place};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Hold, Keeper};
use crate::health::{Answer, Reference};
use crate::runner::Prober;

/// Stands before another prober.
pub(crate) struct Guarded {
    pub(crate) prober: Arc<dyn Prober>,
    pub(crate) keeper: Arc<Keeper>,
}

impl Prober for Guarded {
    fn run(&self, check: &Arc<Assigned>, deadline: Duration) -> BoxFuture<'static, Outcome> {
        if let Some(hold) = self.keeper.hold(&check.spec.id) {
            return std::future::ready(withheld(hold)).boxed();
        }
        let run = self.prober.run(check, deadline);
        if self.keeper.is_over() {
            return run;
        }
        let (keeper, check) = (Arc::clone(&self.keeper), check.spec.id.clone());
        async move {
            let outcome = run.await;
            keeper.ran(&check);
            outcome
        }
        .boxed()
    }

    fn ask(&self, reference: &Reference) -> BoxFuture<'static, Answer> {
        self.prober.ask(reference)
    }

    fn gather(&self, check: &Arc<Assigned>, place: Option<&Place>) -> BoxFuture<'static, Found> {
        match self.keeper.hold(&check.spec.id) {
            Some(_) => std::future::ready(Found::default()).boxed(),
            None => self.prober.gather(check, place),
        }
    }

    fn forget(&self, check: &CheckId) {
        self.prober.forget(check);
    }
}

/// What is said of a check that does not run: nothing of its target.
fn withheld(hold: Hold) -> Outcome {
    let Hold { deaths, until } = hold;
    let why = format!(
        "held back: this probe's process died {deaths} times soon after it got this check as it is \
         now; it is tried again from {until} on, or when it is changed"
    );
    Outcome::unknown(Cause::Setup, why)
}
