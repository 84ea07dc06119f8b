//! I1, single-domain immunity: while targets answer every path outside one site, carrier or
//! region, nothing is called down, whatever happens to that domain.

use crosscheck_core::verdict::Reason;

use super::{Checker, Entry, Finding, View};

#[derive(Default)]
pub(super) struct SingleDomain {
    tested: u64,
}

impl Checker for SingleDomain {
    fn name(&self) -> &'static str {
        "I1 single-domain immunity"
    }

    fn tested(&self) -> u64 {
        self.tested
    }

    fn entry(&mut self, view: &View<'_>, _: &Entry<'_>) -> Finding {
        if !view.world.is_one_domain() {
            return Ok(());
        }
        self.tested += 1;
        let wrong = view.state().checks.iter().find(|(_, c)| c.verdict.reason == Reason::Failing);
        match wrong {
            Some((id, _)) => Err(format!("{id} is called down, and only one domain suffers")),
            None => Ok(()),
        }
    }
}
